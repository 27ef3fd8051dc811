"""Servers that lie or are broken: the client ends with one clear error, tells what it can, and keeps no secrets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from secagg import (
    AbortReason,
    DecodeError,
    Integers,
    PeerMisbehaved,
    SecAggError,
    ServerSession,
    SessionAbortedError,
    SessionParameters,
    Violation,
)
from secagg.protocol.messages import Abort
from secagg.transport import participant_calls
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import (
    DroppedError,
    ParticipantState,
    Refusal,
    ServiceError,
    UnreachableError,
)
from secagg.transport.grpc.credentials import Shown
from secagg.transport.grpc.service_pb2_grpc import (
    SecureAggregationServicer,
    add_SecureAggregationServicer_to_server,
)
from secagg.wire.codec import decode_client_message
from tests.transport.grpc.network import ATTEMPTS, IMPATIENT, SESSION, Network, Watch, run, server_tls, until

DETAIL = "secagg-error-bin"
HONEST = ServerSession(Network().parameters)


class Liar(SecureAggregationServicer):
    """Serves one session honestly, but for the calls that a test replaces."""

    def __init__(self, network: Network, **replies: Callable[[Any], Any]) -> None:
        self.session = ServerSession(network.parameters)
        self.replies = replies
        self.calls: list[str] = []
        self.answers: list[bytes] = []

    async def _reply(self, name: str, request: Any, context: Any, honest: Any) -> Any:
        self.calls.append(name)
        made = self.replies[name](request) if name in self.replies else honest
        if isinstance(made, tuple):
            code, text, detail = made
            metadata = () if detail is None else ((DETAIL, detail),)
            await context.abort(code, text, metadata)
        return made

    async def Challenge(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._reply("Challenge", request, context, pb.ChallengeReply(nonce=bytes(32)))

    async def Login(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._reply("Login", request, context, pb.LoginReply(token=bytes(32)))

    async def GetOffer(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._reply("GetOffer", request, context, pb.GetOfferReply(offer=self.session.offer))

    async def NextRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        honest = pb.NextRequestReply(request=self.session.requests[1])
        return await self._reply("NextRequest", request, context, honest)

    async def Answer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.answers.append(request.answer)
        reply = pb.AnswerReply(outcome=pb.AnswerReply.OUTCOME_ACCEPTED)
        return await self._reply("Answer", request, context, reply)


class Lied:
    """What client 1 of a lying server ended with."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.error: SecAggError
        self.liar: Liar


def lie(_state: Path | None = None, **replies: Callable[[Any], Any]) -> Lied:
    lied = Lied()

    async def play() -> None:
        network = Network()
        lied.liar = Liar(network, **replies)
        server = grpc.aio.server()
        add_SecureAggregationServicer_to_server(lied.liar, server)  # type: ignore[no-untyped-call]
        network.port = server.add_secure_port("localhost:0", Shown(server_tls()).credentials())
        await server.start()
        with pytest.raises(SecAggError) as caught:
            await network.client(1, observer=lied.watch, retry=IMPATIENT, state=_state)
        lied.error = caught.value
        await server.stop(0)

    run(play())
    return lied


def test_an_offer_that_is_none() -> None:
    lied = lie(GetOffer=lambda _: pb.GetOfferReply(offer=b"no offer"))
    assert isinstance(lied.error, DecodeError)
    assert lied.liar.answers == []


def test_an_offer_of_a_cohort_without_this_client() -> None:
    parameters = SessionParameters.choose(
        clients=(2, 3, 4), vectors={"v": Integers(0, 1, length=1)}, max_dropout=0.0, max_corrupt=0.0
    )
    lied = lie(GetOffer=lambda _: pb.GetOfferReply(offer=ServerSession(parameters).offer))
    assert isinstance(lied.error, PeerMisbehaved)
    assert lied.error.violation is Violation.OFFER_COHORT_WITHOUT_THIS_CLIENT
    assert lied.liar.answers == []


@pytest.mark.parametrize("with_state", [False, True])
def test_a_request_that_is_no_message_is_told_and_leaves_no_secrets(tmp_path: Path, with_state: bool) -> None:
    """The first request is honest, the second is not: the client tells the server and erases its state."""

    def requests(asked: Any) -> Any:
        if not asked.seen:
            return pb.NextRequestReply(request=HONEST.requests[1])
        return pb.NextRequestReply(request=b"no message")

    lied = lie(tmp_path if with_state else None, NextRequest=requests)
    assert isinstance(lied.error, DecodeError)
    assert lied.watch.outcomes == [("advertise_keys", "accepted")]
    notice = decode_client_message(lied.liar.answers[1])
    assert isinstance(notice, Abort)
    assert notice.reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE
    if with_state:
        state = ParticipantState(tmp_path, SESSION, 1)
        assert state.snapshot() is None
        state.close()


def test_a_server_that_asks_again_what_was_answered() -> None:
    lied = lie()
    assert isinstance(lied.error, ServiceError)
    assert "asks again" in str(lied.error)
    assert len(lied.liar.answers) == 1
    assert lied.liar.calls.count("NextRequest") == 2


