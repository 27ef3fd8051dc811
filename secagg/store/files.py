"""Uploads as files of a directory: written beside, made durable, then named; read through a memory map.

One folder for each session. A file is there under its name only when all its bytes are durable. Its name holds their
digest, which is compared whenever it is opened. Whatever else lies in the directory was left by a process that died:
`sweep` puts it into quarantine, from where it is removed when it is old, and never by a start. Knows numbers of
sessions and ids of files, not what names them.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from secagg.store.base import DamagedError, StoreError
from secagg.store.digests import is_upload_id, new_upload_id, upload_digest
from secagg.store.durable import sync_directory

QUARANTINE_SECONDS: Final = 7 * 24 * 3600.0
LEAST_FREE_BYTES: Final = 1 << 26
FREE_AGAIN_BYTES: Final = 1 << 27
"""A disk that was full has room again from here on: what is about to be removed and written moves it to and fro."""
_PART: Final = ".part"
_MARK: Final = "secagg.database"
_PRIVATE: Final = 0o700

Kept = Callable[[int, Collection[str]], Collection[str]]
"""Given a session and ids of its uploads, which of them stay."""


class UploadFiles:
    """The files of all sessions of one store.

    Args:
        root: the directory.
        quarantine: where to put what nothing names, and what is damaged; in the same file system, made when needed.
    """

    def __init__(self, root: Path, quarantine: Path) -> None:
        self._root = root
        self._quarantine = quarantine
        self._full = False
        self._marked = False

    def begin(self, session: int, limit: int) -> UploadFile:
        """Begin a file of at most `limit` bytes."""
        folder = self._folder(session)
        # Where it is not mounted, a directory would be made in its place, and nobody else would find what is in it.
        self._require_place()
        with failures("an upload cannot be begun"):
            make_directory(folder)
            return UploadFile(folder, limit)

    def path(self, session: int, upload: str) -> Path:
        """Where a committed file is.

        Raises:
            DamagedError: an id that is none, or no such file.
            StoreError: the directory itself is not there.
        """
        path = self._folder(session) / upload
        if not is_upload_id(upload) or not path.is_file():
            self._require_place()
            raise DamagedError(f"upload {upload[:32]!r} is not in the store")
        return path

    @contextmanager
    def open(self, session: int, upload: str) -> Iterator[memoryview]:
        """Map a committed file into memory, read-only.

        Raises:
            DamagedError: other bytes than were committed, or none that can be read.
        """
        path = self.path(session, upload)
        with _reading(upload), path.open("rb") as file:
            # Read and not mapped: the pages of files that wait for their turn would count as this process' memory.
            found = hashlib.file_digest(file, "sha256").digest()
            size = file.tell()
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None
        if found != upload_digest(upload):
            if mapped is not None:
                mapped.close()
            raise DamagedError(f"upload {upload[:32]!r} was damaged on the disk: it has {size} bytes of another digest")
        if mapped is None:
            yield memoryview(b"")
            return
        with mapped, memoryview(mapped) as view:
            yield view

    def read(self, session: int, upload: str, offset: int, count: int) -> bytes:
        """A range of a committed file, which is compared with nothing."""
        path = self.path(session, upload)
        with _reading(upload), path.open("rb") as file:
            file.seek(offset)
            return file.read(count)

    def discard(self, session: int, upload: str) -> None:
        """Remove a committed file, if it is there."""
        if is_upload_id(upload):
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

    def set_aside(self, session: int, upload: str) -> None:
        """Put a committed file into quarantine, if it is there."""
        path = self._folder(session) / upload
        with failures(f"upload {upload[:32]} cannot be set aside"):
            if is_upload_id(upload) and path.is_file():
                self._move(path, session)
                sync_directory(path.parent)

    def require(self, session: int, uploads: Collection[str]) -> None:
        """Demand that committed files are there.

        Raises:
            DamagedError: one is not, or this is no id.
        """
        for upload in uploads:
            self.path(session, upload)

    def claim(self, mark: str, new: bool, *, look: bool = False) -> None:
        """Demand that the directory has this mark; see `Blobs.claim`."""
        path = self._root / _MARK
        with failures(f"{self._root} cannot be used"):
            if not path.exists():
                if not new:
                    raise StoreError(
                        f"{path} is missing: this is not the directory in which the uploads of the database's sessions "
                        f"are, or it is not mounted; check storage.blobs, and mount it. Only if they are lost for "
                        f"good, write {mark} into that file"
                    )
                if look:
                    return
                make_directory(self._root)
                part = self._root / (secrets.token_hex(16) + _PART)
                with part.open("x", encoding="ascii") as file:
                    file.write(mark)
                    file.flush()
                    os.fsync(file.fileno())
                # Another replica may have been first, and then it must be the same mark.
                with suppress(FileExistsError):
                    os.link(part, path)
                part.unlink()
                sync_directory(self._root)
            found = path.read_text(encoding="ascii", errors="replace").strip()
        if found != mark:
            raise StoreError(
                f"{self._root} has the uploads of another database; check storage.blobs: each database has a "
                "directory of its own"
            )
        self._marked = True

    def collect(self, seconds: float, kept: Kept) -> None:
        """Put old files that are not kept into quarantine; see `Blobs.collect`."""
        before = time.time() - seconds
        with failures("orphaned uploads cannot be set aside"):
            for folder in list(self._root.iterdir()):
                if not folder.name.isdecimal():
                    continue
                old = {path.name: path for path, found in _files(folder) if found.st_mtime < before}
                wanted = kept(int(folder.name), old.keys()) if old else ()
                for name, path in old.items():
                    if name.endswith(_PART):
                        path.unlink(missing_ok=True)
                    elif name not in wanted:
                        with suppress(FileNotFoundError):  # another replica was first
                            self._move(path, folder.name)
        self.expire()

    def sweep(self, wanted: Mapping[int, Collection[str]]) -> None:
        """Put everything but the wanted files of each session into quarantine; what never was whole is removed."""
        with failures("orphaned uploads cannot be set aside"):
            for folder in list(self._root.iterdir()):
                if folder.is_symlink() or not folder.is_dir():
                    self._move(folder)
                    continue
                uploads = wanted.get(int(folder.name), ()) if folder.name.isdecimal() else ()
                for path in list(folder.iterdir()):
                    if path.name.endswith(_PART):
                        path.unlink()
                    elif path.name not in uploads:
                        self._move(path, folder.name)
                if not uploads:
                    folder.rmdir()

    def probe(self) -> None:
        """Demand `LEAST_FREE_BYTES` of room, and `FREE_AGAIN_BYTES` after there was less.

        Raises:
            StoreError: there is less, or no directory.
        """
        self._require_place()
        with failures("the disk cannot be looked at"):
            free = shutil.disk_usage(self._root).free
        least = FREE_AGAIN_BYTES if self._full else LEAST_FREE_BYTES
        self._full = free < least
        if self._full:
            raise StoreError(f"the disk of {self._root} is nearly full; free {FREE_AGAIN_BYTES >> 20} MiB of it")

    def expire(self) -> None:
        """Remove what has been in quarantine for `QUARANTINE_SECONDS`."""
        with failures("old files cannot be removed"):
            if not self._quarantine.is_dir():
                return
            for path, found in _files(self._quarantine):
                if found.st_mtime < time.time() - QUARANTINE_SECONDS:
                    if stat.S_ISDIR(found.st_mode):
                        shutil.rmtree(path)
                    else:
                        path.unlink(missing_ok=True)

    def size(self, session: int) -> int:
        """Bytes of the session's committed files."""
        folder = self._folder(session)
        with failures("uploads cannot be counted"):
            return sum(found.st_size for path, found in _files(folder) if path.suffix != _PART)

    def _require_place(self) -> None:
        """Demand that the directory is where it was: one that is not mounted any more has not lost an upload."""
        if not (self._root / _MARK if self._marked else self._root).exists():
            raise StoreError(f"{self._root} is gone, or not mounted any more; nothing of it is lost, mount it again")

    def _move(self, path: Path, owner: object = "") -> None:
        make_directory(self._quarantine)
        moved = path.rename(self._quarantine / f"{owner}-{path.name}")
        os.utime(moved, follow_symlinks=False)

    def _folder(self, session: int) -> Path:
        return self._root / str(session)


