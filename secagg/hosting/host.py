"""Many sessions in one process: creates them, finds them, and takes them up again after a restart.

The store belongs to whoever made it; one host uses it at a time. Must not know transports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final

from secagg.errors import SecAggError
from secagg.executor import INLINE, Executor
from secagg.hosting.clock import Clock, LoopClock
from secagg.hosting.errors import (
    HostUnavailableError,
    ResultNotReadyError,
)
from secagg.hosting.index import SessionIndex
from secagg.hosting.journal import Journal
from secagg.hosting.keeper import Keeper
from secagg.hosting.logins import Logins, OwnLogins
from secagg.hosting.observer import HostObserver
from secagg.hosting.quotas import Quotas, Space
from secagg.hosting.readiness import Readiness
from secagg.hosting.replica import Replica
from secagg.hosting.replies import EndKind
from secagg.hosting.restarting import name_first, require_own_name
from secagg.hosting.retention import Expiry, Retention
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.session import HostedSession
from secagg.hosting.tools import STORE_FAILURES, Background, Tools
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.events import Progress
from secagg.protocol.messages import SessionOffer
from secagg.protocol.transitions import rounds
from secagg.session.server import message_limit_of
from secagg.store.base import (
    DamagedError,
    SessionRecord,
    SessionStore,
    StoreConflictError,
    check_session_name,
    check_tenant,
)
from secagg.wire.codec import decode_offer, encode_offer

_DEFAULT_QUOTAS: Final = Quotas()
_KEEP_ALL: Final = Retention()
_ENDED: Final = frozenset({EndKind.COMPLETED.value, EndKind.ABORTED.value})


class SessionHost(SessionIndex):
    """Hosts sessions: `async with SessionHost(store) as host`, or `start` and `stop`.

    Args:
        store: where sessions are kept; closed by whoever made it, after `stop`.
        quotas: bounds.
        observer: told what happens, for logs and metrics.
        executor: who does the long computations of sessions.
        clock: monotonic seconds; the event loop's by default.
        workers: threads for blocking calls, and as many for the ends of last rounds, which may take long.
        wall_clock: seconds since 1970: for people, for logins, and for how long something is kept.
        retention: how long ended sessions are kept.
        pinned: names of sessions that are never forgotten, nor those that follow them: whoever offers sessions by name
            would make them anew.
        gather_seconds: how long an answer may wait for those of others who are awaited, to become durable with them.

    Attributes:
        pinned: as given; may be changed.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        quotas: Quotas = _DEFAULT_QUOTAS,
        observer: HostObserver | None = None,
        executor: Executor = INLINE,
        clock: Clock | None = None,
        workers: int = 8,
        wall_clock: Callable[[], float] = time.time,
        retention: Retention = _KEEP_ALL,
        pinned: Collection[str] = frozenset(),
        gather_seconds: float = 0.0,
    ) -> None:
        tools = Tools(
            store=store,
            clock=LoopClock() if clock is None else clock,
            observer=HostObserver() if observer is None else observer,
            quotas=quotas,
            space=Space(quotas.upload_bytes),
            executor=executor,
            threads=ThreadPoolExecutor(workers, thread_name_prefix="secagg-host"),
            wall_clock=wall_clock,
            unmasking=ThreadPoolExecutor(workers, thread_name_prefix="secagg-unmasking"),
            gather_seconds=gather_seconds,
        )
        super().__init__(tools)
        self._readiness = Readiness(self._tools, self._lacking)
        self._logins = OwnLogins()
        self.pinned = pinned
        self._expiry = Expiry(self._tools, self, retention)
        self._expiring: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._working = Background()

    @property
    def observer(self) -> HostObserver:
        """Who is told what happens; a transport tells it of logins."""
        return self._tools.observer

    @property
    def logins(self) -> Logins:
        """What a transport needs to know its nonces and tokens again."""
        return self._logins

    async def trouble(self) -> str:
        """Why answers cannot be taken in now, in one sentence; empty when they can. Makes a write durable to know it.

        The sentence may name files: it is for operators.
        """
        if not self._running:
            return "the host does not run"
        return await self._readiness.check()

    def known_trouble(self, seconds: float) -> str | None:
        """What `trouble` found not long ago; None when nobody asked. May be called by any thread.

        Args:
            seconds: how long ago at most.
        """
        return self._readiness.known(seconds)

    async def start(self) -> None:
        """Take up every session of the store: ended ones as they are, the others by a replay of their logs.

        A session whose log cannot be followed is kept as "failed" (the observer hears why); the others run. So is one
        whose record is damaged, which nobody can take part in: `damaged` has its name.

        Raises:
            StoreError: the store cannot be read.
        """
        async with self._changing:
            self._sessions = {}
            records = await self._tools.run(self._tools.store.sessions)
            self._damaged = dict(await self._tools.run(self._tools.store.damaged))
            for name, sentence in self._damaged.items():
                self._tools.observer.session_failed(name, DamagedError(sentence))
            opened = await asyncio.gather(*(self._take_up(record) for record in records))
            taken_up = {session.name: session for session in opened if session is not None}
            self._sessions = taken_up | self._sessions  # of those some may have begun again already
            self._running = True
            self._expiring = asyncio.get_running_loop().create_task(self._expiry.run(), name="secagg retention")

    async def stop(self) -> None:
        """Stop all sessions after the steps that are being made; what is durable stays."""
        self._running = False
        if self._expiring is not None:
            self._expiring.cancel()
            await asyncio.wait([self._expiring])
        self._tell_of_sessions()
        async with self._changing:
            closed: set[str] = set()
            while left := self._sessions.keys() - closed:  # one may begin again until it is closed
                await asyncio.gather(*(self._sessions[name].close() for name in left))
                closed |= left
        await self._working.ended()
        for threads in (self._tools.unmasking, self._tools.threads):
            await asyncio.to_thread(threads.shutdown)
        await asyncio.to_thread(self._readiness.close)

    async def __aenter__(self) -> SessionHost:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def create(
        self,
        name: str,
        parameters: SessionParameters,
        *,
        roster: Mapping[ClientId, bytes] | None = None,
        schedule: RoundSchedule,
        tenant: str = "",
    ) -> HostedSession:
        """Host a new session; the same again returns the session that is there, ended or not.

        Goes on when the caller is cancelled: a session that only the store had would keep its name from everybody.
        Parameters draw a nonce when they are chosen: whoever chooses them anew asks `has` first.

        Args:
            name: see `secagg.store.base.check_session_name`.
            parameters: what is offered.
            roster: client id to 32-byte Ed25519 key: needed in an active session, and by transports that
                authenticate clients with it. Keys of others than the cohort are left out.
            schedule: deadlines for all rounds of the session.
            tenant: whose session it is; see `secagg.store.base.check_tenant`.

        Raises:
            ParameterError: a bad name or tenant, a roster without a client, a schedule without a round.
            StoreConflictError: the name is taken by a session with other content.
            QuotaExceededError: too many sessions, too large a cohort, or too long messages.
            HostUnavailableError: the store failed, or the host does not run.
        """
        require_own_name(check_session_name(name))
        check_tenant(tenant)
        schedule.require(rounds(parameters.threat_model))
        keys = {client: bytes((roster or {})[client]) for client in parameters.cohort if client in (roster or {})}
        record = SessionRecord(
            name, encode_offer(SessionOffer(parameters)), keys, schedule.encode(), self._tools.wall_clock(), tenant
        )
        return await asyncio.shield(self._working.begin(self._create(record, parameters, schedule)))

    async def find(self, name: str) -> HostedSession:
        """Return a session by its name, one that this host has not heard of yet, too.

        Args:
            name: of any form.

        Raises:
            UnknownSessionError: there is none, or it is damaged.
            HostUnavailableError: the store failed.
        """
        return self.session(name)

    async def discard(self, name: str) -> bool:
        """Forget a session that has ended or is damaged, its result included; says whether it was still there.

        Args:
            name: of a session that has ended.

        Raises:
            UnknownSessionError: there is none.
            ResultNotReadyError: it has not ended.
            HostUnavailableError: the store failed.
        """
        async with self._changing:
            if name not in self._damaged:
                session = self.session(name)
                if not session.damaged and session.status().state not in _ENDED:
                    raise ResultNotReadyError(f"session {name} has not ended; abort it first")
                return await self._discard(session)
            removed = await self._remove(name)
            self._damaged.pop(name, None)
            return removed

    async def revoke(self, keys: Mapping[ClientId, bytes]) -> int:
        """Take these keys for all that are valid: clients with others are let in no more, and dropped where they take
        part. Returns how many were dropped, one in two sessions twice.

        Args:
            keys: client id to 32-byte Ed25519 key.

        Raises:
            HostUnavailableError: not all are dropped; they are let in no more even so. Try again.
        """
        self._keys = dict(keys)
        # All at once: one that fails, or is in a long step, keeps nobody in the others.
        revoking = (session.revoke(self._keys) for session in self.sessions())
        found = await asyncio.gather(*revoking, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException):
                raise error
        return sum(count for count in found if isinstance(count, int))

    def limit(self, quotas: Quotas) -> None:
        """Take other bounds from now on; those of one client hold in sessions that are created from now on."""
        self._tools.quotas = quotas
        self._tools.space.bound(quotas.upload_bytes)

    def retain(self, retention: Retention) -> None:
        """Keep ended sessions for so long from now on."""
        self._expiry.change(retention)

    async def _create(
        self, record: SessionRecord, parameters: SessionParameters, schedule: RoundSchedule
    ) -> HostedSession:
        async with self._changing:
            if not self._running:
                raise HostUnavailableError("the host does not run; start it, or come again later")
            name, tenant = record.name, record.tenant
            known = self._sessions.get(name)
            if name in self._damaged:
                raise StoreConflictError(self._damaged[name])
            if known is not None:
                if known.record != record:
                    raise StoreConflictError(f"session {name} exists with other content; choose another name")
                return known
            self._require_unfollowed(name)
            occupied = [session.record.tenant for session in self._sessions.values() if session.occupied]
            self._tools.quotas.require_room(occupied, tenant, parameters.clients)
            await self._forget_oldest()
            self._tools.quotas.require_length(message_limit_of(parameters))
            replica = await self._tools.run(self._replica(name, parameters, record.roster))
            try:
                await self._tools.run(self._tools.store.create, record)
            except StoreConflictError:
                raise
            except STORE_FAILURES as error:
                raise self._tools.unavailable(name, error) from error
            self._tools.observer.session_created(name, parameters.clients)
            session = await self._open(record, parameters, schedule, replica)
            self._sessions[name] = session
            self._tell_of_sessions()
            return session

    async def _take_up(self, record: SessionRecord) -> HostedSession | None:
        try:
            parameters = decode_offer(record.offer).parameters
            schedule = RoundSchedule.decode(record.schedule)
            making = self._replica(record.name, parameters, record.roster)
            replica = await self._tools.run(self._replica_to_run, record.name, making)
        except (SecAggError, OSError) as error:
            self._tools.observer.session_failed(record.name, error)
            self._damaged[record.name] = f"session {record.name} cannot be taken up: {error}"
            return None
        return await self._open(record, parameters, schedule, replica)

    def _lacking(self) -> str:
        """What keeps this host from its work although its store can be written, in one sentence, or nothing."""
        return ""

    def _replica_to_run(self, name: str, making: Callable[[], Replica]) -> Replica | None:
        """A new session, unless it has ended: of those there may be thousands."""
        try:
            ended = self._tools.store.outcome(name) is not None
        except STORE_FAILURES:
            ended = False  # said by `_open`, which reads it again
        return None if ended else making()

    async def _open(
        self, record: SessionRecord, parameters: SessionParameters, schedule: RoundSchedule, replica: Replica | None
    ) -> HostedSession:
        tools, outcome = self._tools, None
        try:
            outcome = await tools.run(tools.store.outcome, record.name)
            keeper = Keeper(tools, record, parameters.clients, schedule, outcome, on_restart=self._follow_up)
            if outcome is None and replica is not None:
                await keeper.open(Journal(tools.store, record.name, replica))
            else:
                keeper.count_stored(await tools.run(tools.store.upload_bytes, record.name))
        except (SecAggError, OSError) as error:
            tools.observer.session_failed(record.name, error)
            keeper = Keeper(tools, record, parameters.clients, schedule, outcome)
            keeper.fail(error)
        return HostedSession(tools, record, parameters, message_limit_of(parameters), keeper)

    async def _follow_up(self, record: SessionRecord, new: bool) -> None:
        """Host a session that follows another; one that is not new is there, or among those that are being taken up.

        Without the lock: whoever has it may wait for the end of the session that it follows.
        """
        if new:
            parameters = decode_offer(record.offer).parameters
            self._tools.observer.session_created(record.name, parameters.clients)
            session = await self._take_up(record)
            if session is not None:
                self._sessions[record.name] = session
                self._tell_of_sessions()

    def _require_unfollowed(self, name: str) -> None:
        """Demand that no session follows an earlier one of this name, which would be taken for this one's.

        Raises:
            StoreConflictError: one does, or follows one that does.
        """
        for follower in (*self._sessions, *self._damaged):
            if name_first(follower) == name:
                raise StoreConflictError(
                    f"session {follower} follows an earlier session {name}; discard it, or choose another name"
                )

    def _replica(
        self, name: str, parameters: SessionParameters, roster: Mapping[ClientId, bytes]
    ) -> Callable[[], Replica]:
        """What makes a new session, in a thread; its progress is told on the event loop."""
        loop, observer = asyncio.get_running_loop(), self._tools.observer

        def tell(progress: Progress) -> None:
            if not progress.done:
                loop.call_soon_threadsafe(observer.stage_entered, name, progress.stage)
            loop.call_soon_threadsafe(observer.unmasking_progressed, name, progress)

        return lambda: Replica(parameters, roster, on_progress=tell, executor=self._tools.executor)

    async def _forget_oldest(self) -> None:
        """Forget ended sessions, whose results were fetched, above the quota, but for what is damaged."""
        over = [session for session in self._sessions.values() if not session.occupied and not session.damaged]
        over = [session for session in over if name_first(session.name) not in self.pinned]
        for session in over[: max(0, len(over) - self._tools.quotas.ended_sessions)]:
            await self._discard(session)

    async def _discard(self, session: HostedSession) -> bool:
        if not session.damaged:
            await session.wait_ended()
        removed = await self._remove(session.name, None if session.damaged else session.record)
        session.discarded()
        if self._sessions.get(session.name) is session:  # otherwise another process has discarded it meanwhile
            del self._sessions[session.name]
        return removed

    async def _remove(self, name: str, record: SessionRecord | None = None) -> bool:
        try:
            return await self._tools.run(self._tools.store.discard, name, record)
        except STORE_FAILURES as error:
            raise self._tools.unavailable(name, error) from error
