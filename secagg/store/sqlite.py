"""A store in one directory: SQLite for records and logs, a file for each upload.

`secagg.sqlite3` is in WAL mode with full synchronization, so that a transaction is on the disk when it ends. An
upload becomes durable before the entry that names it; after a crash, files that nothing names are removed. When the
disk fails to synchronize a commit, the transaction may be there or not, and only a restart tells: until then nothing
is changed, so that no file goes which the log may name. One process at a time: the database stays locked while the
store is open.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

from secagg.parameters import ClientId
from secagg.store.base import (
    Aborted,
    Completed,
    Entry,
    EntryKind,
    Outcome,
    SessionRecord,
    StoreConflictError,
    StoreError,
    Upload,
    check_session_name,
)
from secagg.store.durable import sync_directory
from secagg.store.files import UploadFiles, failures, make_directory

DATABASE: Final = "secagg.sqlite3"
UPLOADS: Final = "uploads"
_VERSION: Final = 1
_LOCK_SECONDS: Final = 1.0
_PAGE: Final = 256
_NOT_SYNCHRONIZED: Final = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)

_SCHEMA: Final = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    offer BLOB NOT NULL,
    roster TEXT NOT NULL,
    schedule BLOB NOT NULL,
    created_at REAL NOT NULL,
    ended TEXT CHECK (ended IN ('completed', 'aborted')),
    result TEXT,
    reason TEXT,
    detail TEXT
);
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES sessions (id),
    kind TEXT NOT NULL,
    client TEXT,
    payload BLOB NOT NULL
);
CREATE INDEX entries_of_session ON entries (session, position);
"""


