"""Sessions over gRPC: a server for hosted sessions, one call that takes part in one, and a client for operators.

    # server, in an event loop
    async with SessionHost(store) as host:
        await host.create("round-7", parameters, roster=roster, schedule=schedule)
        tls = ServerTls.from_files(certificate, key)
        async with GrpcServer(host, "0.0.0.0:8443", names={"sums.example.org"}, tls=tls) as server:
            await server.wait()

    # client
    await participate("sums.example.org:8443", {"weights": array}, session="round-7", client_id=17, identity=key, ...)

Needs the extra `grpc`. What the calls are stands in protos/secagg/service/v1/service.proto.
"""

from secagg.errors import MissingExtraError

try:
    import grpc  # noqa: F401
    import grpc_health  # noqa: F401
    import grpc_reflection  # noqa: F401
    import tenacity  # noqa: F401
except ImportError as missing:
    raise MissingExtraError(
        f"the network service needs the package {missing.name}, which is not installed: pip install 'secagg[grpc]'"
    ) from None

from secagg.transport.attendance import Attendance, OpenSession
from secagg.transport.blocking import participate_blocking
from secagg.transport.client import Participation, participate
from secagg.transport.errors import DroppedError, Refusal, ServiceError, UnreachableError
from secagg.transport.grpc.operator_client import Operator
from secagg.transport.grpc.server import GrpcServer
from secagg.transport.limits import ServiceLimits
from secagg.transport.participant import Inputs
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.rights import OperatorRights, Role
from secagg.transport.state import ParticipantState
from secagg.transport.tls import ClientTls, ServerTls

__all__ = [
    "Attendance",
    "ClientTls",
    "DroppedError",
    "GrpcServer",
    "Inputs",
    "OpenSession",
    "Operator",
    "OperatorRights",
    "ParticipantState",
    "Participation",
    "ParticipationObserver",
    "Refusal",
    "RetryPolicy",
    "Role",
    "ServerTls",
    "ServiceError",
    "ServiceLimits",
    "UnreachableError",
    "participate",
    "participate_blocking",
]
