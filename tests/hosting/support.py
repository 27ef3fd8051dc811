"""Plays clients against hosted sessions in tests: a clock that stands until it is moved, an observer that remembers.

clock, seen = FakeClock(), Recorder()
async with hosting(MemoryStore(), clock=clock, observer=seen) as host:
    played = Played(Harness(4, threshold=2))
    session = await played.create(host)
    await played.finish(session)
    assert (await session.result()) ...
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, Final

import numpy as np

from secagg import ClientPhase, ClientSession, DropReason, Round
from secagg.hosting import (
    Departure,
    Ended,
    Expired,
    HostedSession,
    HostObserver,
    Quotas,
    Receipt,
    ReceiptKind,
    ReleasedSum,
    Request,
    Retention,
    RoundSchedule,
    SessionHost,
    read_result,
)
from secagg.protocol.events import Progress, Stage
from secagg.store.base import Outcome, SessionStore
from tests.harness import Harness

PATIENCE: Final = 300.0  # seconds of real time until a test that waits for what never comes fails; none takes one
SCHEDULE: Final = RoundSchedule.uniform(60.0)
CHUNK: Final = 37
KEEP_ALL: Final = Retention()


def run(body: Coroutine[Any, Any, None]) -> None:
    """Run an asynchronous test, of whose errors asyncio has to find none that nobody looked at."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        async with asyncio.timeout(PATIENCE):
            await body

    asyncio.run(bounded())
    gc.collect()  # Errors hold frames, and frames hold futures.
    assert complaints == []


