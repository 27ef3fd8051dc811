"""Calls at once: strangers cannot fill the places of clients, watchers not those of logins, and silence is no call."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from secagg.errors import ParameterError
from secagg.hosting import Quotas
from secagg.hosting.logins import OwnLogins
from secagg.transport import service_pb2 as pb
from secagg.transport.gatekeeper import Caller, Gatekeeper
from secagg.transport.grpc import ServiceLimits, server
from secagg.transport.grpc.options import channel_options, server_options
from secagg.transport.grpc.places import Places, address_of
from tests.transport.grpc.network import Network, authority, failure, run, told, until
from tests.transport.grpc.test_answers import Bare, metadata_of, play_bare

EIGHT = ServiceLimits(calls=8)
"""Two calls of strangers, one of them from this address, and one that watches."""
HEARD = health_pb2.HealthCheckRequest(service="")


@asynccontextmanager
async def stranger(network: Network) -> AsyncIterator[grpc.aio.Channel]:
    """A connection of somebody without a login."""
    credentials = grpc.ssl_channel_credentials(authority().pem)
    options = channel_options(server_name=None, proxy=False)
    async with grpc.aio.secure_channel(network.address, credentials, options=options) as channel:
        yield channel


def path_of(method: str) -> str:
    return f"/{pb.DESCRIPTOR.services_by_name['SecureAggregation'].full_name}/{method}"


def silent(channel: Any, method: str, metadata: Any = None) -> Any:
    """A call that never says what it wants."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    call: Any = channel.stream_unary(path_of(method))
    return call(nothing(), metadata=metadata)


async def first_of(call: Any) -> Any:
    reply = await call.read()
    if reply is grpc.aio.EOF:
        raise AssertionError("the call ended without an answer")
    return reply


@pytest.mark.parametrize("kind", ["health", "reflection"])
def test_watching_strangers_leave_places_for_clients_logins_and_checks(kind: str) -> None:
    async def test(bare: Bare) -> None:
        async with stranger(bare.network) as channel:
            health: Any = HealthStub(channel)
            reflection: Any = ServerReflectionStub(cast(Any, channel))

            async def asked() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
                yield reflection_pb2.ServerReflectionRequest(list_services="")
                await asyncio.Event().wait()

            def watch() -> Any:
                if kind == "health":
                    return health.Watch(HEARD)
                return reflection.ServerReflectionInfo(asked())

            open_ = watch()
            await first_of(open_)
            for _ in range(10):
                code, detail = await failure(told(lambda: first_of(watch())))
                assert (code.name, detail.reason, detail.retry) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", True)
            assert (await health.Check(HEARD)).status == health_pb2.HealthCheckResponse.SERVING
            assert (await bare.request()).WhichOneof("news") == "request"
            async with bare.network.connection(2) as connection:
                assert await metadata_of(connection), "others log in"
            open_.cancel()

            async def again() -> bool:
                try:
                    return bool(await first_of(watch()))
                except grpc.aio.AioRpcError:
                    return False

            while not await again():
                pass

    play_bare(test, limits=EIGHT)


def test_a_stranger_who_says_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # The same bound would be that of handshakes, which take what the machine takes.
    monkeypatch.setattr(server, "server_options", lambda _, elsewhere: server_options(ServiceLimits(), elsewhere))

    async def play() -> None:
        async with Network(limits=ServiceLimits(stall_seconds=0.01)) as network, stranger(network) as channel:
            for _ in range(3):
                code, detail = await failure(silent(channel, "Login"))
                assert (code.name, detail.reason) == ("INVALID_ARGUMENT", "MALFORMED")

    run(play())


def test_connections_are_bounded_before_anything_was_said_over_them() -> None:
    """Each takes one of the files that the store needs for uploads, and costs its maker nothing."""

    async def test(bare: Bare) -> None:
        host, port = bare.network.address.rsplit(":", 1)
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(8)]
        closed = [asyncio.ensure_future(reader.read()) for reader, _ in opened]
        await until(lambda: sum(each.done() for each in closed) >= 5)
        assert (await bare.request()).WhichOneof("news") == "request"
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*closed, return_exceptions=True)

    play_bare(test, limits=ServiceLimits(connections=3))


