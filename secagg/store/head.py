"""The last commit of a database, noted in a file beside it: so a database that lost its end is noticed.

SQLite takes what is whole of a write-ahead log and drops the rest without a word; with the log goes what clients were
told is safe. The note is made durable after each commit. Two places are written in turn, each with a checksum, so that
one that is torn leaves the other. Must not know what was committed.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secagg.store.durable import sync_directory

_PLACE: Final = struct.Struct(">Q32s32s")
_PLACE_BYTES: Final = 512  # one sector
_PLACES: Final = 2
_SYNC: Final = getattr(os, "fdatasync", os.fsync)  # its length does not change


@dataclass(frozen=True, slots=True)
class Head:
    """One commit of a database.

    Attributes:
        number: how many commits there have been.
        mark: 32 bytes that no other commit has.
    """

    number: int
    mark: bytes


class HeadFile:
    """The note of one database.

    Args:
        path: made by the first `write`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def blank(self) -> bool:
        """Whether nothing was ever noted, as far as one can see."""
        return not self._path.exists() or not any(self._path.read_bytes())

    def read(self) -> Head | None:
        """The last commit that was noted; None when there is no note that is whole.

        Raises:
            OSError: it cannot be read.
        """
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        heads = [_read(data[_PLACE_BYTES * place :][: _PLACE.size]) for place in range(_PLACES)]
        return max((head for head in heads if head is not None), key=lambda head: head.number, default=None)

    def write(self, head: Head) -> None:
        """Note a commit, durably.

        Raises:
            OSError: it cannot be written; the note of the commit before is as it was.
        """
        if self._descriptor is None:
            self._descriptor = self._opened()
        place = _PLACE_BYTES * (head.number % _PLACES)
        os.pwrite(self._descriptor, _PLACE.pack(head.number, head.mark, _checksum(head)), place)
        _SYNC(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _opened(self) -> int:
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if new:
            # Its length is durable before anything is noted: from then on only bytes have to be.
            os.pwrite(descriptor, bytes(_PLACES * _PLACE_BYTES), 0)
            os.fsync(descriptor)
            sync_directory(self._path.parent)
        return descriptor


def _checksum(head: Head) -> bytes:
    return hashlib.sha256(struct.pack(">Q32s", head.number, head.mark)).digest()


def _read(data: bytes) -> Head | None:
    if len(data) != _PLACE.size:
        return None
    number, mark, checksum = _PLACE.unpack(data)
    head = Head(number, mark)
    return head if checksum == _checksum(head) else None
