"""`secagg serve` with faults inside: dies at a named point, or does at a word what a machine does to a server.

    python -m tests.faults.server '{"config": "server.toml", "kill": "masked_input/message/durable"}'

Everything of the real command runs, but that the store, the clock and the bounds of the service are wrapped. Lines of
JSON on standard input change the world: {"advance": seconds}, {"wall": seconds}, {"file_bytes": bytes or null}, or end
it: {"crash": last words}.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

_real_time = time.time
_wall_offset = 0.0


def _shifted_time() -> float:
    return _real_time() + _wall_offset


time.time = _shifted_time  # before anybody takes the function

from secagg import ThreatModel  # noqa: E402
from secagg.cli.output import print_json  # noqa: E402
from secagg.cli.service import serving  # noqa: E402
from secagg.cli.service.server_config import load_config  # noqa: E402
from secagg.compute.processes import ProcessExecutor  # noqa: E402
from secagg.hosting import host as hosting  # noqa: E402
from secagg.hosting.journal import Journal, Step  # noqa: E402
from secagg.protocol.transitions import rounds  # noqa: E402
from secagg.store.base import Entry, EntryKind, Outcome, SessionRecord, StoreError, Upload  # noqa: E402
from secagg.store.sqlite import SqliteStore  # noqa: E402
from secagg.transport.grpc import GrpcServer, ServiceLimits  # noqa: E402
from secagg.wire.codec import decode_offer  # noqa: E402

MESSAGES: Final = (EntryKind.MESSAGE, EntryKind.UPLOAD)


class Reaper:
    """Ends this process with SIGKILL when it reaches the armed point.

    Args:
        armed: the point, or None.
    """

    def __init__(self, armed: str | None) -> None:
        self.armed = armed

    def reach(self, point: str) -> None:
        if point == self.armed:
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


class FaultyStore(SqliteStore):
    """A SqliteStore that passes the points on its way."""

    reaper: Reaper
    quorum: int
    forgetful = False
    failures = 0

    def __init__(self, directory: Path, *, accept_loss: bool = False) -> None:
        super().__init__(directory, accept_loss=accept_loss)
        self._progress: dict[str, Progress] = {}
        self._inside = ""
        self._database.connection.set_trace_callback(self._traced)

    def progress(self, name: str) -> Progress:
        if name not in self._progress:
            record = next(record for record in self.sessions() if record.name == name)
            model = ThreatModel(decode_offer(record.offer).parameters.threat_model)
            progress = self._progress[name] = Progress(tuple(round_.value for round_ in rounds(model)))
            for entry in super().entries(name):
                progress.note(entry)
        return self._progress[name]

    def create(self, record: SessionRecord) -> None:
        self.reaper.reach("create/unwritten")
        self._within("create", super().create, record)
        self.reaper.reach("create/durable")

    def entries(self, name: str) -> Iterator[Entry]:
        found = tuple(super().entries(name))
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
            self._within(prefix, super().append, name, entries, epoch)
        self.reaper.reach(f"{prefix}/durable")
        for entry in entries:
            progress.note(entry)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        self.reaper.reach("finish/committed")
        self._within("finish", super().finish, name, outcome, epoch)
        self.reaper.reach("finish/tidied")

    def release_result(self, name: str, expired: bool = False) -> None:
        self.reaper.reach("release/unwritten")
        self._within("release", super().release_result, name, expired)
        self.reaper.reach("release/durable")

    def begin_upload(self, name: str, limit: int) -> Upload:
        where = "finish" if self.progress(name).where == "finish" else "upload"
        self.reaper.reach(f"{where}/begun")
        return FaultyUpload(super().begin_upload(name, limit), functools.partial(self._pass, where))

    def prefix(self, name: str, entries: Sequence[Entry]) -> str:
        """What an append is about; "" for messages before there is a quorum of them."""
        progress = self.progress(name)
        if any(entry.kind is EntryKind.CLOSE_ROUND for entry in entries):
            return f"{progress.where}/close"
        at_stake = progress.messages + sum(entry.kind in MESSAGES for entry in entries)
        return f"{progress.where}/message" if at_stake >= self.quorum else ""

    def _pass(self, where: str, how_far: str) -> None:
        self.reaper.reach(f"{where}/{how_far}")

    def _within(self, what: str, call: Callable[..., None], *arguments: Any) -> None:
        self._inside = what
        try:
            call(*arguments)
        except StoreError:
            FaultyStore.failures += 1
            raise
        finally:
            self._inside = ""

    def _traced(self, statement: str) -> None:
        if statement == "COMMIT":
            self.reaper.reach(f"{self._inside}/uncommitted")
        if statement.startswith("PRAGMA wal_checkpoint") and self._inside == "finish":
            self.reaper.reach("finish/durable")


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


class FaultyExecutor(ProcessExecutor):
    """Its first pools of workers are killed as soon as they work."""

    broken = 0

    def _new_pool(self) -> ProcessPoolExecutor:
        if FaultyExecutor.broken:
            FaultyExecutor.broken -= 1
            return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=os.abort)
        return super()._new_pool()


class MovedClock:
    """The event loop's clock, which a trial moves on."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, event: asyncio.Event, until: float | None) -> bool:
        while not event.is_set():
            left = None if until is None else until - self.now()
            if left is not None and left <= 0:
                break
            waiting = [asyncio.ensure_future(each.wait()) for each in (event, self._moved)]
            try:
                await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        return event.is_set()


