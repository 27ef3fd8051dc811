"""One hosted session: what a transport talks to.

Whoever calls is authenticated already; messages are opaque bytes. Reading requests and asking for the status takes
no lock. What can change the session is handed to whoever has its seat, and the caller waits until it is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from secagg.hosting.errors import HostUnavailableError, NoEvidenceError, NotInCohortError, UploadRefusedError
from secagg.hosting.hosted_result import HostedResult
from secagg.hosting.quotas import FetchRates, SendingRates
from secagg.hosting.replica import abort_entry, drop_entry
from secagg.hosting.replies import Departure, Ended, EndKind, HostReason, Receipt, Request, SessionStatus
from secagg.hosting.seat import Seat
from secagg.hosting.tools import STORE_FAILURES, Background, Tools
from secagg.hosting.upload import HostedUpload
from secagg.parameters import ClientId, SessionParameters
from secagg.store.base import Aborted, Entry, EntryKind, Outcome, SessionRecord

_BURST_MESSAGES: Final = 4
_BURST_BYTES: Final = 1 << 16
_LOOK_SECONDS: Final = 1.0


class HostedSession(HostedResult):
    """A session of a host; made by `SessionHost`.

    Args:
        client: whom a call is about.

    Attributes:
        name: unique on the host.
        parameters: what is offered.
        offer: the encoded offer.
        roster: client id to 32-byte Ed25519 key of the cohort; empty when the session has none.
        message_limit: the longest message, in bytes, that a client may send.
        record: what the store keeps of it, besides its log.
    """

    def __init__(
        self, tools: Tools, record: SessionRecord, parameters: SessionParameters, message_limit: int, seat: Seat
    ) -> None:
        super().__init__(tools, record.name, seat)
        self.record = record
        self.parameters = parameters
        self.offer = record.offer
        self.roster: Mapping[ClientId, bytes] = record.roster
        self.message_limit = message_limit
        burst = _BURST_MESSAGES * message_limit + _BURST_BYTES
        self._rates = SendingRates(tools.quotas.client_bytes_per_second, burst)
        self._fetches = FetchRates(tools.quotas.client_fetches_per_minute)
        self._uploads: dict[ClientId, HostedUpload] = {}
        self._turns: dict[ClientId, object] = {}
        self._working = Background()

    def includes(self, client: ClientId) -> bool:
        """Whether a client is in the session's cohort."""
        return self.parameters.includes(client)

    @property
    def occupied(self) -> bool:
        """Whether the session runs or is to run, or has a result that nobody has released."""
        return not self.damaged and (self._seat.outcome is None or self.status().result_ready)

    @property
    def outcome(self) -> Outcome | None:
        """How the session ended, as far as that is stored."""
        return self._seat.outcome

    @property
    def settled(self) -> bool:
        """Whether the session has ended, and how is stored or, where it is damaged, will never be."""
        return self.damaged or self._seat.outcome is not None

    def open_to(self, client: ClientId, key: bytes | None) -> bool:
        """Whether the session runs with this client, under this key.

        Args:
            key: 32-byte Ed25519 key by which the caller is known; None without one.
        """
        seat = self._seat
        return (
            seat.end is None and self.includes(client) and self.roster.get(client) == key and seat.gone(client) is None
        )

    @property
    def stored_here(self) -> int:
        """Bytes of the session that this process counts: those of a session that it goes on with."""
        return self._seat.counted

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """What a message would be answered that cannot change the session; None when it has to be sent.

        A transport asks before it takes in a long message: a client that lost the answer sends nothing twice.

        Args:
            client: who would send it.
            digest: SHA-256 of the message.

        Raises:
            NotInCohortError: a client outside the cohort.
        """
        self._require_member(client)
        return self._seat.foresee(client, digest)

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline of the open round, or None when none is open."""
        return self._seat.seconds_left

    def sit(self, seat: Seat) -> Seat:
        """Give the seat to another, and return the one before; whoever waits looks again. The host does this."""
        before, self._seat = self._seat, seat
        news, before.news = before.news, asyncio.Event()
        news.set()
        return before

    def give_offer(self, client: ClientId) -> bytes:
        """Return the offer to a client.

        Raises:
            NotInCohortError: a client outside the cohort.
            QuotaExceededError: the client fetches again and again what it has.
        """
        self._require_member(client)
        self._fetches.take(client, self._tools.clock.now())
        return self.offer

    async def next_request(self, client: ClientId, seen: bytes, wait: float) -> Request | Ended | None:
        """Return what the session asks of a client, as soon as it differs from what the client has seen.

        Args:
            client: who asks.
            seen: digest of the last request that the client has, or empty.
            wait: seconds to wait for another one; negative is 0.

        Returns:
            The request, or that nothing more will be asked, or None when the time passed.

        Raises:
            NotInCohortError: a client outside the cohort.
            QuotaExceededError: the client fetches again and again what it has.
            HostUnavailableError: the host stops, or the session failed; ask again later.
        """
        self._require_member(client)
        clock = self._tools.clock
        until = clock.now() + max(0.0, wait)
        while True:
            seat = self._seat
            news = seat.news
            found = self._ended(client)
            if found is not None:
                return found
            seat.require_running()
            request = await seat.request(client, seen)
            if request is None and (found := self._ended(client)) is not None:
                return found
            if request is not None and request.digest != seen:
                self._fetches.take(client, clock.now())
                self._tools.observer.bytes_sent(self.name, client, len(request.message))
                return request
            if clock.now() >= until:
                return None
            await clock.wait(news, until)

    async def submit(self, client: ClientId, message: bytes) -> Receipt:
        """Hand in a message that is in memory; returns when it is durable, or when it cannot change anything.

        Args:
            message: all of its bytes.

        Returns:
            What became of it.

        Raises:
            NotInCohortError: a client outside the cohort.
            UploadRefusedError: longer than the session's messages.
            QuotaExceededError: the client sends too much, or too many wait.
            HostUnavailableError: it is not stored; send the same again.
        """
        self._require_member(client)
        self._require_length(client, len(message))
        self._rates.take(client, len(message), self._tools.clock.now())
        self._tools.observer.bytes_received(self.name, client, len(message))
        digest = hashlib.sha256(message).digest()
        self._tools.space.reserve(len(message))
        return await self._seat.take(Entry(EntryKind.MESSAGE, client, bytes(message)), digest, len(message))

    async def begin_upload(self, client: ClientId, total_bytes: int) -> HostedUpload:
        """Begin to take in a long message; an earlier, unfinished upload of the client is discarded.

        Args:
            client: who sends it.
            total_bytes: its length; checked before anything is stored.

        Returns:
            What takes the pieces.

        Raises:
            NotInCohortError: a client outside the cohort.
            UploadRefusedError: longer than the session's messages.
            QuotaExceededError: the client sends too much, or the host's uploads are too many bytes.
            HostUnavailableError: the store failed, or the host stops.
        """
        self._require_member(client)
        self._require_length(client, total_bytes)
        self._seat.require_running()
        self._rates.take(client, total_bytes, self._tools.clock.now())
        self._tools.space.reserve(total_bytes)
        begun = self._working.begin(self._begin_upload(client, total_bytes))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            self._working.begin(self._abandon(begun))
            raise

    async def submit_upload(self, client: ClientId, upload: HostedUpload) -> Receipt:
        """Hand in a message that was uploaded; goes on when the caller is cancelled.

        Args:
            upload: of this client, complete.

        Returns:
            What became of the message.

        Raises:
            NotInCohortError: a client outside the cohort.
            UploadRefusedError: fewer bytes than announced, or another client's upload.
            QuotaExceededError: too many messages wait, or the client sent too many different ones.
            HostUnavailableError: it is not stored, or was ended by a newer one; begin again.
        """
        self._require_member(client)
        if upload.client != client or upload.name != self.name:
            raise UploadRefusedError(f"client {client} did not begin this upload; begin one")
        return await asyncio.shield(self._working.begin(self._submit_upload(client, upload)))

    async def drop(self, client: ClientId, reason: Departure, detail: str) -> Receipt:
        """Go on without a client, because the host's operator or its transport says so.

        Args:
            reason: the rule that it broke, or a reason of the host's own.
            detail: one sentence for the operator.

        Raises:
            NotInCohortError: a client outside the cohort.
            HostUnavailableError: it is not stored; try again.
        """
        self._require_member(client)
        return await self._seat.take(drop_entry(client, reason, detail), b"", 0)

    async def revoke(self, keys: Mapping[ClientId, bytes]) -> int:
        """Go on without the clients whose key in this session is not theirs in `keys`; returns how many there were.

        An input that is in the sum already stays there, and its sender is asked nothing more. Does nothing in a session
        without a roster, and after the end.

        Args:
            keys: client id to the 32-byte Ed25519 key that is valid now; who is missing has none.

        Raises:
            HostUnavailableError: not all are dropped; try again.
        """
        if self._seat.end is not None or self.damaged:
            return 0
        revoked = [
            client for client, key in self.roster.items() if keys.get(client) != key and self._seat.gone(client) is None
        ]
        for client in revoked:
            if client in self._uploads:
                await self._uploads[client].discard()
        detail = "its key was revoked: it is not the client's in the roster that is valid now"
        await asyncio.gather(
            *(self.drop(client, HostReason.REVOKED, f"client {client}: {detail}") for client in revoked)
        )
        return len(revoked)

    async def abort(self, detail: str) -> None:
        """End the session without a sum; does nothing after its end.

        Args:
            detail: why, in one sentence for the operator.

        Raises:
            HostUnavailableError: it is not stored; try again.
        """
        await self._seat.take(abort_entry(detail), b"", 0)

    async def next_status(self, seen: SessionStatus | None, wait: float) -> tuple[SessionStatus, bool] | None:
        """Return the status as soon as more differs from one that was seen than the time that is left.

        Args:
            seen: the last that the caller has, or None.
            wait: seconds to wait for another one; negative is 0.

        Returns:
            The status, and whether it is the last (`settled`); None when the time passed.
        """
        clock = self._tools.clock
        until = clock.now() + max(0.0, wait)
        while True:
            news, status = self._seat.news, self.status()
            if seen is None or replace(status, seconds_left=seen.seconds_left) != seen:
                return status, self.settled
            if clock.now() >= until:
                return None
            # Answers are no news to clients, and come by the thousand.
            await clock.wait(news, min(until, clock.now() + _LOOK_SECONDS))

    async def wait_ended(self) -> None:
        """Wait until the session has ended and its outcome is stored.

        Raises:
            HostUnavailableError: the host stops, or the session failed.
            ResultNotReadyError: the session is damaged, and has no outcome.
        """
        while self._seat.outcome is None:
            self._seat.require_running()
            self._require_whole()
            await self._seat.news.wait()

    def discarded(self) -> None:
        """Note that the store has nothing of this session any more. The host does this."""
        self._seat.count_stored(-self.status().stored_bytes)

    def evidence(self, client: ClientId) -> bytes:
        """What shows, to anybody with the roster, that a client made the session end (`secagg.verify_evidence`).

        Raises:
            NoEvidenceError: there is none of this client.
        """
        outcome = self._seat.outcome
        blame = outcome.blame if isinstance(outcome, Aborted) else ()
        shown = next((each.evidence for each in blame if each.client == client), None)
        if shown is None:
            raise NoEvidenceError(
                f"session {self.name} has no evidence against client {client}; its status says against whom there is"
            )
        return shown

    async def close(self) -> None:
        """Stop; what is durable stays. The host does this."""
        for upload in tuple(self._uploads.values()):
            await upload.discard()
        await self._seat.stop()
        await self._working.ended()

    async def _begin_upload(self, client: ClientId, total_bytes: int) -> HostedUpload:
        turn = self._turns[client] = object()
        try:
            opened = await self._tools.run(self._tools.store.begin_upload, self.name, total_bytes)
        except STORE_FAILURES as error:
            self._tools.space.add(-total_bytes)
            raise self._tools.unavailable(self.name, error) from error
        upload = HostedUpload(self._tools, self.name, client, total_bytes, opened)
        if self._turns[client] is not turn:  # The store was slow, and a newer one has begun.
            await upload.discard()
            return upload
        older, self._uploads[client] = self._uploads.get(client), upload
        if older is not None:
            await older.discard()
        return upload

    async def _abandon(self, begun: asyncio.Task[HostedUpload]) -> None:
        """Let go of an upload whose caller went away before it had begun."""
        try:
            upload = await begun
        except HostUnavailableError:
            return
        await upload.discard()

    async def _submit_upload(self, client: ClientId, upload: HostedUpload) -> Receipt:
        foreseen = self._seat.foresee(client, upload.sha256)
        if foreseen is not None and upload.received == upload.total_bytes:
            await upload.discard()
            self._seat.observe_answer(client, foreseen)
            return foreseen
        digest = upload.sha256
        number = await upload.commit()
        if self._uploads.get(client) is upload:
            del self._uploads[client]
        entry = Entry(EntryKind.UPLOAD, client, number.encode("ascii"))
        return await self._seat.take(entry, digest, upload.total_bytes)

    def _ended(self, client: ClientId) -> Ended | None:
        seat = self._seat
        # An abort first: it is over for all, whoever was dropped before or by the same deadline.
        if seat.end is not None and seat.end.kind is EndKind.ABORTED:
            return seat.end
        gone = seat.gone(client)
        return seat.end if gone is None else Ended(EndKind.DROPPED, gone)

    def _require_member(self, client: ClientId) -> None:
        if not self.includes(client):
            raise NotInCohortError(f"client {client} is not in the cohort of session {self.name}")

    def _require_length(self, client: ClientId, length: int) -> None:
        if not 0 <= length <= self.message_limit:
            raise UploadRefusedError(
                f"client {client} sends {length} bytes; the messages of session {self.name} have at most "
                f"{self.message_limit}"
            )
