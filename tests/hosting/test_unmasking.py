"""The end of the last round may take long: the host tells how far it is, and meanwhile serves everybody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from secagg import Integers, Round
from secagg.crypto.prg import SEGMENT_WORDS
from secagg.executor import INLINE, Job, Words
from secagg.hosting import HostedSession, SessionHost
from secagg.hosting.replica import Replica
from secagg.protocol.events import Progress, Stage
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting import support
from tests.hosting.support import FakeClock, Played, Recorder, run

THREADS: Final = 2
VECTOR: Final = {"v": Integers(0, 1000, length=10 * SEGMENT_WORDS)}
HANGING_SECONDS: Final = 60


class Gate:
    """Does the first piece of a job and waits before the others until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waiting = threading.Semaphore(0)

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        INLINE.run(job, target, pieces[:1], done)
        if len(pieces) < 2:
            return
        self.waiting.release()
        if not self.opened.wait(HANGING_SECONDS):
            raise TimeoutError
        INLINE.run(job, target, pieces[1:], done)


def long_session() -> Played:
    return Played(Harness(4, threshold=2, vectors=VECTOR))


@pytest.fixture(autouse=True)
def _uploads_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "CHUNK", 1 << 24)


async def waiting_at(gate: Gate, sessions: int) -> None:
    """Return when so many sessions wait at the gate."""
    for _ in range(sessions):
        assert await asyncio.to_thread(gate.waiting.acquire, timeout=HANGING_SECONDS)


def test_a_host_serves_others_while_it_removes_masks() -> None:
    """More sessions unmask than there are threads, and another one runs from its first round to its sum's unmasking."""

    async def body() -> None:
        gate, seen, beats = Gate(), Recorder(), 0

        async def beat() -> None:
            nonlocal beats
            while not gate.opened.is_set():
                beats += 1
                await asyncio.sleep(0)

        async with SessionHost(MemoryStore(), clock=FakeClock(), observer=seen, executor=gate, workers=THREADS) as host:
            played, sessions = [long_session() for _ in range(THREADS + 1)], list[HostedSession]()
            for number, each in enumerate(played):
                sessions.append(await each.create(host, f"long-{number}"))
                await each.run_to(sessions[-1], Round.UNMASKING)
                await each.play_round(sessions[-1])
            await waiting_at(gate, THREADS)
            beating, before = asyncio.create_task(beat()), beats
            other = Played()
            session = await other.create(host, "another")
            await other.run_to(session, Round.UNMASKING)
            await other.play_round(session)
            assert beats > before
            assert [each.status().state for each in sessions] == [Round.UNMASKING.value] * len(sessions)
            gate.opened.set()
            await beating
            for each, hosted in zip(played, sessions, strict=True):
                each.assert_exact(await each.finish(hosted))
            other.assert_exact(await other.finish(session))

    run(body())


def test_the_status_says_how_far_it_is() -> None:
    async def body() -> None:
        gate, seen, played = Gate(), Recorder(), long_session()
        async with SessionHost(MemoryStore(), clock=FakeClock(), observer=seen, executor=gate) as host:
            session = await played.create(host)
            await played.run_to(session, Round.UNMASKING)
            assert session.status().progress is None
            await played.play_round(session)
            await waiting_at(gate, 1)
            progress = session.status().progress
            assert progress is not None
            assert progress.stage is Stage.REMOVING_MASKS
            assert 0 < progress.done < progress.whole
            gate.opened.set()
            played.assert_exact(await played.finish(session))
            assert session.status().progress is None
        told = [progress for _, progress in seen.all("progress")]
        assert [each.stage for each in told if not each.done] == list(Stage)
        assert {each.stage for each in told if each.done == each.whole} == set(Stage)
        assert len(told) < 101 * len(Stage)

    run(body())


def test_progress_is_told_by_the_hundredth() -> None:
    """However many pieces there are, the event loop hears of a hundred."""
    told: list[Progress] = []
    replica = Replica(Harness(4, threshold=2).parameters, {}, on_progress=told.append)
    for done in range(100_001):
        replica._note(Progress(Stage.REMOVING_MASKS, done, 100_000))
        assert replica.progress == Progress(Stage.REMOVING_MASKS, done, 100_000)
    assert [progress.done for progress in told] == list(range(0, 100_001, 1000))
