"""The one task that changes a session: takes what waits, makes it durable, shows it to the session, answers.

Everything that waits goes into one transaction of the store (group commit). Rounds close when all have answered, when
their time is up, or as soon as too few are left. The event loop never waits for the disk or the arithmetic: worker
threads make these steps, one at a time, and what the loop reads is set when a step is over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from secagg.errors import AbortReason
from secagg.executor import Troubled
from secagg.hosting.book import RoundBook
from secagg.hosting.errors import HostUnavailableError, QuotaExceededError
from secagg.hosting.inbox import Inbox, Sorted, Waiting
from secagg.hosting.journal import InDoubtError, Journal, NotLoggedError, Step
from secagg.hosting.relay import Account, Relay
from secagg.hosting.replica import ENDED, CloseCause, View, abort_detail, abort_entry, close_entry, drop_entry
from secagg.hosting.replies import (
    Departure,
    Ended,
    EndKind,
    HostReason,
    Receipt,
    Request,
    SessionStatus,
    departure_of,
)
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.timer import Timer
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.parameters import ClientId
from secagg.protocol.messages import Round
from secagg.store.base import Aborted, Completed, DamagedError, Entry, EntryKind, FencedError, Outcome, SessionRecord

RETRY_SECONDS: Final = 1.0


class Keeper:
    """Drives one session from its first round to its stored outcome.

    Args:
        tools: of the host.
        record: of the session.
        clients: size of its cohort.
        schedule: its deadlines.
        outcome: how it ended, if it has ended; it is then only looked at.
        relay: to other processes that host the same session, if there are any.

    Attributes:
        news: set, and replaced by another, whenever a client may be asked something else.
        end: how the session ended, or None.
        outcome: the same as the store has it, or None while the session runs or its end is being written.
        damage: that the store has the session damaged, in one sentence, or empty: there will be no sum.
    """

    def __init__(
        self,
        tools: Tools,
        record: SessionRecord,
        clients: int,
        schedule: RoundSchedule,
        outcome: Outcome | None,
        relay: Relay | None = None,
    ) -> None:
        self._tools = tools
        self._record = record
        self._name = record.name
        self._clients = clients
        self._timer = Timer(tools.clock, schedule)
        self._inbox = Inbox()
        self._in_hand: tuple[Waiting, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._relay = relay
        self._journal: Journal | None = None
        self._book: RoundBook | None = None
        self._view: View | None = None
        self._shown: View | None = None
        self._turned = False
        self._digests: dict[int, bytes] = {}
        self._stored = 0
        self._contributors: tuple[ClientId, ...] | None = None
        self.news = asyncio.Event()
        self.outcome = outcome
        self.damage = ""
        self._aborted = outcome if isinstance(outcome, Aborted) else None
        self.end = self._over = None if outcome is None else _told(self._aborted)

    async def open(self, journal: Journal) -> None:
        """Replay the log and go on from there, without clients whose answer is damaged.

        Raises:
            SecAggError, OSError: the log cannot be read, or is not one of this session.
        """
        self._journal = journal
        self._tools.observer.session_opened(self._name, hashlib.sha256(self._record.offer).digest())
        replayed = await self._tools.run(journal.replay)
        if replayed.book.entries:
            self._tools.observer.session_resumed(self._name, replayed.book.entries, replayed.seconds)
        self._book, self._view = replayed.book, replayed.view
        self.count_stored(replayed.stored_bytes)
        self._timer.resume(replayed.running_seconds)
        self._turn(replayed.view, replayed.abort_detail)
        if self._relay is not None:
            self._timer.backdate(self._relay.open_before(replayed.view.round))
        if replayed.damaged:
            detail = "its upload was damaged on the disk of the server"
            drops = [
                drop_entry(client, HostReason.ANSWER_DAMAGED, f"client {client}: {detail}")
                for client in replayed.damaged
            ]
            self._follow(replayed.book, await self._tools.run(journal.commit, drops))
        self._turned = True
        if self._relay is None:
            self._shown, self.end = self._view, self._over
        keeping = self._keep(journal, replayed.book)
        self._task = asyncio.get_running_loop().create_task(keeping, name=f"secagg session {self._name}")
        self._task.add_done_callback(self._done)

    def fail(self, error: Exception) -> None:
        """Keep nothing: the log cannot be followed. Everybody is told to come back after a restart, or that the session
        is over, when what it needs is damaged. Nothing is removed."""
        if isinstance(error, DamagedError):
            self.damage = str(error)
            self.end = self._over = Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER)
        self._give_up()

    @property
    def open_seconds(self) -> float | None:
        """How long the open round has been open; None as long as the log is not replayed."""
        return None if self._task is None else self._timer.open_seconds

    def wake(self) -> None:
        """Look whether there is something to do."""
        self._inbox.arrived.set()

    async def stop(self) -> None:
        """Stop after the step that is being made; whoever waits is told to come again."""
        self._give_up()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if self.outcome is None:
                self._tools.observer.session_left(self._name)

    def count_stored(self, size: int) -> None:
        """Count bytes that the store has of an ended session."""
        self._stored += size
        self._tools.space.add(size)

    def released(self) -> None:
        """Note that the result is gone from the store."""
        if isinstance(self.outcome, Completed):
            self.outcome = replace(self.outcome, result=None)
        self._tools.space.add(-self._stored)
        self._stored = 0

    def require_running(self) -> None:
        """Demand that the session goes on, or has ended.

        Raises:
            HostUnavailableError: the host stops, or the session failed.
        """
        passed = self._relay is not None and not self._relay.holds
        if (self._stopped or passed) and self.outcome is None and not self.damage:
            raise self._stopping()

    async def take(self, entry: Entry, digest: bytes, size: int) -> Receipt:
        """Hand in an entry; returns when it is durable and the session has seen it.

        Args:
            entry: what is to be appended; of an UPLOAD the keeper removes the file if it does not get into the log.
            digest: SHA-256 of the message.
            size: bytes reserved for it.

        Raises:
            QuotaExceededError: too many wait, or the client has sent too many different messages.
            HostUnavailableError: it is not durable; try again.
        """
        waiting = Waiting(entry, digest, size, asyncio.get_running_loop().create_future())
        if len(self._inbox) >= self._tools.quotas.queued_messages:
            await self._forget([waiting])
            raise QuotaExceededError(f"{len(self._inbox)} messages wait in session {self._name}; send it again", 1.0)
        if self._stopped or self._over is not None:
            await self._forget([waiting])
            self.require_running()
            return self.answered(waiting, self._afterwards(waiting))
        self._inbox.put(waiting)
        return await waiting.answer

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """The answer to a message that cannot change the session, or None."""
        if self._book is not None:
            return self._book.foresee(client, digest)
        return ENDED if self._over is not None else None

    @property
    def counted(self) -> int:
        """Bytes of the session that are counted in this process."""
        return self._stored

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline of the open round, or None when none is open."""
        return None if self._view is None or self._view.round is None else self._timer.seconds_left

    async def request(self, client: ClientId, seen: bytes = b"") -> Request | None:
        """What the open round asks of a client."""
        view = self._shown
        if self._view is None or view is None or self._view.round is not view.round:
            return None  # Others may know more already than is shown here.
        message = None if view is None else view.requests.get(client)
        if view is None or view.round is None or message is None:
            return None
        digest = self._digests.get(id(message))
        if digest is None:
            digest = self._digests[id(message)] = hashlib.sha256(message).digest()
        return Request(view.round, message, digest, self._timer.seconds_left)

    def gone(self, client: ClientId) -> Departure | None:
        """Why a client was dropped, as far as this process knows."""
        return None if self._book is None else self._book.gone.get(client)

    def answered(self, waiting: Waiting, receipt: Receipt) -> Receipt:
        """Tell the observer of an answer to a client's message."""
        if waiting.entry.client is not None and waiting.digest:
            self.observe_answer(waiting.entry.client, receipt)
        return receipt

    def observe_answer(self, client: ClientId, receipt: Receipt) -> None:
        """Tell the observer what a client was answered."""
        round_ = None if self._view is None else self._view.round
        self._tools.observer.answer(self._name, round_, client, receipt.kind)

    def status(self) -> SessionStatus:
        """The session as its operator sees it."""
        book, aborted, round_ = self._book, self._aborted, None if self._view is None else self._view.round
        open_ = book is not None and round_ is not None and self._over is None
        detail, dropped = self.damage, self._dropped()
        if self.damage:
            state = "failed"
        elif self._over is not None:
            state = "completed" if aborted is None else "aborted"
            detail = _completed(self.outcome) if aborted is None else aborted.detail
        elif self._stopped or round_ is None:
            state = "failed" if self._stopped else "starting"
        else:
            state = round_.value
        return SessionStatus(
            name=self._name,
            state=state,
            clients=self._clients,
            expected=0 if self._view is None or not open_ else len(self._view.requests),
            answered=0 if book is None or not open_ else book.answered,
            pending=0 if book is None or not open_ else len(book.pending),
            dropped={departure_of(reason): count for reason, count in dropped.items()},
            seconds_left=self._timer.seconds_left if open_ else None,
            log_entries=0 if book is None or self.outcome is not None else book.entries,
            stored_bytes=self._stored,
            result_ready=isinstance(self.outcome, Completed) and self.outcome.result is not None,
            abort_reason=None if aborted is None else AbortReason(aborted.reason),
            detail=detail,
            created_at=self._record.created_at,
            contributors=self._contributors,
            tenant=self._record.tenant,
            ended_at=0.0 if self.outcome is None else self.outcome.ended_at,
            progress=None if self._journal is None or not open_ else self._journal.progress,
        )

    async def look(self) -> None:
        """Nobody else changes the session."""

    async def _keep(self, journal: Journal, book: RoundBook) -> None:
        try:
            await self._show()
            while self._over is None:
                await self._advance(journal, book)
            await self._conclude(journal)
            if self._relay is not None:
                self._relay.left(None)
        except (FencedError, InDoubtError) as error:
            if self._relay is None:
                raise
            self._relay.left(error)
        finally:
            self._give_up()

    async def _advance(self, journal: Journal, book: RoundBook) -> None:
        """Make one transaction, or wait for something to do."""
        clock, arrived, relay = self._tools.clock, self._inbox.arrived, self._relay
        await self._gather(book)
        if relay is not None:
            await relay.collect(self._inbox)
        found = self._inbox.sort(book)
        self._in_hand = (*found.batch, *found.unlogged)
        await self._answer_unlogged(found)
        closing = None
        if found.batch:
            await self._commit(journal, book, found.batch)
        else:
            closing = self._due(book)
            if closing is None:
                await self._show()
                if relay is None or not relay.due:
                    await clock.wait(arrived, self._timer.deadline)
            elif not await self._commit(journal, book, [self._own(closing)]):
                await clock.wait(arrived, clock.now() + RETRY_SECONDS)
        self._in_hand = ()

    async def _gather(self, book: RoundBook) -> None:
        """Leave others a moment to answer, too: a transaction costs nearly the same for one answer as for many.

        The round has to wait for them in any case; an answer that is the last one waits for nobody.
        """
        clock, inbox = self._tools.clock, self._inbox
        until = min(clock.now() + self._tools.gather_seconds, self._timer.deadline)
        while 0 < len(inbox) < len(book.pending) and clock.now() < until:
            inbox.arrived.clear()
            await clock.wait(inbox.arrived, until)

    async def _conclude(self, journal: Journal) -> None:
        """Answer who still waits, and store the outcome, however often the store refuses it."""
        tools, result = self._tools, None if self._view is None else self._view.result
        if self._relay is not None:
            await self._relay.collect(self._inbox)
        self._in_hand = tuple(self._inbox.empty())
        await self._answer_unlogged(Sorted([], [(waiting, self._afterwards(waiting)) for waiting in self._in_hand], []))
        await self._show()
        started = tools.clock.now()
        while self.outcome is None:
            try:
                now = tools.wall_clock()
                outcome, size = await tools.run(journal.finish, result, self._aborted, self._dropped(), now)
            except (FencedError, InDoubtError):
                raise
            except STORE_FAILURES as error:
                tools.observer.store_failed(self._name, error)
                await tools.clock.wait(asyncio.Event(), tools.clock.now() + RETRY_SECONDS)
                continue
            tools.observer.step_timed(self._name, "finish", tools.clock.now() - started)
            self.count_stored(size - self._stored)
            self.outcome, self._view, self._shown = outcome, None, None
            tools.observer.session_ended(self._name, outcome)
            self._flash()

    def _dropped(self) -> dict[str, int]:
        """How many clients were dropped for which reason, before a restart, too."""
        if self._book is not None:
            return {reason.value: count for reason, count in self._book.dropped.items()}
        return {} if self.outcome is None else dict(self.outcome.dropped)

    def _afterwards(self, waiting: Waiting) -> Receipt:
        """The answer to what comes after the session's end."""
        client = waiting.entry.client
        return (None if client is None else self.foresee(client, waiting.digest)) or ENDED

    async def _answer_unlogged(self, found: Sorted) -> None:
        await self._forget(found.unlogged)
        for waiting, receipt in found.idle:
            waiting.resolve(self.answered(waiting, receipt))
        for waiting, error in found.refused:
            waiting.refuse(error)

    async def _commit(self, journal: Journal, book: RoundBook, batch: list[Waiting]) -> bool:
        """Make entries durable and show them to the session; says whether that was done."""
        tools, entries = self._tools, [waiting.entry for waiting in batch]
        last = self._timer.round is Round.UNMASKING and entries[-1].kind is EntryKind.CLOSE_ROUND
        try:
            step = await tools.run_in(tools.unmasking if last else tools.threads, journal.commit, entries)
        except NotLoggedError as error:
            refusal = self._tools.unavailable(self._name, error)
            local = [waiting for waiting in batch if not waiting.letter]
            await self._forget(local)
            for waiting in local:
                waiting.refuse(refusal)
            if len(local) < len(batch):
                await self._put_back([waiting for waiting in batch if waiting.letter], error.damaged)
            return False
        except FencedError:
            await self._forget(waiting for waiting in batch if not waiting.letter)
            raise
        self._follow(book, step)
        for waiting, applied in zip(batch, step.applied, strict=True):
            self._stored += waiting.size
            waiting.resolve(self.answered(waiting, applied.receipt))
        self._in_hand = ()
        await self._show()
        return True

    async def _put_back(self, letters: list[Waiting], damaged: Entry | None) -> None:
        """Try letters again that could not be read: whose upload is damaged did not answer."""
        self._in_hand = ()
        for waiting in letters:
            client = waiting.entry.client
            if waiting.entry is damaged and client is not None:
                detail = f"client {client}: its upload was damaged on the disk of the server"
                self._inbox.put(self._own(drop_entry(client, HostReason.ANSWER_DAMAGED, detail)))
            self._inbox.put(waiting)
        if damaged is None:
            await self._tools.clock.wait(asyncio.Event(), self._tools.clock.now() + RETRY_SECONDS)

    async def _show(self) -> None:
        """Let clients see what the session is now, those of other processes first."""
        if self._relay is not None:
            await self._relay.publish(self.account(), self._turned)
        self._shown, self.end = self._view, self._over
        if self._turned:
            self._turned = False
            self._flash()

    def account(self) -> Account:
        """What others are told."""
        view, book = self._view, self._book
        return Account(
            round=None if view is None else view.round,
            requests={} if view is None or view.round is None else view.requests,
            gone={} if book is None else book.gone,
            end=self._over,
            damage=self.damage,
            status=self.status(),
            open_seconds=self._timer.open_seconds,
        )

    def _follow(self, book: RoundBook, step: Step) -> None:
        """Take over what a step did, and tell the observer."""
        observer, before, answered = self._tools.observer, self._view, book.answered
        round_ = None if before is None else before.round
        turned = step.view.round is not round_
        observer.step_timed(self._name, "append", step.append_seconds)
        observer.step_timed(self._name, "close_round" if turned else "receive", step.apply_seconds)
        self._view = step.view
        dropped = False
        for applied in step.applied:
            book.note(applied, step.view if applied is step.applied[-1] else None)
            for event, reason in applied.departures():
                dropped = True
                observer.client_dropped(self._name, event.client, event.round, reason, event.detail)
        if turned and round_ is not None:
            observer.round_closed(self._name, round_, answered, self._timer.open_seconds)
            self._turn(step.view, abort_detail(step.applied[-1]) or "")
            self._tell_of_executor()
        self._turned = self._turned or turned or dropped

    def _tell_of_executor(self) -> None:
        executor = self._tools.executor
        if isinstance(executor, Troubled) and executor.trouble:
            self._tools.observer.executor_failed(executor.trouble)

    def _turn(self, view: View, detail: str) -> None:
        """A round has opened, or the session has ended."""
        self._digests.clear()
        seconds = self._timer.open(view.round)
        if view.round is not None:
            self._tools.observer.round_opened(self._name, view.round, len(view.requests), seconds)
        else:
            if view.result is not None:
                self._contributors = view.result.contributors
            if view.abort_reason is not None:
                self._aborted = Aborted(view.abort_reason.value, detail)
            self._over = _told(self._aborted)

    def _due(self, book: RoundBook) -> Entry | None:
        """What the host itself has to do now, if anything."""
        timer = self._timer
        if book.doomed():
            return close_entry(CloseCause.TOO_FEW_LEFT, timer.running_seconds)
        if not book.pending:
            return close_entry(CloseCause.ALL_ANSWERED, timer.running_seconds)
        if timer.seconds_left > 0:
            return None
        spent = timer.spent()
        # The last round is closed even so: there may be enough for a sum.
        if spent is not None and timer.round is not Round.UNMASKING:
            return abort_entry(spent)
        return close_entry(CloseCause.DEADLINE, timer.running_seconds)

    def _own(self, entry: Entry) -> Waiting:
        return Waiting(entry, b"", 0, asyncio.get_running_loop().create_future())

    async def _forget(self, unlogged: Iterable[Waiting]) -> None:
        """Give back what was reserved for entries that do not get into the log."""
        tools, journal = self._tools, self._journal
        for waiting in unlogged:
            tools.space.add(-waiting.size)
            # A letter that is read again after a failover may be in the log.
            if waiting.entry.kind is EntryKind.UPLOAD and not (journal is not None and journal.names(waiting.entry)):
                try:
                    await tools.run(tools.store.discard_upload, self._name, waiting.entry.payload.decode("ascii"))
                except STORE_FAILURES as error:
                    tools.observer.store_failed(self._name, error)

    def _flash(self) -> None:
        """Wake everybody who waits for news."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def _give_up(self) -> None:
        self._stopped = True
        left = (*self._in_hand, *self._inbox.empty())
        if self._relay is not None:
            self._tools.space.add(-self._stored - sum(waiting.size for waiting in left))
            self._stored = 0
        for waiting in left:
            waiting.refuse(self._stopping())
        self._in_hand = ()
        self._flash()

    def _stopping(self) -> HostUnavailableError:
        return HostUnavailableError(f"session {self._name} is not served now; nothing was lost, come again later")

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._tools.observer.session_failed(self._name, error)
            if self._relay is not None:
                self._relay.failed()


def _told(aborted: Aborted | None) -> Ended:
    """What clients hear of an end: nothing that depends on inputs, as it does whether the sum can be decoded."""
    if aborted is None or aborted.reason == AbortReason.RESULT_NOT_DECODABLE.value:
        return Ended(EndKind.COMPLETED)
    return Ended(EndKind.ABORTED, AbortReason(aborted.reason))


def _completed(outcome: Outcome | None) -> str:
    if isinstance(outcome, Completed) and outcome.expired:
        return "the session has completed; its result expired, since nobody fetched it in time"
    return "the session has completed"