def inject(settings: Mapping[str, Any]) -> None:
    """Put the faults into the modules that `secagg serve` is made of."""
    replaced: dict[str, Any] = vars(serving)
    reaper = Reaper(settings.get("kill"))
    FaultyStore.reaper = reaper
    FaultyStore.quorum = settings.get("quorum", 1)
    global _wall_offset
    _wall_offset = settings.get("wall", 0.0)
    FaultyStore.forgetful = settings.get("forgetful", False)
    replaced["SqliteStore"] = FaultyStore
    FaultyExecutor.broken = settings.get("broken_pools", 0)
    replaced["ProcessExecutor"] = FaultyExecutor
    clocks: list[MovedClock] = []

    def host(*arguments: Any, **options: Any) -> hosting.SessionHost:
        clocks.append(MovedClock())
        _obey(asyncio.get_running_loop(), clocks[-1])
        return hosting.SessionHost(*arguments, **options, clock=clocks[-1], wall_clock=time.time)

    replaced["SessionHost"] = host
    limits = ServiceLimits(**settings.get("limits", {}))
    replaced["GrpcServer"] = functools.partial(GrpcServer, limits=limits)
    commit = Journal.commit

    def watched_commit(journal: Journal, entries: Sequence[Entry]) -> Step:
        store = journal._store
        prefix = store.prefix(journal._name, entries) if isinstance(store, FaultyStore) else ""
        step = commit(journal, entries)
        reaper.reach(f"{prefix}/seen")
        return step

    Journal.commit = watched_commit  # type: ignore[method-assign, assignment]


def _obey(loop: asyncio.AbstractEventLoop, clock: MovedClock) -> None:
    """Read words from standard input in a thread of its own."""

    def read() -> None:
        for line in sys.stdin:
            for word, value in json.loads(line).items():
                _do(loop, clock, word, value)
            _say({"failures": FaultyStore.failures, "broken_pools": FaultyExecutor.broken})

    threading.Thread(target=read, daemon=True).start()


def _do(loop: asyncio.AbstractEventLoop, clock: MovedClock, word: str, value: Any) -> None:
    global _wall_offset
    match word:
        case "advance":
            loop.call_soon_threadsafe(clock.advance, value)
        case "wall":
            _wall_offset += value
        case "crash":
            os.write(sys.stderr.fileno(), value.encode() + b"\n")
            os.abort()
        case "file_bytes":
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard if value is None else value, hard))


def main() -> None:
    settings = json.loads(sys.argv[1])
    inject(settings)

    accept_loss = settings.get("accept_loss", False)
    serving.run_server(load_config(Path(settings["config"])), _say, accept_loss=accept_loss)


def _say(record: Mapping[str, Any]) -> None:
    print_json(record)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
