"""Which sessions this process goes on with: it renews leases, takes its share of what nobody has, and gives up in time.

Each process takes at most an equal part, so that after one has died its sessions are not all with the first that looks.
Must not know what a session is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from secagg.hosting.replicas.holding import Holding
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.store.base import DamagedError, FencedError, StoreError
from secagg.store.shared import Lease, SharedStore

_P = ParamSpec("_P")
_R = TypeVar("_R")
_PARTS: Final = 3  # a lease outlives this many renewals but one
_HURRY_SECONDS: Final = 1.0


class Leases:
    """The leases of one process.

    Args:
        tools: of the host.
        store: that the replicas share.
        replica: the name of this process, unique.
        seconds: how long a lease lasts.
        able: whether this process can go on with sessions now.
        taken: told of a lease that was acquired, and until when it holds.
        lost: told of a holding that may have run out, or has, and why.

    Attributes:
        held: by name of the session.
        replicas: how many processes there are, this one included.
    """

    def __init__(
        self,
        tools: Tools,
        store: SharedStore,
        replica: str,
        seconds: float,
        able: Callable[[], Awaitable[bool]],
        taken: Callable[[Lease, float], None],
        lost: Callable[[Holding, Exception], None],
    ) -> None:
        self._tools = tools
        self._store = store
        self._replica = replica
        self._seconds = seconds
        self._able = able
        self._taken = taken
        self._lost = lost
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._renewed_at = tools.clock.now()
        self._tasks: list[asyncio.Task[None]] = []
        # Its own: logs that are replayed, or uploads that hang, may have all others for longer than a lease lasts.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="secagg-leases")
        self.held: dict[str, Holding] = {}
        self.replicas = 1

    @property
    def trouble(self) -> str:
        """Why this process cannot hold sessions, in one sentence, or empty."""
        passed = self._tools.clock.now() - self._renewed_at
        if passed < self._seconds and not any(task.done() for task in self._tasks):
            return ""
        return f"leases have not been renewed for longer than they last, {self._seconds:g} s"

    async def start(self) -> None:
        """Take a first share, and go on.

        Raises:
            StoreError: the store cannot be reached.
        """
        await self.tick()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._renew(), name="secagg leases"),
            loop.create_task(self._fence(), name="secagg fence"),
        ]

    async def stop(self) -> None:
        """Renew nothing any more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def leave(self) -> None:
        """Give back what is held, after `stop`; others do not count this process any more."""
        held = [holding.lease() for holding in self.held.values()]
        self.held.clear()
        await asyncio.to_thread(self._thread.shutdown)
        try:
            await asyncio.to_thread(self._store.acquire, self._replica, 0.0, 0)
            await asyncio.to_thread(self._store.release, held)
        except STORE_FAILURES as error:
            self._tools.observer.store_failed("", error)

    def hurry(self) -> None:
        """Look at once, or when a second has passed since the last time: there is something to take."""
        self._hurry.set()

    def hold(self, holding: Holding) -> None:
        """Renew this one from now on."""
        self.held[holding.name] = holding
        self._changed.set()

    def drop(self, holding: Holding) -> bool:
        """Renew this one no longer; says whether it was still held."""
        if self.held.get(holding.name) is not holding:
            return False
        del self.held[holding.name]
        return True

    async def give_back(self, holding: Holding) -> None:
        """Let others take it; when they cannot be told, they can when it has run out."""
        self.drop(holding)
        try:
            await self._run(self._store.release, [holding.lease()])
        except STORE_FAILURES as error:
            self._tools.observer.store_failed(holding.name, error)

    async def acquire(self, name: str) -> None:
        """Take one session, if nobody has it.

        Raises:
            StoreError: the store cannot be reached.
        """
        until = self._tools.clock.now() + self._seconds
        for lease in await self._run(self._store.acquire, self._replica, self._seconds, 1, name):
            self._taken(lease, until)

    async def tick(self) -> None:
        """Renew, and take what is free, up to an equal share; leave to others what cannot be gone on with here.

        Raises:
            StoreError: the store cannot be reached.
        """
        clock, store = self._tools.clock, self._store
        begun = clock.now()
        holdings = tuple(self.held.values())
        leases = [holding.lease() for holding in holdings]
        kept = await self._run(store.renew, self._replica, self._seconds, leases)
        self._renewed_at = begun
        for holding in holdings:
            if holding.name in kept:
                holding.until = begun + self._seconds
                if kept[holding.name]:
                    self._tools.observer.store_failed(holding.name, DamagedError(kept[holding.name]))
            elif self.held.get(holding.name) is holding:
                self._lost(holding, FencedError(f"session {holding.name} has passed to another replica"))
        running = sum(not ended for ended in (await self._run(store.names)).values())
        self.replicas = max(1, await self._run(store.replicas))
        room = math.ceil(running / self.replicas) - len(self.held)
        if self.replicas > 1 and not await self._able():
            # Not only the database has to be there: who does not reach the uploads keeps all waiting for good.
            room = 0
            for holding in tuple(self.held.values()):
                self._lost(
                    holding, StoreError(f"this server is not ready, and leaves session {holding.name} to others")
                )
        until = clock.now() + self._seconds
        for lease in await self._run(store.acquire, self._replica, self._seconds, max(0, room)):
            self._taken(lease, until)

    async def _run(self, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await self._tools.run_in(self._thread, call, *args, **kwargs)

    async def _renew(self) -> None:
        clock, hurried = self._tools.clock, -math.inf
        while True:
            due = self._renewed_at + self._seconds / _PARTS
            if await clock.wait(self._hurry, due):
                # What one process cannot go on with, and gives back, would go round among all as fast as they can.
                await clock.wait(asyncio.Event(), min(due, hurried + _HURRY_SECONDS))
                hurried = clock.now()
            self._hurry.clear()  # Before it looks: what is given back while it does is not overlooked.
            try:
                await self.tick()
            except STORE_FAILURES as error:
                self._tools.observer.store_failed("", error)
                await clock.wait(asyncio.Event(), clock.now() + self._seconds / _PARTS / _PARTS)

    async def _fence(self) -> None:
        """Give up what may have run out, however long the store takes to answer a renewal."""
        clock = self._tools.clock
        while True:
            self._changed.clear()
            for holding in [holding for holding in self.held.values() if not holding.holds]:
                self._lost(holding, StoreError(f"the lease on session {holding.name} could not be renewed in time"))
            until = min((holding.until for holding in self.held.values()), default=None)
            await clock.wait(self._changed, until)
