"""A store that lives as long as its process: for tests, and for hosts whose sessions need not outlive them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from secagg.store.base import (
    Completed,
    DamagedError,
    Entry,
    EntryKind,
    Outcome,
    SessionRecord,
    StoreConflictError,
    StoreError,
    Upload,
    check_session_name,
    check_tenant,
)
from secagg.store.digests import new_upload_id


@dataclass(slots=True)
class _Kept:
    record: SessionRecord
    log: list[Entry] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    outcome: Outcome | None = None


class MemoryStore:
    """Keeps sessions in memory; see `SessionStore` for what the methods promise."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Kept] = {}

    def create(self, record: SessionRecord) -> None:
        """Keep a new session; the same record again changes nothing."""
        check_session_name(record.name)
        check_tenant(record.tenant)
        if self._sessions.setdefault(record.name, _Kept(record)).record != record:
            raise StoreConflictError(f"session {record.name} exists with other content; choose another name")

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions in the order of their creation."""
        return [kept.record for kept in self._sessions.values()]

    def damaged(self) -> Mapping[str, str]:
        """None: what is in memory is not read back."""
        return {}

    def entries(self, name: str) -> Iterator[Entry]:
        """The log of a session, oldest first."""
        return iter(tuple(self._kept(name).log))

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        """Append to a log, all or nothing."""
        kept = self._running(name)
        for entry in entries:
            if entry.kind is EntryKind.UPLOAD:
                _require(kept, entry.payload.decode("ascii"))
        kept.log.extend(entries)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, and remove its log and uploads but for the result."""
        kept = self._running(name)
        result = outcome.result if isinstance(outcome, Completed) else None
        if result is not None:
            _require(kept, result)
        kept.uploads = {} if result is None else {result: kept.uploads[result]}
        kept.log, kept.outcome = [], outcome

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        return self._kept(name).outcome

    def release_result(self, name: str, expired: bool = False) -> bool:
        """Remove the result of a completed session; its outcome stays."""
        kept = self._kept(name)
        if not isinstance(kept.outcome, Completed):
            raise StoreError(f"session {name} has no result to release")
        if kept.outcome.result is None:
            return False
        kept.uploads, kept.outcome = {}, replace(kept.outcome, result=None, expired=expired)
        return True

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        """Remove everything about a session."""
        kept = self._sessions.get(name)
        if kept is not None and record is not None:
            known = kept.record
            if (known, known.created_at) != (record, record.created_at):
                return False
        return self._sessions.pop(name, None) is not None

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in at most `limit` bytes."""
        return _MemoryUpload(self._kept(name).uploads, limit)

    @contextmanager
    def open_upload(self, name: str, upload: str) -> Iterator[memoryview]:
        """The bytes of a committed upload."""
        kept = self._kept(name)
        _require(kept, upload)
        yield memoryview(kept.uploads[upload])

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that no entry names."""
        self._kept(name).uploads.pop(upload, None)

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        """At most `count` bytes of a committed upload."""
        kept = self._kept(name)
        _require(kept, upload)
        return kept.uploads[upload][offset : offset + count]

    def set_aside(self, name: str, upload: str) -> None:
        """Let go of an upload that is damaged."""
        self._kept(name).uploads.pop(upload, None)

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        return sum(map(len, self._kept(name).uploads.values()))

    def probe(self) -> None:
        """Memory can be written."""

    def close(self) -> None:
        """Nothing to let go of: a host that starts with this store again goes on."""

    def _kept(self, name: str) -> _Kept:
        if name not in self._sessions:
            raise StoreError(f"session {name[:40]!r} is not in the store")
        return self._sessions[name]

    def _running(self, name: str) -> _Kept:
        kept = self._kept(name)
        if kept.outcome is not None:
            raise StoreError(f"session {name} has ended; its log is closed")
        return kept


class _MemoryUpload:
    """Bytes that are being collected."""

    def __init__(self, uploads: dict[str, bytes], limit: int) -> None:
        self._uploads = uploads
        self._limit = limit
        self._pieces: list[bytes] | None = []
        self._hash = hashlib.sha256()
        self.received = 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was written."""
        return self._hash.digest()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a piece; see `Upload.write`."""
        if self._pieces is None:
            raise StoreError("this upload has ended; begin another")
        piece = bytes(chunk)
        if self.received + len(piece) > self._limit:
            raise StoreError(f"an upload of more than its {self._limit} bytes; announce what is sent")
        self._pieces.append(piece)
        self._hash.update(piece)
        self.received += len(piece)

    def commit(self) -> str:
        """Keep the bytes; see `Upload.commit`."""
        if self._pieces is None:
            raise StoreError("this upload has ended; begin another")
        upload = new_upload_id(self.sha256)
        self._uploads[upload] = b"".join(self._pieces)
        self._pieces = None
        return upload

    def discard(self) -> None:
        """Forget the bytes; see `Upload.discard`."""
        self._pieces = None


def _require(kept: _Kept, upload: str) -> None:
    if upload not in kept.uploads:
        raise DamagedError(f"upload {upload[:32]!r} is not in the store")
