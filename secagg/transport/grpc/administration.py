"""The calls of operators: which sessions there are, how far they are, and their sums."""

from __future__ import annotations

from collections.abc import AsyncIterator

from secagg.hosting import SessionHost, SessionStatus
from secagg.transport.grpc import service_pb2 as pb
from secagg.transport.grpc.calls import Context, answered, operator_of, streamed
from secagg.transport.grpc.gatekeeper import Gatekeeper
from secagg.transport.grpc.limits import CHUNK_BYTES
from secagg.transport.grpc.service_pb2_grpc import AdministrationServicer
from secagg.transport.grpc.status import sentence


class Administrator(AdministrationServicer):
    """Serves operators.

    Args:
        host: has the sessions.
        gatekeeper: knows the callers.
    """

    def __init__(self, host: SessionHost, gatekeeper: Gatekeeper) -> None:
        self._host = host
        self._gatekeeper = gatekeeper

    @answered
    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsReply:
        """Name all sessions."""
        operator_of(self._gatekeeper, context)
        names = (*(session.name for session in self._host.sessions()), *self._host.damaged)
        return pb.ListSessionsReply(sessions=names)

    @answered
    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusReply:
        """Say how far a session is."""
        operator_of(self._gatekeeper, context)
        if request.session not in self._host.damaged:
            await self._host.find(request.session)
        return _status(self._host.status(request.session))

    @streamed
    async def GetResult(self, request: pb.GetResultRequest, context: Context) -> AsyncIterator[pb.ResultPart]:
        """Give the sum, chunk by chunk."""
        operator_of(self._gatekeeper, context)
        session = await self._host.find(request.session)
        total = 0
        async for chunk in session.result_chunks(CHUNK_BYTES):
            total += len(chunk)
            yield pb.ResultPart(chunk=chunk)
        yield pb.ResultPart(end=pb.ResultEnd(total_bytes=total, sha256=session.result_sha256()))

    @answered
    async def AcknowledgeResult(
        self, request: pb.AcknowledgeResultRequest, context: Context
    ) -> pb.AcknowledgeResultReply:
        """Let go of a result that is safe elsewhere."""
        operator_of(self._gatekeeper, context)
        await (await self._host.find(request.session)).acknowledge_result()
        return pb.AcknowledgeResultReply()


def _status(status: SessionStatus) -> pb.GetStatusReply:
    known = status.contributors is not None
    return pb.GetStatusReply(
        session=status.name,
        state=status.state,
        clients=status.clients,
        expected=status.expected,
        answered=status.answered,
        pending=status.pending,
        dropped=[pb.DropCount(reason_id=reason.value, clients=count) for reason, count in status.dropped.items()],
        seconds_left=status.seconds_left,
        log_entries=status.log_entries,
        stored_bytes=status.stored_bytes,
        result_ready=status.result_ready,
        abort_reason_id="" if status.abort_reason is None else status.abort_reason.value,
        detail=sentence(status.detail),
        created_at=status.created_at,
        contributors=pb.Contributors(clients=status.contributors or ()) if known else None,
    )
