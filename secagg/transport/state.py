"""A participant that outlives its process: snapshot and ledger of one client of one session, in one SQLite file.

Both are written in one transaction, before the answer they belong to leaves; so a process that is killed at any
instant goes on where it was, and no round is ever answered twice with different content, not even by two processes
that use the same directory. The snapshot is secret: the file is for its owner alone, replaced and erased snapshots
are overwritten as well as SQLite can. The ledger stays after the end, so that the session is not played again.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from secagg.crypto.secret import SecretBytes
from secagg.errors import RemoteProtocolError
from secagg.parameters import ClientId
from secagg.store.base import DamagedError, StoreError, check_session_name
from secagg.store.database import database_failures
from secagg.store.whole import Whole

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS bound (one INTEGER PRIMARY KEY CHECK (one = 1), session BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    session BLOB NOT NULL, client TEXT NOT NULL, phase TEXT NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (session, client, phase)
) WITHOUT ROWID;
"""
# The snapshot has a checksum of its own.
_ROWS: Final = ("SELECT * FROM bound ORDER BY one", "SELECT * FROM answers ORDER BY session, client, phase")
_DAMAGED: Final = "nobody knows what this client has answered: take part in this session no more, and check the disk"
_OTHERS: Final = "SELECT client FROM answers WHERE client != ?"
_FIND: Final = "SELECT digest FROM answers WHERE session = ? AND client = ? AND phase = ?"


def path_of(directory: Path, session: str, client: ClientId) -> Path:
    """The file of one client of one session."""
    return directory / f"{session}-{client}.sqlite"


class ParticipantState:
    """The file of one client of one session; an `AnswerLedger`. Used by one thread at a time.

    Args:
        directory: made if it is not there, for its owner alone.
        session: the session's name on its server.
        client: which client.

    Attributes:
        path: of the file.

    Raises:
        ParameterError: a name that is no session's.
        StoreError: the directory or file cannot be used, or others can open the file.
        DamagedError: it does not hold what was written; also raised by whatever reads or writes it.
    """

    def __init__(self, directory: Path, session: str, client: ClientId) -> None:
        self.path = path_of(directory, check_session_name(session), client)
        self._whole = Whole(self.path, _ROWS, _DAMAGED)
        self._client = str(client)
        self._staged: dict[tuple[bytes, str, str], bytes] = {}
        self._opened: sqlite3.Connection | None = None
        with self._usable():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.exists():
            self._open()

    def bind(self, session: bytes) -> None:
        """Take part in the session with this digest, and in no other under the same name.

        Raises:
            RemoteProtocolError: an earlier process took part in another one.
            DamagedError: this is the file of another client, under this one's name.
        """
        with self._reported(), self._transaction():
            self._database.execute("INSERT OR IGNORE INTO bound VALUES (1, ?)", (session,))
            self._whole.note(self._database)
            (bound,) = self._database.execute("SELECT session FROM bound").fetchone()
            other = self._database.execute(_OTHERS, (self._client,)).fetchone()
            if other is not None:
                raise DamagedError(
                    f"{self.path} is the state of client {other[0]}, under another name: give each file the name "
                    "that it had, and check the disk"
                )
        if bound != session:
            raise RemoteProtocolError(
                f"the server now offers another session under the name of the one in {self.path}; an input goes into "
                "one session only: ask the operator, or take another state directory"
            )

    def snapshot(self) -> SecretBytes | None:
        """The last snapshot that was saved, or None."""
        with self._reported():
            row = self._database.execute("SELECT content FROM snapshot").fetchone()
        return None if row is None else SecretBytes(row[0])

    def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
        """Claim an answer; it is durable after `save`, before which the answer must not leave."""
        key = (session, str(client), phase)
        with self._reported(), self._transaction():
            row = self._database.execute(_FIND, key).fetchone()
        if row is not None:
            return bool(row[0] == answer)
        return self._staged.setdefault(key, answer) == answer

    def answered(self, session: bytes, client: ClientId, phase: str) -> bool:
        """Whether an answer of this phase has been made durable.

        Args:
            session: 32-byte session digest.
            client: who answers.
            phase: value of the ClientPhase that is answered.
        """
        with self._reported(), self._transaction():
            return self._database.execute(_FIND, (session, str(client), phase)).fetchone() is not None

    @property
    def unsaved(self) -> bool:
        """Whether an answer was claimed since the last `save`."""
        return bool(self._staged)

    def save(self, snapshot: SecretBytes | None) -> bool:
        """Make the claims, and the snapshot that goes with them, durable: all or nothing.

        Args:
            snapshot: replaces the last one; None keeps that, for an answer after which there is none.

        Returns:
            False when another process has claimed one of the answers with other content; nothing was saved.
        """
        with self._reported(), self._transaction():
            for key, digest in self._staged.items():
                self._database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", (*key, digest))
                if self._database.execute(_FIND, key).fetchone()[0] != digest:
                    self._database.execute("ROLLBACK")
                    return False
            self._whole.note(self._database)
            if snapshot is not None:
                self._database.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?)", (snapshot.expose(),))
        self._staged.clear()
        return True

    def erase(self) -> None:
        """Erase the snapshot; the ledger stays."""
        with self._reported(), self._transaction():
            self._database.execute("DELETE FROM snapshot")

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _database(self) -> sqlite3.Connection:
        """The file, made when something is to be kept: a server that only names sessions fills no disk."""
        return self._opened or self._open()

    def _open(self) -> sqlite3.Connection:
        with self._usable():
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.close(descriptor)
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(f"{self.path} holds secrets and has mode {mode:04o}; run chmod 600 on it")
        with self._reported():
            self._opened = database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            # A journal that is truncated, and pages that are overwritten, leave least behind of a replaced snapshot.
            database.executescript(
                "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;" + _SCHEMA
            )
            with self._transaction():
                pass
        return database

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.path} cannot be used: {error.strerror}; give another state directory") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._whole.require(self._database)
            yield
            if self._database.in_transaction:
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        with database_failures(f"{self.path} cannot be used"):
            yield
