"""A participation ledger that outlives processes: one SQLite file for the clients of one user.

It holds session digests, public keys, digests of contexts, and cohorts; nothing of an input. It must never be rolled
back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from secagg.parameters import ClientId
from secagg.parameters.cohort import unpack_ids
from secagg.store.base import StoreError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claimed (
    client TEXT NOT NULL, context BLOB NOT NULL, run BLOB NOT NULL, cohort BLOB NOT NULL,
    PRIMARY KEY (client, context, run)
) WITHOUT ROWID;
"""
_WAIT_SECONDS: Final = 60.0


class ParticipationFile:
    """A `secagg.ParticipationLedger` in a file; may be used by several processes and threads at once.

    Args:
        path: made if it is not there, for its owner alone.

    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {error.strerror}; give a file of this user") from error

    def participate(
        self, client: ClientId, context: bytes, run: bytes, cohort: bytes, *, claim: bool
    ) -> Sequence[bytes]:
        """Return the cohorts of all other runs of this client and context that were claimed; claims this one.

        Raises:
            StoreError: the file cannot be used; the session must not go on.
        """
        try:
            database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                # EXTRA: a journal that a power cut brings back would undo the claim.
                database.executescript("PRAGMA synchronous = EXTRA;" + _SCHEMA)
                database.execute("BEGIN IMMEDIATE")
                if claim:
                    database.execute(
                        "INSERT OR IGNORE INTO claimed VALUES (?, ?, ?, ?)", (str(client), context, run, cohort)
                    )
                rows = database.execute(
                    "SELECT cohort FROM claimed WHERE client = ? AND context = ? AND substr(run, 1, ?) != ?",
                    (str(client), context, len(run), run),
                ).fetchall()
                database.execute("COMMIT")
            finally:
                database.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be used: {error}") from error
        return [bytes(row[0]) for row in rows]

    def cohorts(self, client: ClientId) -> list[tuple[ClientId, ...]]:
        """Return the cohorts of all sessions that this client's input went into, whatever their context.

        Raises:
            StoreError: the file cannot be used.
        """
        try:
            database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                database.executescript(_SCHEMA)
                rows = database.execute("SELECT cohort FROM claimed WHERE client = ?", (str(client),)).fetchall()
            finally:
                database.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be used: {error}") from error
        return [unpack_ids(bytes(row[0])) for row in rows]
