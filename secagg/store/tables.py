"""Tables of a store's database, and what stands in their rows: records and outcomes, each with its digest.

A row is looked at in the form in which it was read, before anything is made of it: a flipped bit can make a number of
a text. Knows rows, not connections.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from secagg.parameters import ClientId
from secagg.store.base import Aborted, Completed, Outcome, SessionRecord
from secagg.store.digests import Value, digest_of

SCHEMA: Final = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    offer BLOB NOT NULL,
    roster TEXT NOT NULL,
    schedule BLOB NOT NULL,
    created_at REAL NOT NULL,
    record BLOB NOT NULL,
    ended TEXT CHECK (ended IN ('completed', 'aborted')),
    result TEXT,
    reason TEXT,
    detail TEXT,
    dropped TEXT,
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
_RECORD: Final = ("name", "offer", "roster", "schedule", "created_at")
_OUTCOME: Final = ("ended", "result", "reason", "detail", "dropped")
RUNNING: Final = (None,) * len(_OUTCOME)
DAMAGED: Final = "session {name} was damaged on the disk; run it again under another name"
ENTRIES: Final = "SELECT position, kind, client, payload, digest FROM entries"
RECORDS: Final = "SELECT id, name, offer, roster, schedule, created_at, record FROM sessions"
# Without what a session is made of, which may be megabytes.
STATE: Final = "SELECT id, name, record, ended, result, reason, detail, dropped, outcome FROM sessions"


def is_whole(row: sqlite3.Row) -> bool:
    """Whether a session's record is what was written."""
    return bool(digest_of(*(row[column] for column in _RECORD)) == row["record"])


def record_of(row: sqlite3.Row) -> SessionRecord:
    """The record in a row that is whole."""
    return SessionRecord(row["name"], row["offer"], _load_roster(row["roster"]), row["schedule"], row["created_at"])


def outcome_of(row: sqlite3.Row) -> Outcome | None:
    """How the session of a row ended, which `is_state` says is as it was written; None while it runs."""
    match row["ended"]:
        case "completed":
            return Completed(row["result"], json.loads(row["dropped"]))
        case "aborted":
            return Aborted(row["reason"], row["detail"], json.loads(row["dropped"]))
    return None


def is_state(row: sqlite3.Row) -> bool:
    """Whether how a session ended, or that it runs, is what was written."""
    return bool(digest_of(row["record"], *(row[column] for column in _OUTCOME)) == row["outcome"])


def record_values(record: SessionRecord) -> tuple[Value, ...]:
    """A record as its columns hold it."""
    roster = json.dumps({str(client): bytes(record.roster[client]).hex() for client in sorted(record.roster)})
    return record.name, record.offer, roster, record.schedule, float(record.created_at)


def outcome_values(outcome: Outcome) -> tuple[Value, ...]:
    """An outcome as its columns hold it."""
    dropped = json.dumps(dict(outcome.dropped), sort_keys=True)
    if isinstance(outcome, Completed):
        return "completed", outcome.result, None, None, dropped
    return "aborted", None, outcome.reason, outcome.detail, dropped


def _load_roster(text: str) -> Mapping[ClientId, bytes]:
    return {int(client): bytes.fromhex(key) for client, key in json.loads(text).items()}
