"""The one task that changes a session: takes what waits, makes it durable, shows it to the session, answers.

Everything that waits goes into one transaction of the store (group commit). Rounds close when all have answered, when
their time is up, or as soon as too few are left. The event loop never waits for the disk or the arithmetic: worker
threads make these steps, one at a time, and what the loop reads is set when a step is over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Final

from secagg.errors import AbortReason, ParameterError
from secagg.executor import Troubled
from secagg.hosting.book import RoundBook
from secagg.hosting.errors import HostUnavailableError, QuotaExceededError
from secagg.hosting.inbox import Inbox, Sorted, Waiting
from secagg.hosting.journal import InDoubtError, Journal, NotLoggedError, Step
from secagg.hosting.kept import Kept, blamed, told
from secagg.hosting.relay import Relay
from secagg.hosting.replica import CloseCause, View, abort_detail, abort_entry, close_entry, drop_entry
from secagg.hosting.replies import Ended, EndKind, HostReason, Receipt
from secagg.hosting.restarting import may_follow, record_after
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.protocol.messages import Round
from secagg.store.base import (
    Aborted,
    DamagedError,
    Entry,
    EntryKind,
    FencedError,
    Outcome,
    SessionRecord,
    StoreConflictError,
)

RETRY_SECONDS: Final = 1.0


class Keeper(Kept):
    """Drives one session from its first round to its stored outcome.

    Args:
        tools: of the host.
        record: of the session.
        clients: size of its cohort.
        schedule: its deadlines.
        outcome: how it ended, if it has ended; it is then only looked at.
        relay: to other processes that host the same session, if there are any.
        on_restart: told of a session that follows this one, which the store has; `new` if it was made just now.
    """

    def __init__(
        self,
        tools: Tools,
        record: SessionRecord,
        clients: int,
        schedule: RoundSchedule,
        outcome: Outcome | None,
        relay: Relay | None = None,
        on_restart: Callable[[SessionRecord, bool], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(tools, record, clients, schedule, outcome)
        self._on_restart = on_restart
        self._inbox = Inbox()
        self._in_hand: tuple[Waiting, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._relay = relay
        self._turned = False
        self._begun_again = False
        # From before a change that is to be durable until the observer has heard of it: no stop comes in between.
        self._step = asyncio.Lock()

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
        if self._relay is None and not may_follow(self._aborted):
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
        if self._relay is not None and not self._relay.holds:
            await self._leave()  # Others go on, and a store that hangs keeps nobody here.
            return
        async with self._step:
            await self._leave()

    async def _leave(self) -> None:
        self._give_up()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if self.outcome is None:
                self._tools.observer.session_left(self._name)

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

    async def look(self) -> None:
        """Nobody else changes the session."""

    async def hold_result(self, seconds: float) -> None:
        """Keep others from letting go of it, where there are any: they may know of the end before this seat is left."""
        if self._relay is not None and self.outcome is not None:
            await self._relay.hold_result(seconds)

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
        if relay is not None:
            await relay.collect(self._inbox)
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
            async with self._step:
                try:
                    now = tools.wall_clock()
                    outcome, size = await tools.run(journal.finish, result, self._aborted, self._dropped(), now)
                except (FencedError, InDoubtError):
                    raise
                except STORE_FAILURES as error:
                    tools.observer.store_failed(self._name, error)
                else:
                    tools.observer.step_timed(self._name, "finish", tools.clock.now() - started)
                    self.count_stored(size - self._stored)
                    self.outcome, self._view, self._shown = outcome, None, None
                    tools.observer.session_ended(self._name, outcome)
                    self._flash()
                    return
            await tools.clock.wait(asyncio.Event(), tools.clock.now() + RETRY_SECONDS)

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
            async with self._step:
                committing = tools.run_in(tools.unmasking if last else tools.threads, journal.commit, entries)
                step = await (self._mentioning(committing) if last and self._relay is not None else committing)
                self._follow(book, step)
                for waiting, applied in zip(batch, step.applied, strict=True):
                    self._stored += waiting.size
                    waiting.resolve(self.answered(waiting, applied.receipt))
                self._in_hand = ()
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
        # What closes the round at once is shown together with it, unless that takes long, as the last one's end may.
        if self._timer.round in (None, Round.UNMASKING) or self._due(book) is None:
            await self._show()
        return True

    async def _mentioning(self, committing: Coroutine[Any, Any, Step]) -> Step:
        """Wait for the end of the last round, and tell others now and then how far it is."""
        clock, relay, done = self._tools.clock, self._relay, asyncio.Event()
        task = asyncio.get_running_loop().create_task(committing)
        task.add_done_callback(lambda _: done.set())
        try:
            while not await clock.wait(done, clock.now() + RETRY_SECONDS) and relay is not None:
                await relay.mention(self.account())
            return await task
        finally:
            task.cancel()

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
        await self._begin_again()
        if self._relay is not None:
            await self._relay.publish(self.account(), self._turned)
        self._shown, self.end = self._view, self._over
        if self._turned:
            self._turned = False
            self._flash()

    async def _begin_again(self) -> None:
        """Have the session that follows this one in the store before anybody hears of the end, however often it fails.

        The log says that it ended, so that whoever replays it comes here, too; the store gives the name once.
        """
        aborted, tools = self._aborted, self._tools
        if self._on_restart is None or aborted is None or not may_follow(aborted) or self._begun_again:
            return
        try:
            record = record_after(self._record, [each.client for each in aborted.blame], tools.wall_clock())
        except ParameterError as error:
            record = None
            self._aborted = replace(aborted, detail=f"{aborted.detail} No session follows: {error}")
        while record is not None and not self._begun_again:
            async with self._step:
                new: bool | None = None
                try:
                    await tools.run(tools.store.create, record)
                    new = True
                except StoreConflictError:
                    new = False
                except STORE_FAILURES as error:
                    tools.observer.store_failed(record.name, error)
                if new is not None:
                    self._begun_again = True
                    self._aborted = replace(aborted, successor=record.name)
                    self._over = told(self._aborted)
                    await self._on_restart(record, new)
                    return
            await tools.clock.wait(asyncio.Event(), tools.clock.now() + RETRY_SECONDS)
        self._begun_again = True

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
            for (holder, rule), owners in applied.wrong_shares().items():
                observer.shares_wrong(self._name, holder, rule, owners)
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
                blame, left_out = blamed(view.blame)
                self._aborted = Aborted(view.abort_reason.value, detail + left_out, blame=blame)
            self._over = told(self._aborted)

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
