"""Uploads as files of a directory: written beside, made durable, then named; read through a memory map.

One folder for each session. A file is there under its name only when all its bytes are durable, and whatever else
lies in the directory was left by a process that died: `sweep` removes it. Knows numbers of sessions and ids of
files, not what names them.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from secagg.store.base import StoreError
from secagg.store.durable import sync_directory

_ID: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = ".part"
_PRIVATE: Final = 0o700


class UploadFiles:
    """The files of all sessions of one store.

    Args:
        root: the directory, made when it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        make_directory(root)

    def begin(self, session: int, limit: int) -> UploadFile:
        """Begin a file of at most `limit` bytes."""
        folder = self._folder(session)
        with failures("an upload cannot be begun"):
            make_directory(folder)
            return UploadFile(folder / secrets.token_hex(16), limit)

    def path(self, session: int, upload: str) -> Path:
        """Where a committed file is.

        Raises:
            StoreError: an id that is none, or no such file.
        """
        path = self._folder(session) / upload
        if _ID.fullmatch(upload) is None or not path.is_file():
            raise StoreError(f"upload {upload[:32]!r} is not in the store")
        return path

    @contextmanager
    def open(self, session: int, upload: str) -> Iterator[memoryview]:
        """Map a committed file into memory, read-only."""
        path = self.path(session, upload)
        with failures(f"upload {upload} cannot be read"):
            size = path.stat().st_size
            mapped = None
            if size:
                with path.open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        if mapped is None:
            yield memoryview(b"")
            return
        with mapped, memoryview(mapped) as view:
            yield view

    def discard(self, session: int, upload: str) -> None:
        """Remove a committed file, if it is there."""
        if _ID.fullmatch(upload) is not None:
            with failures(f"upload {upload} cannot be removed"):
                (self._folder(session) / upload).unlink(missing_ok=True)

    def keep_only(self, session: int, uploads: Collection[str]) -> None:
        """Remove all files of a session but these."""
        folder = self._folder(session)
        with failures("uploads cannot be removed"):
            if not folder.is_dir():
                return
            for path in list(folder.iterdir()):
                if path.name not in uploads:
                    path.unlink(missing_ok=True)
            if not uploads:
                folder.rmdir()

    def sweep(self, wanted: Mapping[int, Collection[str]]) -> None:
        """Remove everything but the wanted files of each session."""
        with failures("orphaned uploads cannot be removed"):
            for folder in list(self._root.iterdir()):
                if folder.is_symlink() or not folder.is_dir():
                    folder.unlink()
                elif not folder.name.isdecimal() or int(folder.name) not in wanted:
                    shutil.rmtree(folder)
        for session, uploads in wanted.items():
            self.keep_only(session, uploads)

    def size(self, session: int) -> int:
        """Bytes of the session's committed files."""
        folder = self._folder(session)
        with failures("uploads cannot be counted"):
            if not folder.is_dir():
                return 0
            return sum(path.stat().st_size for path in folder.iterdir() if path.suffix != _PART)

    def _folder(self, session: int) -> Path:
        return self._root / str(session)


class UploadFile:
    """A file that is being written; its calls may come from different threads, one after the other.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._part = path.with_name(path.name + _PART)
        self._limit = limit
        self._lock = Lock()
        self._file: BinaryIO | None = self._part.open("xb", buffering=0)
        self.received = 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a piece; see `Upload.write`."""
        with self._lock:
            file = self._opened()
            left = memoryview(chunk).cast("B") if len(chunk) else memoryview(b"")
            if self.received + len(left) > self._limit:
                raise StoreError(f"an upload of more than its {self._limit} bytes; announce what is sent")
            with failures("an upload cannot be written"):
                while left:
                    written = file.write(left)
                    self.received += written or 0
                    left = left[written:]

    def commit(self) -> str:
        """Make the file durable; see `Upload.commit`."""
        with self._lock:
            file = self._opened()
            with failures("an upload cannot be made durable"):
                os.fsync(file.fileno())
                file.close()
                self._part.rename(self._path)
                sync_directory(self._path.parent)
            self._file = None
            return self._path.name

    def discard(self) -> None:
        """Forget the file; see `Upload.discard`."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with failures("an upload cannot be removed"):
                    file.close()
                    self._part.unlink(missing_ok=True)
                    self._path.unlink(missing_ok=True)

    def _opened(self) -> BinaryIO:
        # A commit that failed half-way has closed the file; what is left of it can be discarded only.
        if self._file is None or self._file.closed:
            raise StoreError("this upload has ended; begin another")
        return self._file


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Turn an error of the operating system into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}; free space or check the disk, then try again") from error


def make_directory(path: Path) -> None:
    """Make a private directory that is there after a power failure."""
    if not path.is_dir():
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        sync_directory(path.parent)