class UploadFile:
    """A file that is being written; its calls may come from different threads, one after the other.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._part = folder / (secrets.token_hex(16) + _PART)
        self._path = self._part
        self._limit = limit
        self._lock = Lock()
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = self._part.open("xb", buffering=0)
        self.received = 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was written."""
        return self._hash.digest()

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
                    self._hash.update(left[:written])
                    self.received += written or 0
                    left = left[written:]

    def commit(self) -> str:
        """Make the file durable; see `Upload.commit`."""
        with self._lock:
            file = self._opened()
            with failures("an upload cannot be made durable"):
                os.fsync(file.fileno())
                file.close()
                self._path = self._part.with_name(new_upload_id(self.sha256))
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


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is in a folder that others may be emptying: whatever goes meanwhile is not there."""
    paths: list[Path] = []
    with suppress(FileNotFoundError):
        paths += folder.iterdir()
    for path in paths:
        with suppress(FileNotFoundError):
            yield path, path.lstat()


@contextmanager
def _reading(upload: str) -> Iterator[None]:
    """A part of the disk that cannot be read is damage: waiting for it would keep a session from going on for ever."""
    with failures(f"upload {upload[:32]} cannot be read"):
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise DamagedError(f"upload {upload[:32]!r} cannot be read from the disk: {error.strerror}") from error


def make_directory(path: Path) -> None:
    """Make a private directory that is there after a power failure."""
    if not path.is_dir():
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        sync_directory(path.parent)
