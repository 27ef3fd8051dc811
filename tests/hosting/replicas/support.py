"""Several hosts over one memory, whose clocks move together, and clients whose every call goes to another host.

async with Replicas(3) as replicas:
    played = Wandering(Harness(4, threshold=2))
    await replicas.create(played)
    await played.finish(replicas.spread("round-1"))
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Collection, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self

from secagg import Round
from secagg.executor import INLINE, Executor
from secagg.hosting import (
    Ended,
    HostedSession,
    HostUnavailableError,
    Quotas,
    Receipt,
    ReleasedSum,
    Request,
    RoundSchedule,
    read_result,
)
from secagg.hosting.keeper import Keeper
from secagg.hosting.replicas import SharedHost
from secagg.store.base import StoreError
from secagg.store.shared import Lease
from secagg.store.shared_memory import SharedMemoryStore
from tests.hosting.support import FakeClock, Played, Recorder

LEASE: Final = 9.0
HANG_SECONDS: Final = 600.0
LONG: Final = RoundSchedule.uniform(1e5)
_GUARDED: Final = frozenset(
    name
    for name in dir(SharedMemoryStore)
    if not name.startswith("_") and name not in {"another", "close", "news", "probe"}
)


def run(body: Coroutine[Any, Any, None]) -> None:
    """Run an asynchronous test. Its time is told by its turns, of which a machine with much to do makes few."""

    async def bounded() -> None:
        async with asyncio.timeout(HANG_SECONDS):
            await body

    asyncio.run(bounded())


class Cut(SharedMemoryStore):
    """A host's way to the store, which can be cut, before or after any of its calls, or hang.

    Attributes:
        cut: whether nothing gets through.
        takes: whether it takes leases.
        gate: set unless calls hang.
        plan: asked before ("before append") and after each call, one call at a time; True cuts.
        calls: what got through, in order.
    """

    def __init__(self, store: SharedMemoryStore) -> None:
        super().__init__()
        other = store.another()
        self.__dict__.update(other.__dict__)
        self.cut = False
        self.takes = True
        self.gate = threading.Event()
        self.gate.set()
        self.plan: Callable[[str], bool] = never
        self.calls: list[str] = []
        self._on_their_way: list[str] = []

    @property
    def busy(self) -> bool:
        """Whether a call is on its way that does not hang."""
        return bool(self._on_their_way) and self.gate.is_set()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _GUARDED:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._on_their_way.append(name)
            try:
                self._pass(f"before {name}")
                self.calls.append(name)
                returned = found(*arguments, **options)
                self._pass(f"after {name}")
                return returned
            finally:
                self._on_their_way.remove(name)

        return call

    def acquire(self, replica: str, seconds: float, most: int, name: str | None = None) -> Sequence[Lease]:
        """Take leases, or none."""
        with self._office.changed:
            return super().acquire(replica, seconds, most if self.takes else 0, name)

    def _pass(self, point: str) -> None:
        self.gate.wait()
        with self._office.changed:
            if not self.cut and self.plan(point):
                self.cut = True
        self.gate.wait()  # The plan may have closed it.
        if self.cut:
            raise StoreError("the store cannot be reached")


def never(_: str) -> bool:
    """The plan of a way that nothing happens to."""
    return False


class Replicas:
    """Hosts over one memory.

    Args:
        count: how many.
        quotas: of all.
        seed: of who is asked next.
        gather_seconds, executor: of all.

    Attributes:
        wall: the wall clock of all.
    """

    def __init__(
        self,
        count: int = 3,
        quotas: Quotas | None = None,
        seed: int = 0,
        gather_seconds: float = 0.0,
        executor: Executor = INLINE,
    ) -> None:
        self.wall = 1.5e9
        self.gather_seconds = gather_seconds
        self.executor = executor
        self.time = FakeClock()
        self.memory = SharedMemoryStore(self.time.now)
        self.random = random.Random(seed)
        self.quotas = Quotas() if quotas is None else quotas
        self.clocks: list[FakeClock] = []
        self.stores: list[Cut] = []
        self.seen: list[Recorder] = []
        self.hosts: list[SharedHost] = []
        self.asleep: set[int] = set()
        self._goes_on = asyncio.Event()
        for _ in range(count):
            self.add()

    def add(self) -> SharedHost:
        """One more host, not started."""
        self.clocks.append(FakeClock())
        self.stores.append(Cut(self.memory))
        self.seen.append(Recorder())
        host = SharedHost(
            self.stores[-1],
            lease_seconds=LEASE,
            quotas=self.quotas,
            observer=self.seen[-1],
            clock=self.clocks[-1],
            workers=6,
            wall_clock=lambda: self.wall,
            gather_seconds=self.gather_seconds,
            executor=self.executor,
        )
        self.hosts.append(host)
        return host

    async def __aenter__(self) -> Self:
        for host in self.hosts:
            await host.start()
        self.loop = asyncio.get_running_loop()
        self._goes_on.set()
        self._ticking = self.loop.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.plan(never)
        for store in self.stores:
            store.gate.set()
        for host in self.hosts:
            await host.stop()
        self._ticking.cancel()
        await asyncio.wait([self._ticking])

    async def _tick(self) -> None:
        """Time passes for all hosts but those that sleep: faster while no host waits for its store."""
        while True:
            await asyncio.sleep(0.005 if any(store.busy for store in self.stores) else 0.002)
            for number in range(len(self.hosts)):
                await self._may_renew(number)
            await self._goes_on.wait()
            self.time.advance(0.05)
            for number, clock in enumerate(self.clocks):
                if number not in self.asleep:
                    clock.advance(0.05)

    async def _may_renew(self, number: int) -> None:
        """Wait until a host's leases could be renewed that can be: no lease is lost because the machine is slow."""
        leases = self.hosts[number]._leases
        if leases is None:
            return
        try:
            done = self.loop.run_in_executor(leases._thread, int)
        except RuntimeError:  # it has stopped
            return
        while not done.done() and number not in self.asleep and self.stores[number].gate.is_set():
            await asyncio.wait([done], timeout=0.02)

    async def create(
        self, played: Played, number: int = 0, name: str = "round-1", schedule: RoundSchedule = LONG
    ) -> HostedSession:
        """Create a session at a host, which goes on with it: no other takes it in between."""
        self._let_take([number])
        try:
            return await played.create(self.hosts[number], name, schedule=schedule)
        finally:
            self._let_take(range(len(self.hosts)))

    def _let_take(self, numbers: Collection[int]) -> None:
        with self.memory._office.changed:
            for number, store in enumerate(self.stores):
                store.takes = number in numbers

    async def everywhere(self, name: str) -> list[HostedSession]:
        """The session at each host that can be asked."""
        return [await self.hosts[number].find(name) for number in self.reachable()]

    def plan(self, *plans: Callable[[str], bool]) -> None:
        """Plan something for the way of each host, or the same for all; none follows its old plan any more."""
        with self.memory._office.changed:
            for number, store in enumerate(self.stores):
                store.plan = plans[number % len(plans)]

    def pause(self, number: int) -> None:
        """Stop a host as SIGSTOP does: it does not see its clock go on, and its store waits."""
        self.stores[number].gate.clear()
        self.asleep.add(number)

    def resume(self, number: int) -> None:
        """Let a host go on, in the middle of what it was doing."""
        self.clocks[number].advance(max(clock.now() for clock in self.clocks) - self.clocks[number].now())
        self.asleep.discard(number)
        self.stores[number].gate.set()

    def reachable(self) -> list[int]:
        """The hosts that somebody can ask."""
        return [number for number, store in enumerate(self.stores) if not store.cut and number not in self.asleep]

    def holder(self, name: str) -> int | None:
        """The number of the host that goes on with a session."""
        for number in self.reachable():
            session = self.hosts[number]._sessions.get(name)
            if session is not None and isinstance(session._seat, Keeper) and not session._seat._stopped:
                return number
        return None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        while not condition():
            await asyncio.sleep(0.005)

    async def at_once(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so while no time passes."""
        self._goes_on.clear()
        await self.until(condition)
        self._goes_on.set()

    async def held(self, name: str, not_by: int | None = None) -> int:
        """Let time pass until a host goes on with a session; returns its number."""
        await self.until(lambda: self.holder(name) not in (None, not_by))
        number = self.holder(name)
        assert number is not None
        return number

    def spread(self, name: str) -> Any:
        """The session by way of another host at each call."""
        return Spread(self, name)


class Spread:
    """A session whose calls go to a random host each; who is sent away comes again, as clients do."""

    def __init__(self, replicas: Replicas, name: str) -> None:
        self._replicas = replicas
        self.name = name

    def __getattr__(self, called: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._call(called, arguments, options)

        return call

    def status(self) -> Any:
        """As of who goes on with it, or of anybody."""
        replicas, number = self._replicas, self._replicas.holder(self.name)
        if number is None:
            number = replicas.reachable()[0]
        return replicas.hosts[number].session(self.name).status()

    async def _call(self, called: str, arguments: Any, options: Any) -> Any:
        async def attempt(session: HostedSession) -> Any:
            return await getattr(session, called)(*arguments, **options)

        return await self._somewhere(attempt)

    async def upload(self, client: int, message: bytes) -> Receipt:
        """Upload at one host."""

        async def attempt(session: HostedSession) -> Receipt:
            taking = await session.begin_upload(client, len(message))
            await taking.write(message)
            return await session.submit_upload(client, taking)

        receipt: Receipt = await self._somewhere(attempt)
        return receipt

    async def _somewhere(self, attempt: Callable[[HostedSession], Coroutine[Any, Any, Any]]) -> Any:
        replicas = self._replicas
        while True:
            number = replicas.random.choice(replicas.reachable())
            try:
                session = await replicas.hosts[number].find(self.name)
                task = asyncio.ensure_future(attempt(session))
                while not task.done():
                    await asyncio.wait([task], timeout=0.02)
                    if number not in replicas.reachable() and not task.done():  # its connection breaks off
                        task.cancel()
                        await asyncio.wait([task])
                if not task.cancelled():
                    return task.result()
            except HostUnavailableError:
                pass
            await asyncio.sleep(0.01)


class Wandering(Played):
    """Clients that ask another host at each call."""

    async def answer(self, session: Any, client: int) -> bytes:
        """Wait for the client's current request and return its answer."""
        request = await session.next_request(client, b"", 1e9)
        assert isinstance(request, Request), request
        return self.reply(client, request)

    async def send(self, session: Any, client: int) -> Receipt:
        """Answer the current request; a masked input goes the way of uploads."""
        request = await session.next_request(client, b"", 1e9)
        assert isinstance(request, Request), request
        return await self.give(session, client, request.round.value, self.reply(client, request))

    async def finish(self, session: Any, clients: Collection[int] | None = None) -> ReleasedSum:
        """Play all rounds that are left, and return the stored sum."""
        chosen = self.cohort if clients is None else tuple(clients)
        while not isinstance(await self.turned(session, chosen[0]), Ended):
            await self.play_round(session, chosen)
        await session.wait_ended()
        return read_result(await session.result())

    async def give(self, session: Any, client: int, state: str, answer: bytes) -> Receipt:
        """Hand in an answer."""
        receipt: Receipt
        if state == Round.MASKED_INPUT.value:
            receipt = await session.upload(client, answer)
        else:
            receipt = await session.submit(client, answer)
        return receipt