@pytest.mark.parametrize(("soft", "connections"), [(1024, 896), (128, 1), (resource.RLIM_INFINITY, 1 << 20)])
def test_connections_leave_files_for_the_store(monkeypatch: pytest.MonkeyPatch, soft: int, connections: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    assert dict(server_options(ServiceLimits()))["grpc.max_allowed_incoming_connections"] == connections


def test_clients_keep_their_places_while_strangers_are_silent() -> None:
    async def test(bare: Bare) -> None:
        async with stranger(bare.network) as channel:
            calls = [silent(channel, "Challenge") for _ in range(10)]
            refused = [asyncio.ensure_future(failure(call)) for call in calls]
            await until(lambda: sum(each.done() for each in refused) == 9)
            assert (await bare.request()).WhichOneof("news") == "request"
            for call in calls:
                call.cancel()
            await asyncio.gather(*refused, return_exceptions=True)

    play_bare(test, limits=EIGHT)


def test_a_clients_silent_calls_are_its_own_places() -> None:
    async def test(bare: Bare) -> None:
        async with stranger(bare.network) as channel:
            calls = [silent(channel, "Answer", bare.metadata) for _ in range(3)]
            waiting = [asyncio.ensure_future(failure(call)) for call in calls]
            await until(lambda: any(each.done() for each in waiting))
            assert (await failure(bare.request()))[1].reason == "QUOTA_EXCEEDED"
            async with bare.network.connection(2) as connection:
                other = Bare(bare.network, connection, await metadata_of(connection), 2)
                assert (await other.request()).WhichOneof("news") == "request"
            for call in calls:
                call.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    play_bare(test, limits=ServiceLimits(calls_per_caller=2))


def test_a_call_without_a_request_is_malformed() -> None:
    async def test(bare: Bare) -> None:
        async def nothing() -> AsyncIterator[bytes]:
            for each in tuple[bytes, ...]():
                yield each

        async with stranger(bare.network) as channel:
            login: Any = channel.stream_unary(path_of("Login"))
            call = login(nothing())
            code, detail = await failure(call)
            assert (code.name, detail.reason) == ("INVALID_ARGUMENT", "MALFORMED")

    play_bare(test)


def test_a_request_is_not_handed_out_again_and_again() -> None:
    async def test(bare: Bare) -> None:
        first = (await bare.request()).request
        code, detail = await failure(asyncio.gather(*(bare.request() for _ in range(5))))
        assert (code.name, detail.reason, detail.retry) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", True)
        assert 0 < detail.retry_after_seconds <= 20
        seen = hashlib.sha256(first).digest()
        assert (await bare.request(seen, 0)).WhichOneof("news") is None, "waiting for news is not bounded"
        offers = [bare.stub.GetOffer(pb.GetOfferRequest(), metadata=bare.metadata) for _ in range(5)]
        assert (await failure(asyncio.gather(*offers)))[1].reason == "QUOTA_EXCEEDED"

    play_bare(test, quotas=Quotas(client_fetches_per_minute=3))


class Abroad:
    """The context of a call from an address."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def read(self) -> bytes:
        return b""

    async def abort(self, code: grpc.StatusCode, *said: Any) -> None:
        raise ConnectionError(code.name)


def test_one_address_takes_half_of_the_places_of_strangers() -> None:
    """A second has half of what is left; logins from elsewhere go on."""

    async def play() -> None:
        limits = ServiceLimits(calls=32)

        async def key_of(_: Caller) -> None:
            return None

        places = Places(Gatekeeper(key_of, {"localhost"}, OwnLogins(), lambda: 0.0, limits), limits)
        handler: Any = grpc.unary_unary_rpc_method_handler(waits)
        details = cast(grpc.HandlerCallDetails, SimpleNamespace(invocation_metadata=(), method="/x/Login"))

        async def found(_: grpc.HandlerCallDetails) -> Any:
            return handler

        async def call(peer: str) -> Any:
            seated: Any = await places.intercept_service(found, details)
            return await seated.stream_unary(None, Abroad(peer))

        calls = [asyncio.ensure_future(call(f"ipv4:192.0.2.1:{port}")) for port in range(20)]
        await until(lambda: sum(each.done() for each in calls) == 16)
        assert {str(each.exception()) for each in calls if each.done()} == {"RESOURCE_EXHAUSTED"}
        calls += [asyncio.ensure_future(call(f"ipv6:%5B2001:db8::{port}%5D:1")) for port in range(20)]
        await until(lambda: sum(each.done() for each in calls) == 16 + 18)
        calls += [asyncio.ensure_future(call(f"ipv4:198.51.100.{machine}:1")) for machine in range(4)]
        await until(lambda: sum(each.done() for each in calls) == 16 + 18 + 2)
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert places._seats._open == {}

    run(play())


async def waits(request: Any, context: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:53412", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3::9%5D:53412", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("unix:/run/secagg", ""),
    ],
)
def test_an_address_is_that_of_a_machine_or_its_network(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_strangers_never_have_all_places() -> None:
    for calls in (3, 8, 100, 16_384):
        limits = ServiceLimits(calls=calls)
        assert limits.calls_of_strangers + limits.watching_strangers < calls
    with pytest.raises(ParameterError, match="limit calls is 2; give at least 3"):
        ServiceLimits(calls=2)
