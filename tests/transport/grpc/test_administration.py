"""What operators see and fetch, and the services that probes and tools of others use."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from secagg import DropReason, IdentityKey, ParameterError, Round
from secagg.hosting import read_result
from secagg.identity.fingerprints import fingerprint
from secagg.store.base import StoreError
from secagg.transport import limits
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import Refusal, ServiceError, ServiceLimits
from secagg.transport.grpc.credentials import channel_credentials
from secagg.transport.grpc.options import server_options
from secagg.transport.grpc.server import _roomy
from secagg.transport.grpc.service_pb2_grpc import SecureAggregationStub
from secagg.transport.limits import HEALTH_LIMITS, OWN_FILES
from tests.transport.grpc.network import LIMIT, SESSION, Network, client_tls, failure, run


def test_status_before_and_after() -> None:
    async def play() -> None:
        async with Network(clients=5, threshold=3) as network, network.admin() as admin:
            before = await admin.status(SESSION)
            assert [replace(status, seconds_left=before.seconds_left) for status in await admin.sessions()] == [before]
            assert before.seconds_left is not None
            assert 0 <= before.seconds_left <= network.schedule.seconds[Round.ADVERTISE_KEYS]
            assert (before.state, before.clients, before.expected, before.answered, before.pending) == (
                "advertise_keys",
                5,
                5,
                0,
                5,
            )
            assert (before.result_ready, before.contributors, before.abort_reason) == (False, None, None)
            await asyncio.gather(network.everybody((1, 2, 3, 4)), network.end_round(Round.ADVERTISE_KEYS, 4))
            await network.session.wait_ended()
            after = await admin.status(SESSION)
            assert (after.state, after.seconds_left, after.result_ready) == ("completed", None, True)
            assert after == network.session.status()
            assert after.contributors == (1, 2, 3, 4)
            assert after.dropped == {DropReason.DID_NOT_ANSWER_IN_TIME: 1}

    run(play())


def test_an_aborted_session_says_why() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as admin:
            await network.session.abort("not today")
            await network.session.wait_ended()
            status = await admin.status(SESSION)
            assert (status.state, status.abort_reason) == ("aborted", network.session.status().abort_reason)
            assert status.abort_reason is not None
            assert "not today" in status.detail
            with pytest.raises(ServiceError, match="not today") as caught:
                await admin.result(SESSION)
            assert (caught.value.code, caught.value.refusal) == ("FAILED_PRECONDITION", Refusal.RESULT_NOT_READY)

    run(play())


def test_a_result_is_kept_until_it_is_acknowledged(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(length=1_000_000) as network, network.admin() as admin:
            with pytest.raises(ServiceError) as caught:
                await admin.result(SESSION)
            assert caught.value.refusal is Refusal.RESULT_NOT_READY
            await network.everybody()
            await network.session.wait_ended()
            path = tmp_path / "sum.npz"
            await admin.save_result(SESSION, path)
            assert path.stat().st_size > 4 << 20
            assert list(tmp_path.iterdir()) == [path]
            network.assert_exact(read_result(path))
            network.assert_exact(read_result(await admin.result(SESSION)))
            await network.restart()
            network.assert_exact(read_result(await admin.result(SESSION)))
            await admin.acknowledge(SESSION)
            await admin.acknowledge(SESSION)
            with pytest.raises(ServiceError) as caught:
                await admin.save_result(SESSION, tmp_path / "again.npz")
            assert caught.value.refusal is Refusal.RESULT_NOT_READY
            assert list(tmp_path.iterdir()) == [path]
            assert (await admin.status(SESSION)).state == "completed"

    run(play())


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as admin:
            await network.everybody()
            await network.session.wait_ended()
            with pytest.raises(ParameterError, match=r"sum\.npz cannot be written"):
                await admin.save_result(SESSION, tmp_path / "absent" / "sum.npz")

    run(play())


def test_a_result_that_arrives_damaged_is_refused(tmp_path: Path) -> None:
    class Damages(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, handler_call_details):  # type: ignore[no-untyped-def]
            handler = await continuation(handler_call_details)
            if not handler_call_details.method.endswith("/GetResult"):
                return handler

            async def damaged(request, context):  # type: ignore[no-untyped-def]
                async for part in handler.unary_stream(request, context):
                    if part.chunk:
                        part = pb.ResultPart(chunk=bytes([part.chunk[0] ^ 1]) + part.chunk[1:])
                    yield part

            return grpc.unary_stream_rpc_method_handler(
                damaged, handler.request_deserializer, handler.response_serializer
            )

    async def play() -> None:
        async with Network(server={"interceptors": (Damages(),)}) as network, network.admin() as admin:
            await network.everybody()
            await network.session.wait_ended()
            with pytest.raises(ServiceError, match="arrived damaged"):
                await admin.result(SESSION)
            with pytest.raises(ServiceError, match="arrived damaged"):
                await admin.save_result(SESSION, tmp_path / "sum.npz")
            assert list(tmp_path.iterdir()) == []

    run(play())


def test_who_is_no_operator_sees_nothing() -> None:
    async def play() -> None:
        async with Network() as network:
            for key in (IdentityKey.generate(), network.identities[1]):
                async with network.admin(identity=key) as admin:
                    with pytest.raises(ServiceError) as caught:
                        await admin.sessions()
                    assert (caught.value.code, caught.value.refusal) == ("PERMISSION_DENIED", Refusal.NOT_AN_OPERATOR)
                    assert str(caught.value) == (
                        f"{network.address} refused ListSessions: PERMISSION_DENIED NOT_AN_OPERATOR: the key "
                        f"{fingerprint(key.public)} is "
                        "no operator's here; give an operator's, or list its public key under operators in "
                        "[identities] "
                        "of the server's configuration, and reload"
                    )
            async with network.admin() as admin:
                with pytest.raises(ServiceError) as caught:
                    await admin.status("round-9")
                assert (caught.value.code, caught.value.refusal) == ("NOT_FOUND", Refusal.UNKNOWN_SESSION)

    run(play())


def test_health_checking_and_reflection() -> None:
    async def play() -> None:
        async with Network() as network:
            channel: Any = grpc.aio.secure_channel(network.address, channel_credentials(client_tls()))
            async with channel:
                health: Any = HealthStub(channel)
                reflection: Any = ServerReflectionStub(channel)
                names = ("", "secagg.service.v1.SecureAggregation", "secagg.service.v1.Administration")
                for name in names:
                    reply = await health.Check(health_pb2.HealthCheckRequest(service=name))
                    assert reply.status == health_pb2.HealthCheckResponse.SERVING
                watching = health.Watch(health_pb2.HealthCheckRequest(service=names[1]))
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING

                def asked() -> Iterator[reflection_pb2.ServerReflectionRequest]:
                    yield reflection_pb2.ServerReflectionRequest(list_services="")
                    yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=names[1])

                replies = [reply async for reply in reflection.ServerReflectionInfo(asked())]
                listed = {service.name for service in replies[0].list_services_response.service}
                assert {*names[1:], "grpc.health.v1.Health"} <= listed
                assert pb.DESCRIPTOR.serialized_pb in replies[1].file_descriptor_response.file_descriptor_proto
                stopping = asyncio.create_task(network.server.stop(LIMIT))
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                watching.cancel()
                await stopping

    run(play())


def test_health_follows_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with Network(limits=ServiceLimits(probe_seconds=0.01)) as network:
            disk = {"full": False}

            def probe() -> None:
                if disk["full"]:
                    raise StoreError("the disk is full")

            monkeypatch.setattr(network.store, "probe", probe)
            channel: Any = grpc.aio.secure_channel(network.address, channel_credentials(client_tls()))
            async with channel:
                health: Any = HealthStub(channel)
                statuses = health_pb2.HealthCheckResponse
                watching = health.Watch(health_pb2.HealthCheckRequest(service=""))
                for full in (False, True, False):
                    disk["full"] = full
                    assert (await watching.read()).status == (statuses.NOT_SERVING if full else statuses.SERVING)
                watching.cancel()

    run(play())


def test_health_has_a_port_of_its_own_with_places_of_its_own() -> None:
    """Whoever watches there takes no place of those who watch, check or log in at the service's own port."""

    async def play() -> None:
        async with Network(server={"health_address": "127.0.0.1:0"}) as network:
            here: Any = grpc.aio.insecure_channel(f"127.0.0.1:{network.server.health_port}")
            there: Any = grpc.aio.secure_channel(network.address, channel_credentials(client_tls()))
            async with here, there:
                own: Any = HealthStub(here)
                main: Any = HealthStub(there)
                calls: Any = SecureAggregationStub(here)  # type: ignore[no-untyped-call]
                asked = health_pb2.HealthCheckRequest(service="secagg.service.v1.SecureAggregation")
                serving = health_pb2.HealthCheckResponse.SERVING
                watching = [own.Watch(asked) for _ in range(HEALTH_LIMITS.watching_strangers // 2)]
                for watch in watching:
                    assert (await watch.read()).status == serving
                code, detail = await failure(own.Watch(asked).read())
                assert (code.name, detail.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
                assert (await own.Check(asked)).status == serving
                beside = main.Watch(asked)
                assert (await beside.read()).status == serving
                code, _ = await failure(calls.Challenge(pb.ChallengeRequest()))
                assert code is grpc.StatusCode.UNIMPLEMENTED
                # Its calls in progress have their time, and with it those of the other port.
                stopping = asyncio.create_task(network.server.stop(LIMIT))
                assert (await watching[0].read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                beside.cancel()
                await stopping

    run(play())


def test_a_port_for_health_that_is_taken_keeps_a_server_from_starting() -> None:
    async def play() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(
                ParameterError,
                match=f"^'{address}' cannot be served: another process listens there; stop it, or give another port$",
            ):
                await Network(server={"health_address": address}).__aenter__()

    run(play())


def test_files_of_connections_for_health_checks_are_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "open_files", lambda: 1000)
    for elsewhere in (0, 64):
        options = dict(server_options(ServiceLimits(), elsewhere))
        assert options["grpc.max_allowed_incoming_connections"] == 1000 - OWN_FILES - elsewhere


def test_a_server_takes_as_many_calls_at_once_as_its_limit_says() -> None:
    options = dict(server_options(ServiceLimits(calls=5000)))
    assert options["grpc.server.max_pending_requests"] == 5000
    assert options["grpc.server.max_pending_requests_hard_limit"] == 10_000


@pytest.mark.parametrize(
    ("clients", "ended", "members", "calls"),
    [(100, 20_000, 0, 16_384), (20_000, 9, 0, 80_000), (20_000, 9, 50_000, 100_000)],
    ids=["few", "sessions", "a roster"],
)
def test_a_server_has_room_for_all_clients_that_may_come(clients: int, ended: int, members: int, calls: int) -> None:
    runs = SimpleNamespace(parameters=SimpleNamespace(clients=clients), settled=False)
    over = SimpleNamespace(parameters=SimpleNamespace(clients=ended), settled=True)
    host: Any = SimpleNamespace(sessions=lambda: [runs, over, runs])
    assert _roomy(host, lambda: dict.fromkeys(range(members), b"")).calls == calls


def test_without_a_roster_there_is_room_for_what_runs() -> None:
    def expired() -> dict[int, bytes]:
        raise ParameterError("the roster expired")

    host: Any = SimpleNamespace(sessions=tuple)
    assert _roomy(host, expired) == ServiceLimits()


@pytest.mark.parametrize("changes", [{"calls": 0}, {"stall_seconds": -1.0}, {"uploads": 1.5}, {"poll_seconds": True}])
def test_limits_that_are_none(changes: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(changes))):
        ServiceLimits(**changes)  # type: ignore[arg-type]