class SqliteStore:
    """Keeps sessions in a directory; see `SessionStore` for what the methods promise.

    Args:
        directory: made when it is missing, readable by its owner only.

    Raises:
        StoreError: another process has the directory open, it was written by another release, or it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._lock = Lock()
        self._in_doubt = False
        with failures(f"{directory} cannot be used"):
            make_directory(directory)
            (directory / DATABASE).touch(mode=0o600)
        with _database_failures(f"{directory} cannot be opened; is another server using it?"):
            self._connection = sqlite3.connect(
                directory / DATABASE, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        opened = False
        try:
            self._open(directory)
            opened = True
        finally:
            if not opened:
                self._connection.close()

    def create(self, record: SessionRecord) -> None:
        """Keep a new session; the same record again changes nothing."""
        check_session_name(record.name)
        with self._transaction(f"session {record.name} cannot be created"):
            known = self._rows("SELECT * FROM sessions WHERE name = ?", record.name)
            if known:
                if _record(known[0]) != record:
                    raise StoreConflictError(f"session {record.name} exists with other content; choose another name")
                return
            self._connection.execute(
                "INSERT INTO sessions (name, offer, roster, schedule, created_at) VALUES (?, ?, ?, ?, ?)",
                (record.name, record.offer, _dump_roster(record.roster), record.schedule, record.created_at),
            )

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions in the order of their creation."""
        with self._lock, _database_failures("sessions cannot be read"):
            return [_record(row) for row in self._rows("SELECT * FROM sessions ORDER BY id")]

    def entries(self, name: str) -> Iterator[Entry]:
        """The log of a session, oldest first."""
        session, position = self._session(name), 0
        while True:
            with self._lock, _database_failures(f"the log of session {name} cannot be read"):
                rows = self._rows(
                    "SELECT * FROM entries WHERE session = ? AND position > ? ORDER BY position LIMIT ?",
                    *(session, position, _PAGE),
                )
            for row in rows:
                client = None if row["client"] is None else int(row["client"])
                yield Entry(EntryKind(row["kind"]), client, bytes(row["payload"]))
            if len(rows) < _PAGE:
                return
            position = rows[-1]["position"]

    def append(self, name: str, entries: Sequence[Entry]) -> None:
        """Append to a log, durably and all or nothing."""
        with self._transaction(f"the log of session {name} cannot be written"):
            session = self._running(name)
            for entry in entries:
                if entry.kind is EntryKind.UPLOAD:
                    self._files.path(session, entry.payload.decode("ascii"))
            self._connection.executemany(
                "INSERT INTO entries (session, kind, client, payload) VALUES (?, ?, ?, ?)",
                [
                    (session, entry.kind.value, None if entry.client is None else str(entry.client), entry.payload)
                    for entry in entries
                ],
            )

    def finish(self, name: str, outcome: Outcome) -> None:
        """Keep how a session ended, and remove its log and uploads but for the result."""
        with self._transaction(f"the outcome of session {name} cannot be written"):
            session = self._running(name)
            values: tuple[str, str | None, str | None, str | None]
            if isinstance(outcome, Completed):
                if outcome.result is not None:
                    self._files.path(session, outcome.result)
                values = ("completed", outcome.result, None, None)
            else:
                values = ("aborted", None, outcome.reason, outcome.detail)
            self._connection.execute(
                "UPDATE sessions SET ended = ?, result = ?, reason = ?, detail = ? WHERE id = ?", (*values, session)
            )
            self._connection.execute("DELETE FROM entries WHERE session = ?", (session,))
        self._tidy(session, values[1])

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        with self._lock, _database_failures(f"session {name} cannot be read"):
            return _outcome(self._row(name))

    def release_result(self, name: str) -> None:
        """Remove the result of a completed session; its outcome stays."""
        with self._transaction(f"session {name} cannot be written"):
            row = self._row(name)
            if row["ended"] != "completed":
                raise StoreError(f"session {name} has no result to release")
            self._connection.execute("UPDATE sessions SET result = NULL WHERE id = ?", (row["id"],))
        self._tidy(row["id"], None)

    def discard(self, name: str) -> None:
        """Remove everything about a session."""
        with self._transaction(f"session {name} cannot be removed"):
            rows = self._rows("SELECT id FROM sessions WHERE name = ?", name)
            for row in rows:
                self._connection.execute("DELETE FROM entries WHERE session = ?", (row["id"],))
                self._connection.execute("DELETE FROM sessions WHERE id = ?", (row["id"],))
        for row in rows:
            self._tidy(row["id"], None)

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in at most `limit` bytes."""
        return self._files.begin(self._session(name), limit)

    def open_upload(self, name: str, upload: str) -> AbstractContextManager[memoryview]:
        """The bytes of a committed upload, mapped into memory."""
        return self._files.open(self._session(name), upload)

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that no entry names."""
        self._files.discard(self._session(name), upload)

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        return self._files.size(self._session(name))

    def close(self) -> None:
        """Close the database and unlock the directory."""
        with self._lock:
            self._connection.close()

    def _open(self, directory: Path) -> None:
        with _database_failures(f"{directory} cannot be opened; is another server using it?"):
            self._connection.row_factory = sqlite3.Row
            # Before anything is read: the lock is then taken at once and kept, and no other process can interfere.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")
            with self._transaction(f"{directory} cannot be opened"):
                version = self._rows("PRAGMA user_version")[0][0]
                if version not in (0, _VERSION):
                    raise StoreError(f"{directory} was written by another release (layout {version}); use that one")
                if version == 0:
                    _require_nobodys(directory)
                    for statement in _SCHEMA.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        with failures(f"{directory} cannot be used"):
            sync_directory(directory)
            self._files = UploadFiles(directory / UPLOADS)
        self._files.sweep(self._wanted())

    def _wanted(self) -> Mapping[int, set[str]]:
        wanted: dict[int, set[str]] = {}
        with _database_failures("sessions cannot be read"):
            for row in self._rows("SELECT id, result FROM sessions"):
                wanted[row["id"]] = set() if row["result"] is None else {row["result"]}
            named = self._rows("SELECT session, payload FROM entries WHERE kind = ?", EntryKind.UPLOAD.value)
        for row in named:
            wanted[row["session"]].add(bytes(row["payload"]).decode("ascii"))
        return wanted

    def _tidy(self, session: int, result: str | None) -> None:
        """Remove files after the transaction that let go of them, and what is deleted from the write-ahead log.

        What fails here is done again at the next start: the transaction has been made, so nothing is reported.
        """
        try:
            self._files.keep_only(session, () if result is None else (result,))
            with self._lock:
                self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        except (StoreError, sqlite3.Error):
            return

    def _rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(statement, values).fetchall()

    def _row(self, name: str) -> sqlite3.Row:
        rows = self._rows("SELECT * FROM sessions WHERE name = ?", name)
        if not rows:
            raise StoreError(f"session {name[:40]!r} is not in the store")
        return rows[0]

    def _session(self, name: str) -> int:
        with self._lock, _database_failures(f"session {name} cannot be read"):
            self._require_certainty()
            number: int = self._row(name)["id"]
            return number

    def _running(self, name: str) -> int:
        row = self._row(name)
        if row["ended"] is not None:
            raise StoreError(f"session {name} has ended; its log is closed")
        number: int = row["id"]
        return number

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """Everything inside, or nothing; durable when it ends."""
        with self._lock, _database_failures(what):
            self._require_certainty()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._commit()
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # All was written and could not be made durable: unlike a full disk, this one may have it or not.
            self._in_doubt = getattr(error, "sqlite_errorcode", None) in _NOT_SYNCHRONIZED
            raise

    def _require_certainty(self) -> None:
        if self._in_doubt:
            raise StoreError("the disk failed and what it holds is not known; check it, then restart the server")


def _require_nobodys(directory: Path) -> None:
    """Demand that a new database finds no uploads: those of another program, or of a lost database, are not swept."""
    uploads = directory / UPLOADS
    with failures(f"{directory} cannot be used"):
        if uploads.is_dir() and any(uploads.iterdir()):
            raise StoreError(
                f"{uploads} has uploads and no database beside it that names them; give a new directory, or move them"
            )


@contextmanager
def _database_failures(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{what}: {error}") from error


def _record(row: sqlite3.Row) -> SessionRecord:
    return SessionRecord(
        row["name"], bytes(row["offer"]), _load_roster(row["roster"]), bytes(row["schedule"]), row["created_at"]
    )


def _outcome(row: sqlite3.Row) -> Outcome | None:
    match row["ended"]:
        case "completed":
            return Completed(row["result"])
        case "aborted":
            return Aborted(row["reason"], row["detail"])
    return None


def _dump_roster(roster: Mapping[ClientId, bytes]) -> str:
    return json.dumps({str(client): bytes(roster[client]).hex() for client in sorted(roster)})


def _load_roster(text: str) -> Mapping[ClientId, bytes]:
    return {int(client): bytes.fromhex(key) for client, key in json.loads(text).items()}
