"""Who is let in: signatures, nonces and tokens, over connections and by themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from secagg import IdentityKey, SecAggError, SecretBytes
from secagg.crypto.login import client_login_text, operator_login_text
from secagg.hosting import UnknownSessionError
from secagg.transport.grpc import Refusal, ServiceError, ServiceLimits, gatekeeper
from secagg.transport.grpc import service_pb2 as pb
from secagg.transport.grpc.gatekeeper import Caller, ClientCaller, Gatekeeper, OperatorCaller
from secagg.transport.grpc.status import CallRefusedError
from tests.hosting.support import Recorder
from tests.transport.grpc.network import SESSION, Network, Watch, client_tls, failure, run

STRANGER = IdentityKey.from_seed(SecretBytes(bytes(32)))
ALICE = ClientCaller("s", 1)
BOB = ClientCaller("s", 2)
KEY = IdentityKey.from_seed(SecretBytes(b"a" * 32))
OTHER = IdentityKey.from_seed(SecretBytes(b"b" * 32))
OPERATOR = OperatorCaller(OTHER.public)


def refused(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(CallRefusedError) as caught:
        call()
    return caught.value.refusal


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def keeper(clock: Clock | None = None, **limits: Any) -> Gatekeeper:
    keys = {ALICE: KEY.public, BOB: OTHER.public, OPERATOR: OTHER.public, ClientCaller("t", 1): KEY.public}
    return Gatekeeper(keys.get, {"here"}, clock or Clock(), ServiceLimits(**limits))


def signed(nonce: bytes, *, name: str = "here", session: str = "s", client: int = 1, key: IdentityKey = KEY) -> bytes:
    return key.sign(client_login_text(name, session, client, nonce))


def test_a_signed_nonce_gives_a_token() -> None:
    gate = keeper()
    nonce = gate.challenge(ALICE)
    token = gate.login(nonce, "here", signed(nonce))
    assert (len(nonce), len(token)) == (32, 32)
    assert gate.caller(token) == ALICE
    nonce = gate.challenge(OPERATOR)
    token = gate.login(nonce, "here", OTHER.sign(operator_login_text("here", OTHER.public, nonce)))
    assert gate.caller(token) == OPERATOR


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"name": "there"}, Refusal.SIGNATURE_INVALID),
        ({"session": "t"}, Refusal.SIGNATURE_INVALID),
        ({"client": 2}, Refusal.SIGNATURE_INVALID),
        ({"key": OTHER}, Refusal.SIGNATURE_INVALID),
        ({"nonce": bytes(32)}, Refusal.SIGNATURE_INVALID),
    ],
    ids=["name", "session", "client", "key", "nonce"],
)
def test_a_signature_is_good_for_one_thing(changes: dict[str, Any], refusal: Refusal) -> None:
    gate = keeper()
    nonce = gate.challenge(ALICE)
    signature = signed(**{"nonce": nonce, **changes})
    assert refused(lambda: gate.login(nonce, "here", signature)) is refusal


def test_a_signature_of_another_role_is_refused() -> None:
    gate = keeper()
    nonce = gate.challenge(OPERATOR)
    as_client = OTHER.sign(client_login_text("here", "s", 2, nonce))
    assert refused(lambda: gate.login(nonce, "here", as_client)) is Refusal.SIGNATURE_INVALID


def test_a_name_that_is_not_ours_is_refused_though_it_was_signed() -> None:
    """Another server handed us a nonce's signature that its client made for it."""
    gate = keeper()
    nonce = gate.challenge(ALICE)
    assert refused(lambda: gate.login(nonce, "there", signed(nonce, name="there"))) is Refusal.SERVER_NAME_WRONG


