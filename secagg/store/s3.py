"""Blobs in an S3-compatible object store.

An upload is gathered in a temporary file and put when it is whole; what is opened is fetched into one and mapped. So
memory is for pieces, and an object is there with all its bytes or not at all. Small ones are put on condition that
there is none; large ones go in parts, for which servers have no such condition, under an id that nobody else can have.
Credentials and region come from the environment (AWS_ACCESS_KEY_ID and the others). Must not know databases.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from threading import Lock
from typing import IO, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store

from secagg.store.base import DamagedError, StoreError
from secagg.store.digests import is_upload_id, new_upload_id, upload_digest
from secagg.store.files import QUARANTINE_SECONDS, Kept, failures

_PIECE: Final = 1 << 23
_PARTS_AT_ONCE: Final = 2
_HEADS: Final = 8  # objects that are asked for one by one rather than listed
_CALL: Final = timedelta(seconds=30)
_RETRIES: Final = 3
_MARK: Final = "secagg.database"
_PROBE: Final = "secagg.probe"
_MISSING: Final = (NotFoundError, FileNotFoundError)


class S3Blobs:
    """Blobs of all sessions of one database, under a prefix of a bucket; see `Blobs` for what the methods promise.

    Args:
        bucket: there already.
        prefix: of this database's own.
        endpoint: URL of the server, which is then addressed by path; None for that of the environment, or Amazon's.

    Raises:
        StoreError: plain HTTP to another machine, or an address that is none.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None = None) -> None:
        self._place = f"s3://{bucket}/{prefix}".rstrip("/")
        self._marked = False
        plain = endpoint is not None and endpoint.startswith("http://")
        if endpoint is not None and plain and not _is_loopback(endpoint):
            raise StoreError(f"{endpoint} would be sent uploads and credentials in clear; give an https:// endpoint")
        with _calling(f"{self._place} cannot be used"):
            self._store = S3Store(
                bucket,
                prefix=prefix.strip("/") or None,
                client_options={"timeout": _CALL, "connect_timeout": timedelta(seconds=5), "allow_http": plain},
                retry_config={"max_retries": _RETRIES, "retry_timeout": _CALL},
                config=None if endpoint is None else {"endpoint": endpoint, "virtual_hosted_style_request": False},
            )

    def claim(self, mark: str, new: bool, *, look: bool = False) -> None:
        """Demand that the prefix has this mark; see `Blobs.claim`."""
        with _calling(f"{self._place} cannot be used"):
            try:
                found = _bytes(self._store, _MARK).decode("ascii", "replace")
            except _MISSING:
                if not new:
                    raise StoreError(
                        f"{self._place}/{_MARK} is missing: this is not where the uploads of the database's sessions "
                        f"are; check storage.blobs. Only if they are lost for good, write {mark} into that object"
                    ) from None
                if look:
                    return
                # Another replica may have been first, and then it must be the same mark.
                with suppress(AlreadyExistsError):
                    obstore.put(self._store, _MARK, mark.encode("ascii"), mode="create")
                found = _bytes(self._store, _MARK).decode("ascii", "replace")
        if found.strip() != mark:
            raise StoreError(
                f"{self._place} has the uploads of another database; check storage.blobs: each database has a prefix "
                "of its own"
            )
        self._marked = True

    def begin(self, session: int, limit: int) -> S3Upload:
        """Begin a blob of at most `limit` bytes."""
        return S3Upload(self._store, session, limit)

    def require(self, session: int, uploads: Collection[str]) -> None:
        """Demand that blobs are there."""
        with _calling("uploads cannot be looked for"):
            if len(uploads) > _HEADS:
                there = {meta["path"].rpartition("/")[2] for meta in self._list(f"uploads/{session}")}
                missing = [upload for upload in uploads if upload not in there]
            else:
                missing = [upload for upload in uploads if not self._is_there(session, upload)]
            if missing:
                raise self._missing(missing[0])

    @contextmanager
    def open(self, session: int, upload: str) -> Iterator[memoryview]:
        """Fetch a blob, and map it into memory."""
        with tempfile.TemporaryFile(prefix="secagg-") as spool:
            hashed, size = hashlib.sha256(), 0
            with _calling(f"upload {upload[:32]} cannot be fetched"), failures("an upload cannot be spooled"):
                try:
                    for piece in obstore.get(self._store, _key(session, upload)).stream(min_chunk_size=_PIECE):
                        hashed.update(piece)
                        size += spool.write(piece)
                except _MISSING:
                    raise self._missing(upload) from None
                spool.flush()
            if hashed.digest() != upload_digest(upload):
                raise DamagedError(f"upload {upload[:32]!r} was damaged: it has {size} bytes of another digest")
            if not size:
                yield memoryview(b"")
                return
            with mmap.mmap(spool.fileno(), size, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
                yield view

    def read(self, session: int, upload: str, offset: int, count: int) -> bytes:
        """A range of a blob, which is compared with nothing."""
        key = _key(session, upload)
        with _calling(f"upload {upload[:32]} cannot be read"):
            try:
                # A range that begins behind the end is an error of the protocol.
                size = obstore.head(self._store, key)["size"]
                end = min(offset + count, size)
                return bytes(obstore.get_range(self._store, key, start=offset, end=end)) if offset < end else b""
            except _MISSING:
                raise self._missing(upload) from None

    def discard(self, session: int, upload: str) -> None:
        """Remove a blob, if it is there."""
        if is_upload_id(upload):
            with _calling(f"upload {upload} cannot be removed"):
                self._remove([_key(session, upload)])

    def keep_only(self, session: int, uploads: Collection[str]) -> None:
        """Remove all blobs of a session but these."""
        with _calling("uploads cannot be removed"):
            keys = [meta["path"] for meta in self._list(f"uploads/{session}")]
            self._remove([key for key in keys if key.rpartition("/")[2] not in uploads])

    def set_aside(self, session: int, upload: str) -> None:
        """Put a blob where nobody finds it, if it is there."""
        if is_upload_id(upload):
            with _calling(f"upload {upload} cannot be set aside"):
                self._move(session, upload)

    def size(self, session: int) -> int:
        """Bytes of a session's blobs."""
        with _calling("uploads cannot be counted"):
            return sum(meta["size"] for meta in self._list(f"uploads/{session}"))

    def collect(self, seconds: float, kept: Kept) -> None:
        """Set aside old blobs that nothing names; see `Blobs.collect`."""
        with _calling("orphaned uploads cannot be set aside"):
            now, old = time.time(), dict[int, list[str]]()
            for meta in self._list("uploads"):
                _, session, upload = meta["path"].rsplit("/", 2)
                if meta["last_modified"].timestamp() < now - seconds and session.isdecimal():
                    old.setdefault(int(session), []).append(upload)
            for number, uploads in old.items():
                wanted = kept(number, uploads)
                for upload in uploads:
                    if upload not in wanted:
                        self._move(number, upload)
            aside = [(meta["path"], meta["last_modified"].timestamp()) for meta in self._list("quarantine")]
            self._remove([path for path, at in aside if at < now - QUARANTINE_SECONDS])

    def probe(self) -> None:
        """Demand that the next blob can be written, by writing one."""
        with _calling(f"{self._place} cannot be written"):
            obstore.put(self._store, _PROBE, b"")

    def _missing(self, upload: str) -> StoreError:
        """What it means that a blob is not there: where the mark is not there either, it is not lost."""
        if self._marked:
            try:
                obstore.head(self._store, _MARK)
            except _MISSING:
                return StoreError(f"{self._place} is gone, with its mark; nothing of it counts as lost, bring it back")
        return _no_such(upload)

    def _is_there(self, session: int, upload: str) -> bool:
        try:
            obstore.head(self._store, _key(session, upload))
        except (DamagedError, *_MISSING):
            return False
        return True

    def _list(self, prefix: str) -> Iterator[obstore.ObjectMeta]:
        for metas in obstore.list(self._store, prefix):
            yield from metas

    def _move(self, session: int, upload: str) -> None:
        try:
            obstore.rename(self._store, _key(session, upload), f"quarantine/{session}-{upload}")
        except _MISSING:
            return

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except _MISSING:
                continue


class S3Upload:
    """An object that is being gathered, an `Upload` made by `S3Blobs`; its calls may come from different threads, one
    after the other.

    Attributes:
        received: bytes that were written.
    """

    def __init__(self, store: S3Store, session: int, limit: int) -> None:
        self._store = store
        self._session = session
        self._limit = limit
        self._lock = Lock()
        self._hash = hashlib.sha256()
        with failures("an upload cannot be begun"):
            self._spool: IO[bytes] | None = tempfile.TemporaryFile(prefix="secagg-")  # noqa: SIM115
        self.received = 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was written."""
        return self._hash.digest()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a piece; see `Upload.write`."""
        with self._lock:
            spool = self._opened()
            if self.received + len(chunk) > self._limit:
                raise StoreError(f"an upload of more than its {self._limit} bytes; announce what is sent")
            with failures("an upload cannot be spooled"):
                spool.write(chunk)
            self._hash.update(chunk)
            self.received += len(chunk)

    def commit(self) -> str:
        """Put the object, and return its id; see `Upload.commit`."""
        with self._lock:
            spool = self._opened()
            upload = new_upload_id(self.sha256)
            key, parts = _key(self._session, upload), self.received > _PIECE
            with _calling("an upload cannot be made durable"), failures("an upload cannot be read back"):
                spool.seek(0)
                if parts:
                    obstore.put(
                        self._store,
                        key,
                        spool,
                        use_multipart=True,
                        chunk_size=_PIECE,
                        max_concurrency=_PARTS_AT_ONCE,
                    )
                else:
                    self._put(key, spool.read())
            spool.close()
            self._spool = None
            return upload

    def discard(self) -> None:
        """Forget the bytes; see `Upload.discard`."""
        with self._lock:
            if self._spool is not None:
                self._spool.close()
            self._spool = None

    def _put(self, key: str, data: bytes) -> None:
        try:
            obstore.put(self._store, key, data, use_multipart=False, mode="create")
        except AlreadyExistsError:
            # Nobody else has this id: an earlier try of the same call arrived, and its answer did not.
            return

    def _opened(self) -> IO[bytes]:
        if self._spool is None:
            raise StoreError("this upload has ended; begin another")
        return self._spool


def _key(session: int, upload: str) -> str:
    if not is_upload_id(upload):
        raise _no_such(upload)
    return f"uploads/{session}/{upload}"


def _no_such(upload: str) -> DamagedError:
    return DamagedError(f"upload {upload[:32]!r} is not in the store")


def _bytes(store: S3Store, key: str) -> bytes:
    return bytes(obstore.get(store, key).bytes())


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _calling(what: str) -> Iterator[None]:
    """Turn an error of the object store into a StoreError."""
    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, TimeoutError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        raise StoreError(f"{what}: {reason}; check the server, the bucket and the credentials") from error
