"""Connections to PostgreSQL: few, made again after the database was away, and none on which a call waits for ever.

PostgreSQL ends statements that take too long, and waits for locks; its machine may hang, and the network may swallow
what is sent. So a call that takes longer still has its connection cut from this side. Every error becomes a StoreError
that says which database, and no password. Must not know tables.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from secagg.errors import ParameterError
from secagg.store.base import DamagedError, StoreError
from secagg.store.postgres_errors import reason_of

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

CHANNEL: Final = "secagg"
SENT, ANSWERED, CHANGED, FREED = "s", "a", "c", "f"
"""What a notice is about; the name of the session follows."""
News = tuple[str, str]

SECONDS: Final = 10.0
_CONNECTIONS: Final = 8
_FRESH_SECONDS: Final = 1.0
_DAMAGE: Final = ("XX001", "XX002")  # data_corrupted, index_corrupted


class Address:
    """Where a database is.

    Args:
        conninfo: a URI or keywords and values, as PostgreSQL's programs take them; the environment and the password
            file fill in what it leaves out.
        seconds: what connecting may take, and a statement; waiting for a lock, half of it.

    Attributes:
        place: the database and its host, for people.

    Raises:
        ParameterError: it is none of PostgreSQL's.
    """

    def __init__(self, conninfo: str, seconds: float = SECONDS) -> None:
        try:
            given = conninfo_to_dict(conninfo)
        except psycopg.ProgrammingError:
            given = {"host": "@"}
        if "@" in str(given.get("host", "")):
            # The rest of a password that has one would be taken for the host, and shown.
            raise ParameterError(
                "the address of the database cannot be read; write postgresql://user:password@host:5432/name, with %40 "
                "for an @ in the password"
            ) from None
        self.seconds = seconds
        self._password = str(given.get("password") or "")
        host, port = (given.get(key) for key in ("host", "port"))
        self.place = f"database {given.get('dbname') or 'of its user'} at {host or 'its default host'}"
        self.place += f":{port}" if port else ""
        milliseconds = int(1000 * seconds)
        limits = {
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds // 2,
            "idle_in_transaction_session_timeout": milliseconds,
        }
        self.conninfo = conninfo
        self.arguments: dict[str, Any] = {
            "options": " ".join(
                [str(given.get("options") or ""), *(f"-c {name}={limit}" for name, limit in limits.items())]
            ),
            "connect_timeout": max(2, int(seconds)),
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": max(1, int(seconds)),
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": "secagg",
            "client_encoding": "UTF8",
        }

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the caller's own.

        Raises:
            psycopg.Error: there is none to be had.
        """
        return psycopg.connect(self.conninfo, **self.arguments)

    @contextmanager
    def failures(self, what: str) -> Iterator[None]:
        """Turn an error of the database into a StoreError."""
        try:
            yield
        except psycopg.Error as error:
            reason = reason_of(error)
            if self._password:
                reason = reason.replace(self._password, "***")
            kind = DamagedError if error.sqlstate in _DAMAGE else StoreError
            raise kind(f"{what}: {self.place}: {reason}") from error


