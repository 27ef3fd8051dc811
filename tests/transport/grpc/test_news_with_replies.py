"""Logins and answers bring what is asked next: one call for two, where both sides know of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from secagg.crypto.login import client_login_text
from secagg.hosting import Quotas, Request
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection
from secagg.transport.grpc import Participation
from tests.transport.grpc.faults import LosesCalls, TellsNothing
from tests.transport.grpc.network import LIMIT, SESSION, Network, failure, run, until
from tests.transport.grpc.test_answers import ACCEPTED, REPEATED, Bare, chunks, play_bare, waiting_calls

LONG_WAIT = 60_000


def wait_for(seen: bytes = b"", wait: int = LONG_WAIT) -> pb.NextRequestRequest:
    return pb.NextRequestRequest(seen=seen, wait_milliseconds=wait)


async def first_answer(bare: Bare) -> tuple[bytes, bytes]:
    """The answer to the first request, and that request's digest."""
    request = (await bare.request()).request
    answer = bare.session.receive(request)
    assert answer is not None
    return answer, hashlib.sha256(request).digest()


def answered(bare: Bare, answer: bytes, asked: pb.NextRequestRequest, *, upload: bool = False) -> Any:
    if not upload:
        return bare.stub.Answer(pb.AnswerRequest(answer=answer, next=asked), metadata=bare.metadata)
    sha256 = hashlib.sha256(answer).digest()
    header = pb.UploadHeader(total_bytes=len(answer), sha256=sha256, next=asked)
    return bare.upload(pb.UploadPart(header=header), *chunks(answer))


async def log_in(connection: Connection, network: Network, asked: pb.NextRequestRequest | None) -> Any:
    subject = pb.ClientSubject(session=SESSION, client=2)
    nonce = (await connection.aggregation.Challenge(pb.ChallengeRequest(client=subject))).nonce
    signature = network.identities[2].sign(client_login_text("localhost", SESSION, 2, nonce))
    signed = pb.LoginRequest(nonce=nonce, server_name="localhost", signature=signature, next=asked)
    return await connection.aggregation.Login(signed)


@pytest.mark.parametrize("upload", [False, True], ids=["whole", "in chunks"])
def test_an_answer_brings_the_next_request_once_there_is_one(upload: bool) -> None:
    async def test(bare: Bare) -> None:
        answer, seen = await first_answer(bare)
        waiting = asyncio.ensure_future(answered(bare, answer, wait_for(seen), upload=upload))
        await until(lambda: bare.network.session.status().answered == 1)
        others = asyncio.create_task(bare.network.everybody((2, 3, 4)))
        reply = await waiting
        assert (reply.outcome, reply.next.WhichOneof("news")) == (ACCEPTED, "request")
        assert reply.next.request == (await bare.request(seen)).request
        again = await answered(bare, answer, wait_for(seen), upload=upload)
        assert (again.outcome, again.next.request) == (REPEATED, reply.next.request)
        others.cancel()

    play_bare(test)


def test_who_does_not_ask_for_news_hears_at_once_that_its_answer_counts() -> None:
    async def test(bare: Bare) -> None:
        answer, seen = await first_answer(bare)
        reply = await bare.answer(answer)
        assert (reply.outcome, reply.HasField("next")) == (ACCEPTED, False)
        reply = await answered(bare, answer, wait_for(seen, wait=1))
        assert (reply.outcome, reply.next.WhichOneof("news")) == (REPEATED, None)

    play_bare(test)


@pytest.mark.parametrize("upload", [False, True], ids=["whole", "in chunks"])
def test_an_answer_that_waits_for_nonsense_is_not_taken(upload: bool) -> None:
    async def test(bare: Bare) -> None:
        answer, _ = await first_answer(bare)
        _, detail = await failure(answered(bare, answer, wait_for(b"short"), upload=upload))
        assert detail.reason == "MALFORMED"
        assert bare.network.session.status().log_entries == 0

    play_bare(test)


def test_a_server_that_ends_says_that_the_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        waits = waiting_calls(bare, monkeypatch)
        answer, seen = await first_answer(bare)
        waiting = asyncio.ensure_future(answered(bare, answer, wait_for(seen)))
        asking = asyncio.ensure_future(failure(bare.request(seen, LONG_WAIT)))
        await until(lambda: waits == [1, 1])
        await bare.network.server.stop(LIMIT)
        reply = await waiting
        assert (reply.outcome, reply.next.WhichOneof("news")) == (ACCEPTED, None)
        assert (await asking)[1].reason == "TRY_AGAIN"

    play_bare(test)


def test_who_fetches_too_much_has_answered_all_the_same() -> None:
    async def test(bare: Bare) -> None:
        answer, _ = await first_answer(bare)
        reply = await answered(bare, answer, wait_for())
        assert (reply.outcome, reply.next.WhichOneof("news")) == (ACCEPTED, None)
        assert (await failure(bare.request()))[1].reason == "QUOTA_EXCEEDED"
        async with bare.network.connection(2) as connection:
            replies = [await log_in(connection, bare.network, wait_for()) for _ in range(3)]
        given = [(bool(reply.token), bool(reply.offer), bool(reply.next.request)) for reply in replies]
        assert given == [(True, True, True), (True, True, False), (True, False, False)]

    # Of client 1, the login took two.
    play_bare(test, quotas=Quotas(client_fetches_per_minute=3))


def test_a_login_brings_the_offer_and_the_first_request_to_who_asks() -> None:
    async def play() -> None:
        async with Network() as network, network.connection(2) as connection:
            plain = await log_in(connection, network, None)
            assert (plain.offer, plain.HasField("next")) == (b"", False)
            asked = await log_in(connection, network, wait_for())
            assert asked.offer == network.session.offer
            request = await network.session.next_request(2, b"", 0.0)
            assert isinstance(request, Request)
            assert asked.next.request == request.message
            seen = await log_in(connection, network, wait_for(request.digest))
            assert seen.next.WhichOneof("news") is None, "a login does not wait"

    run(play())


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_client_makes_a_call_for_each_answer_and_two_to_log_in(threat_model: str) -> None:
    async def play() -> None:
        methods = ("Challenge", "Login", "GetOffer", "NextRequest", "Answer")
        counts = {method: LosesCalls(method, done=True, lose=lambda _: False) for method in methods}
        server = {"interceptors": tuple(counts.values())}
        async with Network(threat_model=threat_model, server=server) as network:
            outcomes = await network.everybody()
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            rounds = 5 if threat_model == "active" else 4
            made = {method: count.calls / 4 for method, count in counts.items()}
            assert made == {"Challenge": 1, "Login": 1, "GetOffer": 0, "NextRequest": 0, "Answer": rounds}

    run(play())


def test_a_client_takes_part_at_a_server_that_gives_nothing_besides() -> None:
    async def play() -> None:
        counts = LosesCalls("NextRequest", done=True, lose=lambda _: False)
        async with Network(length=100_000, server={"interceptors": (TellsNothing(), counts)}) as network:
            outcomes = await network.everybody()
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            assert counts.calls == 4 * 5

    run(play())
