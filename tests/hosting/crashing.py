"""A host in a process of its own that kills itself at a chosen point: every boundary of the store is one.

The parent sends calls through a pipe and gets their answers. Points are counted from the start of the process, in the
order in which they are reached; at the chosen one the process ends by SIGKILL, as it does when the power is cut
between two instructions. What the operating system was handed stays: it is not the disk that dies here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import secagg.store.files
from secagg import SessionParameters
from secagg.hosting import RoundSchedule, SessionHost
from secagg.hosting.replica import Replica
from secagg.store.base import Entry, Outcome, SessionRecord, Upload
from secagg.store.sqlite import SqliteStore
from tests.hosting.support import PATIENCE, upload

NAME = "round-1"


class Points:
    """Counts the points of a process, and kills it at one of them (0: at none)."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.reached: list[str] = []

    def reach(self, what: str) -> None:
        self.reached.append(what)
        if len(self.reached) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        self.reach(f"before {what}")
        yield
        self.reach(f"after {what}")

    def instrument(self, owner: Any, name: str) -> None:
        """Make a point before and after every call of a function."""
        original: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self.around(name):
                return original(*arguments, **options)

        setattr(owner, name, call)


class _CrashingUpload:
    def __init__(self, upload: Upload, points: Points) -> None:
        self._upload = upload
        self._points = points

    @property
    def received(self) -> int:
        return self._upload.received

    @property
    def sha256(self) -> bytes:
        return self._upload.sha256

    def write(self, chunk: bytes | memoryview) -> None:
        with self._points.around("write"):
            self._upload.write(chunk)

    def commit(self) -> str:
        with self._points.around("commit"):
            return self._upload.commit()

    def discard(self) -> None:
        self._upload.discard()


class CrashingStore(SqliteStore):
    """A store whose boundaries are points."""

    def __init__(self, directory: Path, points: Points) -> None:
        self._points = points
        super().__init__(directory)
        # Before every COMMIT of the database, with the transaction complete and not yet durable.
        self._database.connection.set_trace_callback(self._traced)

    def create(self, record: SessionRecord) -> None:
        with self._points.around("create"):
            super().create(record)

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        with self._points.around("append"):
            super().append(name, entries, epoch)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        with self._points.around("finish"):
            super().finish(name, outcome, epoch)

    def release_result(self, name: str, expired: bool = False) -> bool:
        with self._points.around("release"):
            return super().release_result(name, expired)

    def begin_upload(self, name: str, limit: int) -> Upload:
        with self._points.around("begin"):
            return _CrashingUpload(super().begin_upload(name, limit), self._points)

    def _traced(self, statement: str) -> None:
        if statement == "COMMIT":
            self._points.reach("COMMIT")


def main(directory: str, fatal: int, calls: Connection) -> None:
    """Host the sessions of a directory until the pipe is closed."""
    points = Points(fatal)
    points.instrument(Replica, "apply")
    points.instrument(secagg.store.files.os, "fsync")  # type: ignore[attr-defined]
    points.instrument(Path, "rename")
    points.instrument(Path, "unlink")
    asyncio.run(_serve(Path(directory), points, calls))


async def _serve(directory: Path, points: Points, calls: Connection) -> None:
    store = CrashingStore(directory, points)
    async with SessionHost(store, workers=2) as host:
        while True:
            call = await asyncio.to_thread(calls.recv)
            if call is None:
                break
            calls.send(await _answer(host, points, *call))
    store.close()
    calls.send(points.reached)


async def _answer(host: SessionHost, points: Points, what: str, *arguments: Any) -> Any:
    match what:
        case "create":
            offered = SessionParameters.decode(arguments[0])
            schedule = RoundSchedule.uniform(3600, restarts=arguments[2])
            session = await host.create(NAME, offered, roster=arguments[1], schedule=schedule)
            return session.name
        case "request":
            return await host.session(NAME).next_request(arguments[0], arguments[1], PATIENCE)
        case "submit":
            session = host.session(NAME)
            answers = arguments[0].items()
            return dict(
                zip(
                    arguments[0],
                    await asyncio.gather(*(session.submit(client, answer) for client, answer in answers)),
                    strict=True,
                )
            )
        case "upload":
            return await upload(host.session(NAME), arguments[0], arguments[1])
        case "ended":
            await host.session(NAME).wait_ended()
            return host.session(NAME).status()
        case "result":
            await host.session(NAME).wait_ended()
            return await host.session(NAME).result()
        case "acknowledge":
            await host.session(NAME).acknowledge_result()
            return host.session(NAME).status()
    raise ValueError(what)
