"""The seam under uploads that many replicas share: bytes by session and id, wherever they are.

An id holds the digest of its bytes and is given once, so a blob is written once and never changed. What is left of
sessions that have ended is set aside when it is old, and at no start: a replica may be about to name it. A place
belongs to one database, whose mark it has. Knows numbers of sessions and ids, not what names them.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from secagg.errors import MissingExtraError
from secagg.store.base import Upload
from secagg.store.files import Kept, UploadFiles

ORPHAN_SECONDS: Final = 24 * 3600.0
"""Blobs that nothing names stay so long."""
_S3: Final = "s3://"


class Blobs(Protocol):
    """Blobs of all sessions of one database. Every method raises StoreError when it fails.

    Args:
        session: its number in the database.
        upload: a blob's id.
        uploads: ids of blobs.
    """

    def claim(self, mark: str, new: bool, *, look: bool = False) -> None:
        """Demand that the place has this mark, and give it to one that has none, which is made where it is missing.

        Args:
            mark: of the database.
            new: the database has no sessions, so that the place may have no mark yet.
            look: change nothing.

        Raises:
            StoreError: it has another mark; or none, and is not where the uploads of these sessions are.
        """
        ...

    def begin(self, session: int, limit: int) -> Upload:
        """Begin a blob.

        Args:
            limit: how many bytes at most.

        Returns:
            What takes the pieces.
        """
        ...

    def require(self, session: int, uploads: Collection[str]) -> None:
        """Demand that blobs are there.

        Raises:
            DamagedError: one is not, or this is no id.
        """
        ...

    def open(self, session: int, upload: str) -> AbstractContextManager[memoryview]:
        """All bytes of a blob, compared with the digest in its id.

        Raises:
            DamagedError: they are others, or not there.
        """
        ...

    def read(self, session: int, upload: str, offset: int, count: int) -> bytes:
        """Bytes of a blob, which are compared with nothing.

        Args:
            offset: of the first byte.
            count: how many bytes at most; fewer at the end.
        """
        ...

    def discard(self, session: int, upload: str) -> None:
        """Remove a blob, if it is there."""
        ...

    def keep_only(self, session: int, uploads: Collection[str]) -> None:
        """Remove all blobs of a session but these."""
        ...

    def set_aside(self, session: int, upload: str) -> None:
        """Put a blob where nobody finds it, if it is there."""
        ...

    def size(self, session: int) -> int:
        """Bytes of a session's blobs."""
        ...

    def collect(self, seconds: float, kept: Kept) -> None:
        """Set aside what is older than `seconds` and not kept, and remove what was set aside long ago.

        Args:
            seconds: longer than it takes to name a blob that is durable.
            kept: given a session and ids, says which of them stay; asked after they were found.
        """
        ...

    def probe(self) -> None:
        """Demand that the next blob can be written."""
        ...


def blobs_at(url: str, endpoint: str | None = None) -> Blobs:
    """The blobs at a place.

    Args:
        url: "s3://bucket/prefix", or a directory that all replicas share.
        endpoint: of an S3-compatible server; None for that of the environment, or Amazon's.

    Raises:
        MissingExtraError: the extra `s3` is not installed.
        StoreError: the place cannot be used.
    """
    if not url.startswith(_S3):
        return UploadFiles(Path(url) / "uploads", Path(url) / "quarantine")
    try:
        from secagg.store.s3 import S3Blobs
    except ImportError as error:
        raise MissingExtraError("uploads in S3 need obstore; run: pip install 'secagg[s3]'") from error
    bucket, _, prefix = url.removeprefix(_S3).partition("/")
    return S3Blobs(bucket, prefix, endpoint)
