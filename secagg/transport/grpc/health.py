"""What health checkers hear: whether the host can take answers in, as of the last probe.

They hear it at the service's own port, and at another one if they are given one: without TLS, since balancers have none
for checks and there is nothing to hide, and with places of its own, so that whoever floods it takes none of the
service's. Must not know what makes a host ready.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection
from typing import Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from secagg.errors import ParameterError
from secagg.hosting import SessionHost
from secagg.transport.grpc.options import server_options
from secagg.transport.limits import HEALTH_LIMITS
from secagg.transport.tls import split_address

_Status: Final = health_pb2.HealthCheckResponse


class Health:
    """Keeps what checkers hear true.

    Args:
        host: is asked.
        services: the names that can be checked.
        seconds: between two probes.
    """

    def __init__(self, host: SessionHost, services: Collection[str], seconds: float) -> None:
        self._host = host
        self._services = tuple(services)
        self._seconds = seconds
        self._servicer = health.HealthServicer()
        self._watching: asyncio.Task[None] | None = None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer checks at a server that was not started yet."""
        add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Probe, and go on probing."""
        await self._probe()
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="secagg readiness")

    async def stop(self) -> None:
        """Tell checkers that the service ends."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._servicer.enter_graceful_shutdown()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._probe()

    async def _probe(self) -> None:
        status = _Status.NOT_SERVING if await self._host.trouble() else _Status.SERVING
        for service in self._services:
            await self._servicer.set(service, status)


class HealthPort:
    """A port for health checks alone.

    Args:
        address: `host:port`; port 0 chooses one.
        health: what is heard there.
        places: takes a place for each call.
    """

    def __init__(self, address: str, health: Health, places: grpc.aio.ServerInterceptor) -> None:
        self._address = address
        self._server = grpc.aio.server(
            interceptors=(places,), options=server_options(HEALTH_LIMITS), maximum_concurrent_rpcs=HEALTH_LIMITS.calls
        )
        health.add_to(self._server)

    def listen(self) -> int:
        """Take the port, and return it.

        Raises:
            ParameterError: the address cannot be served.
        """
        return listening(self._address, lambda: self._server.add_insecure_port(self._address))

    async def start(self) -> None:
        """Answer."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """End; calls in progress have `grace` seconds."""
        await self._server.stop(grace)


def listening(address: str, add: Callable[[], int]) -> int:
    """Have a port added to a server; returns it.

    Raises:
        ParameterError: the address cannot be served.
    """
    try:
        return add()
    except RuntimeError as error:
        raise ParameterError(f"{address!r} cannot be served: {_hindrance(address)}") from error


def _hindrance(address: str) -> str:
    """Why gRPC, which does not say, could not listen; found by doing what it did."""
    host, port = split_address(address)
    try:
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(place)
                tried.listen()
    except OSError as error:
        ways_out = {
            errno.EADDRINUSE: "another process listens there; stop it, or give another port",
            errno.EACCES: f"port {port} is not for this user; give one from 1024 on",
        }
        return ways_out.get(error.errno or 0, f"{error.strerror}; give an address of this machine")
    return "its certificate and key cannot be used; give two that belong together"
