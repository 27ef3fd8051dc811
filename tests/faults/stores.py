"""Stores that pass named points on their way, at which the process dies if it is told to."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from secagg import ThreatModel
from secagg.protocol.transitions import rounds
from secagg.store.base import Entry, EntryKind, Outcome, SessionRecord, SessionStore, StoreError, Upload
from secagg.store.sqlite import SqliteStore
from secagg.wire.codec import decode_offer

T = TypeVar("T")

MESSAGES: Final = (EntryKind.MESSAGE, EntryKind.UPLOAD)


class Reaper:
    """Ends this process with SIGKILL when it reaches the armed point.

    Args:
        armed: the point, or None.
        say: told of the point before.
    """

    def __init__(self, armed: str | None, say: Callable[[Mapping[str, Any]], None]) -> None:
        self.armed = armed
        self._say = say

    def reach(self, point: str) -> None:
        if point == self.armed:
            self._say({"reached": point})
            os.kill(os.getpid(), signal.SIGKILL)


class Progress:
    """Where a session's log is: the open round, and the messages of it that are durable."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._closed = 0
        self.messages = 0

    @property
    def where(self) -> str:
        return self._names[self._closed] if self._closed < len(self._names) else "finish"

    def note(self, entry: Entry) -> None:
        if entry.kind is EntryKind.CLOSE_ROUND:
            self._closed, self.messages = self._closed + 1, 0
        self.messages += entry.kind in MESSAGES


class FaultyStore:
    """A store that passes the points on its way; whatever is not here is done by that store.

    Args:
        store: does the work.
    """

    reaper: Reaper
    quorum: int
    forgetful = False
    failures = 0

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self._progress: dict[str, Progress] = {}
        self._now = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @property
    def inside(self) -> str:
        """What this thread writes now."""
        return getattr(self._now, "inside", "")

    def progress(self, name: str) -> Progress:
        if name not in self._progress:
            record = next(record for record in self.store.sessions() if record.name == name)
            model = ThreatModel(decode_offer(record.offer).parameters.threat_model)
            progress = self._progress[name] = Progress(tuple(round_.value for round_ in rounds(model)))
            for entry in self.store.entries(name):
                progress.note(entry)
        return self._progress[name]

    def create(self, record: SessionRecord) -> None:
        self.reaper.reach("create/unwritten")
        self._within("create", self.store.create, record)
        self.reaper.reach("create/durable")

    def entries(self, name: str) -> Iterator[Entry]:
        found = tuple(self.store.entries(name))
        for number, entry in enumerate(found):
            if number == 1:
                self.reaper.reach("replay/first")
            yield entry
        if found:
            self.reaper.reach("replay/last")

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        progress = self.progress(name)
        prefix = self.prefix(name, entries)
        self.reaper.reach(f"{prefix}/unwritten")
        if not self.forgetful:
            self._within(prefix, self.store.append, name, entries, epoch)
        self.reaper.reach(f"{prefix}/durable")
        for entry in entries:
            progress.note(entry)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        self.reaper.reach("finish/committed")
        self._within("finish", self.store.finish, name, outcome, epoch)
        self.reaper.reach("finish/tidied")

    def release_result(self, name: str, expired: bool = False) -> bool:
        self.reaper.reach("release/unwritten")
        released = self._within("release", self.store.release_result, name, expired)
        self.reaper.reach("release/durable")
        return released

    def begin_upload(self, name: str, limit: int) -> Upload:
        where = "finish" if self.progress(name).where == "finish" else "upload"
        return self.faulty_upload(where, name, limit)

    def faulty_upload(self, where: str, name: str, limit: int) -> Upload:
        """Begin an upload that passes the points of messages, or of results."""
        self.reaper.reach(f"{where}/begun")
        return FaultyUpload(self.store.begin_upload(name, limit), functools.partial(self._pass, where))

    def prefix(self, name: str, entries: Sequence[Entry]) -> str:
        """What an append is about; "" for messages before there is a quorum of them."""
        progress = self.progress(name)
        if any(entry.kind is EntryKind.CLOSE_ROUND for entry in entries):
            return f"{progress.where}/close"
        at_stake = progress.messages + sum(entry.kind in MESSAGES for entry in entries)
        return f"{progress.where}/message" if at_stake >= self.quorum else ""

    def _pass(self, where: str, how_far: str) -> None:
        self.reaper.reach(f"{where}/{how_far}")

    def _within(self, what: str, call: Callable[..., T], *arguments: Any) -> T:
        self._now.inside = what
        try:
            return call(*arguments)
        except StoreError:
            FaultyStore.failures += 1
            raise
        finally:
            self._now.inside = ""


def faulty_sqlite(directory: Path, *, accept_loss: bool, expected: Collection[str]) -> FaultyStore:
    """A SqliteStore with the points of its commits."""
    store = SqliteStore(directory, accept_loss=accept_loss, expected=expected)
    faulty = FaultyStore(store)

    def traced(statement: str) -> None:
        if statement == "COMMIT":
            faulty.reaper.reach(f"{faulty.inside}/uncommitted")
        if statement.startswith("PRAGMA wal_checkpoint") and faulty.inside == "finish":
            faulty.reaper.reach("finish/durable")

    store._database.connection.set_trace_callback(traced)
    return faulty


class FaultyUpload:
    """An upload that passes the points on its way."""

    def __init__(self, upload: Upload, reach: Callable[[str], None]) -> None:
        self._upload = upload
        self._reach = reach

    @property
    def received(self) -> int:
        return self._upload.received

    @property
    def sha256(self) -> bytes:
        return self._upload.sha256

    def write(self, chunk: bytes | memoryview) -> None:
        try:
            self._upload.write(chunk)
        except StoreError:
            FaultyStore.failures += 1
            raise
        self._reach("partial")

    def commit(self) -> str:
        self._reach("whole")
        upload = self._upload.commit()
        self._reach("committed")
        return upload

    def discard(self) -> None:
        self._upload.discard()
