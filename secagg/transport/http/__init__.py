"""Sessions over plain HTTP, for networks and programs that gRPC does not reach: a server beside gRPC's, and a client.

    # server, beside a GrpcServer that was started
    async with HttpServer(grpc_server.service, "0.0.0.0:8443", tls=tls, origins=["https://app.example.org"]):
        ...

    # client
    await participate("https://sums.example.org:8443", {"weights": array}, session="round-7", client_id=17, ...)

Names that `secagg.transport.grpc` has, too, are the same objects. Needs the extra `http`. What the calls are stands in
docs/http.md.
"""

from secagg.errors import MissingExtraError

try:
    import httpx  # noqa: F401
    import starlette  # noqa: F401
    import tenacity  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as missing:
    raise MissingExtraError(
        f"the service over HTTP needs the package {missing.name}, which is not installed: pip install 'secagg[http]'"
    ) from None

from secagg.transport.attendance import Attendance, OpenSession
from secagg.transport.blocking import participate_blocking
from secagg.transport.client import Participation, participate
from secagg.transport.errors import DroppedError, Refusal, ServiceError, UnreachableError
from secagg.transport.http.server import HttpServer
from secagg.transport.retries import RetryPolicy
from secagg.transport.tls import ClientTls, ServerTls

__all__ = [
    "Attendance",
    "ClientTls",
    "DroppedError",
    "HttpServer",
    "OpenSession",
    "Participation",
    "Refusal",
    "RetryPolicy",
    "ServerTls",
    "ServiceError",
    "UnreachableError",
    "participate",
    "participate_blocking",
]