class Connections:
    """A pool of connections.

    Args:
        conninfo: of the database, as for `Address`.
        seconds: as for `Address`; a call has its connection cut after twice as long without an answer.

    Raises:
        ParameterError: the address is none.
    """

    def __init__(self, conninfo: str, seconds: float = SECONDS) -> None:
        self.address = Address(conninfo, seconds)
        self._watch = _Watch(2 * seconds)
        self._used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._apart: Connection | None = None
        self._arguments: dict[str, Any] = {**self.address.arguments, "autocommit": True, "row_factory": dict_row}
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            kwargs=self._arguments,
            connection_class=psycopg.Connection[Row],
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=seconds,
            # Given up before a caller's patience ends: the next caller tries at once, however long it was away.
            reconnect_timeout=seconds / 2,
            configure=_configure,
            open=True,
            name="secagg",
        )

    @contextmanager
    def use(self, what: str) -> Iterator[Connection]:
        """A connection on which each statement is a transaction of its own.

        Raises:
            StoreError: it begins with `what`; there is none to be had within `seconds`, or the database refused.
        """
        with self.address.failures(what), self._borrowed() as connection, self._watch.over(connection):
            yield connection

    @contextmanager
    def transaction(self, what: str, tell: Collection[News] = ()) -> Iterator[Connection]:
        """Everything inside, or nothing; durable when it ends.

        One statement goes out after the answer to the one before: behind a pipeline, as `executemany` makes one,
        PostgreSQL 15 does not end a transaction whose client is gone, and what that has locked stays so.

        Args:
            what: could not be done, for the error.
            tell: what to wake listeners with afterwards; they look for themselves when that fails.

        Raises:
            StoreError: it was not made. Or the connection was lost while it was committed, and nobody knows.
        """
        with self.use(what) as connection:
            with connection.transaction():
                yield connection
            if tell:
                _wake(connection, tell)

    @contextmanager
    def apart(self, what: str) -> Iterator[Connection]:
        """A connection of one's own, for one caller at a time: it says how the database is, whatever all others wait
        for, and why it cannot be reached, which the pool does not.

        Raises:
            StoreError: it begins with `what`; the database cannot be reached, or refused.
        """
        with self.address.failures(what):
            connection = self._apart
            if connection is None or not self._lives(connection):
                connection = self._connected_apart()
            with self._watch.over(connection), connection.transaction():
                yield connection

    def tell(self, *news: News) -> None:
        """Wake listeners; they look for themselves when that fails."""
        with suppress(StoreError), self.use("listeners cannot be woken") as connection:
            _wake(connection, news)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._apart is not None:
            self._apart.close()
        self._watch.close()

    def _connected_apart(self) -> Connection:
        if self._apart is not None:
            self._apart.close()
            self._apart = None
        connection: Connection = psycopg.connect(self.address.conninfo, **self._arguments)
        try:
            with self._watch.over(connection):
                _configure(connection)
        except psycopg.Error:
            connection.close()
            raise
        self._apart = connection
        return connection

    def _lives(self, connection: Connection) -> bool:
        try:
            with self._watch.over(connection):
                ConnectionPool.check_connection(connection)
        except psycopg.Error:
            return False
        return True

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        connection = self._pool.getconn()
        try:
            if self._may_be_dead(connection):
                with self._watch.over(connection):
                    ConnectionPool.check_connection(connection)
        except psycopg.Error:
            # The pool would look at the others one after the other, and longer each time: none is better than this.
            self._pool.putconn(connection)
            self._pool.drain()
            connection = self._pool.getconn()
        try:
            yield connection
        finally:
            self._used[connection] = monotonic()
            self._pool.putconn(connection)

    def _may_be_dead(self, connection: Connection) -> bool:
        """Whether a connection was idle for long, or has something to say unasked, as one has that was closed."""
        if monotonic() - self._used.get(connection, 0.0) > _FRESH_SECONDS:
            return True
        unasked = select.poll()  # A server has many descriptors, and select() takes none above 1023.
        unasked.register(connection, select.POLLIN)
        return bool(unasked.poll(0))


def _configure(connection: Connection) -> None:
    """Where commits are not waited for, wait: what a client was told is safe must be. Stricter settings stay."""
    rows = connection.execute("SHOW synchronous_commit").fetchall()
    if rows[0]["synchronous_commit"] == "off":
        connection.execute("SET synchronous_commit = on")


def _wake(connection: Connection, news: Collection[News]) -> None:
    """Tell listeners, in a transaction of its own that nobody waits for.

    Transactions that notify commit one after the other in the whole database: with a log that is synchronized each
    time, these would be all that it does.
    """
    try:
        connection.execute(
            sql.SQL(
                "BEGIN; SET LOCAL synchronous_commit = off; "
                "SELECT pg_notify({}, told) FROM unnest({}::text[]) AS told; COMMIT"
            ).format(CHANNEL, [kind + name for kind, name in news]),
            prepare=False,
        )
    except psycopg.Error:
        # What was to be told has been committed: an error would say that it was not.
        connection.close()


class _Watch:
    """Cuts connections on which a call has taken too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._numbers = count()
        self._calls: dict[int, tuple[float, socket.socket]] = {}
        self._changed = Condition()
        self._closed = False
        Thread(target=self._run, name="secagg database calls", daemon=True).start()

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Cut the connection unless this ends in time."""
        # Its own descriptor: psycopg may close its one, and another connection get the number.
        wire = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, os.dup(connection.fileno()))
        number = next(self._numbers)
        with self._changed:
            self._calls[number] = (monotonic() + self._seconds, wire)
        try:
            yield
        finally:
            with self._changed:
                self._calls.pop(number, None)
            wire.close()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                # All have as long, so the first to come is the first to end.
                number = next(iter(self._calls), None)
                if number is None:
                    # Whatever begins meanwhile ends later than this: nobody has to wake it.
                    self._changed.wait(self._seconds)
                    continue
                end, wire = self._calls[number]
                left = end - monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                del self._calls[number]
                try:
                    wire.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it was cut from the other side
