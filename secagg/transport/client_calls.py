"""The calls of clients: login, offer, requests, answers. Messages are opaque bytes on their way to a hosted session.

Each takes who calls and its request, and returns the reply or raises; what carries them is not known here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from secagg.errors import AbortReason, SecAggError
from secagg.hosting import Departure, Ended, EndKind, HostedSession, Receipt, ReceiptKind, Request, SessionHost
from secagg.identity.fingerprints import fingerprint
from secagg.parameters import ClientId
from secagg.transport import service_pb2 as pb
from secagg.transport.admission import Admission
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import (
    Caller,
    ClientCaller,
    Gatekeeper,
    MemberCaller,
    OperatorCaller,
    client_in,
    member_in,
)
from secagg.transport.limits import MOST_SEEN, SHA256_BYTES, UNARY_ANSWER_BYTES, ServiceLimits
from secagg.transport.refusals import CallRefusedError, refused
from secagg.transport.uploads import UploadDesk
from secagg.transport.waits import Waits

_OUTCOMES = {
    ReceiptKind.ACCEPTED: pb.AnswerReply.OUTCOME_ACCEPTED,
    ReceiptKind.REPEATED: pb.AnswerReply.OUTCOME_REPEATED,
    ReceiptKind.LATE: pb.AnswerReply.OUTCOME_LATE,
}
_KEY_BYTES = 32
_ACCEPTED = "accepted"


class ClientCalls:
    """Serves the members of cohorts.

    Args:
        host: has the sessions.
        gatekeeper: knows the callers.
        admission: knows the roster.
        limits: bounds of waiting and uploads.
        waits: ends the waiting when the server stops.
        desk: takes uploads in.
    """

    def __init__(
        self,
        host: SessionHost,
        gatekeeper: Gatekeeper,
        admission: Admission,
        limits: ServiceLimits,
        waits: Waits,
        desk: UploadDesk,
    ) -> None:
        self._host = host
        self._gatekeeper = gatekeeper
        self._admission = admission
        self._limits = limits
        self._waits = waits
        self._desk = desk

    async def challenge(self, request: pb.ChallengeRequest) -> pb.ChallengeReply:
        """Give a nonce."""
        return pb.ChallengeReply(nonce=await self._gatekeeper.challenge(_claimed(request)))

    async def login(self, request: pb.LoginRequest) -> pb.LoginReply:
        """Take a signature for a token."""
        outcome = _ACCEPTED
        try:
            following = wait_of(request.next) if request.HasField("next") else None
            token = await self._gatekeeper.login(request.nonce, request.server_name, request.signature)
            reply = pb.LoginReply(token=token)
            caller = await self._gatekeeper.caller(token)
            await self._tell_of(caller)
            if following is not None:
                await self._welcome(caller, following, reply)
            return reply
        except SecAggError as error:
            outcome = refused(error).refusal.value
            raise
        finally:
            self._host.observer.login_answered(outcome)

    async def _tell_of(self, caller: Caller) -> None:
        key = await self._admission.key_of(caller)
        session = caller.session if isinstance(caller, ClientCaller) else ""
        client = None if isinstance(caller, OperatorCaller) else caller.client
        self._host.observer.logged_in("" if key is None else fingerprint(key), session, client)

    async def get_offer(self, calling: Caller, request: pb.GetOfferRequest) -> pb.GetOfferReply:
        """Give the session's offer."""
        caller, session = await self.called(calling)
        return pb.GetOfferReply(offer=session.give_offer(caller.client))

    async def next_request(self, calling: Caller, request: pb.NextRequestRequest) -> pb.NextRequestReply:
        """Wait for the next request."""
        caller, session = await self.called(calling)
        reply = pb.NextRequestReply()
        await self._tell_news(session, caller.client, wait_of(request), reply)
        return reply

    async def answer(self, calling: Caller, request: pb.AnswerRequest) -> pb.AnswerReply:
        """Take an answer in one piece."""
        caller, session = await self.called(calling)
        if len(request.answer) > UNARY_ANSWER_BYTES:
            raise CallRefusedError(
                Refusal.UPLOAD_REFUSED,
                f"an answer of {len(request.answer)} bytes is above {UNARY_ANSWER_BYTES}; upload it in chunks",
            )
        following = wait_of(request.next) if request.HasField("next") else None
        reply = reply_to(await session.submit(caller.client, request.answer))
        return await self.with_news(session, caller.client, reply, following)

    async def upload_answer(self, calling: Caller, parts: AsyncIterator[pb.UploadPart]) -> pb.AnswerReply:
        """Take an answer in chunks."""
        caller, session = await self.called(calling)
        header = await self._desk.header(parts)
        following = wait_of(header.next) if header.HasField("next") else None
        reply = reply_to(await self._desk.take(session, caller.client, header, parts))
        return await self.with_news(session, caller.client, reply, following)

    async def next_session(self, calling: Caller, request: pb.NextSessionRequest) -> pb.NextSessionReply:
        """Wait for a session that a member may take part in."""
        member = member_in(calling)
        if len(request.seen) > MOST_SEEN:
            raise CallRefusedError(Refusal.MALFORMED, f"`seen` names {len(request.seen)} sessions, above {MOST_SEEN}")
        wait = min(request.wait_milliseconds / 1000, self._limits.poll_seconds)
        key = self._admission.roster().get(member.client)
        names = await self._waits.until_end(self._host.next_sessions(member.client, key, request.seen, wait))
        return pb.NextSessionReply(sessions=names[:MOST_SEEN])

    async def called(self, calling: Caller) -> tuple[ClientCaller, HostedSession]:
        """Return the client that calls, and its session."""
        caller = client_in(calling)
        return caller, await self._host.find(caller.session)

    async def _welcome(self, caller: Caller, asked: pb.NextRequestRequest, reply: pb.LoginReply) -> None:
        """Give who has logged in what it asks for next; what cannot be given now, it asks for and hears why."""
        if isinstance(caller, ClientCaller):
            with suppress(SecAggError):
                session = await self._host.find(caller.session)
                reply.offer = session.give_offer(caller.client)
                await self._tell_news(session, caller.client, pb.NextRequestRequest(seen=asked.seen), reply.next)

    async def with_news(
        self, session: HostedSession, client: ClientId, reply: pb.AnswerReply, asked: pb.NextRequestRequest | None
    ) -> pb.AnswerReply:
        """Add what the client is asked next, unless it has to ask for it: the answer is taken in any case."""
        if asked is not None:
            with suppress(SecAggError):
                await self._tell_news(session, client, asked, reply.next)
        return reply

    async def _tell_news(
        self, session: HostedSession, client: ClientId, asked: pb.NextRequestRequest, reply: pb.NextRequestReply
    ) -> None:
        """Wait for what the client is asked next, and write it into a reply."""
        wait = min(asked.wait_milliseconds / 1000, self._limits.poll_seconds)
        match await self._waits.until_end(session.next_request(client, asked.seen, wait)):
            case Request() as found:
                reply.request = found.message
            case Ended(EndKind.DROPPED, reason):
                reply.dropped.reason_id, reply.dropped.reason = _ids(reason)
            case Ended(kind, reason, successor):
                reply.ended.completed = kind is EndKind.COMPLETED
                reply.ended.reason_id, reply.ended.reason = _ids(reason)
                reply.ended.successor = successor


