"""Brings the tables of a store's database from an earlier layout to this one, inside of one transaction.

What was damaged stays so: a digest is made anew only for what the old one is right about. Must not know how a database
is opened.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Final

from secagg.store.digests import digest_of
from secagg.store.tables import NAMES, STATE, is_state, outcome_digest, outcome_of, outcome_values

_ENDED: Final = "UPDATE sessions SET ended_at = ?, outcome = ? WHERE id = ?"


def _from_three(connection: sqlite3.Connection) -> None:
    """Sessions get a tenant and the time of their end, which for those that have ended is now; names stand twice."""
    execute = connection.execute
    execute("ALTER TABLE sessions ADD COLUMN tenant TEXT NOT NULL DEFAULT ''")
    execute("ALTER TABLE sessions ADD COLUMN ended_at REAL")
    execute(NAMES)
    for row in execute("SELECT id, name FROM sessions ORDER BY id").fetchall():
        # Of a damaged name as it is now: which it was, nobody knows.
        name = str(row["name"])
        execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", (row["id"], name, digest_of(name)))
    now = time.time()
    for row in execute(f"{STATE} WHERE ended IS NOT NULL").fetchall():
        outcome = outcome_of(row) if is_state(row) else None
        if outcome is not None:
            *values, _ = outcome_values(outcome)
            execute(_ENDED, (now, outcome_digest(row["record"], *values, now), row["id"]))


UPGRADES: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = {3: _from_three}
