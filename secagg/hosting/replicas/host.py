"""A host of sessions that other processes host, too: any of them answers any caller.

It follows every session of the store, and goes on with those on which it has a lease. Replicas meet in the store only;
what one does, the others hear by its news, and see at the latest when they poll. Must not know transports.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from secagg.errors import SecAggError
from secagg.executor import INLINE, Executor
from secagg.hosting.clock import Clock
from secagg.hosting.errors import HostUnavailableError, UnknownSessionError, unknown_session
from secagg.hosting.host import SessionHost
from secagg.hosting.journal import InDoubtError, Journal
from secagg.hosting.keeper import Keeper
from secagg.hosting.logins import Logins
from secagg.hosting.observer import HostObserver
from secagg.hosting.offers import parameters_of
from secagg.hosting.quotas import Quotas
from secagg.hosting.replica import Replica
from secagg.hosting.replicas.exchange import Exchange
from secagg.hosting.replicas.follower import Follower
from secagg.hosting.replicas.holding import Holding
from secagg.hosting.replicas.leases import Leases
from secagg.hosting.replicas.logins import SharedLogins
from secagg.hosting.retention import Retention
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.session import HostedSession
from secagg.hosting.tools import STORE_FAILURES
from secagg.parameters import ClientId, SessionParameters
from secagg.session.server import message_limit_of
from secagg.store.base import DamagedError, FencedError, SessionRecord, is_session_name
from secagg.store.shared import Lease, News, SharedStore

LEASE_SECONDS: Final = 10.0
_DEFAULT_QUOTAS: Final = Quotas()
_KEEP_ALL: Final = Retention()
_NEWS_SECONDS: Final = 0.25  # a thread waits for so long; the end of a host waits for the thread
_POLL_SECONDS: Final = 1.0


class SharedHost(SessionHost):
    """Hosts the sessions of a store together with other processes; see `SessionHost`.

    Args:
        store: of this process alone, and where all of them meet.
        lease_seconds: after how long others go on with the sessions of a process that died.
        quotas: bounds, over all processes; rates are each process' own.
        observer: told what happens here.
        executor: who does the long computations of sessions.
        clock: monotonic seconds; the event loop's by default.
        workers: threads for blocking calls.
        wall_clock: seconds since 1970.
        retention: how long ended sessions are kept.
        pinned: names of sessions that are never forgotten.
        gather_seconds: how long an answer may wait for those of others who are awaited.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        lease_seconds: float = LEASE_SECONDS,
        quotas: Quotas = _DEFAULT_QUOTAS,
        observer: HostObserver | None = None,
        executor: Executor = INLINE,
        clock: Clock | None = None,
        workers: int = 16,
        wall_clock: Callable[[], float] = time.time,
        retention: Retention = _KEEP_ALL,
        pinned: Collection[str] = frozenset(),
        gather_seconds: float = 0.0,
    ) -> None:
        super().__init__(
            store,
            quotas=quotas,
            observer=observer,
            executor=executor,
            clock=clock,
            workers=workers,
            wall_clock=wall_clock,
            retention=retention,
            pinned=pinned,
            gather_seconds=gather_seconds,
        )
        self._shared = store
        self._exchange = Exchange(self._tools, store)
        self._lease_seconds = lease_seconds
        self._replica_name = secrets.token_hex(16)
        self._ears = ThreadPoolExecutor(1, thread_name_prefix="secagg-news")
        self._leases: Leases | None = None
        self._shared_logins: SharedLogins | None = None
        self._followers: dict[str, Follower] = {}
        self._opening: dict[str, asyncio.Task[object]] = {}
        self._retiring: dict[str, Follower] = {}
        self._counted = -math.inf
        self._listening: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[object] | None = None
        self._work: set[asyncio.Task[object]] = set()
        self._leaving = asyncio.Event()

    @property
    def logins(self) -> Logins:
        """Those of all replicas, once the host was started."""
        return super().logins if self._shared_logins is None else self._shared_logins

    async def start(self) -> None:
        """Follow every session of the store, and take a share of those that nobody goes on with.

        Raises:
            StoreError: the store cannot be read.
        """
        tools = self._tools
        secret = await tools.run(self._shared.secret)
        self._shared_logins = SharedLogins(tools, self._exchange, secret)
        self._leases = Leases(
            tools, self._shared, self._replica_name, self._lease_seconds, self._able, self._take_lease, self._lose
        )
        await super().start()
        await self._leases.start()
        self._listening = asyncio.get_running_loop().create_task(self._listen(), name="secagg news")

    async def stop(self) -> None:
        """Stop all sessions after the steps that are being made, and let other processes go on with them at once."""
        self._leaving.set()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._leases is not None:
            await self._leases.stop()
        for task in tuple(self._opening.values()):
            task.cancel()
        while self._work:
            await asyncio.wait(self._work)
        for follower in self._followers.values():  # Some may have callers and no seat: it was left for a keeper.
            await follower.stop()
        await super().stop()
        await asyncio.to_thread(self._ears.shutdown)
        if self._leases is not None:
            await self._leases.leave()

    async def create(
        self,
        name: str,
        parameters: SessionParameters,
        *,
        roster: Mapping[ClientId, bytes] | None = None,
        schedule: RoundSchedule,
        tenant: str = "",
    ) -> HostedSession:
        """Host a new session here and everywhere; see `SessionHost.create`.

        Returns:
            The session, as this host has it.
        """
        if self._running:
            try:
                await self._poll(missed=False)
            except STORE_FAILURES as error:
                raise self._tools.unavailable(name, error) from error
        session = await super().create(name, parameters, roster=roster, schedule=schedule, tenant=tenant)
        if self._leases is not None and name not in self._leases.held and session.status().state == "starting":
            try:
                await self._leases.acquire(name)
            except STORE_FAILURES as error:
                self.observer.store_failed(name, error)
            opening = self._opening.get(name)
            if opening is not None:
                await asyncio.wait([opening])
        return session

    async def find(self, name: str) -> HostedSession:
        """Return a session by its name, one that another process has just created, too.

        Args:
            name: of any form.
        """
        if name not in self._sessions and name not in self._damaged:
            if not is_session_name(name):
                # Not asked for: a store refuses some texts, and with them what others ask at the same time.
                raise unknown_session(name)
            try:
                if self._running and await self._exchange.knows(name):
                    await self._learn(name)
            except STORE_FAILURES as error:
                raise self._tools.unavailable(name, error) from error
            if name not in self._sessions and not self._running:
                # Others may have created it: who is told that there is none does not come again.
                raise HostUnavailableError("the host does not run; come again later")
        return self.session(name)

    async def _open(
        self, record: SessionRecord, parameters: SessionParameters, schedule: RoundSchedule, replica: Replica | None
    ) -> HostedSession:
        follower = Follower(self._tools, self._shared, self._exchange, record, parameters.clients)
        self._followers[record.name] = follower
        follower.over = True  # Asked for once, whatever was published.
        await follower.heard()
        follower.over = follower.outcome is not None
        return HostedSession(self._tools, record, parameters, message_limit_of(parameters), follower)

    def _lacking(self) -> str:
        if self._leases is not None and self._leases.trouble:
            return self._leases.trouble
        if self._listening is None or self._listening.done():
            return "this process does not hear of other replicas any more; restart it"
        return ""

    def _replica_to_run(self, name: str, making: Callable[[], Replica]) -> None:
        """None: who follows needs no session."""

    async def _follow_up(self, record: SessionRecord, new: bool) -> None:
        """Go on with a session that follows another, unless somebody else does."""
        if new:
            self.observer.session_created(record.name, parameters_of(record.offer).clients)
        self._spawn(record.name, self._go_on_with(record.name))

    async def _go_on_with(self, name: str) -> None:
        try:
            await self._learn(name)
            if self._leases is not None and name not in self._leases.held:
                await self._leases.acquire(name)
        except STORE_FAILURES as error:
            self.observer.store_failed(name, error)
        except HostUnavailableError:
            return  # The observer has heard of it; whoever polls finds it.

    async def _learn(self, name: str) -> None:
        """Follow a session that the store has and this host does not know, or knew as damaged: another process may have
        discarded that one, and its name is free again.

        Raises:
            HostUnavailableError: the store cannot be read.
        """
        async with self._changing:
            if name in self._sessions or not self._running:
                return
            try:
                record = await self._tools.run(self._shared.record, name)
            except DamagedError as error:
                if name not in self._damaged:
                    self.observer.session_failed(name, error)
                self._damaged[name] = str(error)
                return
            except STORE_FAILURES as error:
                raise self._tools.unavailable(name, error) from error
            self._damaged.pop(name, None)
            if record is None:
                return
            session = await self._take_up(record)
            if session is not None:
                self._sessions[name] = session
                self._tell_of_sessions()

    async def _require_same(self, name: str) -> None:
        """Forget a session whose name another one has in the store: it was discarded, and its name given again.

        Raises:
            StoreError: the store cannot be read.
        """
        session = self._sessions.get(name)
        if session is None:
            return
        try:
            record = await self._tools.run(self._shared.record, name)
        except DamagedError:
            return  # said by whoever needs it
        same = record is not None and (record, record.created_at) == (session.record, session.record.created_at)
        if record is not None and not same and self._sessions.get(name) is session:
            self._forget(name)
            await self._learn(name)

    async def _able(self) -> bool:
        """Whether this process can go on with sessions, asked of the store again where it could not when last asked."""
        return not self._readiness.known(math.inf) or not await self._readiness.check()

    def _take_lease(self, lease: Lease, until: float) -> None:
        """A lease was acquired: replay the session, and go on with it."""
        leases = self._leases
        if leases is not None:
            holding = Holding(self._tools, self._shared, self._exchange, lease, until, self._left, self._fail)
            leases.hold(holding)
            self.observer.lease_taken(lease.name, lease.epoch)
            if lease.damage:
                self.observer.store_failed(lease.name, DamagedError(lease.damage))
            task = self._opening[lease.name] = self._spawn(lease.name, self._go_on(holding))
            task.add_done_callback(lambda _: self._opening.pop(lease.name, None))

    async def _go_on(self, holding: Holding) -> None:
        name, tools = holding.name, self._tools
        keeper: Keeper | None = None
        try:
            if name in self._sessions:
                await self._require_same(name)
            if name not in self._sessions:
                await self._learn(name)
            session = self.session(name)
            record = session.record
            schedule = RoundSchedule.decode(record.schedule)
            await holding.take_over()
            replica = await tools.run(self._replica(name, session.parameters, record.roster))
            clients = session.parameters.clients
            keeper = Keeper(tools, record, clients, schedule, None, holding, on_restart=self._follow_up)
            holding.keeper = keeper
            await keeper.open(Journal(self._shared, name, replica, holding.epoch))
        except (FencedError, InDoubtError, HostUnavailableError) as error:
            self._lose(holding, error)
        except UnknownSessionError:
            await self._give_back(holding)
        except DamagedError as error:
            await self._cannot_go_on(holding, keeper, error)
        except STORE_FAILURES as error:
            tools.observer.store_failed(name, error)
            self._lose(holding, error)
        except SecAggError as error:
            await self._cannot_go_on(holding, keeper, error)
        else:
            if self._leases is not None and self._leases.held.get(name) is holding:
                self._sit(name, keeper)
            else:
                await keeper.stop()

    async def _cannot_go_on(self, holding: Holding, keeper: Keeper | None, error: SecAggError) -> None:
        """Keep the lease of a session that nobody can go on with, and say so to all."""
        self.observer.session_failed(holding.name, error)
        if keeper is not None and holding.name in self._sessions:
            keeper.fail(error)
            self._sit(holding.name, keeper)
            self._fail(holding)

    def _fail(self, holding: Holding) -> None:
        self._spawn(holding.name, self._tell_failure(holding))

    async def _tell_failure(self, holding: Holding) -> None:
        """Say that nobody can go on with a session, however often the store refuses it, as long as that is so."""
        clock, leases = self._tools.clock, self._leases
        while leases is not None and leases.held.get(holding.name) is holding and not self._leaving.is_set():
            try:
                await holding.publish_failure()
                return
            except FencedError as error:
                self.observer.store_failed(holding.name, error)
                return  # Who goes on with it says so.
            except DamagedError:
                # Whoever follows finds a damaged session; a damaged lease is mended by a renewal, which says so.
                await clock.wait(self._leaving, clock.now() + self._lease_seconds)
            except STORE_FAILURES as error:
                self.observer.store_failed(holding.name, error)
                await clock.wait(self._leaving, clock.now() + _POLL_SECONDS)

    def _left(self, holding: Holding, error: Exception | None) -> None:
        """A keeper keeps its session no longer: it has ended, or somebody else may go on with it."""
        if error is None:
            follower = self._followers.get(holding.name)
            if self._leases is not None and self._leases.drop(holding) and follower is not None:
                follower.over = True
                holding.close()
                self._retiring[holding.name] = follower
                self._spawn(holding.name, self._retire(holding.name, follower))
        else:
            self._lose(holding, error)

    async def _retire(self, name: str, follower: Follower) -> None:
        """Follow a session that ended here, since another process may release its result; where the store cannot be
        asked now, later: its keeper would go on to say that there is one."""
        await follower.heard()
        if (follower.outcome is not None or follower.damage) and self._retiring.get(name) is follower:
            del self._retiring[name]
            if self._followers.get(name) is follower:
                self._sit(name, follower)

    def _lose(self, holding: Holding, error: Exception) -> None:
        """Follow a session whose lease is lost, or whose log may have more than its keeper has seen."""
        if self._leases is None or not self._leases.drop(holding):
            return
        self.observer.lease_lost(holding.name, holding.epoch, str(error))
        follower = self._followers.get(holding.name)
        if follower is not None and holding.name in self._sessions:
            self._sit(holding.name, follower)
            self._spawn(holding.name, follower.heard())
        self._spawn(holding.name, self._let_go(holding))

    async def _let_go(self, holding: Holding) -> None:
        if holding.keeper is not None:
            await holding.keeper.stop()
        holding.close()
        await self._give_back(holding)

    async def _give_back(self, holding: Holding) -> None:
        if self._leases is not None:
            await self._leases.give_back(holding)

    def _sit(self, name: str, seat: Keeper | Follower) -> None:
        self._sessions[name].sit(seat)

    async def _listen(self) -> None:
        """Hear what other processes do; look at everything every second, whatever was heard."""
        clock, loop = self._tools.clock, asyncio.get_running_loop()
        polled = clock.now()
        while True:
            try:
                heard = await loop.run_in_executor(self._ears, self._shared.news, _NEWS_SECONDS)
                if heard is None or clock.now() - polled >= _POLL_SECONDS:
                    polled = clock.now()
                    await self._poll(heard is None)
                if heard is not None:
                    await self._hear_news(heard)
            except STORE_FAILURES as error:
                self.observer.store_failed("", error)
                await clock.wait(asyncio.Event(), clock.now() + _POLL_SECONDS)
            except HostUnavailableError:
                continue  # The observer has heard of it.

    async def _poll(self, missed: bool) -> None:
        """Learn of new sessions, forget those that are gone, look for letters and receipts."""
        known, damaged = tuple(self._sessions.items()), tuple(self._damaged)
        due = self._tools.clock.now() - self._counted >= self._lease_seconds / 3
        names = await self._tools.run(self._shared.names)
        for name, session in known:
            # What was made since the store was asked is not missed in its answer.
            if name not in names and self._sessions.get(name) is session:
                self._forget(name)
        for name in damaged:
            if name not in names:
                self._damaged.pop(name, None)
        for name, over in names.items():
            follower = self._followers.get(name)
            if follower is None:
                if missed or name not in self._damaged:
                    await self._hear(name)
                continue
            if missed or (follower.over and not over):
                await self._require_same(name)
                follower = self._followers.get(name, follower)
            follower.over = follower.over or over
            holding = None if self._leases is None else self._leases.held.get(name)
            if holding is not None and (missed or (self._leases is not None and self._leases.replicas > 1)):
                holding.heard()
            # Nobody publishes that a session cannot be gone on with: who only watches it would wait for good.
            unsure = due and holding is None and follower.outcome is None and not follower.damage
            if missed or follower.awaited or unsure or (over and follower.outcome is None):
                self._spawn(name, follower.heard())
        for name, follower in tuple(self._retiring.items()):
            if self._followers.get(name) is follower:
                self._spawn(name, self._retire(name, follower))
            else:
                del self._retiring[name]
        if self._counting is None and due:
            self._counted = self._tools.clock.now()
            self._counting = self._spawn("", self._count())

    async def _count(self) -> None:
        """Count what the store has of all sessions that take space, and see which results others released."""
        tools, stored, counted = self._tools, 0, 0
        try:
            for name, session in tuple(self._sessions.items()):
                follower = self._followers.get(name)
                if session.occupied and follower is not None:
                    if session.status().result_ready:
                        await follower.look()
                    size = await tools.run(self._shared.upload_bytes, name)
                    follower.stored_bytes = None if follower.outcome is None else size
                    stored += size
                    counted += session.stored_here
            tools.space.elsewhere = max(0, stored - counted)
        except STORE_FAILURES as error:
            if name in self._sessions:  # otherwise it was discarded meanwhile
                self.observer.store_failed(name, error)
        except HostUnavailableError:
            return  # The observer has heard of it.
        finally:
            self._counting = None

    async def _hear_news(self, news: News) -> None:
        held = {} if self._leases is None else self._leases.held
        for name in news.sent & held.keys():
            held[name].heard()
        for name in news.answered - news.changed:
            follower = self._followers.get(name)
            if follower is not None:
                follower.answers += 1
                if follower.waiting:
                    self._spawn(name, follower.heard())
        for name in news.changed:
            await self._hear(name)
        if news.freed and self._leases is not None:
            self._leases.hurry()

    async def _hear(self, name: str) -> None:
        holding = None if self._leases is None else self._leases.held.get(name)
        follower = self._followers.get(name)
        if holding is not None:
            holding.heard()
        if follower is None:
            await self._learn(name)
            return
        follower.answers += 1
        if holding is None or follower.waiting:  # Letters that were left here before it had the lease.
            self._spawn(name, follower.heard())

    async def _discard(self, session: HostedSession) -> bool:
        try:
            removed = await super()._discard(session)
        finally:
            if session.name not in self._sessions:
                self._followers.pop(session.name, None)
        if not removed and session.name in await self._names():
            raise HostUnavailableError(f"session {session.name} was discarded and made anew meanwhile; ask again")
        return removed

    async def _names(self) -> Mapping[str, bool]:
        try:
            return await self._tools.run(self._shared.names)
        except STORE_FAILURES as error:
            raise self._tools.unavailable("", error) from error

    def _forget(self, name: str) -> None:
        """A session was discarded by another process."""
        session = self._sessions.pop(name, None)
        self._followers.pop(name, None)
        if session is not None:
            self._spawn(name, session.close())

    def _spawn(self, name: str, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Begin what is waited for at the end; a defect of it is one of this session."""

        def worked(task: asyncio.Task[object]) -> None:
            self._work.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.observer.session_failed(name, error)

        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(worked)
        return task
