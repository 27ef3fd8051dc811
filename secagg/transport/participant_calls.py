"""The calls that a participant makes: offer, requests, answers in one piece or in chunks. Bytes in, bytes out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from secagg.errors import AbortReason, SessionAbortedError
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import CALL_SECONDS, Connection, Metadata
from secagg.transport.errors import DroppedError, RestartedError, ServiceError
from secagg.transport.limits import CHUNK_BYTES, UNARY_ANSWER_BYTES
from secagg.transport.refusals import drop_reason_of, hint, sentence

_POLL_SECONDS: Final = 50.0
_SHORTEST_POLL_SECONDS: Final = 0.5
_NOTICE_SECONDS: Final = 5.0
# An upload slower than this is cut off and begun again.
_SLOWEST_BYTES_PER_SECOND: Final = 4096
_OUTCOMES: Final = {
    pb.AnswerReply.OUTCOME_ACCEPTED: "accepted",
    pb.AnswerReply.OUTCOME_REPEATED: "repeated",
    pb.AnswerReply.OUTCOME_LATE: "late",
}


class ParticipantCalls:
    """One client's calls; every method raises what `Connection.call` raises.

    Args:
        connection: logged in as the client.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._given: pb.NextRequestReply | None = None

    async def offer(self) -> bytes:
        """Fetch the session's offer."""

        async def attempt(metadata: Metadata) -> bytes:
            welcome = self._connection.take_welcome()
            if welcome.offer:
                self._note(welcome)
                return welcome.offer
            reply: pb.GetOfferReply = await self._connection.aggregation.GetOffer(
                pb.GetOfferRequest(), metadata=metadata, timeout=CALL_SECONDS
            )
            return reply.offer

        return await self._connection.call("GetOffer", attempt)

    def ask_anew(self) -> None:
        """Let go of the request that came with the login: the state was read after it, and may be further."""
        self._given = None

    async def next_request(self, seen: bytes) -> bytes | None:
        """Wait for the request after the one with this digest; None when the session has completed.

        Raises:
            SessionAbortedError: it ended without a sum; a RestartedError where another one follows it.
            DroppedError: the server dropped this client.
        """

        async def ask() -> pb.NextRequestReply:
            asking = _Asking(seen)

            async def attempt(metadata: Metadata) -> pb.NextRequestReply:
                reply: pb.NextRequestReply = await self._connection.aggregation.NextRequest(
                    asking.next(), metadata=metadata, timeout=_POLL_SECONDS + CALL_SECONDS
                )
                return reply

            return await self._connection.call("NextRequest", attempt, waits=True)

        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            begun = loop.time()
            given, self._given = self._given, None
            reply = await ask() if given is None else given
            match reply.WhichOneof("news"):
                case "request":
                    if hashlib.sha256(reply.request).digest() == seen:
                        raise ServiceError("the server asks again what was answered, although it was told so")
                    return reply.request
                case "ended":
                    if reply.ended.completed:
                        return None
                    raise _ended(reply.ended)
                case "dropped":
                    raise _dropped(reply.dropped)
            self._connection.waiting("other clients", loop.time() - since)
            # A server that does not wait must not be asked in a tight loop.
            await asyncio.sleep(max(0.0, begun + _SHORTEST_POLL_SECONDS - loop.time()))

    async def answer(self, answer: bytes, request: bytes) -> str:
        """Hand in an answer until the server has it; returns "accepted", "repeated" or "late".

        Args:
            answer: of any length.
            request: SHA-256 of the request that it answers.

        Raises:
            DroppedError: the server drops this client for it.
        """
        if len(answer) <= UNARY_ANSWER_BYTES:
            return await self._answer_whole(answer, _Asking(request))
        sha256 = await asyncio.to_thread(_digest, answer)
        asking = _Asking(request)

        async def parts() -> AsyncIterator[pb.UploadPart]:
            yield pb.UploadPart(header=pb.UploadHeader(total_bytes=len(answer), sha256=sha256, next=asking.next()))
            view = memoryview(answer)
            for at in range(0, len(answer), CHUNK_BYTES):
                yield pb.UploadPart(chunk=bytes(view[at : at + CHUNK_BYTES]))

        unsure = False

        async def attempt(metadata: Metadata) -> pb.AnswerReply:
            nonlocal unsure
            if unsure and await self._goes_on(request, metadata):
                return pb.AnswerReply(outcome=pb.AnswerReply.OUTCOME_LATE)
            try:
                reply: pb.AnswerReply = await self._connection.aggregation.UploadAnswer(
                    parts(),
                    metadata=metadata,
                    timeout=CALL_SECONDS + _POLL_SECONDS + len(answer) / _SLOWEST_BYTES_PER_SECOND,
                )
            except self._connection.errors as error:
                # While parts are on their way, what carries them may put words of its own in the place of the server's.
                failure = self._connection.failure(error)
                unsure = failure is not None and failure.detail is None
                raise
            return reply

        return self._outcome(await self._connection.call("UploadAnswer", attempt, waits=True))

    async def _goes_on(self, request: bytes, metadata: Metadata) -> bool:
        """Whether the server has left a request behind: it has the answer, or wants none any more."""
        asked = pb.NextRequestRequest(seen=request, wait_milliseconds=0)
        reply: pb.NextRequestReply = await self._connection.aggregation.NextRequest(
            asked, metadata=metadata, timeout=CALL_SECONDS
        )
        return reply.WhichOneof("news") is not None

    async def notice(self, notice: bytes) -> None:
        """Tell the server that this client leaves, once, without waiting long."""
        await self._answer_whole(notice, None, seconds=_NOTICE_SECONDS)

    async def _answer_whole(
        self, answer: bytes, asking: _Asking | None, seconds: float = CALL_SECONDS + _POLL_SECONDS
    ) -> str:
        async def attempt(metadata: Metadata) -> pb.AnswerReply:
            following = None if asking is None else asking.next()
            reply: pb.AnswerReply = await self._connection.aggregation.Answer(
                pb.AnswerRequest(answer=answer, next=following), metadata=metadata, timeout=seconds
            )
            return reply

        waits = asking is not None
        return self._outcome(await self._connection.call("Answer", attempt, once=not waits, waits=waits))

    def _outcome(self, reply: pb.AnswerReply) -> str:
        if reply.outcome not in _OUTCOMES:
            raise ServiceError(f"the server gave outcome {reply.outcome}, which this release does not know; update it")
        self._note(reply)
        return _OUTCOMES[reply.outcome]

    def _note(self, reply: pb.LoginReply | pb.AnswerReply) -> None:
        """Keep what came with a reply, for when it is asked for."""
        self._given = reply.next if reply.next.WhichOneof("news") else None