def test_a_session_that_was_aborted_says_why() -> None:
    ended = pb.Ended(reason_id="A03", reason="TOO_FEW_CONTRIBUTORS")
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(ended=ended))
    assert isinstance(lied.error, SessionAbortedError)
    assert lied.error.reason is AbortReason.TOO_FEW_CONTRIBUTORS
    assert str(lied.error) == "the session ended without a sum: TOO_FEW_CONTRIBUTORS [A03]"


def test_a_reason_of_any_length_is_one_sentence() -> None:
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(ended=pb.Ended(reason="a" * 1_000_000)))
    assert len(str(lied.error)) < 1100
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(dropped=pb.Dropped(reason="a" * 1_000_000)))
    assert len(str(lied.error)) < 1100


def test_reasons_of_a_later_release_are_no_defect() -> None:
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(ended=pb.Ended(reason_id="A99", reason="NEW_REASON")))
    assert isinstance(lied.error, SessionAbortedError)
    assert lied.error.reason is None
    assert "NEW_REASON" in str(lied.error)
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(dropped=pb.Dropped(reason_id="S99", reason="NEW_REASON")))
    assert isinstance(lied.error, DroppedError)
    assert lied.error.drop_reason is None


def test_a_drop_for_two_answers_says_what_it_comes_from() -> None:
    """The server sends the id alone; what the client can do about it, the client knows."""
    dropped = pb.Dropped(reason_id="S05", reason="SECOND_ANSWER_DIFFERS")
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(dropped=dropped))
    assert isinstance(lied.error, DroppedError)
    assert str(lied.error) == (
        "the server dropped this client: SECOND_ANSWER_DIFFERS [S05]; two processes run as this client, or one "
        "restarted without state="
    )


def test_a_session_that_completed_without_this_client_is_no_success() -> None:
    lied = lie(NextRequest=lambda _: pb.NextRequestReply(ended=pb.Ended(completed=True)))
    assert isinstance(lied.error, DroppedError)
    assert "this process sent no input to it; an input that an earlier process of client 1 sent is in" in str(
        lied.error
    )


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(513), bytes(100_000)])
def test_nothing_but_a_nonce_is_signed(nonce: bytes) -> None:
    lied = lie(Challenge=lambda _: pb.ChallengeReply(nonce=nonce))
    assert isinstance(lied.error, ServiceError)
    assert f"nonce of {len(nonce)} bytes" in str(lied.error)
    assert "Login" not in lied.liar.calls


def test_a_server_that_never_knows_the_token() -> None:
    detail = pb.ErrorDetail(reason="TOKEN_UNKNOWN", retry=True).SerializeToString()
    lied = lie(GetOffer=lambda _: (grpc.StatusCode.UNAUTHENTICATED, "who?", detail))
    assert isinstance(lied.error, UnreachableError)
    assert lied.error.refusal is Refusal.TOKEN_UNKNOWN
    assert lied.watch.logins == ATTEMPTS


def test_an_outcome_of_a_later_release() -> None:
    lied = lie(Answer=lambda _: pb.AnswerReply.FromString(b"\x08\x63"))
    assert isinstance(lied.error, ServiceError)
    assert "outcome 99" in str(lied.error)


def test_a_refusal_without_a_detail_or_with_nonsense_in_it() -> None:
    lied = lie(GetOffer=lambda _: (grpc.StatusCode.PERMISSION_DENIED, "no", None))
    assert isinstance(lied.error, ServiceError)
    assert (lied.error.code, lied.error.refusal) == ("PERMISSION_DENIED", None)
    lied = lie(GetOffer=lambda _: (grpc.StatusCode.PERMISSION_DENIED, "no", b"\xff\xff"))
    assert (type(lied.error), lied.watch.retries) == (ServiceError, [])
    detail = pb.ErrorDetail(reason="OF_A_LATER_RELEASE").SerializeToString()
    lied = lie(GetOffer=lambda _: (grpc.StatusCode.UNAVAILABLE, "no", detail))
    assert (type(lied.error), lied.watch.retries) == (ServiceError, [])


def test_a_server_that_does_not_wait_is_not_asked_in_a_tight_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participant_calls, "_SHORTEST_POLL_SECONDS", 1000.0)

    async def play() -> None:
        network = Network()
        liar = Liar(network, NextRequest=lambda _: pb.NextRequestReply())
        server = grpc.aio.server()
        add_SecureAggregationServicer_to_server(liar, server)  # type: ignore[no-untyped-call]
        network.port = server.add_secure_port("localhost:0", Shown(server_tls()).credentials())
        await server.start()
        client = asyncio.create_task(network.client(1))
        await until(lambda: "NextRequest" in liar.calls)
        # Enough for some hundred calls, if it made them.
        await asyncio.wait((client,), timeout=0.2)
        assert liar.calls.count("NextRequest") == 1
        client.cancel()
        await server.stop(0)

    run(play())


def test_the_digest_of_a_request_is_what_is_seen() -> None:
    seen: list[bytes] = []

    def requests(asked: Any) -> Any:
        seen.append(asked.seen)
        if len(seen) == 1:
            return pb.NextRequestReply(request=HONEST.requests[1])
        return pb.NextRequestReply(ended=pb.Ended(completed=True))

    lie(NextRequest=requests)
    assert seen == [b"", hashlib.sha256(HONEST.requests[1]).digest()]
