"""The client's facade: local mistakes change nothing, repeats repeat, and whatever goes wrong ends cleanly."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import secagg.session.client
from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DecodeError,
    FixedPoint,
    Integers,
    InternalError,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    Round,
    SecretBytes,
    SessionAbortedError,
    SessionOffer,
    Violation,
)
from secagg.canonical import Writer
from secagg.protocol.client_states import AwaitingShareKeys
from secagg.protocol.messages import Abort
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire import messages_pb2 as pb
from tests.harness import ROUNDS, Harness, alter, decode_answer, decode_request, forge

VECTORS = {"real": FixedPoint(3, clip=1.0, bits=8, aggregate="mean"), "count": Integers(0, 10, 2)}
GOOD = {"real": np.array([0.5, -1.0, 0.25]), "count": np.array([1, 2])}


def harness_of(**options: Any) -> Harness:
    return Harness(5, threshold=3, **options)


def phase_of(client: ClientSession) -> ClientPhase:
    return client.phase


class CountingSource:
    """Counts the draws of a deterministic source."""

    def __init__(self) -> None:
        self.source = DeterministicRandomSource(3)
        self.draws = 0

    def secret(self, length: int) -> SecretBytes:
        self.draws += 1
        return self.source.secret(length)


def test_a_new_session_knows_its_offer() -> None:
    harness = harness_of(threat_model="active")
    client = harness.clients[2]
    assert client.client_id == 2
    assert client.parameters == harness.parameters
    assert client.phase is ClientPhase.ADVERTISE_KEYS
    assert client.abort_reason is None
    assert client.abort_notice() is None


def test_an_offer_is_taken_as_bytes_or_decoded() -> None:
    harness = harness_of()
    decoded = harness.make_client(1, offer=SessionOffer(harness.parameters))  # type: ignore[arg-type]
    for data in (harness.server.offer, bytearray(harness.server.offer), memoryview(harness.server.offer)):
        assert harness.make_client(1, offer=data).parameters == decoded.parameters  # type: ignore[arg-type]


@pytest.mark.parametrize("offer", [b"", b"\0", b"\x0a\x03abc", b"garbage" * 100])
def test_bytes_that_are_no_offer(offer: bytes) -> None:
    with pytest.raises(DecodeError):
        ClientSession(offer, 1)


def test_an_offer_that_no_session_may_have() -> None:
    parameters = harness_of().parameters
    canonical = bytearray(parameters.encode())
    version = Writer().integer(parameters.version).finish()
    assert canonical.startswith(version)
    canonical[len(version) - 1] = 9
    offer = pb.SessionOffer(parameters=bytes(canonical)).SerializeToString()
    with pytest.raises(PeerMisbehaved, match="protocol version 9 is unknown") as caught:
        ClientSession(offer, 1)
    assert caught.value.violation is Violation.OFFER_PARAMETERS_INVALID


@pytest.mark.parametrize(
    ("change", "weight", "options"),
    [
        ({"real": np.zeros(4)}, 1, {}),
        ({"real": np.array([0.0, np.nan, 0.0])}, 1, {"strict": True}),
        ({"real": np.array(["a", "b", "c"])}, 1, {}),
        ({"real": np.array([2.0, 0.0, 0.0])}, 1, {"strict": True}),
        ({"count": np.array([1, 11])}, 1, {"strict": True}),
        ({"count": np.array([1.5, 2.0])}, 1, {}),
        ({"other": np.zeros(1)}, 1, {}),
        ({}, -1, {"strict": True}),
        ({}, 8, {"strict": True}),
        ({}, None, {}),
    ],
)
def test_an_input_that_does_not_fit_changes_nothing(change: dict[str, Any], weight: int | None, options: Any) -> None:
    harness = harness_of(vectors=VECTORS, max_weight=7).run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    client.set_input(GOOD, 3)
    with pytest.raises(ParameterError):
        client.set_input({**GOOD, **change}, weight, **options)
    assert client.phase is ClientPhase.MASKED_INPUT
    harness.deliver(1, client.receive(harness.requests[1]) or b"")
    harness.inputs[1], harness.weights[1] = GOOD, 3
    harness.play_round(silent={1})
    harness.finish()
    assert harness.server.result.vectors["count"].tolist() == harness.expected(harness.cohort, "count").tolist()
    assert harness.server.result.total_weight == 7


def test_a_missing_vector_is_named() -> None:
    harness = harness_of(vectors=VECTORS, max_weight=7)
    with pytest.raises(ParameterError, match="count"):
        harness.clients[1].set_input({"real": GOOD["real"]}, 1)


def test_the_last_input_before_the_request_counts() -> None:
    harness = harness_of()
    final = harness.inputs[1]["v"]
    for phase in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT):
        harness.run_to(phase)
        harness.clients[1].set_input({"v": np.zeros_like(final)})
    encoded = harness.clients[1].set_input({"v": final})
    assert encoded.weight == 1
    assert [report.clipped for report in encoded.reports] == [0]
    harness.deliver(1, harness.clients[1].receive(harness.requests[1]) or b"")
    harness.play_round(silent={1})
    harness.finish().assert_exact(harness.cohort)


def test_the_input_can_be_set_long_before_it_is_due() -> None:
    harness = harness_of()
    harness.clients[1].set_input(harness.inputs[1])
    harness.run_to(Round.MASKED_INPUT)
    harness.deliver(1, harness.clients[1].receive(harness.requests[1]) or b"")
    harness.play_round(silent={1})
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("round_", [Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_an_input_that_was_sent_stays(round_: Round) -> None:
    harness = harness_of(threat_model="active").run_to(round_)
    with pytest.raises(LocalProtocolError, match="the input was sent already"):
        harness.clients[1].set_input(harness.inputs[1])
    harness.finish().assert_exact(harness.cohort)
    with pytest.raises(SessionAbortedError):
        harness.clients[1].set_input(harness.inputs[1])


def test_a_missing_input_is_the_callers_mistake_and_can_be_made_good() -> None:
    harness = harness_of().run_to(Round.MASKED_INPUT)
    client, request = harness.clients[1], harness.requests[1]
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=r"call set_input\(\) first"):
            client.receive(request)
        assert phase_of(client) is ClientPhase.MASKED_INPUT
    client.set_input(harness.inputs[1])
    harness.deliver(1, client.receive(request) or b"")
    harness.play_round(silent={1})
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("round_", ROUNDS)
def test_the_same_request_again_gives_the_same_bytes_and_draws_nothing(round_: Round) -> None:
    harness = harness_of(threat_model="active")
    source = CountingSource()
    client = harness.clients[1] = harness.make_client(1, randomness=source)
    harness.run_to(round_)
    if client.phase is ClientPhase.MASKED_INPUT:
        client.set_input(harness.inputs[1])
    answer = client.receive(harness.requests[1])
    phase, draws = client.phase, source.draws
    for form in (bytes, bytearray, memoryview):
        same: Any = form(harness.requests[1])
        assert client.receive(same) == answer
    assert (client.phase, source.draws) == (phase, draws)
    harness.deliver(1, answer or b"")
    harness.play_round(silent={1})
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("message", ["text", None, 3, ["a"]])
def test_what_is_no_bytes_is_the_callers_mistake(message: Any) -> None:
    harness = harness_of()
    with pytest.raises(LocalProtocolError, match="a message is bytes, not"):
        harness.clients[1].receive(message)
    assert harness.clients[1].phase is ClientPhase.ADVERTISE_KEYS


@pytest.mark.parametrize("message", [b"", b"garbage", b"\x0a\x20" + bytes(32), bytes(10**5)])
def test_bytes_that_are_no_message_end_the_session(message: bytes) -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS)
    client = harness.clients[1]
    with pytest.raises(DecodeError):
        client.receive(message)
    assert client.phase is ClientPhase.ABORTED
    assert client.abort_reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE
    assert client.abort_notice() == forge(Abort(harness.session, AbortReason.PEER_SENT_MALFORMED_MESSAGE))


def test_a_message_cut_short_is_no_message() -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS)
    with pytest.raises(DecodeError):
        harness.clients[1].receive(harness.requests[1][:-1])


@pytest.mark.parametrize("round_", ROUNDS)
def test_leaving_ends_the_session_and_tells_the_server(round_: Round) -> None:
    harness = harness_of(threat_model="active").run_to(round_)
    client = harness.clients[1]
    notice = client.abort()
    assert decode_answer(notice) == Abort(harness.session, AbortReason.ABORTED_BY_CALLER)
    assert client.abort_notice() == notice
    assert (client.phase, client.abort_reason) == (ClientPhase.ABORTED, AbortReason.ABORTED_BY_CALLER)
    for call in (client.abort, client.snapshot, lambda: client.receive(harness.requests[1])):
        with pytest.raises(SessionAbortedError) as caught:
            call()
        assert caught.value.reason is AbortReason.ABORTED_BY_CALLER
    harness.deliver(1, notice)
    harness.play_round(silent={1})
    harness.finish().assert_exact()


def test_a_completed_session_cannot_leave() -> None:
    harness = harness_of().finish()
    client = harness.clients[1]
    assert client.abort_notice() is None
    with pytest.raises(SessionAbortedError) as caught:
        client.abort()
    assert caught.value.reason is None
    assert client.phase is ClientPhase.COMPLETED


@pytest.mark.parametrize(
    "message",
    [b"garbage", forge(Abort(bytes(32), AbortReason.PEER_ABORTED)), b""],
    ids=["garbage", "another session", "nothing"],
)
def test_nothing_changes_the_reason_of_an_end(message: bytes) -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS)
    client = harness.clients[1]
    with pytest.raises(PeerMisbehaved):
        client.receive(alter(harness.requests[1], advertisements=()))
    with pytest.raises(SessionAbortedError) as caught:
        client.receive(message)
    assert caught.value.reason is client.abort_reason is AbortReason.PEER_MISBEHAVED


def test_garbage_does_not_undo_a_completed_session() -> None:
    harness = harness_of().finish()
    client = harness.clients[1]
    for message in (b"garbage", forge(Abort(harness.session, AbortReason.TOO_FEW_UNMASKERS))):
        with pytest.raises(SessionAbortedError) as caught:
            client.receive(message)
        assert caught.value.reason is None
        assert (client.phase, client.abort_reason) == (ClientPhase.COMPLETED, None)


def test_the_servers_abort_ends_the_session_without_an_answer() -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS)
    client = harness.clients[1]
    assert client.receive(forge(Abort(harness.session, AbortReason.TOO_FEW_SHARERS))) is None
    assert client.abort_reason is AbortReason.PEER_ABORTED
    with pytest.raises(SessionAbortedError, match="the server aborted: TOO_FEW_SHARERS"):
        client.receive(harness.requests[1])


def explode(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("a defect")


def broken_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secagg.session.client, "receive", explode)


def broken_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secagg.session.client, "encode", explode)


def broken_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secagg.session.client, "decode_server_message", explode)


@pytest.mark.parametrize("breakage", [broken_handler, broken_encoder, broken_decoder])
@pytest.mark.parametrize("round_", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.UNMASKING])
def test_a_defect_never_leaves_a_session_half_advanced(
    round_: Round, breakage: Callable[[pytest.MonkeyPatch], None]
) -> None:
    harness = harness_of().run_to(round_)
    client = harness.clients[1]
    state = client._state
    with pytest.MonkeyPatch.context() as patch:
        breakage(patch)
        with pytest.raises(ZeroDivisionError):
            client.receive(harness.requests[1])
    assert client.phase is ClientPhase.ABORTED
    assert client.abort_reason is AbortReason.INTERNAL_ERROR
    if isinstance(state, AwaitingShareKeys):
        with pytest.raises(LocalProtocolError, match="wiped"):
            state.mask_key.secret.expose()
    with pytest.raises(SessionAbortedError, match="an unexpected exception ended an earlier call"):
        client.receive(harness.requests[1])


def test_our_own_defects_end_the_session_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> Any:
        raise InternalError("a defect")

    harness = harness_of()
    monkeypatch.setattr(secagg.session.client, "receive", defect)
    with pytest.raises(InternalError):
        harness.clients[1].receive(harness.requests[1])
    assert harness.clients[1].abort_reason is AbortReason.INTERNAL_ERROR


def test_randomness_that_fails_ends_the_session() -> None:
    class Dry:
        def secret(self, length: int) -> SecretBytes:
            raise OSError("no entropy")

    harness = harness_of()
    client = harness.make_client(1, randomness=Dry())
    with pytest.raises(OSError, match="no entropy"):
        client.receive(harness.requests[1])
    assert client.abort_reason is AbortReason.INTERNAL_ERROR


def test_a_session_without_a_ledger_has_no_snapshot_and_goes_on() -> None:
    harness = harness_of()
    with pytest.raises(LocalProtocolError, match="pass ledger="):
        harness.clients[1].snapshot()
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_not_copied(duplicate: Callable[[object], object]) -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS)
    with pytest.raises(TypeError, match="not copied or pickled"):
        duplicate(harness.clients[1])


def test_the_report_of_an_input_counts_what_was_clipped() -> None:
    harness = harness_of(vectors=VECTORS, max_weight=7)
    encoded = harness.clients[1].set_input({"real": np.array([5.0, -1.0, -7.0]), "count": np.array([0, 10])}, 7)
    assert [(report.name, report.entries, report.clipped) for report in encoded.reports] == [
        ("real", 3, 2),
        ("count", 2, 0),
    ]
    assert encoded.weight == 7


def test_what_a_client_sends_does_not_hold_its_weight_or_input() -> None:
    """The weight travels masked: equal sessions with other weights differ in the masked payload alone."""

    def uploads(weight: int) -> list[bytes]:
        harness = harness_of(vectors=VECTORS, max_weight=2**30)
        harness.weights[1] = weight
        return [harness.play_round()[1] for _ in range(4)]

    light, heavy = uploads(1), uploads(2**30)
    assert [one == other for one, other in zip(light, heavy, strict=True)] == [True, True, False, True]
    assert len(light[2]) == len(heavy[2])
    assert decode_request(harness_of().requests[1]).session != bytes(32)
