"""A network whose server speaks HTTP besides gRPC: what clients do over either, in one process and one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx

from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import ServerTls
from secagg.transport.http import HttpServer
from secagg.transport.http.endpoint import HttpEndpoint
from tests.ports import free_port
from tests.transport.grpc.network import Network, client_tls, server_tls

PROTOBUF: Final = "application/x-protobuf"


class Web(Network):
    """A host with one session, and its servers.

    Args:
        origins: whose pages may call.
        web_tls: what is shown over HTTP.
        operator_page: whether operators are shown theirs.
        connections_per_address, around: of HttpServer.
        plain: no TLS over HTTP, for browsers, which do not know our authority.
        options: arguments of Network.
    """

    def __init__(
        self,
        *arguments: Any,
        origins: Sequence[str] = (),
        web_tls: ServerTls | None = None,
        operator_page: bool = False,
        connections_per_address: int | None = None,
        around: Any = None,
        plain: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.origins = origins
        self.web_tls = None if plain else web_tls or server_tls()
        self.operator_page = operator_page
        self.connections_per_address = connections_per_address
        self.around = around
        self.web_port = 0
        self.kept: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http{'' if self.web_tls is None else 's'}://localhost:{self.web_port}"

    async def serve(self) -> None:
        """Begin to listen, on the same ports as before."""
        await super().serve()
        self.web_port = self.web_port or free_port()
        assert self.server.service is not None
        self.web = HttpServer(
            self.server.service,
            f"localhost:{self.web_port}",
            tls=self.web_tls,
            insecure=self.web_tls is None,
            origins=self.origins,
            operator_page=self.operator_page,
            connections_per_address=self.connections_per_address,
            around=self.around,
        )
        await self.web.start()

    async def end_servers(self) -> None:
        await self.web.stop(0)

    async def restart(self) -> None:
        """End servers and host, and let others go on with the same store and ports."""
        await self.end_servers()
        await super().restart()

    async def stop(self) -> None:
        for writer in self.kept:
            writer.transport.abort()
        await self.end_servers()
        await super().stop()

    async def visitor(self, client: int, **changes: Any) -> Any:
        """Take part as one client, over HTTP."""
        return await self.client(client, **{"server": self.url, **changes})

    def bare(self, client: int = 1, **changes: Any) -> Any:
        """A bare connection of a client, over HTTP."""
        return self.connection(client, **{"endpoint": HttpEndpoint(self.url, client_tls(), insecure=False), **changes})

    def browser(self) -> httpx.AsyncClient:
        """What a stranger or a page has: requests as they like."""
        return httpx.AsyncClient(base_url=f"{self.url}/secagg/v1/", verify=_context(), timeout=60, trust_env=False)


def _context() -> Any:
    from secagg.transport.http.contexts import client_context

    return client_context(client_tls())


def detail_in(reply: httpx.Response) -> pb.ErrorDetail:
    """What a reply says that is no success."""
    assert reply.headers["content-type"] == PROTOBUF
    return pb.ErrorDetail.FromString(reply.content)
