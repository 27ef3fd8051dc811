"""The seat of a session that another process goes on with: answers from what that one published, hands it letters.

Before a request is handed out, the store is asked whether it is still the last one: a client may have been further
already at another process, and a request of an earlier round would end its session. Must not know who holds a lease.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from secagg.errors import DecodeError
from secagg.hosting.errors import HostError, HostUnavailableError, QuotaExceededError
from secagg.hosting.replica import ACCEPTED, ENDED, REPEATED
from secagg.hosting.replicas.exchange import Exchange, Gathered
from secagg.hosting.replicas.letters import COMPLAINT, LETTERS_OF_CLIENT, UNREAD, Reply, letter_of
from secagg.hosting.replicas.publishing import STARTING, Published, ended, lost
from secagg.hosting.replicas.requests import Pointer, Requests, read_request, read_requests
from secagg.hosting.replies import Departure, Ended, Receipt, ReceiptKind, Request, SessionStatus
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.parameters import ClientId
from secagg.protocol.messages import Round
from secagg.store.base import Completed, DamagedError, Entry, EntryKind, Outcome, SessionRecord
from secagg.store.shared import BUSY, Addressed, Left, SharedStore, Standing

_TRIES: Final = 3
_COMPLAIN_SECONDS: Final = 1.0


class Follower:
    """Answers callers of a session that others go on with, or that has ended; see `Seat`.

    Args:
        tools: of the host.
        store: that the replicas share.
        exchange: with it.
        record: of the session.
        clients: size of its cohort.

    Attributes:
        over: whether the store is known to have its end.
        answers: how often there was news that may be of answers to letters.
        stored_bytes: what the store had of it when the host counted last, or None.
    """

    def __init__(
        self, tools: Tools, store: SharedStore, exchange: Exchange, record: SessionRecord, clients: int
    ) -> None:
        self._tools = tools
        self._store = store
        self._exchange = exchange
        self._sending = Gathered(tools, self._send)
        self._record = record
        self._name = record.name
        self._clients = clients
        self._state: bytes | None = None
        self._published = STARTING
        self._read_at = tools.clock.now()
        self._asked = False
        self._fetching = asyncio.Lock()
        self._requests: Requests | None = None
        self._complained_at = -math.inf
        self._accepted: set[tuple[ClientId, bytes]] = set()  # Of what came here: none of it is uploaded twice.
        self._letters: dict[int, set[asyncio.Future[Reply]]] = {}
        self._stopped = False
        self.over = False
        self.answers = 0
        self.stored_bytes: int | None = None
        self.news = asyncio.Event()
        self.outcome: Outcome | None = None

    @property
    def end(self) -> Ended | None:
        """How the session ended, or None."""
        return self._published.end

    @property
    def damage(self) -> str:
        """That the store has the session damaged, in one sentence, or empty."""
        return self._published.damage

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for the answer to a letter."""
        return bool(self._letters)

    @property
    def awaited(self) -> bool:
        """Whether somebody may wait for what is published next, or for the answer to a letter."""
        return self._asked or self.waiting

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline of the open round, as far as its holder's news is known here."""
        return self.status().seconds_left

    @property
    def counted(self) -> int:
        """None: the host counts what the store has of sessions that others hold."""
        return 0

    def require_running(self) -> None:
        """Demand that the session goes on, or has ended."""
        if self.outcome is None and not self.damage and (self._stopped or self._published.failed):
            raise self._unavailable()

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """The answer to a message that cannot change the session, or None."""
        if client in self._published.gone:
            return Receipt(ReceiptKind.LATE, self._published.gone[client])
        if (client, digest) in self._accepted:
            return REPEATED
        return ENDED if self.end is not None else None

    def gone(self, client: ClientId) -> Departure | None:
        """Why a client was dropped, as far as this process knows."""
        return self._published.gone.get(client)

    def observe_answer(self, client: ClientId, receipt: Receipt) -> None:
        """Tell the observer what a client was answered."""
        self._tools.observer.answer(self._name, self._published.round, client, receipt.kind)

    def status(self) -> SessionStatus:
        """The session as its operator sees it, at most as old as the news of it."""
        passed = self._tools.clock.now() - self._read_at
        return self._published.status(self._record, self._clients, self.outcome, passed, self.stored_bytes)

    def count_stored(self, size: int) -> None:
        """Nothing: the host counts what the store has of sessions that others hold."""

    def released(self) -> None:
        """Note that the result is gone from the store."""
        if isinstance(self.outcome, Completed):
            self.outcome = replace(self.outcome, result=None)

    async def look(self) -> None:
        """Read what was published last, how the session ended, and the answers to letters.

        Raises:
            HostUnavailableError: it cannot be read now.
        """
        try:
            sight = await self._exchange.look(self._name, tuple(self._letters))
            standing = sight.sessions.get(self._name)
            if standing is None:
                raise HostUnavailableError(f"session {self._name} was just discarded; ask again")
            published = self._published_in(standing)
            replies = {
                number: None if sight.receipts[number] == UNREAD else Reply.decode(sight.receipts[number])
                for number in self._letters.keys() & sight.receipts.keys()
            }
        except (*STORE_FAILURES, DecodeError) as error:
            raise self._tools.unavailable(self._name, error) from error
        if standing.lost:
            published = self._lost(standing.damage)
        elif standing.damage and standing.outcome is None:
            await self._complain()
            raise self._tools.unavailable(self._name, DamagedError(standing.damage))
        self._take_over(standing, published)
        for number, reply in replies.items():
            for answer in self._letters.pop(number, set()):
                if answer.done():
                    continue
                if reply is None:
                    answer.set_exception(self._unavailable())
                else:
                    answer.set_result(reply)

    async def hold_result(self, seconds: float) -> None:
        """See to it that no other process takes the result for expired within so long."""
        try:
            await self._tools.run(self._store.hold_result, self._name, seconds)
        except STORE_FAILURES as error:
            raise self._tools.unavailable(self._name, error) from error

    async def request(self, client: ClientId, seen: bytes = b"") -> Request | None:
        """What the open round asks of a client; None when that has the digest `seen`."""
        self._asked = True
        requests = self._requests
        if requests is not None and requests.pointer == self._published.requests and requests.digest(client) == seen:
            return None
        for _ in range(_TRIES):
            await self.look()
            published = self._published
            if published.requests is None or published.round is None:
                return None
            try:
                return await self._request(published.round, published.requests, client, seen)
            except STORE_FAILURES as error:
                await self.look()
                if self._published.requests == published.requests:
                    if isinstance(error, DamagedError):
                        await self._complain()
                    raise self._tools.unavailable(self._name, error) from error
        raise self._unavailable()

    async def take(self, entry: Entry, digest: bytes, size: int) -> Receipt:
        """Leave a letter to the holder; returns when it is answered."""
        try:
            return await self._take(entry, digest, size)
        finally:
            self._tools.space.add(-size)

    async def heard(self) -> None:
        """Look at what is new, and at answers to letters."""
        # The observer has heard of a store that failed; there is more news to come.
        with suppress(HostUnavailableError):
            await self.look()

    async def stop(self) -> None:
        """Send away whoever waits for an answer to a letter, which stays."""
        self._stopped = True
        for answers in self._letters.values():
            for answer in answers:
                if not answer.done():
                    answer.set_exception(self._unavailable())
        self._letters.clear()
        self._flash()

    def _published_in(self, standing: Standing) -> Published:
        """What was published; of all who ask at once, the first one reads it."""
        if standing.state is None:
            return STARTING
        known = standing.state == self._state and not self.over
        return self._published if known else Published.decode(standing.state)

    def _take_over(self, standing: Standing, published: Published) -> None:
        """Know what the store has."""
        state, outcome = standing.state, standing.outcome
        if outcome is not None:
            self.over = True
            published = ended(published, outcome)
        changed = state != self._state or outcome != self.outcome or published.damage != self.damage
        if state != self._state or published.end is not self._published.end:
            self._state, self._published, self._read_at = state, published, self._tools.clock.now()
        self.outcome = outcome
        if changed:
            self._flash()

    def _lost(self, damage: str) -> Published:
        """What is told of a session that nobody can go on with: once, by each process, and to all who ask."""
        if self.damage == damage:
            return self._published
        self._tools.observer.session_failed(self._name, DamagedError(damage))
        return lost(self._published, damage)

    async def _request(self, round_: Round, pointer: Pointer, client: ClientId, seen: bytes) -> Request | None:
        async with self._fetching:
            requests = self._requests
            if requests is None or requests.pointer != pointer:
                requests = self._requests = await self._tools.run(read_requests, self._store, self._name, pointer)
        digest = requests.digest(client)
        if digest is None or digest == seen:
            return None
        message = requests.at_hand(client)
        if message is None:
            message = await self._tools.run(read_request, self._store, self._name, requests, client)
        return Request(round_, message, digest, self.seconds_left or 0.0)

    async def _take(self, entry: Entry, digest: bytes, size: int) -> Receipt:
        foreseen = None if entry.client is None else self.foresee(entry.client, digest)
        if foreseen is None and (self._stopped or self._published.failed):
            await self._forget(entry)
            raise self._unavailable()
        if foreseen is not None:
            await self._forget(entry)
            if digest and entry.client is not None:
                self.observe_answer(entry.client, foreseen)
            return foreseen
        letter = letter_of(entry, digest, size)
        # A client that has left as many as it may can be dropped even so.
        most = LETTERS_OF_CLIENT if digest else 2 * LETTERS_OF_CLIENT
        heard = self.answers
        try:
            left = await self._leave(Addressed(self._name, letter, most))
        except STORE_FAILURES as error:
            raise self._tools.unavailable(self._name, error) from error
        if left is None:
            await self._forget(entry)
            await self.look()
            if self.end is not None:
                return self._afterwards(entry)
            raise QuotaExceededError(
                f"{LETTERS_OF_CLIENT} messages of one client were left for the holder of session {self._name}; an "
                "honest client sends one in a round"
            )
        reply = await self._answered(left, heard)
        if reply is None:
            return self._afterwards(entry)
        if entry.kind is EntryKind.UPLOAD and reply.payload != entry.payload.decode("ascii"):
            await self._forget(entry)
        receipt = reply.told()
        if receipt == ACCEPTED and digest and entry.client is not None:
            self._accepted.add((entry.client, digest))
        return receipt

    async def _leave(self, letter: Addressed) -> Left | None:
        """Leave a letter: together with those of other sessions, or when this one is being changed, behind that."""
        left = await self._exchange.send(letter)
        return await self._sending.ask(letter) if left == BUSY else left

    def _send(self, letters: Sequence[Addressed]) -> Sequence[Left | None]:
        return self._store.send(letters)

    async def _answered(self, left: Left, heard: int) -> Reply | None:
        """Wait until a letter is answered; None when the session has ended without that.

        Args:
            left: the letter.
            heard: how often there had been news of answers before.
        """
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._letters.setdefault(left.number, set()).add(answer)
        try:
            if left.answered or heard != self.answers:
                await self.look()  # Nobody has waited for it yet when there was news of its answer.
            while not answer.done():
                if self.end is not None:
                    await self.look()
                    return answer.result() if answer.done() else None
                self.require_running()
                news = asyncio.ensure_future(self.news.wait())
                try:
                    await asyncio.wait((answer, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
            return answer.result()
        finally:
            waiting = self._letters.get(left.number, set())
            waiting.discard(answer)
            if not waiting:
                self._letters.pop(left.number, None)

    async def _complain(self) -> None:
        """Ask the holder to publish again what is damaged; it looks by itself as well, though seldom."""
        now = self._tools.clock.now()
        if now - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = now
            try:
                await self._leave(Addressed(self._name, COMPLAINT, LETTERS_OF_CLIENT))
            except STORE_FAILURES as error:
                self._tools.observer.store_failed(self._name, error)

    async def _forget(self, entry: Entry) -> None:
        """Remove the upload of an entry that nobody will append."""
        if entry.kind is EntryKind.UPLOAD:
            try:
                await self._tools.run(self._store.discard_upload, self._name, entry.payload.decode("ascii"))
            except STORE_FAILURES as error:
                self._tools.observer.store_failed(self._name, error)

    def _afterwards(self, entry: Entry) -> Receipt:
        """The answer to what comes after the session's end."""
        return (None if entry.client is None else self.foresee(entry.client, b"")) or ENDED

    def _flash(self) -> None:
        self._asked = False
        news, self.news = self.news, asyncio.Event()
        news.set()

    def _unavailable(self) -> HostError:
        return HostUnavailableError(f"session {self._name} is not served now; nothing was lost, come again later")
