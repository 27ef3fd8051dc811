"""What the server of a hybrid session keeps between two rounds, in a file instead of memory.

A kilobyte for each two clients: 560 MB in a complete graph of 1000, of which it needs again what dropped clients
made. Nothing of it has to survive: the file has no name, and a session that is replayed fills a new one. What comes
back is compared with a digest that stayed in memory. Must not know what is kept.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final
from weakref import finalize

from secagg.store.base import DamagedError

_DIGEST_BYTES: Final = 16


class FileSpool:
    """Takes one client's rows at a time; of one session. `ServerSession` takes it as `spool`.

    Args:
        directory: of the file; the system's one for such files by default.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._file: _File | None = None
        self._written = 0

    def __call__(self, rows: Mapping[int, bytes]) -> Mapping[int, bytes]:
        """Write rows, all of one length, and return them as a mapping that reads each when it is asked for.

        Rows that the disk does not take stay in memory.
        """
        ascending = {owner: rows[owner] for owner in sorted(rows)}
        data = b"".join(ascending.values())
        try:
            if self._file is None:
                self._file = _File(self._directory)
            self._file.write(data, self._written)
        except OSError:
            return rows
        self._written += len(data)
        return _Rows(self._file, self._written - len(data), ascending)


class _File:
    """A file without a name, which is gone with this object."""

    def __init__(self, directory: Path | None) -> None:
        with tempfile.TemporaryFile(dir=directory) as file:
            self.descriptor = os.dup(file.fileno())
        finalize(self, os.close, self.descriptor)

    def write(self, data: bytes, at: int) -> None:
        """Write all of it, or raise OSError."""
        left = memoryview(data)
        while left:
            done = os.pwrite(self.descriptor, left, at)
            left, at = left[done:], at + done


class _Rows(Mapping[int, bytes]):
    """Rows in a file, in ascending order of their ids; the file lives as long as one of these.

    Raises, where a row is read:
        DamagedError: it is not what was written.
    """

    def __init__(self, file: _File, at: int, rows: Mapping[int, bytes]) -> None:
        self._file = file
        self._at = at
        self._ids = array("Q", rows)
        self._length = len(next(iter(rows.values()), b""))
        self._digests = b"".join(_digest(row) for row in rows.values())

    def __getitem__(self, owner: int) -> bytes:
        place = self._place(owner)
        if place is None:
            raise KeyError(owner)
        try:
            row = os.pread(self._file.descriptor, self._length, self._at + place * self._length)
        except OSError as error:
            raise DamagedError(f"what client {owner} is owed cannot be read again: {error.strerror}") from error
        if _digest(row) != self._digests[_DIGEST_BYTES * place : _DIGEST_BYTES * (place + 1)]:
            raise DamagedError(f"what client {owner} is owed was damaged in the file that it was kept in")
        return row

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, owner: object) -> bool:
        return isinstance(owner, int) and self._place(owner) is not None

    def _place(self, owner: int) -> int | None:
        place = bisect_left(self._ids, owner)
        return place if place < len(self._ids) and self._ids[place] == owner else None


def _digest(row: bytes) -> bytes:
    return blake2b(row, digest_size=_DIGEST_BYTES).digest()
