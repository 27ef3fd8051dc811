"""A gRPC server of hosted sessions: security, the two services, health checking and reflection, put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Final

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from grpc_reflection.v1alpha.reflection import enable_server_reflection

from secagg.errors import ParameterError
from secagg.hosting import SessionHost
from secagg.transport import service_pb2 as pb
from secagg.transport.admission import Admission, RosterSource, rights_by_key
from secagg.transport.enrolments import Enrolments
from secagg.transport.grpc.administration import Administrator
from secagg.transport.grpc.credentials import Shown
from secagg.transport.grpc.forks import UNFORKED
from secagg.transport.grpc.handlers import ByName
from secagg.transport.grpc.health import Health, HealthPort, listening
from secagg.transport.grpc.options import server_options
from secagg.transport.grpc.parsing import Parser
from secagg.transport.grpc.places import Places
from secagg.transport.grpc.service_pb2_grpc import (
    add_AdministrationServicer_to_server,
    add_SecureAggregationServicer_to_server,
)
from secagg.transport.grpc.servicer import Servicer
from secagg.transport.limits import HEALTH_LIMITS, ServiceLimits
from secagg.transport.rights import OperatorRights
from secagg.transport.service import Service
from secagg.transport.tls import ServerTls, check_security, is_loopback, split_address
from secagg.transport.waits import Waits

AGGREGATION: Final = pb.DESCRIPTOR.services_by_name["SecureAggregation"].full_name
ADMINISTRATION: Final = pb.DESCRIPTOR.services_by_name["Administration"].full_name
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_GRACE_SECONDS: Final = 5.0


class GrpcServer:
    """A server for the sessions of a host; the host is started and stopped by its owner.

    `async with GrpcServer(...) as server:` calls `start` and `stop`.

    Args:
        host: has the sessions; new ones may be created while the server runs.
        address: `host:port` to listen on; port 0 chooses one.
        names: the names by which clients dial this server, without port: a login is signed for one of them, so that
            it is good for no other server. The loopback names are allowed besides when the address is on loopback.
        tls: what the server shows and asks for.
        insecure: serve without TLS; on loopback addresses only.
        operators: name to rights of those who may administer; a 32-byte Ed25519 key alone has all rights.
        roster: the keys of all clients, for sessions that operators create and for members who wait for one.
        anonymous: let clients of semi-honest sessions that have no roster in without a signature; needs `insecure`.
        limits: bounds of calls, uploads and logins; unless given, with room for two calls of every client that the
            host has at the start: one that waits, one that answers.
        interceptors: gRPC's, for metrics and traces.
        elsewhere: connections that other servers of this process may have, besides health checks.
        health_address: `host:port` for health checks alone, without TLS on any address; they are answered at `address`
            in any case.
        enrolments: takes claims to invitations; unless given, there are none.

    Attributes:
        port: the port that it listens on, once it was started.
        health_port: the port for health checks alone, once it was started; None without one.
        service: what other transports of this process share with it, once it was started.

    Raises:
        ParameterError: TLS missing or forbidden, an impossible address, a key that is not 32 bytes.
    """

    def __init__(
        self,
        host: SessionHost,
        address: str,
        *,
        names: Collection[str] = (),
        tls: ServerTls | None = None,
        insecure: bool = False,
        operators: Mapping[str, OperatorRights | bytes] = MappingProxyType({}),
        roster: RosterSource = dict,
        anonymous: bool = False,
        limits: ServiceLimits | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        elsewhere: int = 0,
        health_address: str | None = None,
        enrolments: Enrolments | None = None,
    ) -> None:
        encrypted = check_security(address, tls, insecure)
        if anonymous and encrypted:
            raise ParameterError("anonymous clients are for tests on loopback; they go with insecure=True only")
        self.port = split_address(address)[1]
        self.health_port = None if health_address is None else split_address(health_address)[1]
        self._health_address = health_address
        self._elsewhere = elsewhere + (0 if health_address is None else HEALTH_LIMITS.connections)
        self._host = host
        self._address = address
        self._shown = None if tls is None else Shown(tls)
        self._roster = roster
        self._admission = Admission(host, _rights_of(operators), roster, anonymous)
        self._limits = limits
        self._interceptors = tuple(interceptors)
        loopback = LOOPBACK_NAMES if is_loopback(split_address(address)[0]) else frozenset()
        self._names = frozenset(names) | loopback
        if not self._names:
            raise ParameterError("the server has no name; give names={...}, the hosts that clients dial")
        self._enrolments = enrolments or Enrolments()
        self._waits = Waits()
        self.service: Service | None = None
        self._server: grpc.aio.Server | None = None
        self._health: Health | None = None
        self._checks: HealthPort | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ParameterError: the address cannot be served, the certificate and key do not fit, or this process was
                forked from one that had used gRPC.
        """
        UNFORKED.require()
        limits = self._limits or _roomy(self._host, self._roster)
        service = Service(self._host, self._admission, self._names, limits, self._waits, self._enrolments)
        gatekeeper = service.gatekeeper
        server = grpc.aio.server(
            interceptors=(Places(gatekeeper, limits, service.seats), *self._interceptors, Parser()),
            options=server_options(limits, self._elsewhere),
            maximum_concurrent_rpcs=limits.calls,
        )
        by_name: Any = ByName(server)
        add_SecureAggregationServicer_to_server(  # type: ignore[no-untyped-call]
            Servicer(gatekeeper, service.calls, service.enrolments), by_name
        )
        add_AdministrationServicer_to_server(  # type: ignore[no-untyped-call]
            Administrator(self._host, gatekeeper, self._admission, limits, self._waits, service.views), by_name
        )
        health = Health(self._host, ("", AGGREGATION, ADMINISTRATION), limits.probe_seconds)
        health.add_to(by_name)
        enable_server_reflection((AGGREGATION, ADMINISTRATION, HEALTH, REFLECTION), server)
        self.port = listening(self._address, lambda: self._add_port(server))
        if self._health_address is not None:
            self._checks = HealthPort(self._health_address, health, Places(gatekeeper, HEALTH_LIMITS))
            self.health_port = self._checks.listen()
        await server.start()
        self._server, self.service = server, service
        self._health = health
        await health.start()
        if self._checks is not None:
            await self._checks.start()

    def change(self, *, tls: ServerTls | None, operators: Mapping[str, OperatorRights | bytes]) -> None:
        """Serve on with other certificates, which whoever connects from now on is shown, and other operators, of whom
        those who are gone have no token any more. Calls in progress go on.

        Args:
            tls: what to show; None without TLS, and for what is shown already.
            operators: as for a new server.

        Raises:
            ParameterError: an operator that a new server would refuse, or client certificates are asked for now and
                were not before, or the other way round. Nothing is changed.
        """
        rights = rights_by_key(_rights_of(operators))
        if tls is not None and self._shown is not None:
            self._shown.change(tls)
        self._admission.change(rights)

    async def wait(self) -> None:
        """Return when the server has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()

    async def stop(self, grace: float = _GRACE_SECONDS) -> None:
        """Tell health checkers, send waiting clients away, and end.

        Args:
            grace: seconds that calls in progress have.
        """
        if self._health is not None:
            await self._health.stop()
        self._waits.end()
        if self._server is not None:
            await self._server.stop(grace)
        if self._checks is not None:
            await self._checks.stop(0)

    async def __aenter__(self) -> GrpcServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _add_port(self, server: grpc.aio.Server) -> int:
        if self._shown is None:
            return server.add_insecure_port(self._address)
        return server.add_secure_port(self._address, self._shown.credentials())


def _rights_of(operators: Mapping[str, OperatorRights | bytes]) -> dict[str, OperatorRights]:
    return {name: OperatorRights(one) if isinstance(one, bytes) else one for name, one in operators.items()}


def _roomy(host: SessionHost, roster: RosterSource) -> ServiceLimits:
    """Two calls for each client of the sessions that run now, and for each of those who may join later ones."""
    limits = ServiceLimits()
    try:
        members = len(roster())
    except ParameterError:
        members = 0  # said by whoever read it; nobody can join a new session
    clients = sum(session.parameters.clients for session in host.sessions() if not session.settled)
    return replace(limits, calls=max(limits.calls, 2 * clients, 2 * members))
