"""The calls of clients as gRPC has them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from secagg.transport import service_pb2 as pb
from secagg.transport.client_calls import ClientCalls
from secagg.transport.enrolments import Enrolments
from secagg.transport.gatekeeper import Gatekeeper
from secagg.transport.grpc.calls import Context, answered, caller_of
from secagg.transport.grpc.service_pb2_grpc import SecureAggregationServicer


class Servicer(SecureAggregationServicer):
    """Serves the members of cohorts.

    Args:
        gatekeeper: knows the callers.
        calls: what is served.
        enrolments: takes claims to invitations.
    """

    def __init__(self, gatekeeper: Gatekeeper, calls: ClientCalls, enrolments: Enrolments) -> None:
        self._gatekeeper = gatekeeper
        self._calls = calls
        self._enrolments = enrolments

    @answered
    async def Challenge(self, request: pb.ChallengeRequest, context: Context) -> pb.ChallengeReply:
        """Give a nonce."""
        return await self._calls.challenge(request)

    @answered
    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginReply:
        """Take a signature for a token."""
        return await self._calls.login(request)

    @answered
    async def GetOffer(self, request: pb.GetOfferRequest, context: Context) -> pb.GetOfferReply:
        """Give the session's offer."""
        return await self._calls.get_offer(await caller_of(self._gatekeeper, context), request)

    @answered
    async def NextRequest(self, request: pb.NextRequestRequest, context: Context) -> pb.NextRequestReply:
        """Wait for the next request."""
        return await self._calls.next_request(await caller_of(self._gatekeeper, context), request)

    @answered
    async def Answer(self, request: pb.AnswerRequest, context: Context) -> pb.AnswerReply:
        """Take an answer in one piece."""
        return await self._calls.answer(await caller_of(self._gatekeeper, context), request)

    @answered
    async def UploadAnswer(self, request: AsyncIterator[pb.UploadPart], context: Context) -> pb.AnswerReply:
        """Take an answer in chunks."""
        return await self._calls.upload_answer(await caller_of(self._gatekeeper, context), request)

    @answered
    async def NextSession(self, request: pb.NextSessionRequest, context: Context) -> pb.NextSessionReply:
        """Wait for a session that a member may take part in."""
        return await self._calls.next_session(await caller_of(self._gatekeeper, context), request)

    @answered
    async def Enrol(self, request: pb.EnrolRequest, context: Context) -> pb.EnrolReply:
        """Take a claim to an invitation, and give the roster once there is one."""
        return await self._enrolments.enrol(request)