def test_a_nonce_is_good_for_one_try() -> None:
    gate = keeper()
    nonce = gate.challenge(ALICE)
    gate.login(nonce, "here", signed(nonce))
    assert refused(lambda: gate.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    nonce = gate.challenge(ALICE)
    assert refused(lambda: gate.login(nonce, "here", b"")) is Refusal.SIGNATURE_INVALID
    assert refused(lambda: gate.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    assert refused(lambda: gate.login(bytes(32), "here", signed(bytes(32)))) is Refusal.NONCE_UNKNOWN


def test_nonces_and_tokens_grow_old() -> None:
    clock = Clock()
    gate = keeper(clock)
    nonce = gate.challenge(ALICE)
    clock.time += 61
    assert refused(lambda: gate.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    nonce = gate.challenge(ALICE)
    clock.time += 59
    token = gate.login(nonce, "here", signed(nonce))
    clock.time += 24 * 3600 - 1
    assert gate.caller(token) == ALICE
    clock.time += 2
    assert refused(lambda: gate.caller(token)) is Refusal.TOKEN_UNKNOWN


def test_nonces_and_tokens_are_bounded_in_number() -> None:
    gate = keeper(nonces=3, tokens_per_caller=2)
    nonces = [gate.challenge(ALICE) for _ in range(4)]
    assert refused(lambda: gate.login(nonces[0], "here", signed(nonces[0]))) is Refusal.NONCE_UNKNOWN
    tokens = [gate.login(nonce, "here", signed(nonce)) for nonce in nonces[1:]]
    assert refused(lambda: gate.caller(tokens[0])) is Refusal.TOKEN_UNKNOWN
    assert [gate.caller(token) for token in tokens[1:]] == [ALICE, ALICE]


def test_a_token_is_good_for_the_key_that_it_was_given_for() -> None:
    """A session that was discarded may come again under its name, with another roster."""
    keys: dict[Caller, bytes] = {ALICE: KEY.public}

    def key_of(caller: Caller) -> bytes | None:
        if caller not in keys:
            raise UnknownSessionError("no such session")
        return keys[caller]

    gate = Gatekeeper(key_of, {"here"}, Clock(), ServiceLimits())
    nonce = gate.challenge(ALICE)
    token = gate.login(nonce, "here", signed(nonce))
    assert gate.caller(token) == ALICE
    keys[ALICE] = OTHER.public
    assert refused(lambda: gate.caller(token)) is Refusal.TOKEN_UNKNOWN
    del keys[ALICE]
    with pytest.raises(UnknownSessionError):
        gate.caller(token)
    keys[ALICE] = KEY.public
    assert gate.caller(token) == ALICE


def test_tokens_of_the_past_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lives long has many sessions: what is too old, or whose session is gone, is swept out."""
    monkeypatch.setattr(gatekeeper, "_FIRST_SWEEP", 3)
    clock = Clock()
    sessions = {"old", "gone", "s"}

    def key_of(caller: Caller) -> bytes | None:
        if isinstance(caller, ClientCaller) and caller.session not in sessions:
            raise UnknownSessionError("no such session")
        return None

    gate = Gatekeeper(key_of, {"here"}, clock, ServiceLimits(token_seconds=100.0))
    old = gate.login(gate.challenge(ClientCaller("old", 1)), "here", b"")
    clock.time += 60
    gone = gate.login(gate.challenge(ClientCaller("gone", 1)), "here", b"")
    alice = gate.login(gate.challenge(ALICE), "here", b"")
    sessions.discard("gone")
    clock.time += 60
    bob = gate.login(gate.challenge(BOB), "here", b"")
    assert len(gate._tokens) == len(gate._held) == 2
    assert (gate.caller(alice), gate.caller(bob)) == (ALICE, BOB)
    for token in (old, gone):
        assert refused(functools.partial(gate.caller, token)) is Refusal.TOKEN_UNKNOWN


def test_secrets_are_not_shown() -> None:
    assert OTHER.public.hex() not in repr(OPERATOR)
    assert "\\x" not in repr(OPERATOR)


# Over connections.


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
                    assert len((await connection.aggregation.Login(login)).token) == 32
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
            assert len((await stubs.Login(login)).token) == 32
            code, detail = await failure(stubs.Login(login))
            assert (code, detail.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NONCE_UNKNOWN")
            for empty in (pb.ChallengeRequest(), pb.ChallengeRequest(operator=pb.OperatorSubject(public_key=b"short"))):
                code, detail = await failure(stubs.Challenge(empty))
                assert (code, detail.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")

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
