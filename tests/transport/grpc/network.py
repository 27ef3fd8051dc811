"""A server and clients on loopback, in one process and one event loop: whole sessions over real connections.

    def test_something() -> None:
        async def play() -> None:
            async with Network(clients=4, threat_model="active") as network:
                outcomes = await network.everybody()
                network.assert_exact(await network.sum())
        run(play())

Nothing waits longer than LIMIT seconds. Keys follow from a seed; certificates are fresh for each process.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
import numpy as np
import tenacity
from numpy.typing import NDArray

from secagg import ClientPolicy, FixedPoint, IdentityKey, Integers, Round, SessionParameters
from secagg.hosting import HostedSession, HostObserver, Quotas, ReleasedSum, RoundSchedule, SessionHost, read_result
from secagg.store.memory import MemoryStore
from secagg.testing.randomness import DeterministicRandomSource
from secagg.transport import service_pb2 as pb
from secagg.transport.admission import RosterSource
from secagg.transport.connection import Connection
from secagg.transport.gatekeeper import Caller, ClientCaller
from secagg.transport.grpc import (
    Attendance,
    ClientTls,
    GrpcServer,
    Operator,
    Participation,
    ParticipationObserver,
    RetryPolicy,
    ServerTls,
    ServiceLimits,
    participate,
)
from secagg.transport.grpc.endpoint import GrpcEndpoint
from secagg.transport.grpc.status import read_detail
from secagg.transport.rights import OperatorRights, Role
from tests.clock import MovedClock
from tests.identity.authority import CertificateAuthority
from tests.ports import free_port

LIMIT: Final = 600.0
SESSION: Final = "round-7"
# Attempts follow each other at once, so that tests of failures take no time.
QUICK: Final = RetryPolicy(first_seconds=0.01, longest_seconds=0.05, give_up_seconds=LIMIT)
ATTEMPTS: Final = 5
T = TypeVar("T")


class Impatient(RetryPolicy):
    """Gives up after so many attempts, however long a busy machine takes over each."""

    def attempts(self, *arguments: Any, **options: Any) -> tenacity.AsyncRetrying:
        return super().attempts(*arguments, **options).copy(stop=tenacity.stop_after_attempt(ATTEMPTS))


IMPATIENT: Final = Impatient(first_seconds=0.01, longest_seconds=0.05, give_up_seconds=0.5)


@functools.cache
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@functools.cache
def server_tls() -> ServerTls:
    return ServerTls(*authority().server())


def client_tls() -> ClientTls:
    return ClientTls(authority().pem)


def run(test: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(LIMIT):
            return await test

    return asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop to others until something holds; the limit of the test bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


class Watch(ParticipationObserver):
    """Remembers what a client told."""

    def __init__(self) -> None:
        self.logins = 0
        self.retries: list[tuple[str, str]] = []
        self.outcomes: list[tuple[str, str]] = []
        self.sizes: dict[str, int] = {}
        self.resumed: str | None = None
        self.encoded: list[tuple[tuple[str, int, int, int], ...]] = []

    def logged_in(self) -> None:
        self.logins += 1

    def offer_accepted(self, parameters: SessionParameters, resumed: Any) -> None:
        self.resumed = None if resumed is None else resumed.value

    def input_encoded(self, reports: Any, weight_clipped: bool) -> None:
        assert not weight_clipped
        self.encoded.append(tuple((r.name, r.entries, r.clipped, r.nan) for r in reports))

    def answered(self, phase: Any, size: int, outcome: str) -> None:
        self.outcomes.append((phase.value, outcome))
        self.sizes[phase.value] = size

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        self.retries.append((call, reason))


class Network:
    """A host with one session, and its gRPC server.

    Args:
        clients: how many, with ids 1 .. n.
        threat_model: of the session.
        length: of the one vector, of integers; `vector` is another one of this length.
        threshold, seconds: of the session and its rounds.
        server: further arguments of GrpcServer.
        options: further arguments of SessionParameters.choose.
    """

    def __init__(
        self,
        clients: int = 4,
        *,
        threat_model: str = "semi-honest",
        length: int = 16,
        vector: FixedPoint | Integers | None = None,
        threshold: int | None = None,
        seconds: float = LIMIT,
        limits: ServiceLimits | None = None,
        quotas: Quotas | None = None,
        observer: HostObserver | None = None,
        server: Mapping[str, Any] | None = None,
        enroll: bool = True,
        create: bool = True,
        **options: Any,
    ) -> None:
        source = DeterministicRandomSource(7)
        self.ids = tuple(range(1, clients + 1))
        self.identities = {client: IdentityKey.generate(source.fork(f"identity {client}")) for client in self.ids}
        self.operator = IdentityKey.generate(source.fork("operator"))
        self.operators: dict[str, OperatorRights | bytes] = {"op": self.operator.public}
        self.roster = {client: key.public for client, key in self.identities.items()}
        self.enrolled = self.roster if enroll else None
        self.keys: RosterSource = lambda: self.enrolled or {}
        choices = {"max_dropout": 0.0, "max_corrupt": 0.0, "topology": "complete", **options}
        self.parameters = SessionParameters.choose(
            clients=self.ids,
            vectors={"v": Integers(0, 1000, length=length) if vector is None else vector},
            threat_model=threat_model,
            threshold=threshold or clients // 2 + 1,
            nonce=bytes(range(32)),
            **choices,
        )
        self.active = threat_model == "active"
        values = np.random.default_rng(3).integers(0, 1000, (clients, length))
        self.inputs: dict[int, NDArray[Any]] = dict(zip(self.ids, values, strict=True))
        self.schedule = RoundSchedule.uniform(seconds)
        self.store = MemoryStore()
        self.clock = MovedClock()
        self.host = SessionHost(self.store, quotas=quotas or Quotas(), observer=observer, clock=self.clock)
        self.limits = limits or ServiceLimits()
        self.security: dict[str, Any] = {"tls": server_tls(), **(server or {})}
        self.create = create
        self.port = 0

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    @property
    def session(self) -> HostedSession:
        return self.host.session(SESSION)

    async def start(self) -> None:
        await self.host.start()
        if self.create:
            await self.host.create(SESSION, self.parameters, roster=self.enrolled, schedule=self.schedule)
        await self.serve()

    async def serve(self) -> None:
        """Begin to listen, on the same port as before, which nobody is given meanwhile."""
        self.port = self.port or free_port()
        self.server = GrpcServer(
            self.host,
            f"localhost:{self.port}",
            limits=self.limits,
            operators=self.operators,
            roster=lambda: self.keys(),
            **self.security,
        )
        await self.server.start()

    async def restart(self) -> None:
        """End server and host, and let others go on with the same store and port."""
        await self.server.stop(0)
        await self.host.stop()
        self.host = SessionHost(self.store, clock=self.clock)
        await self.host.start()
        await self.serve()

    async def end_round(self, round_: Round, answered: int) -> None:
        """Let the time of a round pass as soon as so many clients have answered in it, or all."""

        def due() -> bool:
            status = self.session.status()
            return self.session.settled or (status.state, status.answered) == (round_.value, answered)

        await until(due)
        self.clock.advance(self.schedule.seconds[round_])

    async def stop(self) -> None:
        await self.server.stop(0)
        await self.host.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def client(self, client: int, **changes: Any) -> Participation:
        """Take part as one client; `changes` replace arguments of `participate`."""
        arguments: dict[str, Any] = {
            "session": SESSION,
            "client_id": client,
            "identity": self.identities.get(client),
            "roster": self.roster if self.active else None,
            "policy": self.policy(),
            "tls": client_tls(),
            "retry": QUICK,
            **changes,
        }
        server = arguments.pop("server", self.address)
        inputs = arguments.pop("inputs", {"v": self.inputs.get(client, self.inputs[1])})
        return await participate(server, inputs, **arguments)

    def attendance(self, client: int, **changes: Any) -> Attendance:
        """Wait for sessions as one client; `changes` replace arguments of `Attendance`."""
        arguments: dict[str, Any] = {
            "client_id": client,
            "identity": self.identities.get(client),
            "roster": self.roster if self.active else None,
            "policy": self.policy(),
            "tls": client_tls(),
            "retry": QUICK,
            **changes,
        }
        return Attendance(arguments.pop("server", self.address), **arguments)

    def policy(self, **changes: Any) -> ClientPolicy:
        """The lowest floor; `changes` raise it."""
        lowest: dict[str, Any] = {"minimum_cohort": 2, "minimum_threshold": 1, "max_dropout": 0.0}
        return ClientPolicy(**{**lowest, "threat_model": self.parameters.threat_model, **changes})

    async def everybody(
        self, ids: Iterable[int] | None = None, **changes: Any
    ) -> dict[int, Participation | BaseException]:
        """Take part as all clients at once; what each returned or raised."""
        chosen = tuple(self.ids if ids is None else ids)
        outcomes = await asyncio.gather(*(self.client(c, **changes) for c in chosen), return_exceptions=True)
        return dict(zip(chosen, outcomes, strict=True))

    def admin(self, **changes: Any) -> Operator:
        arguments = {"identity": self.operator, "tls": client_tls(), "retry": QUICK, **changes}
        return Operator(self.address, **arguments)

    def add_operator(self, role: Role, tenant: str = "") -> IdentityKey:
        """List another operator, before the start; returns its key."""
        key = IdentityKey.generate(DeterministicRandomSource(len(self.operators)).fork(f"{role.value} {tenant}"))
        self.operators[f"{role.value} of {tenant!r}"] = OperatorRights(key.public, role, tenant)
        return key

    async def sum(self) -> ReleasedSum:
        await self.session.wait_ended()
        return read_result(await self.session.result())

    def assert_exact(self, released: ReleasedSum, contributors: Iterable[int] | None = None) -> None:
        expected = tuple(self.ids if contributors is None else contributors)
        assert released.contributors == expected
        np.testing.assert_array_equal(released.vectors["v"], sum(self.inputs[c] for c in expected))

    def connection(self, client: int = 1, *, caller: Caller | None = None, **changes: Any) -> Connection:
        """A bare connection as a client, for calls that `participate` does not make."""
        arguments: dict[str, Any] = {
            "endpoint": GrpcEndpoint(self.address, client_tls(), insecure=False),
            "caller": caller or ClientCaller(SESSION, client),
            "identity": self.identities[client],
            "retry": QUICK,
            "observer": Watch(),
            **changes,
        }
        return Connection(**arguments)


async def told(call: Callable[[], Awaitable[T]]) -> T:
    """What a server says to a call that sends a stream: made again when gRPC puts INTERNAL in the place of that, as it
    may while something is on its way that the server did not wait for."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INTERNAL or read_detail(error) is not None:
                raise


async def failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, pb.ErrorDetail]:
    """The status and the detail with which a bare call fails."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        for key, value in error.trailing_metadata() or ():
            if key == "secagg-error-bin" and isinstance(value, bytes):
                return error.code(), pb.ErrorDetail.FromString(value)
        return error.code(), pb.ErrorDetail()
    raise AssertionError("the call did not fail")
