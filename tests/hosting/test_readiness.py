"""A host is ready when its store can make a write durable, and says so when that changes."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from secagg import Round
from secagg.executor import INLINE, Job, Words
from secagg.hosting import SessionHost, readiness
from secagg.store.base import StoreError
from secagg.store.files import FREE_AGAIN_BYTES, LEAST_FREE_BYTES
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from tests.hosting.support import PATIENCE, FakeClock, Played, Recorder, hosting, run
from tests.store.test_damage import opened
from tests.store.test_sqlite import UNSYNCHRONIZED, FailingCommits

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that hangs is one that a test has hang; a busy machine takes as long as it takes."""
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", PATIENCE)


def test_a_full_disk_is_no_place_to_serve_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        seen = Recorder()
        with opened(tmp_path) as store:
            host = hosting(store, observer=seen)
            assert await host.trouble() == "the host does not run"
            async with host:
                assert [await host.trouble(), await host.trouble()] == ["", ""]
                pages = store._database.connection.execute("PRAGMA page_count").fetchone()[0]
                store._database.connection.execute(f"PRAGMA max_page_count = {pages}")
                assert await host.trouble() == ""
                for free in (LEAST_FREE_BYTES - 1, LEAST_FREE_BYTES - 2):
                    # The same sentence, however much is left: it is told once.
                    with monkeypatch.context() as patched:
                        patched.setattr(shutil, "disk_usage", lambda path, free=free: Usage(1 << 40, 1 << 40, free))
                        assert "is nearly full" in await host.trouble()
                assert await host.trouble() == ""
            assert [bool(*told) for told in seen.all("readiness")] == [False, True, False]

    run(body())


def test_a_disk_that_was_full_has_room_again_when_it_has_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is written and removed at the mark would take the server in and out of a balancer all the time."""

    async def body() -> None:
        seen = Recorder()
        with opened(tmp_path) as store:
            async with hosting(store, observer=seen) as host:
                for free, ready in (
                    (LEAST_FREE_BYTES, True),
                    (LEAST_FREE_BYTES - 1, False),
                    (LEAST_FREE_BYTES, False),
                    (FREE_AGAIN_BYTES - 1, False),
                    (FREE_AGAIN_BYTES, True),
                    (LEAST_FREE_BYTES, True),
                ):
                    monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(1 << 40, 1 << 40, free))
                    assert (await host.trouble() == "") is ready, free
        told = [bool(*told) for told in seen.all("readiness")]
        assert [trouble for trouble, _ in itertools.groupby(told)] == [False, True, False]

    run(body())


def test_a_host_whose_threads_are_all_at_work_is_ready() -> None:
    """Unmasking takes a thread for longer than a store may hang."""

    async def body() -> None:
        free = threading.Event()
        async with SessionHost(MemoryStore(), workers=1) as host:
            working = asyncio.ensure_future(host._tools.run(free.wait))
            try:
                assert await host.trouble() == ""
            finally:
                free.set()
                await working

    run(body())


def test_a_disk_of_which_nobody_knows_what_it_holds_is_not_ready(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteStore(tmp_path)
        async with hosting(store) as host:
            assert await host.trouble() == ""
            connection: Any = FailingCommits(store._database.connection, UNSYNCHRONIZED)
            store._database.connection = connection
            assert "disk I/O error" in await host.trouble()
            store._database.connection = connection.connection
            assert "restart the server" in await host.trouble()
        store.close()
        with opened(tmp_path) as again:
            async with hosting(again) as host:
                assert await host.trouble() == ""

    run(body())


def test_a_store_that_hangs_is_not_ready_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemoryStore):
        probes = 0

        def __init__(self) -> None:
            super().__init__()
            self.free = threading.Event()

        def probe(self) -> None:
            self.probes += 1
            self.free.wait()

    async def body() -> None:
        monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.01)
        store, seen = Hanging(), Recorder()
        async with hosting(store, observer=seen) as host:
            for _ in range(3):
                assert "has not answered" in await host.trouble()
            assert store.probes == 1
            store.free.set()
            monkeypatch.setattr(readiness, "PATIENCE_SECONDS", PATIENCE)
            assert await host.trouble() == ""
            assert [bool(*told) for told in seen.all("readiness")] == [True, False]

    run(body())


def test_what_a_store_found_when_nobody_waited_any_more_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hung, failed at last, and works by now: a server that says what was is out of its balancer for nothing."""

    class Mended(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.free, self.left = threading.Event(), threading.Event()

        def probe(self) -> None:
            if not self.left.is_set():
                self.free.wait()
                self.left.set()
                raise StoreError("nobody answers")

    async def body() -> None:
        monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.01)
        store = Mended()
        async with hosting(store) as host:
            assert "has not answered" in await host.trouble()
            probing = host._readiness._probing
            assert probing is not None
            store.free.set()
            await probing
            monkeypatch.setattr(readiness, "PATIENCE_SECONDS", PATIENCE)
            assert await host.trouble() == ""

    run(body())


def test_each_reason_is_told_once_until_there_is_none() -> None:
    """A database that is away fails in turns: a log that says so every few seconds is not read."""

    class Failing(MemoryStore):
        reason = ""

        def probe(self) -> None:
            if self.reason:
                raise StoreError(self.reason)

    async def body() -> None:
        store, seen = Failing(), Recorder()
        async with hosting(store, observer=seen) as host:
            for store.reason in ("a", "b", "a", "b", "", "", "a", ""):
                assert await host.trouble() == store.reason
        assert [told for (told,) in seen.all("readiness")] == ["a", "b", "", "a", ""]

    run(body())


def test_a_defect_of_a_store_is_told_and_ends_nobody_who_watches() -> None:
    class Defective(MemoryStore):
        def probe(self) -> None:
            raise KeyError("one")

    async def body() -> None:
        async with hosting(Defective()) as host:
            assert await host.trouble() == "the store cannot be asked: KeyError: 'one'"
            assert host.known_trouble(3600) == "the store cannot be asked: KeyError: 'one'"

    run(body())


def test_what_is_known_is_not_older_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks from another thread learns that the event loop hangs."""

    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            assert host.known_trouble(3600) is None
            await host.trouble()
            assert host.known_trouble(3600) == ""
            now = time.monotonic()
            monkeypatch.setattr(time, "monotonic", lambda: now + 15)
            assert (host.known_trouble(3600), host.known_trouble(15)) == ("", None)

    run(body())


def test_several_may_ask_at_once() -> None:
    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            assert set(await asyncio.gather(host.trouble(), host.trouble(), host.trouble())) == {""}
            assert await host.trouble() == ""

    run(body())


class Lame:
    """Does everything in the caller's thread, and says so."""

    trouble = "processes cannot work"

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        INLINE.run(job, target, pieces, done)


def test_an_executor_that_cannot_work_is_told_and_harms_nobody() -> None:
    async def body() -> None:
        played, seen = Played(), Recorder()
        async with SessionHost(MemoryStore(), clock=FakeClock(), observer=seen, executor=Lame(), workers=3) as host:
            session = await played.create(host)
            await played.run_to(session, Round.UNMASKING)
            played.assert_exact(await played.finish(session))
            assert ("processes cannot work",) in seen.all("executor_failed")
            assert await host.trouble() == ""

    run(body())
