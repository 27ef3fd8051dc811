"""The calls of operators: sessions are made, watched, ended, and their sums fetched.

Every call passes `admitted`, which asks `OperatorViews` who calls and whether its role is enough; a session is reached
through its `own`, to which sessions of another tenant do not exist.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from secagg.errors import SecAggError
from secagg.hosting import (
    EndKind,
    HostedSession,
    HostReason,
    NotInCohortError,
    ReceiptKind,
    SessionHost,
    UnknownSessionError,
    parameters_of,
)
from secagg.parameters import ClientId, SessionParameters
from secagg.store.base import StoreConflictError
from secagg.transport import service_pb2 as pb
from secagg.transport.admission import Admission
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Gatekeeper
from secagg.transport.grpc.calls import Context, caller_of, fail
from secagg.transport.grpc.service_pb2_grpc import AdministrationServicer
from secagg.transport.limits import CHUNK_BYTES, MAX_OFFER_BYTES, ServiceLimits
from secagg.transport.operator_views import OperatorViews
from secagg.transport.refusals import CallRefusedError, refused
from secagg.transport.rights import OperatorRights
from secagg.transport.statuses import deadlines_in, status_message
from secagg.transport.waits import Waits

_MOST_DETAIL = 500

Given = TypeVar("Given")
Returned = TypeVar("Returned")


def admitted(
    handler: Callable[[Administrator, Given, OperatorRights], Awaitable[Returned]],
) -> Callable[[Administrator, Given, Context], Awaitable[Returned]]:
    """Give a handler the rights of the operator that calls, if these are enough for a call of its name."""

    @functools.wraps(handler)
    async def guarded(self: Administrator, request: Given, context: Context) -> Returned:
        try:
            rights = await self.rights(context, handler.__name__)
            reply = await handler(self, request, rights)
            self.tell_of(handler.__name__, rights, request)
            return reply
        except SecAggError as error:
            await fail(context, refused(error))

    return guarded


def admitted_stream(
    handler: Callable[[Administrator, Given, OperatorRights], AsyncIterator[Returned]],
) -> Callable[[Administrator, Given, Context], AsyncIterator[Returned]]:
    """The same for a handler that yields its replies."""

    @functools.wraps(handler)
    async def guarded(self: Administrator, request: Given, context: Context) -> AsyncIterator[Returned]:
        try:
            rights, told = await self.rights(context, handler.__name__), False
            async for reply in handler(self, request, rights):
                # Before the first reply: who hangs up before the last has what was in the others.
                if not told:
                    self.tell_of(handler.__name__, rights, request)
                    told = True
                yield reply
        except SecAggError as error:
            await fail(context, refused(error))

    return guarded


class Administrator(AdministrationServicer):
    """Serves operators.

    Args:
        host: has the sessions.
        gatekeeper: knows the callers.
        admission: knows the roster.
        limits: bounds of waiting.
        waits: ends the waiting when the server stops.
        views: knows what callers may do, and shows them what they see.
    """

    def __init__(
        self,
        host: SessionHost,
        gatekeeper: Gatekeeper,
        admission: Admission,
        limits: ServiceLimits,
        waits: Waits,
        views: OperatorViews,
    ) -> None:
        self._host = host
        self._gatekeeper = gatekeeper
        self._admission = admission
        self._limits = limits
        self._waits = waits
        self._views = views

    async def rights(self, context: Context, call: str) -> OperatorRights:
        """Return the rights of whoever makes a call.

        Raises:
            CallRefusedError: no operator, or none that may make this call.
        """
        return self._views.rights(await caller_of(self._gatekeeper, context), call)

    def tell_of(self, call: str, rights: OperatorRights, request: Any) -> None:
        """Tell the observer of a call that is answered."""
        self._views.tell_of(call, rights, request)

    @admitted
    async def ListSessions(self, request: pb.ListSessionsRequest, rights: OperatorRights) -> pb.ListSessionsReply:
        """List the sessions of a tenant: a page with how far they are, or all names."""
        return await self._views.list_sessions(request, rights)

    @admitted
    async def GetStatus(self, request: pb.GetStatusRequest, rights: OperatorRights) -> pb.GetStatusReply:
        """Say how far a session is."""
        return await self._views.get_status(request, rights)

    @admitted_stream
    async def WatchSession(
        self, request: pb.WatchSessionRequest, rights: OperatorRights
    ) -> AsyncIterator[pb.WatchSessionReply]:
        """Say how far a session is, whenever that changes."""
        session = await self._views.own(request.session, rights)
        loop = asyncio.get_running_loop()
        until, seen = loop.time() + self._limits.poll_seconds, None
        while (news := await self._waits.until_end(session.next_status(seen, until - loop.time()))) is not None:
            seen, last = news
            yield pb.WatchSessionReply(status=status_message(seen), last=last)
            if last:
                return

    @admitted
    async def CreateSession(self, request: pb.CreateSessionRequest, rights: OperatorRights) -> pb.CreateSessionReply:
        """Offer a session with the keys that the roster has for its cohort."""
        name = request.session
        if len(request.offer) > MAX_OFFER_BYTES:
            raise CallRefusedError(
                Refusal.MALFORMED,
                f"an offer of {len(request.offer)} bytes is above {MAX_OFFER_BYTES}; list the session in the server's "
                "configuration",
            )
        parameters, schedule = parameters_of(request.offer), deadlines_in(request.deadlines, request.restarts)
        known = await self._known(name)
        if known is None:
            try:
                keys = self._keys(parameters)
                known = await self._host.create(name, parameters, roster=keys, schedule=schedule, tenant=rights.tenant)
            except StoreConflictError:
                raise _taken(name) from None
        if known.record.tenant != rights.tenant:
            raise _taken(name)
        if (known.offer, known.record.schedule) != (request.offer, schedule.encode()):
            raise CallRefusedError(
                Refusal.NAME_TAKEN,
                f"session {name} exists with another offer, or other deadlines or restarts, as it does when "
                "`secagg session create` is given twice, since each draws its own randomness; go on with the "
                "one that is there, or choose another name",
            )
        return pb.CreateSessionReply(status=status_message(known.status()))

    @admitted
    async def AbortSession(self, request: pb.AbortSessionRequest, rights: OperatorRights) -> pb.AbortSessionReply:
        """End a session without a sum."""
        session = await self._views.own(request.session, rights)
        await session.abort(_detail(request.detail, "an operator aborted the session"))
        if session.status().state == EndKind.COMPLETED.value:
            raise CallRefusedError(
                Refusal.SESSION_ENDED, f"session {session.name} has completed; fetch its result, or discard it"
            )
        return pb.AbortSessionReply()

    @admitted
    async def DropClient(self, request: pb.DropClientRequest, rights: OperatorRights) -> pb.DropClientReply:
        """Go on without a client."""
        session, client = await self._views.own(request.session, rights), request.client
        ended = CallRefusedError(
            Refusal.SESSION_ENDED, f"session {session.name} has ended; no client can be dropped from it"
        )
        if session.settled:
            raise ended
        detail = _detail(request.detail, "an operator removed the client")
        try:
            receipt = await session.drop(client, HostReason.REMOVED_BY_OPERATOR, f"client {client}: {detail}")
        except NotInCohortError as error:
            raise CallRefusedError(Refusal.UNKNOWN_CLIENT, f"{error}; check its id") from None
        # Late, and not because the client was dropped before: its end is being stored.
        if receipt.kind is ReceiptKind.LATE and receipt.reason is None:
            raise ended
        return pb.DropClientReply()

    @admitted
    async def DiscardResult(self, request: pb.DiscardResultRequest, rights: OperatorRights) -> pb.DiscardResultReply:
        """Forget a session that has ended, or is damaged."""
        if rights.tenant or request.session not in self._host.damaged:
            session = await self._views.own(request.session, rights)
            if not request.unfetched:
                await session.require_fetched(request.sha256)
        await self._host.discard(request.session)
        return pb.DiscardResultReply()

    @admitted
    async def ListClients(self, request: pb.ListClientsRequest, rights: OperatorRights) -> pb.ListClientsReply:
        """List the clients that the server has keys for."""
        return pb.ListClientsReply(clients=sorted(self._admission.roster()))

    @admitted_stream
    async def GetResult(self, request: pb.GetResultRequest, rights: OperatorRights) -> AsyncIterator[pb.ResultPart]:
        """Give the sum, chunk by chunk."""
        session = await self._views.own(request.session, rights)
        total = 0
        async for chunk in session.result_chunks(CHUNK_BYTES):
            total += len(chunk)
            yield pb.ResultPart(chunk=chunk)
        yield pb.ResultPart(end=pb.ResultEnd(total_bytes=total, sha256=session.result_sha256()))

    @admitted
    async def AcknowledgeResult(
        self, request: pb.AcknowledgeResultRequest, rights: OperatorRights
    ) -> pb.AcknowledgeResultReply:
        """Let go of a result that is safe elsewhere."""
        session = await self._views.own(request.session, rights)
        if not request.unfetched:
            await session.require_fetched(request.sha256)
        await session.acknowledge_result()
        return pb.AcknowledgeResultReply()

    @admitted
    async def GetEvidence(self, request: pb.GetEvidenceRequest, rights: OperatorRights) -> pb.GetEvidenceReply:
        """Give what shows that a client made a session end."""
        session = await self._views.own(request.session, rights)
        return pb.GetEvidenceReply(evidence=session.evidence(request.client))

    async def _known(self, name: str) -> HostedSession | None:
        if name in self._host.damaged:
            raise _taken(name)
        try:
            return await self._host.find(name)
        except UnknownSessionError:
            return None

    def _keys(self, parameters: SessionParameters) -> dict[ClientId, bytes]:
        """Return the keys of a cohort.

        Raises:
            CallRefusedError: the roster lacks a client, or is not valid.
        """
        keys = self._admission.roster()
        missing = [client for client in parameters.cohort if client not in keys]
        if missing and (keys or not self._admission.anonymous):
            more = f" and {len(missing) - 1} more of the cohort" if len(missing) > 1 else ""
            raise CallRefusedError(
                Refusal.UNKNOWN_CLIENT,
                f"client {missing[0]}{more}: not in the roster of this server; enroll them or leave them out",
            )
        return {client: keys[client] for client in parameters.cohort if client in keys}


def _taken(name: str) -> CallRefusedError:
    return CallRefusedError(Refusal.NAME_TAKEN, f"the name {name[:40]!r} is taken; choose another name")


def _detail(given: str, otherwise: str) -> str:
    return given[:_MOST_DETAIL] or otherwise
