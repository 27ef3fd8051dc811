"""What is said of a database that cannot be reached: which one, why, once, and what to do."""

from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from secagg.store.base import StoreError
from secagg.store.postgres_pool import Address

SERVER = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '
AWAY = "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"
SAID = {
    f'{SERVER}FATAL:  password authentication failed for user "secagg"\n{SERVER}FATAL: again': (
        'password authentication failed for user "secagg"; give the password of the role in PGPASSWORD, or in a '
        "password file"
    ),
    f"{SERVER}fe_sendauth: no password supplied": (
        "fe_sendauth: no password supplied; give the password of the role in PGPASSWORD, or in a password file"
    ),
    f'{SERVER}FATAL:  database "secagg" does not exist': (
        "database \"secagg\" does not exist; create it with ENCODING 'UTF8', or correct storage.postgres"
    ),
    f'{SERVER}FATAL:  role "secagg" does not exist': (
        'role "secagg" does not exist; create the role, or correct storage.postgres'
    ),
    f"{SERVER}{AWAY}": "Connection refused; see whether PostgreSQL runs there, or correct storage.postgres",
    f"Multiple connection attempts failed. All failures were:\n- host: 'localhost': {SERVER}{AWAY}": (
        "Connection refused; see whether PostgreSQL runs there, or correct storage.postgres"
    ),
    "connection timeout expired": (
        "connection timeout expired; see whether PostgreSQL runs there, or correct storage.postgres"
    ),
    "failed to resolve host 'nowhere': [Errno -2] Name or service not known": (
        "failed to resolve host 'nowhere': [Errno -2] Name or service not known; correct the host in storage.postgres"
    ),
    "the connection is lost": "the connection is lost",
}


@pytest.mark.parametrize(("said", "sentence"), SAID.items())
def test_a_connection_that_is_not_to_be_had_is_said_once_and_with_a_way_out(said: str, sentence: str) -> None:
    address = Address("postgresql://secagg@127.0.0.1/secagg")
    with pytest.raises(StoreError) as caught, address.failures("the database cannot be looked at"):
        raise psycopg.OperationalError(said)
    assert str(caught.value) == f"the database cannot be looked at: database secagg at 127.0.0.1: {sentence}"


def test_a_pool_without_a_connection_says_how_long_it_was_waited_for() -> None:
    with pytest.raises(StoreError, match=r": couldn't get a connection after 10.00 sec$"), Address("").failures("x"):
        raise PoolTimeout("couldn't get a connection after 10.00 sec")
