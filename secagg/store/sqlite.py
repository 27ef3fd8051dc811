"""A store in one directory: SQLite for records and logs, a file for each upload.

An upload becomes durable before the entry that names it; after a crash, files that nothing names are set aside. Nothing
is changed while nobody knows whether a transaction was made (see `database`), so that no file goes which the log may
name.

Each entry of a log has a digest over itself and the one before, the first over the session's record, and the last
stands beside the log: what leads from the record to the last digest is the log, whole and as it was written.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from secagg.errors import AbortReason
from secagg.store.base import (
    Aborted,
    Completed,
    DamagedError,
    Entry,
    EntryKind,
    Outcome,
    SessionRecord,
    StoreConflictError,
    StoreError,
    Upload,
    check_session_name,
    check_tenant,
)
from secagg.store.database import DATABASE, HEAD, QUARANTINE, Database
from secagg.store.digests import Value, digest_of
from secagg.store.files import UploadFiles, failures, make_directory
from secagg.store.head import HeadFile
from secagg.store.tables import (
    DAMAGED,
    ENTRIES,
    NAMES,
    RECORDS,
    RUNNING,
    SCHEMA,
    STATE,
    is_state,
    is_whole,
    outcome_digest,
    outcome_of,
    outcome_values,
    record_digest,
    record_of,
    record_values,
    why_unread,
)
from secagg.store.upgrades import UPGRADES

UPLOADS: Final = "uploads"
"""Name of the directory of uploads, beside the database."""
_PAGE: Final = 256
_DISCARD: Final = (
    "DELETE FROM entries WHERE session = ?",
    "DELETE FROM logs WHERE session = ?",
    "DELETE FROM names WHERE session = ?",
    "DELETE FROM sessions WHERE id = ?",
)


class SqliteStore:
    """Keeps sessions in a directory; see `SessionStore` for what the methods promise.

    Args:
        directory: made when it is missing, readable by its owner only.
        accept_loss: open a database that lost commits, too: the sessions that ran are then aborted.
        expected: names of sessions that it may have had. Those that are lost with the commits are then `damaged`, so
            that nobody makes them anew and has clients take part twice.

    Raises:
        DamagedError: the database lost commits, or is missing.
        StoreError: another process has the directory open, it was written by another release, or it cannot be read.
    """

    def __init__(self, directory: Path, *, accept_loss: bool = False, expected: Collection[str] = ()) -> None:
        _require_nobodys(directory)
        self._database = Database(directory, f"{SCHEMA}{NAMES}", accept_loss, UPGRADES)
        opened = False
        try:
            with failures(f"{directory} cannot be used"):
                make_directory(directory / UPLOADS)
                self._files = UploadFiles(directory / UPLOADS, directory / QUARANTINE)
            if self._database.lost:
                self._end_all(expected)
            self._files.sweep(self._wanted())
            opened = True
        finally:
            if not opened:
                self._database.close()

    def create(self, record: SessionRecord) -> None:
        """Keep a new session; the same record again changes nothing."""
        check_session_name(record.name)
        check_tenant(record.tenant)
        with self._database.transaction(f"session {record.name} cannot be created"):
            known = self._number(record.name)
            if known is not None:
                row = self._database.rows(f"{RECORDS} WHERE id = ?", known)[0]
                if row["name"] != record.name or not is_whole(row):
                    raise DamagedError(why_unread(row, record.name))
                if record_of(row) != record:
                    raise StoreConflictError(f"session {record.name} exists with other content; choose another name")
                return
            values = record_values(record)
            digest = record_digest(*values)
            session = self._insert(values, digest)
            self._database.connection.execute("INSERT INTO logs VALUES (?, ?)", (session, digest))

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions in the order of their creation, but for those that are damaged."""
        return [record_of(row) for row in self._records() if is_whole(row)]

    def damaged(self) -> Mapping[str, str]:
        """Sessions whose record is not what was written, and that in one sentence."""
        rows = [row for row in self._records() if not is_whole(row)]
        with self._database.reading("the names of sessions cannot be read"):
            known = {
                row["session"]: row["name"]
                for row in self._database.rows("SELECT session, name, digest FROM names")
                if digest_of(row["name"]) == row["digest"]
            }
        damaged = [(str(known.get(row["id"], row["name"])), row) for row in rows]
        return {name: why_unread(row, name) for name, row in damaged}

    def entries(self, name: str) -> Iterator[Entry]:
        """The log of a session, oldest first."""
        position, count = 0, 0
        with self._database.reading(f"the log of session {name} cannot be read"):
            self._database.require_certainty()
            state = self._state(name)
            session, digest, last = state["id"], state["record"], self._last(state)
        while True:
            with self._database.reading(f"the log of session {name} cannot be read"):
                rows = self._database.rows(
                    f"{ENTRIES} WHERE session = ? AND position > ? ORDER BY position LIMIT ?",
                    *(session, position, _PAGE),
                )
            for row in rows:
                following = digest_of(digest, row["kind"], row["client"], row["payload"])
                # What does not follow was damaged, and then nothing leads to the last; or it is another session's.
                if following == row["digest"]:
                    digest, count = following, count + 1
                    yield Entry(
                        EntryKind(row["kind"]), None if row["client"] is None else int(row["client"]), row["payload"]
                    )
            if len(rows) < _PAGE:
                break
            position = rows[-1]["position"]
        if digest != last:
            raise DamagedError(
                f"the log of session {name} was damaged on the disk behind its entry {count}; run the session again "
                "under another name"
            )

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        """Append to a log, durably and all or nothing."""
        with self._database.transaction(f"the log of session {name} cannot be written"):
            state = self._running(name)
            session, digest = state["id"], self._last(state)
            rows: list[tuple[int, str, str | None, bytes, bytes]] = []
            for entry in entries:
                if entry.kind is EntryKind.UPLOAD:
                    self._files.path(session, entry.payload.decode("ascii"))
                client = None if entry.client is None else str(entry.client)
                digest = digest_of(digest, entry.kind.value, client, entry.payload)
                rows.append((session, entry.kind.value, client, entry.payload, digest))
            self._database.connection.executemany(
                "INSERT INTO entries (session, kind, client, payload, digest) VALUES (?, ?, ?, ?, ?)", rows
            )
            self._database.connection.execute("UPDATE logs SET last = ? WHERE session = ?", (digest, session))

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, and remove its log and uploads but for the result."""
        with self._database.transaction(f"the outcome of session {name} cannot be written"):
            state = self._running(name)
            session = state["id"]
            result = outcome.result if isinstance(outcome, Completed) else None
            if result is not None:
                self._files.path(session, result)
            self._close_log(state, outcome)
        self._tidy(session, result)

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        with self._database.reading(f"session {name} cannot be read"):
            return outcome_of(self._state(name))

    def release_result(self, name: str, expired: bool = False) -> bool:
        """Remove the result of a completed session; its outcome stays."""
        with self._database.transaction(f"session {name} cannot be written"):
            state = self._state(name)
            outcome = outcome_of(state)
            if not isinstance(outcome, Completed):
                raise StoreError(f"session {name} has no result to release")
            if outcome.result is not None:
                self._put(state, replace(outcome, result=None, expired=expired))
        self._tidy(state["id"], None)
        return outcome.result is not None

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        """Remove everything about a session."""
        with self._database.transaction(f"session {name} cannot be removed"):
            number = self._number(name)
            if number is not None and record is not None:
                row = self._database.rows("SELECT record FROM sessions WHERE id = ?", number)[0]
                if row["record"] != record_digest(*record_values(record)):
                    return False
            if number is not None:
                for statement in _DISCARD:
                    self._database.connection.execute(statement, (number,))
        if number is not None:
            self._tidy(number, None)
        return number is not None

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in at most `limit` bytes."""
        return self._files.begin(self._session(name), limit)

    def open_upload(self, name: str, upload: str) -> AbstractContextManager[memoryview]:
        """The bytes of a committed upload, mapped into memory."""
        return self._files.open(self._session(name), upload)

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that no entry names."""
        self._files.discard(self._session(name), upload)

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        """At most `count` bytes of a committed upload."""
        return self._files.read(self._session(name), upload, offset, count)

    def set_aside(self, name: str, upload: str) -> None:
        """Put a damaged upload into quarantine."""
        self._files.set_aside(self._session(name), upload)

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        return self._files.size(self._session(name))

    def probe(self) -> None:
        """Demand that the next write can be made durable."""
        with self._database.transaction("the store cannot be written"):
            pass
        self._files.probe()

    def close(self) -> None:
        """Close the database and unlock the directory."""
        self._database.close()

    def _end_all(self, expected: Collection[str]) -> None:
        """End the sessions that ran, since nobody knows what their clients were told, and keep the names of others."""
        detail = "the server's database lost what clients had been told is safe, and its operator accepted that"
        with self._database.transaction("sessions cannot be ended"):
            ended = Aborted(AbortReason.ABORTED_BY_CALLER.value, detail, ended_at=time.time())
            for row in self._database.rows(f"{STATE} WHERE ended IS NULL"):
                if is_state(row):
                    self._close_log(row, ended)
            for name in expected:
                if self._number(name) is None:
                    check_session_name(name)
                    self._insert((name, b"", "", b"", ended.ended_at, ""), b"")

    def _insert(self, values: tuple[Value, ...], digest: bytes) -> int:
        """Write a session's record, or, without a digest, that there is none."""
        execute = self._database.connection.execute
        inserted = execute(
            "INSERT INTO sessions (name, offer, roster, schedule, created_at, tenant, record, outcome) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, digest, outcome_digest(digest, *RUNNING)),
        )
        session, name = cast("int", inserted.lastrowid), str(values[0])
        execute("INSERT INTO names VALUES (?, ?, ?)", (session, name, digest_of(name)))
        return session

    def _wanted(self) -> Mapping[int, set[str]]:
        wanted: dict[int, set[str]] = {}
        with self._database.reading("sessions cannot be read"):
            for row in self._database.rows("SELECT id, result FROM sessions"):
                wanted[row["id"]] = set() if row["result"] is None else {str(row["result"])}
            named = self._database.rows("SELECT session, payload FROM entries WHERE kind = ?", EntryKind.UPLOAD.value)
        for row in named:
            payload = row["payload"]
            if isinstance(payload, bytes):
                wanted.setdefault(row["session"], set()).add(payload.decode("ascii", "replace"))
        return wanted

    def _tidy(self, session: int, result: str | None) -> None:
        """Remove files after the transaction that let go of them, and what is deleted from the write-ahead log.

        What fails here is done again at the next start: the transaction has been made, so nothing is reported.
        """
        try:
            self._files.keep_only(session, () if result is None else (result,))
            self._files.expire()
            self._database.give_back()
        except (StoreError, sqlite3.Error):
            return

    def _records(self) -> list[sqlite3.Row]:
        with self._database.reading("sessions cannot be read"):
            return self._database.rows(f"{RECORDS} ORDER BY id")

    def _state(self, name: str) -> sqlite3.Row:
        """What a session is known by and how it ended, as it was written."""
        number = self._number(name)
        if number is None:
            raise StoreError(f"session {name[:40]!r} is not in the store")
        row: sqlite3.Row = self._database.rows(f"{STATE} WHERE id = ?", number)[0]
        if row["name"] != name or not is_state(row):
            raise DamagedError(DAMAGED.format(name=name))
        return row

    def _number(self, name: str) -> int | None:
        """Which session has a name, also when one of the two places where it stands is damaged."""
        rows = self._database.rows("SELECT id, name FROM sessions WHERE name = ?", name)
        # An index may lead to a row of another name.
        rows = [row for row in rows if row["name"] == name] or self._database.rows(
            "SELECT id FROM sessions WHERE id IN (SELECT session FROM names WHERE digest = ?)", digest_of(name)
        )
        return int(rows[0]["id"]) if rows else None

    def _close_log(self, state: sqlite3.Row, outcome: Outcome) -> None:
        """Write how a session ended, and remove its log."""
        self._put(state, outcome)
        execute = self._database.connection.execute
        execute("DELETE FROM entries WHERE session = ?", (state["id"],))
        execute("UPDATE logs SET last = ? WHERE session = ?", (state["record"], state["id"]))

    def _put(self, state: sqlite3.Row, outcome: Outcome) -> None:
        """Write how a session ended, with its digest."""
        values = outcome_values(outcome)
        self._database.connection.execute(
            "UPDATE sessions SET ended = ?, result = ?, reason = ?, detail = ?, dropped = ?, ended_at = ?, outcome = ? "
            "WHERE id = ?",
            (*values, outcome_digest(state["record"], *values), state["id"]),
        )

    def _last(self, state: sqlite3.Row) -> bytes:
        """The digest of a session's last entry, or of its record while it has none."""
        rows = self._database.rows("SELECT last FROM logs WHERE session = ?", state["id"])
        return rows[0]["last"] if rows else b""

    def _session(self, name: str) -> int:
        with self._database.reading(f"session {name} cannot be read"):
            self._database.require_certainty()
            number: int = self._state(name)["id"]
            return number

    def _running(self, name: str) -> sqlite3.Row:
        state = self._state(name)
        if state["ended"] is not None:
            raise StoreError(f"session {name} has ended; its log is closed")
        return state


def _require_nobodys(directory: Path) -> None:
    """Demand that a new database finds no uploads: those of another program, or of a lost database, are not swept."""
    uploads, database = directory / UPLOADS, directory / DATABASE
    with failures(f"{directory} cannot be used"):
        if database.is_file() and database.stat().st_size:
            return
        if not HeadFile(directory / HEAD).blank():
            return  # of which there is more to say
        if uploads.is_dir() and any(uploads.iterdir()):
            raise StoreError(
                f"{uploads} has uploads and no database beside it that names them; give a new directory, or move them"
            )
