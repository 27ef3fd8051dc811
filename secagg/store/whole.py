"""Whether a client's small SQLite file holds what was written to it: a digest over all rows, written with each change.

SQLite itself notices pages that make no sense, and no bit of a value: a ledger with another key has lost a row, and
whoever asks it would be told that nothing was answered yet. Must not know what the rows mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from secagg.store.base import DamagedError
from secagg.store.digests import Value, digest_of

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS whole (one INTEGER PRIMARY KEY CHECK (one = 1), digest BLOB NOT NULL)"
# A column of another type finds other rows.
_TABLES: Final = "SELECT name, sql FROM sqlite_master ORDER BY name"
_FIND: Final = "SELECT 1 FROM sqlite_master WHERE name = 'whole'"
_NOTED: Final = 1
"""The user_version of a file with a digest."""
_OLDER: Final = 0
"""What older releases left; without a digest, such a file is believed until the first change."""


class Whole:
    """Keeps a file whole; every method is called inside of a transaction.

    Args:
        path: of the file, for messages.
        rows: statements that give all rows that count, in an order that is always the same.
        then: what to do about a file that is damaged.
    """

    def __init__(self, path: Path, rows: Sequence[str], then: str) -> None:
        self._path = path
        self._rows = (_TABLES, *rows)
        self._then = then

    def require(self, database: sqlite3.Connection) -> None:
        """Demand that all rows are what was written.

        Raises:
            DamagedError: they are not.
        """
        version = database.execute("PRAGMA user_version").fetchone()[0]
        # The version alone must not say so: a bit of it that flipped would have any rows believed.
        if version == _OLDER and not database.execute(_FIND).fetchone():
            return
        if version != _NOTED or database.execute("SELECT digest FROM whole").fetchall() != [(self._digest(database),)]:
            raise DamagedError(f"{self._path} is damaged, it does not hold what was written to it; {self._then}")

    def note(self, database: sqlite3.Connection) -> None:
        """Write down what the rows are now."""
        database.execute(_SCHEMA)
        database.execute("INSERT OR REPLACE INTO whole VALUES (1, ?)", (self._digest(database),))
        database.execute(f"PRAGMA user_version = {_NOTED}")

    def _digest(self, database: sqlite3.Connection) -> bytes:
        return digest_of(*(value for statement in self._rows for value in _values(database, statement)))


def _values(database: sqlite3.Connection, statement: str) -> Iterator[Value]:
    rows = database.execute(statement).fetchall()
    yield len(rows)
    for row in rows:
        yield from row
