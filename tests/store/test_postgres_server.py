"""The throwaway PostgreSQL of the tests: what was committed is there after every fault that it offers."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.postgres import Postgres


@pytest.mark.parametrize("fault", [Postgres.restart, lambda server: (server.kill(), server.start())])
def test_what_was_committed_outlives_a_restart_and_a_crash(
    postgres: Postgres, fault: Callable[[Postgres], object]
) -> None:
    conninfo = postgres.create()
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (7)")
    fault(postgres)
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_paused_server_answers_when_it_goes_on(postgres: Postgres) -> None:
    with psycopg.connect(postgres.conninfo()) as connection:
        postgres.pause()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(postgres.conninfo(), connect_timeout=2)
        postgres.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)
