"""Tables of a store's database, and what stands in their rows: records and outcomes, each with its digest.

A row is looked at in the form in which it was read, before anything is made of it: a flipped bit can make a number of
a text. Knows rows, not connections.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from secagg.parameters import ClientId
from secagg.store.base import Aborted, Blamed, Completed, Outcome, SessionRecord
from secagg.store.digests import Value, digest_of

SCHEMA: Final = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    offer BLOB NOT NULL,
    roster TEXT NOT NULL,
    schedule BLOB NOT NULL,
    created_at REAL NOT NULL,
    tenant TEXT NOT NULL DEFAULT '',
    record BLOB NOT NULL,
    ended TEXT CHECK (ended IN ('completed', 'aborted')),
    result TEXT,
    reason TEXT,
    detail TEXT,
    dropped TEXT,
    ended_at REAL,
    outcome BLOB NOT NULL
);
CREATE TABLE logs (
    session INTEGER PRIMARY KEY REFERENCES sessions (id),
    last BLOB NOT NULL
);
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES sessions (id),
    kind TEXT NOT NULL,
    client TEXT,
    payload BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE INDEX entries_of_session ON entries (session, position);
"""
# Names once more, elsewhere in the file: a bit that flips in one place frees no name.
NAMES: Final = """
CREATE TABLE names (
    session INTEGER PRIMARY KEY REFERENCES sessions (id),
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE
)
"""
_RECORD: Final = ("name", "offer", "roster", "schedule", "created_at")
_OUTCOME: Final = ("ended", "result", "reason", "detail", "dropped")
_EXPIRED: Final = "expired"  # the reason of a session that completed
_BLAME: Final = "blame"  # beside the counts of drops, among whose ids it is none
_SUCCESSOR: Final = "successor"
RUNNING: Final = (None,) * (len(_OUTCOME) + 1)  # the time included
DAMAGED: Final = "session {name} was damaged on the disk; run it again under another name"
LOST: Final = "session {name} may have run before the server's database lost it; run it again under another name"
ENTRIES: Final = "SELECT position, kind, client, payload, digest FROM entries"
RECORDS: Final = "SELECT id, name, offer, roster, schedule, created_at, tenant, record FROM sessions"
# Without what a session is made of, which may be megabytes.
STATE: Final = "SELECT id, name, record, ended, result, reason, detail, dropped, ended_at, outcome FROM sessions"


class Row(Protocol):
    """Values of columns, by name."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of a column, as it was read."""
        ...


def is_whole(row: Row) -> bool:
    """Whether a session's record is what was written."""
    return bool(record_digest(*(row[column] for column in _RECORD), row["tenant"]) == row["record"])


def why_unread(row: Row, name: str) -> str:
    """Why the record of a row that is not whole cannot be read, in one sentence. One that was lost has no digest."""
    return (DAMAGED if row["record"] else LOST).format(name=name)


def record_of(row: Row) -> SessionRecord:
    """The record in a row that is whole."""
    return SessionRecord(
        row["name"], row["offer"], _load_roster(row["roster"]), row["schedule"], row["created_at"], row["tenant"]
    )


def outcome_of(row: Row) -> Outcome | None:
    """How the session of a row ended, which `is_state` says is as it was written; None while it runs."""
    match row["ended"]:
        case "completed":
            expired = row["reason"] == _EXPIRED
            return Completed(row["result"], json.loads(row["dropped"]), row["ended_at"] or 0.0, expired)
        case "aborted":
            dropped = json.loads(row["dropped"])
            blame = tuple(
                Blamed(client, reason, None if evidence is None else bytes.fromhex(evidence))
                for client, reason, evidence in dropped.pop(_BLAME, ())
            )
            successor = dropped.pop(_SUCCESSOR, "")
            return Aborted(row["reason"], row["detail"], dropped, row["ended_at"] or 0.0, blame, successor)
    return None


def is_state(row: Row) -> bool:
    """Whether how a session ended, or that it runs, is what was written."""
    return bool(outcome_digest(row["record"], *(row[column] for column in _OUTCOME), row["ended_at"]) == row["outcome"])


def record_values(record: SessionRecord) -> tuple[Value, ...]:
    """A record as its columns hold it."""
    roster = json.dumps({str(client): bytes(record.roster[client]).hex() for client in sorted(record.roster)})
    return record.name, record.offer, roster, record.schedule, float(record.created_at), record.tenant


def record_digest(*values: Value) -> bytes:
    """The digest of a record by its values, the tenant last; an empty one adds nothing, as before there were any."""
    *others, tenant = values
    return digest_of(*others) if tenant == "" else digest_of(*others, tenant)


def outcome_digest(record: bytes, *values: Value) -> bytes:
    """The digest of an outcome by its values, the time last; none adds nothing."""
    *others, ended_at = values
    return digest_of(record, *others) if ended_at is None else digest_of(record, *others, ended_at)


def outcome_values(outcome: Outcome) -> tuple[Value, ...]:
    """An outcome as its columns hold it."""
    others: dict[str, object] = dict(outcome.dropped)
    if isinstance(outcome, Completed):
        reason = _EXPIRED if outcome.expired else None
        dropped = json.dumps(others, sort_keys=True)
        return "completed", outcome.result, reason, None, dropped, float(outcome.ended_at) or None
    if outcome.blame:
        others[_BLAME] = [
            (each.client, each.reason, None if each.evidence is None else each.evidence.hex()) for each in outcome.blame
        ]
    if outcome.successor:
        others[_SUCCESSOR] = outcome.successor
    dropped = json.dumps(others, sort_keys=True)
    return "aborted", None, outcome.reason, outcome.detail, dropped, float(outcome.ended_at) or None


def _load_roster(text: str) -> Mapping[ClientId, bytes]:
    return {int(client): bytes.fromhex(key) for client, key in json.loads(text).items()}
