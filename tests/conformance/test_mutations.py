"""Live attacks: the library withstands all of them, and each kind of weakness is found by one that is named for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import secagg
from secagg import SessionParameters
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.answers import fill_up_bytes
from secagg.conformance.driving import InProcessTestee
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.mutations import KINDS, live_cases
from secagg.conformance.results import Report, Verdict
from secagg.conformance.spans import first_difference, spans_of
from secagg.conformance.tampering import spans_to_flip
from secagg.conformance.vectors import find_vectors, load_vectors
from secagg.crypto import field, shamir
from secagg.crypto.field import FloatArray
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.testing.tape import TapeRandomSource
from secagg.wire.messages_pb2 import Envelope
from tests.conformance.made import failed, honest_testee, lying, made_vectors, run_cases

Lie = Callable[[pb.Call, pb.Reply], pb.Reply | None]


def attacked(lie: Lie, *only: str) -> tuple[Report, dict[str, str]]:
    report = run_cases(lying(lie), *only)
    return report, failed(report)


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_withstands_everything(kind: str) -> None:
    report = run_cases(honest_testee(), f"live-{kind}-*")
    assert failed(report) == {}
    # A testee in this process cannot be started a second time.
    skipped = [result.case for result in report.results if result.verdict is not Verdict.PASSED]
    assert skipped == [f"live-{kind}-client-fresh-processes"]
    assert len(report.results) > 250


def test_case_ids_and_requirements_follow_from_the_vectors() -> None:
    first, second = (tuple(live_cases(made_vectors().sessions)) for _ in range(2))
    assert [(case.id, case.requirements) for case in first] == [(case.id, case.requirements) for case in second]
    assert all(case.requirements for case in first)
    named = {case.id for case in first}
    assert {
        "live-active-client-share-keys-bit-flip-3",
        "live-active-client-unmasking-contributors-changed",
        "live-active-client-split-contributors",
        "live-sparse-client-share-keys-no-neighbour",
        "live-semi-honest-client-unmasking-two-views",
        "live-sparse-server-masked-input-fill-up-bit",
        "live-active-server-unmasking-both-shares-of-one-owner",
        "live-active-server-other-context-for-one",
        "live-semi-honest-client-fresh-secrets",
    } <= named


def test_the_vectors_of_this_package_have_sessions_for_every_kind_of_attack() -> None:
    made = [case.id for case in live_cases(load_vectors(find_vectors()).sessions)]
    assert len(made) == len(set(made)) > 850
    for kind in KINDS:
        for word in ("client-unmasking-overlap", "client-masked-input-one-peer-left-out", "server-share-keys-silent"):
            assert f"live-{kind}-{word}" in made


def test_no_session_no_attack() -> None:
    assert list(live_cases(())) == []


# Clients that are broken.


def accepting(rule: str) -> Lie:
    """Pretends that messages with this breach were fine; the session behind it has ended."""

    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.rule == rule and call.HasField("step"):
            reply.outcome.status, reply.outcome.rule, reply.outcome.phase = pb.ACCEPTED, "", "UNMASKING"
            reply.outcome.answer = b""

    return lie


@pytest.mark.parametrize(
    ("rule", "only", "case"),
    [
        ("C26", "live-active-client-share-keys-*", "live-active-client-share-keys-unsigned"),
        ("C30", "live-sparse-client-masked-input-*", "live-sparse-client-masked-input-stranger"),
        ("C43", "live-active-client-consistency-check-*", "live-active-client-consistency-check-own-missing"),
        ("C61", "live-active-client-unmasking-*", "live-active-client-unmasking-own-confirmation-missing"),
        ("C62", "live-semi-honest-client-unmasking-*", "live-semi-honest-client-unmasking-twice-and-another"),
        ("A08", "live-active-client-advertise-keys-*", "live-active-client-advertise-keys-extended"),
        ("C12", "live-sparse-client-*", "live-sparse-client-unmasking-of-another-session"),
    ],
)
def test_a_client_that_accepts_what_it_must_refuse_is_caught(rule: str, only: str, case: str) -> None:
    report, details = attacked(accepting(rule), only)
    assert "ACCEPTED with an answer of 0 bytes came" in details[case]
    if rule not in ("A08", "C12"):
        assert rule in {id_ for result in report.results if result.verdict.bad for id_ in result.requirements}


def test_a_client_that_answers_after_its_end_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.status == pb.LOCAL_ERROR and reply.outcome.phase == "ABORTED":
            reply.outcome.answer = b""

    _, details = attacked(lie, "live-active-client-share-keys-*")
    assert set(details.values()) == {"the client answered a message after it had ended its session"}
    assert len(details) > 20


def test_a_client_that_reveals_both_shares_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        outcome = reply.outcome
        if outcome.HasField("answer") and Envelope.FromString(outcome.answer).HasField("unmasking_response"):
            envelope = Envelope.FromString(outcome.answer)
            body = envelope.unmasking_response
            body.mask_key_shares.add(owner=body.seed_shares[0].owner, share=bytes(36))
            outcome.answer = envelope.SerializeToString()

    _, details = attacked(lie, "live-semi-honest-client-unmasking-twice-and-another")
    assert "revealed both shares of client 1, which R27 forbids" in next(iter(details.values()))


def test_a_client_whose_repeated_answer_differs_is_caught() -> None:
    last: dict[int, bytes] = {}

    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.HasField("answer") and last.get(call.step.handle) == call.step.message:
            reply.outcome.answer = reply.outcome.answer[:-1] + bytes([reply.outcome.answer[-1] ^ 1])
        last[call.step.handle] = call.step.message

    _, details = attacked(lie, "live-active-client-*-twice")
    assert len(details) == 5
    assert all("the answer differs from the expected one" in detail for detail in details.values())


def test_a_client_without_fresh_secrets_is_caught() -> None:
    honest = LibraryTestee().handle

    def same_tape(call: pb.Call) -> pb.Reply:
        if call.HasField("create_client") and not call.create_client.HasField("tape"):
            call.create_client.tape = bytes(range(256)) * 2
        return honest(call)

    details = failed(run_cases(InProcessTestee(same_tape), "*-fresh-secrets"))
    assert set(details.values()) == {"two clients without a tape made the same channel key"}


def zero(drawn: FloatArray) -> FloatArray:
    return drawn * 0


def of_lower_degree(drawn: FloatArray) -> FloatArray:
    return np.concatenate([drawn[:-1], drawn[-1:] * 0])


def same_for_both_secrets(drawn: FloatArray) -> FloatArray:
    return np.tile(drawn[:, :18], 2)


def same_for_every_limb(drawn: FloatArray) -> FloatArray:
    return np.repeat(drawn[:, :1], 36, axis=1)


def same_for_every_power(drawn: FloatArray) -> FloatArray:
    return np.repeat(drawn[:1], len(drawn), axis=0)


def same_for_every_client(drawn: FloatArray) -> FloatArray:
    return np.random.default_rng(7).integers(0, 65521, drawn.shape).astype(np.float64)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (zero, "are 0: fewer shares than t tell the secret"),
        (of_lower_degree, "are 0: fewer shares than t tell the secret"),
        (same_for_both_secrets, "in the first self-mask seed and of x^1 in the first mask private key are the same"),
        (same_for_every_limb, "are the same for several limbs"),
        (same_for_every_power, "of x^1 in the first self-mask seed and of x^2 in the first self-mask seed are the"),
        (same_for_every_client, "of x^1 in the first self-mask seed and of x^1 in the second self-mask seed are the"),
    ],
)
def test_a_client_that_shares_badly_without_a_tape_is_caught(
    wrong: Callable[[FloatArray], FloatArray], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uniform = field.uniform

    def drawn(randomness: RandomSource, shape: tuple[int, ...]) -> FloatArray:
        right = uniform(randomness, shape)
        return right if isinstance(randomness, TapeRandomSource) else wrong(right)

    monkeypatch.setattr(field, "uniform", drawn)
    details = failed(run_cases(InProcessTestee(LibraryTestee().handle), "live-active-client-fresh-secrets"))
    assert len(details) == 1
    assert said in next(iter(details.values()))


def test_a_client_that_shares_other_secrets_without_a_tape_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    share = shamir.share_rows

    def swapped(
        secrets: Sequence[SecretBytes], threshold: int, degree: int, randomness: RandomSource, points: Sequence[int]
    ) -> NDArray[np.uint8]:
        ordered = secrets if isinstance(randomness, TapeRandomSource) else secrets[::-1]
        return share(ordered, threshold, degree, randomness, points)

    def too_high(
        secrets: Sequence[SecretBytes], threshold: int, degree: int, randomness: RandomSource, points: Sequence[int]
    ) -> NDArray[np.uint8]:
        more = 0 if isinstance(randomness, TapeRandomSource) else 1
        return share(secrets, threshold + more, degree, randomness, points)

    for wrong, said in ((swapped, "shared another self-mask seed"), (too_high, "with a degree of 4 or more")):
        monkeypatch.setattr(shamir, "share_rows", wrong)
        details = failed(run_cases(InProcessTestee(LibraryTestee().handle), "live-active-client-fresh-secrets"))
        assert len(details) == 1
        assert said in next(iter(details.values()))


def test_a_client_that_takes_one_split_view_for_the_other_is_caught() -> None:
    _, details = attacked(accepting("C60"), "live-active-client-split-contributors")
    assert "was shown confirmations of two lists: expected REFUSED by C59 or C60" in next(iter(details.values()))


def test_a_client_that_swallows_a_changed_offer_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if call.HasField("create_client") and reply.outcome.status == pb.REFUSED:
            reply.outcome.status, reply.outcome.handle = pb.ACCEPTED, 10**6

    _, details = attacked(lie, "live-sparse-client-offer-truncated")
    assert "a changed offer must be refused, and gave ACCEPTED" in next(iter(details.values()))


# Servers that are broken.


def test_a_server_that_takes_anything_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.status == pb.DROPPED:
            reply.outcome.status, reply.outcome.rule = pb.ACCEPTED, ""

    report, details = attacked(lie, "live-active-server-*")
    assert (
        details["live-active-server-advertise-keys-unsigned"] == "unsigned: expected DROPPED by S11, and ACCEPTED came"
    )
    broken = {id_ for result in report.results if result.verdict.bad for id_ in result.requirements}
    assert {"S02", "S03", "S04", "S05", "S06", "S10", "S11", "S12", "S13", "S15", "S20", "S40", "S50", "S51"} <= broken


def test_a_server_that_ends_with_one_bad_client_is_caught() -> None:
    ended: set[int] = set()

    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.status == pb.DROPPED:
            ended.add(call.step.handle)
        if call.step.handle in ended and call.step.HasField("close_round"):
            reply.outcome.phase, reply.outcome.abort_reason = "ABORTED", "A11"
            reply.outcome.ClearField("result")

    _, details = attacked(lie, "live-semi-honest-server-masked-input-*", "live-semi-honest-server-unmasking-no-share")
    assert "the session ended ABORTED A11 in the middle" in details["live-semi-honest-server-masked-input-abort"]
    assert "instead of COMPLETED" in details["live-semi-honest-server-unmasking-no-share"]


def test_a_server_that_counts_a_dropped_input_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.HasField("result") and len(reply.outcome.result.contributors) == 5:
            reply.outcome.result.contributors[:] = range(1, 7)

    _, details = attacked(lie, "live-active-server-masked-input-truncated")
    assert "the result has contributors 1, 2, 3, 4, 5, 6 instead of" in next(iter(details.values()))


def test_a_server_that_counts_twice_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.status == pb.REPEATED:
            reply.outcome.status = pb.ACCEPTED

    _, details = attacked(lie, "live-sparse-server-*-twice")
    assert set(details.values()) == {"twice: expected REPEATED, and ACCEPTED came"}


def test_a_server_that_blames_another_client_is_caught() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if call.step.HasField("close_round") and reply.outcome.phase == "COLLECTING_SHARES":
            reply.outcome.dropped.add(client=1, rule="S01")

    _, details = attacked(lie, "live-active-server-advertise-keys-truncated")
    (detail,) = details.values()
    assert detail == "closing advertise-keys cost 1 by S01 their place, instead of nobody"


@pytest.mark.parametrize("garbage", [b"", b"\xff", bytes(100)])
@pytest.mark.parametrize("field", ["answer", "request"])
def test_garbage_from_a_testee_is_a_failure_of_the_case_and_no_more(garbage: bytes, field: str) -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if field == "answer" and reply.outcome.HasField("answer"):
            reply.outcome.answer = garbage
        if field == "request" and reply.outcome.requests:
            del reply.outcome.requests[0]
            for each in reply.outcome.requests:
                each.message = garbage

    role = "client" if field == "answer" else "server"
    report, details = attacked(lie, f"live-*-{role}-*other*", f"live-*-{role}-*-silent", "*fresh-secrets", "*split*")
    assert len(details) > 3
    assert {result.verdict for result in report.results} <= {Verdict.PASSED, Verdict.FAILED}


# The tools.


def test_spans_name_every_byte_of_a_message_but_those_around_messages() -> None:
    message = made_vectors().sessions[1].rounds[-1].requests[1]
    spans = spans_of(message)
    covered = {at for span in spans for at in range(span.start, span.end)}
    assert covered == set(range(len(message)))
    assert "unmasking_request.survivors[3]" in {span.path for span in spans}
    assert {span.field for span in spans if span.part == "value"} == {
        "session",
        "unmasking_request.survivors",
        "unmasking_request.dropped",
        "unmasking_request.confirmations.client",
        "unmasking_request.confirmations.signature",
    }


def test_spans_end_where_a_message_does_not_parse() -> None:
    assert spans_of(b"") == ()
    assert spans_of(b"\xff") == ()
    assert [span.part for span in spans_of(b"\x0a\x05\x00")] == ["tag"]


def test_a_difference_is_told_by_its_field() -> None:
    message = made_vectors().sessions[0].rounds[0].requests[1]
    assert first_difference(message, message[:-1]) == (
        f"35 bytes instead of 36, the first 35 alike (missing {message[-1:].hex()})"
    )
    assert first_difference(message, message + b"\x01").endswith("(surplus 01)")
    changed = message[:10] + b"\x00\x00" + message[12:]
    assert first_difference(message, changed) == (
        f"byte 10, in session (expected {message[10:26].hex()}…, got {changed[10:26].hex()}…)"
    )


def test_every_kind_of_field_is_flipped_once() -> None:
    message = made_vectors().sessions[1].rounds[1].requests[1]
    fields = [span.field for span in spans_to_flip(message, "any") if span.part == "value"]
    assert len(fields) == len(set(fields)) == 6


def test_fill_up_bits_are_found_where_sections_end_within_a_byte() -> None:
    options: dict[str, Any] = {"topology": "complete", "max_dropout": 0.0, "max_corrupt": 0.0}
    even = SessionParameters.choose(clients=4, vectors={"v": secagg.Integers(0, 63, 1)}, **options)
    odd = SessionParameters.choose(clients=4, vectors={"v": secagg.Integers(0, 5, 1)}, **options)
    assert list(fill_up_bytes(even)) == []
    assert list(fill_up_bytes(odd)) == [7]


# Long streams.


@pytest.mark.parametrize("suite", [1, 2])
def test_a_mask_that_is_wrong_far_behind_is_found(suite: int) -> None:
    honest = run_cases(honest_testee(), f"live-long-stream-*-suite-{suite}")
    assert {result.case: result.verdict for result in honest.results} == {
        f"live-long-stream-client-suite-{suite}": Verdict.PASSED,
        f"live-long-stream-server-suite-{suite}": Verdict.PASSED,
    }

    def wrong_at_the_end(call: pb.Call, reply: pb.Reply) -> None:
        """Only the last word of a masked input, or of a sum, is another."""
        if len(reply.outcome.answer) > 1 << 16:
            envelope = Envelope.FromString(reply.outcome.answer)
            data = envelope.masked_input_collection_response.payload
            envelope.masked_input_collection_response.payload = data[:-8] + bytes(8)
            reply.outcome.answer = envelope.SerializeToString(deterministic=True)
        if reply.outcome.HasField("result"):
            reply.outcome.result.vectors[0].integers[-1] += 1

    _, details = attacked(wrong_at_the_end, f"live-long-stream-*-suite-{suite}")
    assert "the answer differs from the expected one" in details[f"live-long-stream-client-suite-{suite}"]
    assert "the result has long: " in details[f"live-long-stream-server-suite-{suite}"]


def test_a_request_instead_of_an_offer_may_be_refused_by_c11() -> None:
    def by_c11(call: pb.Call, reply: pb.Reply) -> None:
        if call.HasField("create_client") and reply.outcome.status == pb.REFUSED:
            reply.outcome.rule = "C11"

    assert set(attacked(by_c11, "live-active-client-offer-*")[1]) >= {"live-active-client-offer-emptied"}
    assert "live-active-client-offer-a-request" not in attacked(by_c11, "live-active-client-offer-*")[1]
