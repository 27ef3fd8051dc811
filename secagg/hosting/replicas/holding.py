"""A lease on a session, and what its holder does for the others: it answers letters and publishes the session.

The relay of a keeper. A lease that may have run out, by this process' own clock from before it was asked for, counts as
lost, whatever the store would say: another may go on already. Knows no callers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from secagg.errors import DecodeError
from secagg.hosting.inbox import Inbox, Waiting
from secagg.hosting.journal import InDoubtError
from secagg.hosting.keeper import RETRY_SECONDS, Keeper
from secagg.hosting.relay import Account
from secagg.hosting.replicas.exchange import MOST_LETTERS, Exchange
from secagg.hosting.replicas.letters import COMPLAINT, UNREAD, entry_of, reply_to
from secagg.hosting.replicas.publishing import Published
from secagg.hosting.replicas.requests import Pointer, check_requests, write_requests
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.protocol.messages import Round
from secagg.store.base import DamagedError, FencedError
from secagg.store.shared import Lease, SharedStore

_LAZY_SECONDS: Final = 1.0  # how old numbers may be that others show
_OLD_SECONDS: Final = 10.0  # who begins to follow takes a deadline for later than it is by so much at most
_CHECK_SECONDS: Final = 60.0


class Holding:
    """One lease.

    Args:
        tools: of the host.
        store: that the replicas share.
        exchange: with it.
        lease: as it was acquired.
        until: when it may have run out, on the host's clock.
        left: told when the keeper keeps the session no longer, and why: None after its end.
        failed: told when the keeper stopped on an unexpected exception.

    Attributes:
        name: of the session.
        until: moved by each renewal.
        due: whether letters may have come.
        keeper: who goes on with the session, once it has been replayed.
    """

    def __init__(
        self,
        tools: Tools,
        store: SharedStore,
        exchange: Exchange,
        lease: Lease,
        until: float,
        left: Callable[[Holding, Exception | None], None],
        failed: Callable[[Holding], None],
    ) -> None:
        self._tools = tools
        self._store = store
        self._exchange = exchange
        self._left = left
        self._failed = failed
        self.name = lease.name
        self.epoch = lease.epoch
        self.until = until
        self.due = True
        self.keeper: Keeper | None = None
        self._before = lease.open_seconds
        self._taken_over: Published | None = None
        self._requests: Pointer | None = None
        self._round: Round | None = None
        self._old: Pointer | None = None
        self._in_hand: dict[int, Waiting] = {}
        self._unread: set[int] = set()
        self._published: Published | None = None
        self._looked_at = self._published_at = self._checked_at = tools.clock.now()

    @property
    def holds(self) -> bool:
        """Whether the lease cannot have run out."""
        return self._tools.clock.now() < self.until

    def lease(self) -> Lease:
        """The lease as it is to be renewed or released: with the time for which the round has been open."""
        opened = None if self.keeper is None else self.keeper.open_seconds
        return Lease(self.name, self.epoch, self._before if opened is None else opened)

    async def take_over(self) -> None:
        """Read what the holder before has published.

        Raises:
            StoreError: it cannot be read now.
        """
        try:
            standing = (await self._exchange.look(self.name, ())).sessions.get(self.name)
            if standing is not None and standing.damage:
                raise DamagedError(standing.damage)
            if standing is not None and standing.state is not None:
                self._taken_over = Published.decode(standing.state)
        except (DamagedError, DecodeError) as error:
            self._tools.observer.store_failed(self.name, error)
        if self._taken_over is not None:
            self._old = self._taken_over.requests

    def open_before(self, round_: Round | None) -> float:
        """Seconds that this round was open under leases before; unknown when its holder has not said that it opened."""
        known = self._taken_over is not None and self._taken_over.round is round_
        return self._before if known and round_ is not None else 0.0

    def heard(self) -> None:
        """Something was sent, or published; or time has passed."""
        self.due = True
        if self.keeper is not None:
            self.keeper.wake()

    async def collect(self, inbox: Inbox) -> None:
        """Put letters that came into the keeper's inbox; those that are damaged keep none of the others waiting."""
        if not self.due:
            return
        self.due = False
        try:
            found = await self._exchange.letters(self.name)
        except STORE_FAILURES as error:
            self._tools.observer.store_failed(self.name, error)
            return
        for number, letter in found:
            if number in self._unread:
                continue
            if letter is None:
                damaged = DamagedError(f"letter {number} to session {self.name} was damaged; its sender is asked again")
                self._tools.observer.store_failed(self.name, damaged)
                self._unread.add(number)
            elif letter == COMPLAINT:
                self._checked_at = -math.inf
                self._unread.add(number)
            elif number not in self._in_hand:
                entry, digest = entry_of(letter)
                answer = asyncio.get_running_loop().create_future()
                waiting = self._in_hand[number] = Waiting(entry, digest, letter.size, answer, letter=True)
                self._tools.space.add(letter.size)
                inbox.put(waiting)
        self.due = self.due or len(found) == MOST_LETTERS

    async def publish(self, account: Account, urgent: bool) -> None:
        """Tell others what is new, and answer letters; see `Relay`."""
        receipts, clock = {**self._receipts(), **dict.fromkeys(self._unread, UNREAD)}, self._tools.clock
        if not receipts and not urgent and clock.now() - self._looked_at < _LAZY_SECONDS:
            return
        while True:
            try:
                await self._write(account)
                told = Published.of(account, self._requests)
                timeless, old = replace(told, seconds_left=None), clock.now() - self._published_at >= _OLD_SECONDS
                if receipts or old or timeless != self._published:
                    wake = self._published is None or timeless.uncounted() != self._published.uncounted()
                    await self._tools.run(
                        self._store.publish, self.name, self.epoch, told.encode(), receipts, account.open_seconds, wake
                    )
                    self._published, self._published_at = timeless, clock.now()
                break
            except FencedError:
                raise
            except DamagedError as error:
                # It stays so, however often it is tried: who takes the next lease, or reads the log, finds what it is.
                raise InDoubtError(str(error)) from error
            except STORE_FAILURES as error:
                self._tools.observer.store_failed(self.name, error)
                await clock.wait(asyncio.Event(), clock.now() + RETRY_SECONDS)
        self._looked_at = clock.now()
        for number in receipts:
            self._unread.discard(number)
            self._in_hand.pop(number, None)
        await self._let_go()

    async def mention(self, account: Account) -> None:
        """Say how far the end of the last round is; see `Relay`."""
        try:
            state = Published.of(account, self._requests).encode()
            await self._tools.run(self._store.publish, self.name, self.epoch, state, {}, account.open_seconds)
        except DamagedError:
            return  # A renewal mends a lease and says so; whatever else it is stays so, and is found at the end.
        except STORE_FAILURES as error:
            self._tools.observer.store_failed(self.name, error)

    async def hold_result(self, seconds: float) -> None:
        """See to it that nobody else takes the result for expired; see `Relay`."""
        try:
            await self._tools.run(self._store.hold_result, self.name, seconds)
        except STORE_FAILURES as error:
            raise self._tools.unavailable(self.name, error) from error

    def left(self, error: Exception | None) -> None:
        """The keeper keeps the session no longer."""
        self._left(self, error)

    def failed(self) -> None:
        """The keeper stopped on an unexpected exception: the lease is kept, for another would stop on it, too."""
        self._failed(self)

    def close(self) -> None:
        """Forget letters, which stay in the store for the next holder."""
        self._in_hand.clear()

    async def publish_failure(self) -> None:
        """Tell others that this session cannot go on here.

        Raises:
            StoreError: they could not be told.
        """
        if self.keeper is not None:
            state = Published.of(self.keeper.account(), None).encode()
            await self._tools.run(self._store.publish, self.name, self.epoch, state, {}, self.lease().open_seconds)

    def _receipts(self) -> dict[int, bytes]:
        """What letters in hand were answered; those that are to be read again are let go."""
        receipts = {}
        for number, waiting in list(self._in_hand.items()):
            if not waiting.answer.done():
                continue
            reply = reply_to(waiting.entry, waiting.answer.exception() or waiting.answer.result())
            if reply is None:
                del self._in_hand[number]
                self.due = True
            else:
                receipts[number] = reply.encode()
        return receipts

    async def _write(self, account: Account) -> None:
        """Make the requests of the open round durable, once, and again when they were damaged."""
        if account.round is not self._round:
            self._old = self._old or self._requests
            self._requests = None
            if account.requests:
                self._requests = await self._tools.run(write_requests, self._store, self.name, account.requests)
            self._round, self._checked_at = account.round, self._tools.clock.now()
        elif self._requests is not None and self._tools.clock.now() - self._checked_at >= _CHECK_SECONDS:
            self._checked_at = self._tools.clock.now()
            try:
                await self._tools.run(check_requests, self._store, self.name, self._requests)
            except DamagedError as error:
                self._tools.observer.store_failed(self.name, error)
                self._old = self._requests
                self._requests = await self._tools.run(write_requests, self._store, self.name, account.requests)

    async def _let_go(self) -> None:
        """Remove the requests that are not published any more."""
        old, self._old = self._old, None
        if old is not None:
            try:
                await self._tools.run(self._store.discard_upload, self.name, old.upload)
            except STORE_FAILURES as error:
                self._tools.observer.store_failed(self.name, error)