class _Asking:
    """What a call asks for after a request: it waits for it in its first attempt, and not when it is made again, since
    a reply is what says that the server is there: it may go away again while a call waits."""

    def __init__(self, seen: bytes) -> None:
        self._seen = seen
        self._seconds = _POLL_SECONDS

    def next(self) -> pb.NextRequestRequest:
        """For the next attempt."""
        seconds, self._seconds = self._seconds, 0.0
        return pb.NextRequestRequest(seen=self._seen, wait_milliseconds=int(seconds * 1000))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _ended(ended: pb.Ended) -> SessionAbortedError:
    sentence_ = f"the session ended without a sum: {_reason(ended)}"
    reason = next((reason for reason in AbortReason if reason.value == ended.reason_id), None)
    if ended.successor:
        return RestartedError(sentence_, reason, ended.successor)
    return SessionAbortedError(sentence_, reason)


def _dropped(dropped: pb.Dropped) -> DroppedError:
    why = f"{_reason(dropped)}{hint(dropped.reason_id)}"
    return DroppedError(f"the server dropped this client: {why}", drop_reason_of(dropped.reason_id))


def _reason(told: pb.Ended | pb.Dropped) -> str:
    """A reason's name and id; the server sends no sentence, which could tell about the others."""
    if not told.reason:
        return "the server does not say why"
    return sentence(f"{told.reason} [{told.reason_id}]")
