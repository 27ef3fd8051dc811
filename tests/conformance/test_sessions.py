"""Whole sessions in mixed company: every byte, the result, the dropouts and the digest are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case
from secagg.conformance.results import Requirement, Verdict
from secagg.conformance.runner import Selection, run
from secagg.conformance.sessions import session_cases
from secagg.conformance.vectors import SessionVector, Vectors
from tests.conformance.made import failed, honest_testee, lying, made_vectors, run_cases

CASTS = ("clients", "server", "half-the-clients", "half-the-clients-and-server")


def test_every_cast_of_every_session_passes() -> None:
    report = run_cases(honest_testee(), "made-*")
    assert [result.verdict for result in report.results] == [Verdict.PASSED] * 12
    assert [result.case for result in report.results][:4] == [f"made-semi-honest-{cast}" for cast in CASTS]


def test_a_case_checks_what_concerns_the_roles_that_the_testee_plays() -> None:
    session = replace(made_vectors().sessions[0], requirements=("C12", "S02", "R52"))
    rows = {row.id: row for row in made_vectors().requirements}
    cases = {case.id.removeprefix("made-semi-honest-"): case for case in session_cases(session, rows)}
    assert cases["clients"].requirements == ("C12", "R52")
    assert cases["server"].requirements == ("S02", "R52")
    assert cases["half-the-clients-and-server"].requirements == ("C12", "S02", "R52")
    assert cases["half-the-clients-and-server"].roles == ("client", "server")


def test_a_requirement_that_nobody_knows_stays() -> None:
    rows: dict[str, Requirement] = {}
    (case, *_) = session_cases(made_vectors().sessions[0], rows)
    assert isinstance(case, Case)
    assert case.requirements == ("C12", "R52")


def test_a_client_that_shares_with_other_nonces_is_named() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if call.step.message[34:35] == b"\x22" and reply.outcome.HasField("answer"):
            answer = bytearray(reply.outcome.answer)
            answer[-1] ^= 1
            reply.outcome.answer = bytes(answer)

    details = failed(run_cases(lying(lie), "made-active-*"))
    assert set(details) == {f"made-active-{cast}" for cast in ("clients", *CASTS[2:])}
    assert "round 2: the answer of client 1 (the testee) differs at byte" in details["made-active-half-the-clients"]
    assert "share_keys_response.signature" in details["made-active-clients"]


def test_a_server_that_leaves_somebody_out_is_named() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if call.step.HasField("close_round") and reply.outcome.phase == "COLLECTING_SHARES":
            del reply.outcome.requests[0]

    details = failed(run_cases(lying(lie), "made-sparse-*"))
    assert set(details) == {"made-sparse-server", "made-sparse-half-the-clients-and-server"}
    assert details["made-sparse-server"] == "round 2, the testee as server: there is no request for client 1"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"status": pb.DROPPED, "rule": "S02"}, "took client 1's answer with DROPPED by S02"),
        ({"status": pb.LATE}, "took client 1's answer with LATE"),
    ],
)
def test_a_server_must_take_honest_answers(fields: dict[str, Any], detail: str) -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if call.step.HasField("client_message"):
            for name, value in fields.items():
                setattr(reply.outcome, name, value)

    assert detail in failed(run_cases(lying(lie), "made-active-server"))["made-active-server"]


def test_a_wrong_sum_is_no_success() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.HasField("result"):
            reply.outcome.result.vectors[0].integers[2] += 1

    assert (
        "the result of the testee as server has v: entry 2 is"
        in failed(run_cases(lying(lie), "made-semi-honest-server"))["made-semi-honest-server"]
    )


def test_dropouts_that_are_not_reported_are_missed() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("outcome"):
            del reply.outcome.dropped[:]

    (detail,) = failed(run_cases(lying(lie), "made-active-server")).values()
    assert "dropped [], which is not what the vector has" in detail


def with_session(session: SessionVector) -> Vectors:
    return replace(made_vectors(), sessions=(session, *made_vectors().sessions[1:]))


def test_the_transcript_digest_is_compared() -> None:
    vectors = with_session(replace(made_vectors().sessions[0], transcript_digest=bytes(32)))
    details = failed(run(honest_testee(), vectors, Selection(("made-semi-honest-*",))))
    assert len(details) == 4
    assert set(details.values()) == {"every message is that of the vector, but the transcript digest is not"}


def test_an_offer_that_an_honest_client_refuses_is_said() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> pb.Reply | None:
        if call.HasField("create_client"):
            return pb.Reply(outcome=pb.Outcome(status=pb.REFUSED, rule="C05"))
        return None

    details = failed(run_cases(lying(lie), "made-active-clients"))
    assert "client 1 (the testee) is offered the session: expected ACCEPTED" in details["made-active-clients"]
