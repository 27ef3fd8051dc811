"""The service over HTTP beside that over gRPC, where server.toml asks for it. Must not know what is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from secagg.cli.service.credentials import http_tls_of
from secagg.cli.service.server_config import ServerConfig
from secagg.transport.grpc import GrpcServer
from secagg.transport.limits import ServiceLimits, connections_of

if TYPE_CHECKING:
    from secagg.transport.http import HttpServer
    from secagg.transport.http.server import Wrapping


def require_http() -> None:
    """Demand the packages that it needs; raises MissingExtraError."""
    try:
        import secagg.transport.http
    except secagg.MissingExtraError as error:
        raise secagg.MissingExtraError(f"http.address: {error}") from error


def connections_over_http(config: ServerConfig) -> int:
    """Half of the connections that this process may have, where it serves HTTP; else none."""
    return 0 if config.http.address is None else max(1, connections_of(ServiceLimits()) // 2)


@asynccontextmanager
async def served_over_http(config: ServerConfig, server: GrpcServer) -> AsyncIterator[HttpServer | None]:
    """Serve over HTTP what a server of gRPC serves that was started.

    Raises:
        MissingExtraError: the extra is not installed.
        ParameterError: the address cannot be listened on.
    """
    http = config.http
    if http.address is None or server.service is None:
        yield None
        return
    require_http()
    from secagg.transport.http import HttpServer

    async with HttpServer(
        server.service,
        http.address,
        tls=http_tls_of(config),
        insecure=config.listen.plaintext,
        origins=http.origins,
        operator_page=http.operator_page,
        connections=connections_over_http(config),
        connections_per_address=http.connections_per_address,
        around=_traced() if config.traces.enabled else None,
    ) as web:
        yield web


def _traced() -> Wrapping:
    """Each call in a span; that the extra is there was asked for when the server began to trace its sessions."""
    from secagg.telemetry.calls import TracedCalls

    return TracedCalls
