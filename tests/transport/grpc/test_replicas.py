"""Several servers of one store: whichever a call comes to, it is taken, by one that never heard of the session, too."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import pytest

from secagg import ClientPhase, ClientSession
from secagg.hosting import RoundSchedule, offer_of, read_result
from secagg.hosting.replicas import SharedHost
from secagg.store.shared import SharedStore
from secagg.store.shared_memory import SharedMemoryStore
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import GrpcServer
from secagg.transport.grpc.status import worth_another
from tests.transport.grpc.network import LIMIT, SESSION, Network, run
from tests.transport.grpc.test_answers import chunks, header, metadata_of

Opened = Callable[[], SharedStore]


@pytest.fixture(params=["memory", "postgres"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens one more store of the same sessions."""
    if request.param == "memory":
        memory = SharedMemoryStore()
        yield memory.another
        return
    pytest.importorskip("psycopg")
    from secagg.store.blobs import blobs_at
    from secagg.store.postgres import PostgresStore

    database = request.getfixturevalue("database")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(PostgresStore(database, blobs_at(str(tmp_path)))))


class Cluster(Network):
    """A network whose session has several servers, the first of which makes it."""

    def __init__(self, another: Opened, servers: int = 3, **options: Any) -> None:
        super().__init__(create=False, **options)
        self.hosts = [SharedHost(another(), lease_seconds=LIMIT) for _ in range(servers)]
        self.host = self.hosts[0]
        self.ports: list[int] = []
        self.servers: list[GrpcServer] = []

    async def start(self) -> None:
        for host in self.hosts:
            await host.start()
            self.host, self.port = host, 0
            await self.serve()
            self.servers.append(self.server)
            self.ports.append(self.port)
        self.use(0)

    async def stop(self) -> None:
        for server in self.servers:
            await server.stop(0)
        for host in self.hosts:
            await host.stop()

    def use(self, number: int) -> None:
        """Let what is called next call this server."""
        self.host, self.port = self.hosts[number], self.ports[number]

    async def create_at(self, number: int, seconds: float = 600.0) -> None:
        """Make the session by a call, at one server."""
        self.use(number)
        async with self.admin() as operator:
            await operator.create(SESSION, self.parameters, RoundSchedule.uniform(seconds))

    async def wander(self, client: int, channels: list[Any]) -> int:
        """Play a client whose every call goes to another server, each answer twice; returns how many it gave."""
        self.use(client % len(self.hosts))
        async with self.connection(client) as connection:
            metadata = await metadata_of(connection)
        live = ClientSession(offer_of(self.parameters), client, policy=self.policy())
        servers, seen, given = cycle(channels), b"", 0
        while True:
            asked = pb.NextRequestRequest(seen=seen, wait_milliseconds=10_000)
            reply = await insisted(partial(next(servers).NextRequest, asked, metadata=metadata))
            if reply.HasField("ended"):
                assert reply.ended.completed
                return given
            if not reply.request:
                continue
            if live.phase is ClientPhase.MASKED_INPUT:
                live.set_input({"v": self.inputs[client]})
            answer, seen = live.receive(reply.request), hashlib.sha256(reply.request).digest()
            assert answer is not None

            def upload(server: Any, answer: bytes) -> Awaitable[Any]:
                async def parts() -> AsyncIterator[pb.UploadPart]:
                    for part in (header(answer), *chunks(answer)):
                        yield part

                return server.UploadAnswer(parts(), metadata=metadata)  # type: ignore[no-any-return]

            # Nobody minds the second, whatever it is told; the first may be told that, too, when it was made again.
            for _ in range(2):
                await insisted(partial(upload, next(servers), answer))
            given += 1


async def insisted(call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call answers, made again as clients do: a store or a lease may be away, a server may have no room."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if not worth_another(error):
                raise


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_each_client_may_dial_another_server(another: Opened, threat_model: str) -> None:
    async def play() -> None:
        async with Cluster(another, clients=5, threat_model=threat_model) as cluster:
            await cluster.create_at(0)
            ports = dict(zip(cluster.ids, cycle(cluster.ports), strict=False))
            await asyncio.gather(
                *(cluster.client(client, server=f"localhost:{ports[client]}") for client in cluster.ids)
            )
            cluster.use(2)
            async with cluster.admin() as operator:
                assert [status.state async for status in operator.watch(SESSION)][-1] == "completed"
                released = await operator.result(SESSION)
                cluster.assert_exact(read_result(released))
            cluster.use(1)
            async with cluster.admin() as operator:
                await operator.acknowledge(SESSION, sha256=hashlib.sha256(released).digest())
                assert not (await operator.status(SESSION)).result_ready

    run(play())


def test_each_call_may_come_to_another_server(another: Opened) -> None:
    async def play() -> None:
        async with Cluster(another, clients=4) as cluster:
            await cluster.create_at(0)
            async with AsyncExitStack() as stack:
                stubs = []
                for number in range(3):
                    cluster.use(number)
                    stubs.append((await stack.enter_async_context(cluster.connection(1))).aggregation)
                given = await asyncio.gather(*(cluster.wander(client, stubs) for client in cluster.ids))
                assert given == [4, 4, 4, 4]
            cluster.use(2)
            async with cluster.admin() as operator:
                assert [status.state async for status in operator.watch(SESSION)][-1] == "completed"
                cluster.assert_exact(read_result(await operator.result(SESSION)))

    run(play())


def test_a_server_that_has_not_heard_of_a_session_takes_its_clients_and_operators(another: Opened) -> None:
    async def play() -> None:
        async with Cluster(another, servers=2) as cluster:
            deaf = cluster.hosts[1]
            assert deaf._listening is not None
            deaf._listening.cancel()
            await cluster.create_at(0)
            async with cluster.connection(1) as here:
                metadata = await metadata_of(here)
            assert not deaf.has(SESSION)
            cluster.use(1)
            async with cluster.connection(1) as there:
                given = await there.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata)
                assert given.offer == offer_of(cluster.parameters)
            async with cluster.admin() as operator:
                assert (await operator.status(SESSION)).clients == len(cluster.ids)

    run(play())
