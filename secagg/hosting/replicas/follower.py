"""The seat of a session that another process goes on with: answers from what that one published, hands it letters.

Before a request is handed out, the store is asked whether it is still the last one: a client may have been further
already at another process, and a request of an earlier round would end its session. Must not know who holds a lease.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Final, cast

from secagg.errors import DecodeError
from secagg.hosting.errors import HostError, HostUnavailableError, QuotaExceededError
from secagg.hosting.replica import ACCEPTED, ENDED, REPEATED
from secagg.hosting.replicas.letters import COMPLAINT, LETTERS_OF_CLIENT, UNREAD, Reply, letter_of
from secagg.hosting.replicas.publishing import STARTING, Published, ended
from secagg.hosting.replicas.requests import Piece, Pointer, read_index, read_request
from secagg.hosting.replies import Departure, Ended, Receipt, ReceiptKind, Request, SessionStatus
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.parameters import ClientId
from secagg.protocol.messages import Round
from secagg.store.base import Completed, DamagedError, Entry, EntryKind, Outcome, SessionRecord
from secagg.store.shared import SharedStore

_TRIES: Final = 3
_COMPLAIN_SECONDS: Final = 1.0


class Follower:
    """Answers callers of a session that others go on with, or that has ended; see `Seat`.

    Args:
        tools: of the host.
        store: that the replicas share.
        record: of the session.
        clients: size of its cohort.

    Attributes:
        over: whether the store is known to have its end.
        stored_bytes: what the store had of it when the host counted last, or None.
    """

    def __init__(self, tools: Tools, store: SharedStore, record: SessionRecord, clients: int) -> None:
        self._tools = tools
        self._store = store
        self._record = record
        self._name = record.name
        self._clients = clients
        self._state: bytes | None = None
        self._published = STARTING
        self._read_at = tools.clock.now()
        self._reading = asyncio.Lock()
        self._begun = self._looked = 0
        self._failed = self._asked = False
        self._index: tuple[Pointer, dict[ClientId, Piece]] | None = None
        self._common: dict[bytes, bytes] = {}
        self._complained_at = -math.inf
        self._accepted: set[tuple[ClientId, bytes]] = set()  # Of what came here: none of it is uploaded twice.
        self._letters: dict[int, set[asyncio.Future[Reply]]] = {}
        self._stopped = False
        self.over = False
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
        """Read what was published last, and how the session ended; several callers read once.

        Raises:
            HostUnavailableError: it cannot be read now.
        """
        wanted = self._begun + 1
        async with self._reading:
            if self._looked < wanted:
                self._begun = begun = self._begun + 1
                try:
                    await self._look()
                except HostUnavailableError:
                    self._looked, self._failed = begun, True
                    raise
                self._looked, self._failed = begun, False  # Who is cancelled has not looked for others.
            elif self._failed:
                raise self._unavailable()

    async def request(self, client: ClientId, seen: bytes = b"") -> Request | None:
        """What the open round asks of a client; None when that has the digest `seen`."""
        self._asked = True
        piece = None if self._index is None else self._index[1].get(client)
        current = self._index is not None and self._index[0] == self._published.requests
        if current and piece is not None and piece.sha256 == seen:
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

    async def heard(self) -> bool:
        """Look at what is new, and at answers to letters; says whether something was new."""
        before, waiting = self.news, len(self._letters)
        try:
            await self.look()
            await self._read_receipts()
        except HostUnavailableError:
            return True  # The observer has heard of a store that failed, and there is more news to come.
        return self.news is not before or len(self._letters) != waiting

    async def stop(self) -> None:
        """Send away whoever waits for an answer to a letter, which stays."""
        self._stopped = True
        for answers in self._letters.values():
            for answer in answers:
                if not answer.done():
                    answer.set_exception(self._unavailable())
        self._letters.clear()
        self._flash()

    async def _look(self) -> None:
        tools, damaged = self._tools, cast("DamagedError | None", None)
        try:
            try:
                state = await tools.run(self._store.state, self._name)
            except DamagedError as error:
                state, damaged = None, error
            published = STARTING if state is None else Published.decode(state)
            outcome = None
            if published.end is not None or self.over or damaged is not None:
                outcome = await tools.run(self._store.outcome, self._name)
        except (*STORE_FAILURES, DecodeError) as error:
            if await self._discarded():
                raise HostUnavailableError(f"session {self._name} was just discarded; ask again") from error
            raise tools.unavailable(self._name, error) from error
        if damaged is not None and outcome is None:
            await self._complain()
            raise tools.unavailable(self._name, damaged)
        if outcome is not None:
            self.over = True
            published = ended(published, outcome)
        changed = state != self._state or outcome != self.outcome
        if state != self._state or published.end is not self._published.end:
            self._state, self._published, self._read_at = state, published, tools.clock.now()
        self.outcome = outcome
        if changed:
            self._flash()

    async def _discarded(self) -> bool:
        """Whether the store is well and has no such session: the host is about to forget it."""
        try:
            return await self._tools.run(self._store.record, self._name) is None
        except STORE_FAILURES:
            return False

    async def _request(self, round_: Round, pointer: Pointer, client: ClientId, seen: bytes) -> Request | None:
        tools, store = self._tools, self._store
        if self._index is None or self._index[0] != pointer:
            self._index = pointer, await tools.run(read_index, store, self._name, pointer)
            self._common.clear()
        piece = self._index[1].get(client)
        if piece is None or piece.sha256 == seen:
            return None
        message = self._common.get(piece.sha256)
        if message is None:
            message = await tools.run(read_request, store, self._name, pointer, piece)
            if piece.offset == 0:  # What all are asked alike stands first; kept, since all will come for it.
                self._common = {piece.sha256: message}
        return Request(round_, message, piece.sha256, self.seconds_left or 0.0)

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
        try:
            number = await self._tools.run(self._store.send, self._name, letter, most)
        except STORE_FAILURES as error:
            raise self._tools.unavailable(self._name, error) from error
        if number is None:
            await self._forget(entry)
            await self.look()
            if self.end is not None:
                return self._afterwards(entry)
            raise QuotaExceededError(
                f"{LETTERS_OF_CLIENT} messages of one client were left for the holder of session {self._name}; an "
                "honest client sends one in a round"
            )
        reply = await self._answered(number, entry)
        if reply is None:
            return self._afterwards(entry)
        if entry.kind is EntryKind.UPLOAD and reply.payload != entry.payload.decode("ascii"):
            await self._forget(entry)
        receipt = reply.told()
        if receipt == ACCEPTED and digest and entry.client is not None:
            self._accepted.add((entry.client, digest))
        return receipt

    async def _answered(self, number: int, entry: Entry) -> Reply | None:
        """Wait until a letter is answered; None when the session has ended without that."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._letters.setdefault(number, set()).add(answer)
        try:
            await self._read_receipts()
            while not answer.done():
                if self.end is not None:
                    await self._read_receipts()
                    return answer.result() if answer.done() else None
                self.require_running()
                news = asyncio.ensure_future(self.news.wait())
                try:
                    await asyncio.wait((answer, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
            return answer.result()
        finally:
            waiting = self._letters.get(number, set())
            waiting.discard(answer)
            if not waiting:
                self._letters.pop(number, None)

    async def _read_receipts(self) -> None:
        """Read the receipts that somebody waits for; who is answered finds a state here that is as new."""
        if not self._letters:
            return
        try:
            found = await self._tools.run(self._store.receipts, tuple(self._letters))
            replies = {number: Reply.decode(receipt) for number, receipt in found.items() if receipt != UNREAD}
        except (*STORE_FAILURES, DecodeError) as error:
            raise self._tools.unavailable(self._name, error) from error
        if replies:
            await self.look()
        for number, reply in replies.items():
            for answer in self._letters.pop(number, set()):
                if not answer.done():
                    answer.set_result(reply)
        for number in found.keys() - replies.keys():
            for answer in self._letters.pop(number, set()):
                if not answer.done():
                    answer.set_exception(self._unavailable())

    async def _complain(self) -> None:
        """Ask the holder to publish again what is damaged; it looks by itself as well, though seldom."""
        now = self._tools.clock.now()
        if now - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = now
            try:
                await self._tools.run(self._store.send, self._name, COMPLAINT, LETTERS_OF_CLIENT)
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
