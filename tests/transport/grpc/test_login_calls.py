"""Who is let in over connections: logins that are refused, recorded, renewed, or good for something else."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from secagg import IdentityKey, SecAggError, SecretBytes
from secagg.crypto.login import client_login_text
from secagg.hosting import SessionHost
from secagg.hosting.logins import OwnLogins
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection, Metadata
from secagg.transport.gatekeeper import OperatorCaller
from secagg.transport.grpc import Refusal, ServiceError
from tests.clock import SetClock
from tests.hosting.support import Recorder
from tests.transport.grpc.network import IMPATIENT, SESSION, Network, Watch, client_tls, failure, run

STRANGER = IdentityKey.from_seed(SecretBytes(bytes(32)))


def rejected(network: Network, client: int = 1, **changes: Any) -> Any:
    async def play() -> tuple[str, Refusal | None, str]:
        watch = Watch()
        with pytest.raises(ServiceError) as caught:
            await network.client(client, observer=watch, **changes)
        assert watch.retries == []
        return caught.value.code, caught.value.refusal, str(caught.value)

    return play()


def test_logins_that_are_refused() -> None:
    async def play() -> None:
        seen = Recorder()
        async with Network(clients=4, observer=seen) as network:
            code, refusal, text = await rejected(network, 1, identity=network.identities[2])
            assert (code, refusal) == ("UNAUTHENTICATED", Refusal.SIGNATURE_INVALID)
            assert "client 1" in text
            code, refusal, text = await rejected(network, 1, identity=None)
            assert (code, refusal) == ("UNAUTHENTICATED", Refusal.SIGNATURE_INVALID)
            code, refusal, text = await rejected(network, 99, identity=STRANGER)
            assert (code, refusal) == ("PERMISSION_DENIED", Refusal.NOT_IN_COHORT)
            assert "client 99 is not in the cohort of session 'round-7'" in text
            code, refusal, text = await rejected(network, 1, session="round-8")
            assert (code, refusal) == ("NOT_FOUND", Refusal.UNKNOWN_SESSION)
            assert "round-8" in text
            async with network.connection(1) as connection:
                await connection._logged_in()
        assert seen.all("login") == [("SIGNATURE_INVALID",), ("SIGNATURE_INVALID",), ("accepted",)]

    run(play())


def test_a_client_without_an_enrolled_key_is_refused_even_where_others_are_anonymous() -> None:
    async def play() -> None:
        for server in ({}, {"tls": None, "insecure": True}):
            async with Network(enroll=False, server=server) as network:
                plain: dict[str, Any] = {"tls": None, "insecure": True} if server else {}
                code, refusal, text = await rejected(network, 1, **plain)
                assert (code, refusal) == ("PERMISSION_DENIED", Refusal.NOT_IN_COHORT)
                assert "enroll" in text

    run(play())


def test_a_server_knows_its_names() -> None:
    async def play() -> None:
        async with Network(server={"names": {"sums.example.org"}}) as network, network.connection(1) as connection:
            for name, accepted in {"sums.example.org": True, "127.0.0.1": True, "other.example.org": False}.items():
                subject = pb.ClientSubject(session=SESSION, client=1)
                given = await connection.aggregation.Challenge(pb.ChallengeRequest(client=subject))
                signature = network.identities[1].sign(client_login_text(name, SESSION, 1, given.nonce))
                login = pb.LoginRequest(nonce=given.nonce, server_name=name, signature=signature)
                if accepted:
                    assert len((await connection.aggregation.Login(login)).token) > 32
                    continue
                code, detail = await failure(connection.aggregation.Login(login))
                assert (code, detail.reason) == (grpc.StatusCode.UNAUTHENTICATED, "SERVER_NAME_WRONG")
                assert not detail.retry

    run(play())


def test_a_token_is_good_for_its_own_session_and_role() -> None:
    async def play() -> None:
        async with Network(clients=4) as network:
            other = network.parameters
            await network.host.create("round-8", other, roster=network.roster, schedule=network.schedule)
            async with network.connection(1) as connection:
                stubs = connection.aggregation
                seen: list[str] = []

                async def note(metadata: Any) -> None:
                    seen.append(metadata[0][1])

                await connection.call("note", note)
                token = (("authorization", seen[0]),)
                # There is no way to name another session: what the token says is what is used.
                reply = await stubs.GetOffer(pb.GetOfferRequest(), metadata=token)
                assert reply.offer == network.session.offer
                code, detail = await failure(
                    connection.administration.ListSessions(pb.ListSessionsRequest(), metadata=token)
                )
                assert (code, detail.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_AN_OPERATOR")
                for wrong in ((), (("authorization", "Bearer " + "00" * 32),), (("authorization", "Bearer zz"),)):
                    code, detail = await failure(stubs.GetOffer(pb.GetOfferRequest(), metadata=wrong))
                    assert (code, detail.reason, detail.retry) == (
                        grpc.StatusCode.UNAUTHENTICATED,
                        "TOKEN_UNKNOWN",
                        True,
                    )

    run(play())


def test_an_operators_token_takes_no_part() -> None:
    async def play() -> None:
        async with Network() as network:
            caller = OperatorCaller(network.operator.public)
            async with network.connection(1, caller=caller, identity=network.operator) as connection:
                with pytest.raises(ServiceError) as caught:
                    await connection.call(
                        "GetOffer",
                        lambda metadata: connection.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata),
                    )
                assert caught.value.code == "PERMISSION_DENIED"

    run(play())


def test_a_login_that_was_recorded_is_worthless() -> None:
    async def play() -> None:
        async with Network() as network, network.connection(1) as connection:
            stubs = connection.aggregation
            subject = pb.ClientSubject(session=SESSION, client=1)
            given = await stubs.Challenge(pb.ChallengeRequest(client=subject))
            text = client_login_text("localhost", SESSION, 1, given.nonce)
            login = pb.LoginRequest(
                nonce=given.nonce, server_name="localhost", signature=network.identities[1].sign(text)
            )
            assert len((await stubs.Login(login)).token) > 32
            code, detail = await failure(stubs.Login(login))
            assert (code, detail.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NONCE_UNKNOWN")
            for empty in (pb.ChallengeRequest(), pb.ChallengeRequest(operator=pb.OperatorSubject(public_key=b"short"))):
                code, detail = await failure(stubs.Challenge(empty))
                assert (code, detail.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")

    run(play())


async def offer_by(connection: Connection) -> bytes:
    async def offer(metadata: Metadata) -> bytes:
        reply = await connection.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata)
        return bytes(reply.offer)

    return await connection.call("GetOffer", offer)


def test_a_clock_that_is_set_keeps_nobody_out_of_a_server_of_its_own() -> None:
    """Set back, it made each new nonce look as old as those that were used, for as long as it was set back."""

    async def play() -> None:
        wall, watch, network = SetClock(), Watch(), Network()
        network.host = SessionHost(network.store, wall_clock=wall)
        async with network, network.connection(1, observer=watch) as first:
            for step in (0.0, 86_400.0, -86_400.0, -86_400.0):
                wall.time += step
                async with network.connection(2, retry=IMPATIENT) as second:
                    assert await offer_by(second) == await offer_by(first) == network.session.offer
            assert watch.logins == 1

    run(play())


def test_a_server_goes_by_the_clock_of_its_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = SetClock(0.0)
    monkeypatch.setattr(OwnLogins, "now", lambda self: time.monotonic() + ahead())

    async def play() -> None:
        watch = Watch()
        async with Network() as network, network.connection(1, observer=watch) as connection:
            for ahead.time in (0.0, 60.0, 2 * 86_400.0):
                await offer_by(connection)
            assert watch.logins == 2

    run(play())


def test_a_login_is_renewed_when_the_server_forgot_it() -> None:
    async def play() -> None:
        async with Network() as network:
            watch = Watch()
            async with network.connection(1, observer=watch) as connection:

                async def offer(metadata: Any) -> bytes:
                    reply = await connection.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata)
                    return bytes(reply.offer)

                await connection.call("GetOffer", offer)
                await network.restart()
                assert await connection.call("GetOffer", offer) == network.session.offer
                assert watch.logins == 2

    run(play())


def test_a_refusal_is_an_error_of_the_library_without_secrets() -> None:
    async def play() -> None:
        async with Network() as network:
            with pytest.raises(SecAggError) as caught:
                await network.client(1, identity=STRANGER, tls=client_tls())
            assert STRANGER.public.hex() not in str(caught.value)

    run(play())
