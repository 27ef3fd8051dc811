"""A participation ledger that outlives processes: one SQLite file for the clients of one user.

It holds session digests, public keys, digests of contexts, and cohorts; nothing of an input. It must never be rolled
back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from secagg.parameters import ClientId
from secagg.parameters.cohort import unpack_ids
from secagg.store.base import StoreError
from secagg.store.database import database_failures
from secagg.store.whole import Whole

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claimed (
    client TEXT NOT NULL, context BLOB NOT NULL, run BLOB NOT NULL, cohort BLOB NOT NULL,
    PRIMARY KEY (client, context, run)
) WITHOUT ROWID;
"""
_ROWS: Final = ("SELECT * FROM claimed ORDER BY client, context, run",)
_DAMAGED: Final = (
    "nobody knows what this client's inputs went into: take part with other data under another file, and check the disk"
)
_WAIT_SECONDS: Final = 60.0


class ParticipationFile:
    """A `secagg.ParticipationLedger` in a file; may be used by several processes and threads at once.

    Args:
        path: made if it is not there, for its owner alone.

    Raises:
        StoreError: the file cannot be used.
        DamagedError: it does not hold what was written; also raised by whatever reads or writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = Whole(path, _ROWS, _DAMAGED)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {error.strerror}; give a file of this user") from error

    def participate(
        self, client: ClientId, context: bytes, run: bytes, cohort: bytes, *, claim: bool
    ) -> Mapping[bytes, bytes]:
        """Return all other runs of this client and context that were claimed, with their cohorts; claims this one.

        Raises:
            StoreError: the file cannot be used; the session must not go on.
        """
        with self._opened() as database:
            if claim:
                database.execute(
                    "INSERT OR IGNORE INTO claimed VALUES (?, ?, ?, ?)", (str(client), context, run, cohort)
                )
                self._whole.note(database)
            rows = database.execute(
                "SELECT run, cohort FROM claimed WHERE client = ? AND context = ? AND substr(run, 1, ?) != ?",
                (str(client), context, len(run), run),
            ).fetchall()
        return {bytes(run): bytes(cohort) for run, cohort in rows}

    def cohorts(self, client: ClientId) -> list[tuple[ClientId, ...]]:
        """Return the cohorts of all sessions that this client's input went into, whatever their context.

        Args:
            client: its id.

        Raises:
            StoreError: the file cannot be used.
        """
        with self._opened() as database:
            rows = database.execute("SELECT cohort FROM claimed WHERE client = ?", (str(client),)).fetchall()
        return [unpack_ids(bytes(row[0])) for row in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction over the whole file."""
        with database_failures(f"{self._path} cannot be used"):
            database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                # EXTRA: a journal that a power cut brings back would undo the claim.
                database.executescript("PRAGMA synchronous = EXTRA;" + _SCHEMA)
                database.execute("BEGIN IMMEDIATE")
                self._whole.require(database)
                yield database
                database.execute("COMMIT")
            finally:
                database.close()