class FakeClock:
    """Time that stands still until a test moves it: once somebody waits for it, however long a busy machine takes."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[tuple[float, asyncio.Event]] = []
        self._waits: Counter[float] = Counter()
        self._more = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, until: float | None) -> bool:
        if event.is_set() or (until is not None and until <= self._now):
            return event.is_set()
        timer = asyncio.Event()
        if until is not None:
            self._timers.append((until, timer))
            self._waits[until] += 1
            self._more.set()
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(timer.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return event.is_set()

    async def awaited(self, until: float, times: int = 1) -> None:
        """Return when somebody has begun so often to wait for this time."""
        while self._waits[until] < times:
            self._more.clear()
            await self._more.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for until, timer in self._timers:
            if until <= self._now:
                timer.set()
        self._timers = [(until, timer) for until, timer in self._timers if not timer.is_set()]


class Recorder(HostObserver):
    """Remembers what a host told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._more = asyncio.Event()

    def note(self, *what: Any) -> None:
        self.told.append(what)
        self._more.set()

    def all(self, kind: str) -> list[tuple[Any, ...]]:
        return [what[1:] for what in self.told if what[0] == kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._more.clear()
            await self._more.wait()

    async def heard(self, *what: Any, times: int = 1) -> None:
        await self.until(lambda: sum(told[: len(what)] == what for told in self.told) >= times)

    def session_created(self, name: str, clients: int) -> None:
        self.note("created", name, clients)

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        self.note("resumed", name, entries)

    def session_ended(self, name: str, outcome: Outcome) -> None:
        self.note("ended", name, outcome)

    def session_expired(self, name: str, what: Expired) -> None:
        self.note("expired", name, what)

    def session_failed(self, name: str, error: BaseException) -> None:
        self.note("failed", name, error)

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        self.note("opened", round_, clients, seconds)

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        self.note("closed", round_, answered, seconds)

    def shares_wrong(self, name: str, holder: int, reason: DropReason, owners: int) -> None:
        self.note("wrong", holder, reason, owners)

    def client_dropped(self, name: str, client: int, round_: Round, reason: Departure, detail: str) -> None:
        self.note("dropped", client, round_, reason)

    def answer(self, name: str, round_: Round | None, client: int, kind: ReceiptKind) -> None:
        self.note("answer", client, kind)

    def bytes_received(self, name: str, client: int, count: int) -> None:
        self.note("bytes", client, count)

    def bytes_sent(self, name: str, client: int, count: int) -> None:
        self.note("sent", client, count)

    def login_answered(self, outcome: str) -> None:
        self.note("login", outcome)

    def stage_entered(self, name: str, stage: Stage) -> None:
        self.note("stage", stage)

    def unmasking_progressed(self, name: str, progress: Progress) -> None:
        self.note("progress", name, progress)

    def readiness_changed(self, trouble: str) -> None:
        self.note("readiness", trouble)

    def session_refused(self, name: str, error: Exception) -> None:
        self.note("session_refused", name, str(error))

    def executor_failed(self, trouble: str) -> None:
        self.note("executor_failed", trouble)

    def lease_taken(self, name: str, epoch: int) -> None:
        self.note("lease_taken", name, epoch)

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        self.note("lease_lost", name, epoch, why)

    def store_failed(self, name: str, error: Exception) -> None:
        self.note("store_failed", name, error)


def hosting(
    store: SessionStore,
    clock: FakeClock | None = None,
    observer: HostObserver | None = None,
    quotas: Quotas | None = None,
    wall_clock: Callable[[], float] = lambda: 1.5e9,
    retention: Retention = KEEP_ALL,
    gather_seconds: float = 0.0,
) -> SessionHost:
    """A host with few threads; its clock stands unless another is given."""
    return SessionHost(
        store,
        clock=FakeClock() if clock is None else clock,
        observer=observer,
        quotas=Quotas() if quotas is None else quotas,
        workers=3,
        wall_clock=wall_clock,
        retention=retention,
        gather_seconds=gather_seconds,
    )


class Played:
    """The clients of a harness, played against a hosted session."""

    def __init__(self, harness: Harness | None = None) -> None:
        self.harness = Harness(4, threshold=2) if harness is None else harness
        self.cohort = self.harness.cohort
        self.seen: dict[int, bytes] = {}
        self.answers: dict[int, bytes] = {}

    async def create(
        self, host: SessionHost, name: str = "round-1", schedule: RoundSchedule = SCHEDULE, tenant: str = ""
    ) -> HostedSession:
        roster = self.harness.roster if self.harness.active else None
        return await host.create(name, self.harness.parameters, roster=roster, schedule=schedule, tenant=tenant)

    def client(self, client: int) -> ClientSession:
        return self.harness.clients[client]

    async def answer(self, session: HostedSession, client: int) -> bytes:
        """Take the client's current request and return its answer; makes it once."""
        request = await session.next_request(client, b"", 0)
        assert isinstance(request, Request), request
        return self.reply(client, request)

    def reply(self, client: int, request: Request) -> bytes:
        """The client's answer to a request; the same again for the same."""
        if self.seen.get(client) == request.digest:
            return self.answers[client]
        live = self.client(client)
        if live.phase is ClientPhase.MASKED_INPUT:
            live.set_input(self.harness.inputs[client], self.harness.weight(client))
        answer = live.receive(request.message)
        assert answer is not None
        self.seen[client], self.answers[client] = request.digest, answer
        return answer

    async def send(self, session: HostedSession, client: int) -> Receipt:
        """Answer the current request; a masked input goes the way of uploads."""
        state = session.status().state
        return await self.give(session, client, state, await self.answer(session, client))

    async def give(self, session: HostedSession, client: int, state: str, answer: bytes) -> Receipt:
        """Hand in the answer to a request of the round `state`, which may have closed."""
        if state == Round.MASKED_INPUT.value:
            return await upload(session, client, answer)
        return await session.submit(client, answer)

    async def play_round(self, session: HostedSession, clients: Iterable[int] | None = None) -> dict[int, Receipt]:
        """Let clients (by default all) answer the open round side by side."""
        chosen = self.cohort if clients is None else tuple(clients)
        receipts = await asyncio.gather(*(self.send(session, client) for client in chosen))
        return dict(zip(chosen, receipts, strict=True))

    async def turned(self, session: HostedSession, client: int) -> Request | Ended:
        """Wait for what comes after the request that a client has seen."""
        found = await session.next_request(client, self.seen.get(client, b""), 1e9)
        assert found is not None
        return found

    async def run_to(self, session: HostedSession, round_: Round) -> None:
        """Play rounds, everybody, until one is open."""
        while session.status().state != round_.value:
            await self.play_round(session)
            await self.turned(session, self.cohort[0])

    async def finish(self, session: HostedSession, clients: Collection[int] | None = None) -> ReleasedSum:
        """Play all rounds that are left, and return the stored sum."""
        chosen = self.cohort if clients is None else tuple(clients)
        while not isinstance(await session.next_request(chosen[0], b"", 0), Ended):
            await asyncio.gather(*(self._send_if_asked(session, client) for client in chosen))
            await self.turned(session, chosen[0])
        await session.wait_ended()
        return read_result(await session.result())

    async def _send_if_asked(self, session: HostedSession, client: int) -> None:
        """Answer, perhaps again, unless the session has ended since: all may have answered its last round before."""
        request = await session.next_request(client, b"", 0)
        if isinstance(request, Request):
            await self.give(session, client, request.round.value, self.reply(client, request))

    def assert_exact(self, released: ReleasedSum, contributors: Collection[int] | None = None) -> None:
        chosen = self.cohort if contributors is None else tuple(sorted(contributors))
        assert released.contributors == chosen
        assert np.array_equal(released.vectors["v"], self.harness.expected(chosen))


async def upload(session: HostedSession, client: int, message: bytes) -> Receipt:
    """Send a message in pieces."""
    taking = await session.begin_upload(client, len(message))
    for at in range(0, len(message), CHUNK):
        await taking.write(message[at : at + CHUNK])
    return await session.submit_upload(client, taking)
