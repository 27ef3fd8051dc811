"""A server of HTTP beside that of gRPC: the same sessions, logins, places and turns. Operators have a page there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.transport.http.application import Application
from secagg.transport.http.contexts import server_context
from secagg.transport.http.door import Door
from secagg.transport.limits import connections_of
from secagg.transport.service import Service
from secagg.transport.tls import ServerTls, check_origin, check_security, split_address

_GRACE_SECONDS: Final = 5.0
Wrapping = Callable[[Any, Mapping[str, str]], Any]
"""Makes an ASGI application of one, and of the paths of its calls to the names that gRPC has for them."""
# No cache between us and a client has a use for what it is asked, and a browser need not guess what it is.
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class HttpServer:
    """Serves clients over HTTP/1.1.

    `async with HttpServer(...) as server:` calls `start` and `stop`.

    Args:
        service: what is served, of a server of gRPC that was started (`GrpcServer.service`).
        address: `host:port` to listen on; port 0 chooses one.
        tls: what the server shows and asks for.
        insecure: serve without TLS; on loopback addresses only.
        origins: the origins, such as "https://app.example.org", whose pages may call; of others no browser lets any.
        operator_page: show operators a page at /operator, to look only.
        connections: connections at once, those in their handshake included; unless given, as many as files allow.
        connections_per_address: of them, those from one IPv4 address or /64 of IPv6 over which nobody has logged in;
            unless given, as many as it leaves free: half of all where no other has any.
        around: what all calls go through, for traces, as gRPC's interceptors are.

    Attributes:
        port: the port that it listens on, once it was started.

    Raises:
        ParameterError: TLS missing or forbidden, an impossible address, an origin that is none, certificate and key
            that do not fit.
    """

    def __init__(
        self,
        service: Service,
        address: str,
        *,
        tls: ServerTls | None = None,
        insecure: bool = False,
        origins: Collection[str] = (),
        operator_page: bool = False,
        connections: int | None = None,
        connections_per_address: int | None = None,
        around: Wrapping | None = None,
    ) -> None:
        check_security(address, tls, insecure)
        self._host, port = split_address(address)
        self.port = port
        self._tls = tls
        self._service = service
        self._application = Application(service, [check_origin(origin) for origin in origins], operator_page)
        limits = service.limits
        application = self._application.asgi
        self._door = Door(
            application if around is None else around(application, self._application.methods),
            most=connections or connections_of(limits),
            per_address=connections_per_address,
            stall_seconds=limits.stall_seconds,
            idle_seconds=limits.idle_seconds,
            headers=_HEADERS,
            tls=None if tls is None else server_context(tls),
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            ParameterError: the address cannot be listened on.
        """
        self.port = await self._door.listen(self._host, self.port)

    def prepared(self, tls: ServerTls | None) -> Callable[[], None]:
        """Return what has other certificates shown to whoever connects from then on; of None, without TLS, nothing.

        Raises:
            ParameterError: certificate and key do not fit, or client certificates are asked for now and were not
                before, or the other way round.
        """
        if tls is None or self._tls is None:
            return lambda: None
        if (tls.client_authority is None) != (self._tls.client_authority is None):
            raise ParameterError("whether clients need a TLS certificate (http.client_ca) takes a restart")
        context = server_context(tls)

        def show() -> None:
            self._door.tls = context

        return show

    async def stop(self, grace: float = _GRACE_SECONDS) -> None:
        """Send waiting clients away, and end.

        Args:
            grace: seconds that requests in progress have.
        """
        self._service.waits.end()
        await self._door.close(grace)
        await self._application.close()

    async def __aenter__(self) -> HttpServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