def wait_of(asked: pb.NextRequestRequest) -> pb.NextRequestRequest:
    """Check what a client waits for, before anything of its call is done.

    Raises:
        CallRefusedError: MALFORMED.
    """
    if len(asked.seen) not in (0, SHA256_BYTES):
        raise CallRefusedError(Refusal.MALFORMED, f"`seen` is nothing or a digest of {SHA256_BYTES} bytes")
    return asked


def _claimed(request: pb.ChallengeRequest) -> Caller:
    match request.WhichOneof("subject"):
        case "client":
            return ClientCaller(request.client.session, request.client.client)
        case "member":
            return MemberCaller(request.member.client)
        case "operator":
            if len(request.operator.public_key) == _KEY_BYTES:
                return OperatorCaller(request.operator.public_key, request.operator.reads_only)
    raise CallRefusedError(
        Refusal.MALFORMED, "a challenge names a client of a session, a member, or an operator's 32-byte key"
    )


def reply_to(receipt: Receipt) -> pb.AnswerReply:
    """Say what became of an answer.

    Raises:
        CallRefusedError: DROPPED.
    """
    if receipt.kind is ReceiptKind.REFUSED:
        why = "" if receipt.reason is None else f": {receipt.reason.name} [{receipt.reason.value}]"
        raise CallRefusedError(Refusal.DROPPED, f"the server dropped this client{why}", drop_reason=receipt.reason)
    return pb.AnswerReply(outcome=_OUTCOMES[receipt.kind])


def _ids(reason: AbortReason | Departure | None) -> tuple[str, str]:
    return ("", "") if reason is None else (reason.value, reason.name)
