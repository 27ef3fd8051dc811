"""The library behind the calls of conformance.proto: every status, every phase, and the same bytes as the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import secagg
from protocol_specs.reference.client import Client
from protocol_specs.reference.policy import Policy
from secagg import SessionParameters, SuiteId, ThreatModel
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.library_testee import LibraryTestee
from secagg.wire.messages_pb2 import Envelope
from tests.conformance.played import (
    KINDS,
    VECTORS,
    Played,
    assert_exact,
    client_call,
    input_of,
    policy,
    roster_entries,
    rounds_of,
    tape_of,
    values_of,
    weight_of,
)
from tests.reference.support import identity_keys, roster_of, session_parameters

ACTIVE = KINDS["active"]
SEMI_HONEST = KINDS["semi-honest"]
CLIENT_PHASES = ["ADVERTISE_KEYS", "SHARE_KEYS", "MASKED_INPUT", "CONSISTENCY_CHECK", "UNMASKING", "COMPLETED"]
SERVER_PHASES = [
    "COLLECTING_KEYS",
    "COLLECTING_SHARES",
    "COLLECTING_MASKED_INPUTS",
    "COLLECTING_CONFIRMATIONS",
    "COLLECTING_UNMASKING_SHARES",
    "COMPLETED",
]


def played(parameters: SessionParameters, **options: Any) -> Played:
    return Played(LibraryTestee().handle, parameters, **options)


def notice_reason(outcome: pb.Outcome) -> str:
    """The reason in what a client tells the server; empty when it tells nothing."""
    return Envelope.FromString(outcome.notice).abort.reason if outcome.HasField("notice") else ""


def ended(outcome: pb.Outcome) -> tuple[pb.Status, str, str, str, str]:
    return outcome.status, outcome.rule, outcome.phase, outcome.abort_reason, notice_reason(outcome)


def test_it_describes_what_it_can() -> None:
    description = LibraryTestee().handle(pb.Call(describe=pb.Describe())).description
    assert (description.name, description.version) == ("secagg", secagg.__version__)
    assert description.client
    assert description.server
    assert list(description.suites) == [1, 2, 257, 258]
    assert description.client_snapshots
    assert description.server_snapshots


def test_a_suite_without_its_extra_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.crypto.prg.AegisPrg.require", refuse_suite)
    assert list(LibraryTestee().handle(pb.Call(describe=pb.Describe())).description.suites) == [1, 257]


def refuse_suite(_prg: object) -> None:
    raise secagg.ParameterError("not installed")


# Whole sessions.


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_goes_through_its_phases_to_the_sum(kind: str) -> None:
    parameters = KINDS[kind]
    skipped = () if parameters.threat_model is ThreatModel.ACTIVE else ("CONSISTENCY_CHECK", "COLLECTING_CONFIRMATIONS")
    client_phases = [phase for phase in CLIENT_PHASES if phase not in skipped]
    server_phases = [phase for phase in SERVER_PHASES if phase not in skipped]
    session = played(parameters)
    assert session.phase == server_phases[0]
    for client_phase, server_phase in zip(client_phases[1:], server_phases[1:], strict=True):
        for client, request in session.requests.items():
            outcome = session.told(client, request)
            assert (outcome.status, outcome.phase, outcome.abort_reason) == (pb.ACCEPTED, client_phase, "")
            session.sent(client, outcome.answer)
        closed = session.close_round()
        assert (closed.phase, closed.abort_reason, list(closed.dropped)) == (server_phase, "", [])
    assert not closed.requests
    assert_exact(parameters, closed, parameters.cohort)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leaves_in", range(4))
def test_a_session_survives_dropouts_and_tells_of_them_in_order(kind: str, leaves_in: int) -> None:
    parameters = KINDS[kind]
    gone = set(parameters.cohort[1:4:2])
    session = played(parameters)
    for number in range(rounds_of(parameters)):
        session.answer_all(silent=gone if number == leaves_in else ())
        closed = session.close_round()
        expected = [(client, "S01") for client in sorted(gone)] if number == leaves_in else []
        assert [(drop.client, drop.rule) for drop in closed.dropped] == expected
        assert closed.HasField("result") is (number == rounds_of(parameters) - 1)
    assert_exact(parameters, closed, set(parameters.cohort) - gone if leaves_in <= 2 else parameters.cohort)


def test_a_client_of_a_sparse_graph_may_lose_its_place_without_a_fault() -> None:
    parameters = session_parameters(8, threshold=3, degree=4, vectors=VECTORS)
    session = played(parameters)
    session.play(1)
    neighbours = [
        ad.client for ad in Envelope.FromString(session.requests[0]).share_keys_request.advertisements if ad.client != 0
    ]
    session.answer_all(silent=neighbours[:2])
    closed = session.close_round()
    rules = {drop.client: drop.rule for drop in closed.dropped}
    assert [drop.client for drop in closed.dropped] == sorted(rules)
    assert {client: rules[client] for client in (0, *neighbours[:2])} == {
        0: "S14",
        neighbours[0]: "S01",
        neighbours[1]: "S01",
    }


def test_a_session_that_cannot_go_on_ends_with_notices() -> None:
    session = played(SEMI_HONEST)
    present = SEMI_HONEST.cohort[:2]
    session.answer_all(silent=SEMI_HONEST.cohort[2:])
    closed = session.close_round()
    assert (closed.status, closed.phase, closed.abort_reason) == (pb.ACCEPTED, "ABORTED", "A01")
    assert set(present) <= set(session.requests)
    assert [drop.client for drop in closed.dropped] == list(SEMI_HONEST.cohort[2:])
    told = session.told(present[0], session.requests[present[0]])
    assert ended(told) == (pb.ACCEPTED, "", "ABORTED", "A09", "")
    assert not told.HasField("answer")
    again = session.step(session.server, close_round=pb.CloseRound())
    assert (again.status, again.abort_reason, list(again.requests)) == (pb.LOCAL_ERROR, "A01", [])


def altered_shares(answer: bytes, owners: set[int]) -> bytes:
    """An unmasking response in which the shares of these owners are others."""
    envelope = Envelope.FromString(answer)
    for share in envelope.unmasking_response.seed_shares:
        if share.owner in owners:
            share.share = bytes([share.share[0] ^ 1]) + share.share[1:]
    return envelope.SerializeToString(deterministic=True)


def test_shares_off_their_polynomials_are_told_by_owner_and_then_holder() -> None:
    parameters = session_parameters(9, threshold=2, vectors=VECTORS)
    a, b, c = parameters.cohort[2], parameters.cohort[4], parameters.cohort[6]
    liars = {c: {a, b}, b: {a}, a: {b, c}}
    session = played(parameters)
    session.play(3)
    for client, request in session.requests.items():
        answer = session.told(client, request).answer
        session.sent(client, altered_shares(answer, liars.get(client, set())))
    closed = session.close_round()
    found = [(each.owner, each.holder) for each in closed.inconsistent]
    assert found == [(a, b), (a, c), (b, a), (b, c), (c, a)]
    assert_exact(parameters, closed, parameters.cohort)


# The same bytes as the reference implementation.


def reference_twin(parameters: SessionParameters, offer: bytes, client: int) -> Client:
    rest = bytearray(tape_of(parameters, client))

    def draw(length: int) -> bytes:
        assert length <= len(rest)
        drawn = bytes(rest[:length])
        del rest[:length]
        return drawn

    active = parameters.threat_model is ThreatModel.ACTIVE
    twin = Client(
        client,
        Policy(threat_model=parameters.threat_model.value, corrupt_fraction=0, smallest_cohort=2, smallest_threshold=1),
        identity_key=identity_keys([client])[client] if active else None,
        roster=roster_of(parameters.cohort) if active else None,
        random=draw,
    )
    assert twin.receive(offer) is None
    twin.set_input(values_of(client), weight_of(parameters, client))
    return twin


TWIN_SESSIONS = {
    **KINDS,
    "active, AEGIS": session_parameters(
        9, threshold=5, active=True, max_weight=50, vectors=VECTORS, suite=SuiteId.X25519_AEGIS128X2
    ),
}


@pytest.mark.parametrize("kind", TWIN_SESSIONS)
def test_with_one_tape_library_and_reference_answer_with_the_same_bytes(kind: str) -> None:
    parameters = TWIN_SESSIONS[kind]
    leaving = {2: parameters.cohort[3:5]}
    session = played(parameters)
    twins = {client: reference_twin(parameters, session.offer, client) for client in parameters.cohort}
    compared = 0
    for number in range(rounds_of(parameters)):
        requests = dict(session.requests)
        session.answer_all(silent=leaving.get(number, ()))
        for client, answer in session.answers.items():
            assert twins[client].receive(requests[client]) == answer
            compared += 1
        session.close_round()
    n, gone = len(parameters.cohort), 2
    assert compared == 2 * n + (rounds_of(parameters) - 2) * (n - gone)


# Creation.


def made(**call: Any) -> pb.Outcome:
    return LibraryTestee().handle(pb.Call(**call)).outcome


def no_session(status: pb.Status, rule: str = "") -> pb.Outcome:
    return pb.Outcome(status=status, rule=rule)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"policy": policy(ACTIVE, smallest_cohort=10)}, no_session(pb.REFUSED, "C02")),
        ({"policy": policy(ACTIVE, largest_cohort=8)}, no_session(pb.REFUSED, "C13")),
        ({"policy": policy(ACTIVE, smallest_threshold=6)}, no_session(pb.REFUSED, "C03")),
        ({"policy": policy(ACTIVE, corrupt_fraction=0.2)}, no_session(pb.REFUSED, "C03")),
        ({"policy": policy(ACTIVE, topologies=["sparse"])}, no_session(pb.REFUSED, "C16")),
        ({"policy": policy(ACTIVE, smallest_minimum_contributors=3)}, no_session(pb.REFUSED, "C04")),
        ({"policy": policy(SEMI_HONEST)}, no_session(pb.REFUSED, "C05")),
        ({"policy": policy(ACTIVE, suites=[2, 77])}, no_session(pb.REFUSED, "C06")),
        ({"policy": policy(ACTIVE, largest_vector=2)}, no_session(pb.REFUSED, "C07")),
        ({"policy": policy(ACTIVE, context=b"round 4")}, no_session(pb.REFUSED, "C08")),
        ({"policy": policy(ACTIVE, context=b"")}, no_session(pb.REFUSED, "C08")),
        ({"client": 1}, no_session(pb.REFUSED, "C09")),
        ({"roster": roster_entries(ACTIVE)[1:]}, no_session(pb.REFUSED, "C10")),
        ({"roster": []}, no_session(pb.REFUSED, "C10")),
        ({"offer": b"\x0a\x01\x00"}, no_session(pb.REFUSED, "A08")),
        ({"identity_key": bytes(32)}, no_session(pb.LOCAL_ERROR)),
        ({"identity_key": bytes(31)}, no_session(pb.LOCAL_ERROR)),
        ({"policy": policy(ACTIVE, suites=[])}, no_session(pb.LOCAL_ERROR)),
    ],
)
def test_judging_an_offer_makes_no_session_unless_it_is_accepted(changes: dict[str, Any], expected: pb.Outcome) -> None:
    offer = played(ACTIVE).offer
    accepted = made(create_client=client_call(ACTIVE, offer, 0))
    assert accepted == pb.Outcome(handle=1, status=pb.ACCEPTED, phase="ADVERTISE_KEYS")
    assert made(create_client=client_call(ACTIVE, offer, 0, **changes)) == expected


def test_impossible_parameters_are_c01_for_a_client_and_the_hosts_mistake_for_a_server() -> None:
    encoded = ACTIVE.encode()
    at = encoded.index(ACTIVE.nonce)
    assert made(create_server=pb.CreateServer(parameters=encoded[:at])) == no_session(pb.LOCAL_ERROR)
    other_version = encoded.replace((1).to_bytes(8, "big"), (2).to_bytes(8, "big"), 1)
    offer = played(ACTIVE).offer.replace(encoded, other_version)
    assert made(create_client=client_call(ACTIVE, offer, 0)) == no_session(pb.REFUSED, "C01")
    server = pb.CreateServer(parameters=other_version, roster=roster_entries(ACTIVE))
    assert made(create_server=server) == no_session(pb.LOCAL_ERROR)


def test_one_key_for_two_clients_is_the_hosts_mistake() -> None:
    roster = roster_entries(ACTIVE)
    roster[3].verification_key = roster[4].verification_key
    offer = played(ACTIVE).offer
    assert made(create_client=client_call(ACTIVE, offer, 0, roster=roster)) == no_session(pb.LOCAL_ERROR)


def test_a_server_needs_the_whole_cohort_in_its_roster() -> None:
    call = pb.CreateServer(parameters=ACTIVE.encode(), roster=roster_entries(ACTIVE)[:-1])
    assert made(create_server=call) == no_session(pb.LOCAL_ERROR)


# Inputs.


def changed_input(change: Callable[[pb.SetInput], object]) -> pb.SetInput:
    given = input_of(ACTIVE, 0)
    change(given)
    return given


@pytest.mark.parametrize(
    "given",
    [
        changed_input(lambda given: given.vectors[0].reals.__setitem__(1, math.nan)),
        changed_input(lambda given: given.vectors[0].reals.__setitem__(1, -math.inf)),
        changed_input(lambda given: given.vectors[2].integers.__setitem__(1, -6)),
        changed_input(lambda given: given.vectors[2].integers.__setitem__(1, 2**40 + 1)),
        changed_input(lambda given: given.ClearField("weight")),
        changed_input(lambda given: given.MergeFrom(pb.SetInput(weight=51))),
        changed_input(lambda given: given.MergeFrom(pb.SetInput(weight=2**64 - 1))),
    ],
)
def test_no_value_of_an_input_is_refused(given: pb.SetInput) -> None:
    session = played(ACTIVE)
    outcome = session.step(session.clients[0], set_input=given)
    assert outcome == pb.Outcome(status=pb.ACCEPTED, phase="ADVERTISE_KEYS")


@pytest.mark.parametrize(
    "given",
    [
        changed_input(lambda given: given.vectors[0].reals.append(0.0)),
        changed_input(lambda given: given.vectors[0].reals.pop()),
        changed_input(lambda given: given.vectors[2].integers.pop()),
        changed_input(lambda given: given.vectors.pop()),
        changed_input(lambda given: given.vectors.add(name="other", reals=[1.0])),
        changed_input(lambda given: given.vectors.append(given.vectors[0])),
    ],
)
def test_an_input_that_cannot_be_is_the_hosts_mistake_and_changes_nothing(given: pb.SetInput) -> None:
    session = played(ACTIVE)
    outcome = session.step(session.clients[0], set_input=given)
    assert outcome == pb.Outcome(status=pb.LOCAL_ERROR, phase="ADVERTISE_KEYS")
    assert_exact(ACTIVE, session.play(5), ACTIVE.cohort)


def test_without_an_input_the_request_for_it_waits_and_afterwards_an_input_is_too_late() -> None:
    session = played(SEMI_HONEST, inputs=False)
    session.play(2)
    first = SEMI_HONEST.cohort[0]
    refused = session.told(first, session.requests[first])
    assert refused == pb.Outcome(status=pb.LOCAL_ERROR, phase="MASKED_INPUT")
    for client in SEMI_HONEST.cohort:
        given = session.step(session.clients[client], set_input=input_of(SEMI_HONEST, client))
        assert given == pb.Outcome(status=pb.ACCEPTED, phase="MASKED_INPUT")
    session.answer_all()
    late = session.step(session.clients[first], set_input=input_of(SEMI_HONEST, first))
    assert late == pb.Outcome(status=pb.LOCAL_ERROR, phase="UNMASKING")
    session.close_round()
    assert_exact(SEMI_HONEST, session.play(1), SEMI_HONEST.cohort)


# Messages to a client.


def test_a_violation_ends_the_client_and_names_its_rule() -> None:
    session = played(ACTIVE)
    session.play(1)
    request = Envelope.FromString(session.requests[0])
    del request.share_keys_request.advertisements[0]
    outcome = session.told(0, request.SerializeToString(deterministic=True))
    assert ended(outcome) == (pb.REFUSED, "C22", "ABORTED", "A07", "A07")
    again = session.told(0, session.requests[0])
    assert ended(again) == (pb.LOCAL_ERROR, "", "ABORTED", "A07", "")


@pytest.mark.parametrize("message", [b"", b"\xff", b"\x0a\x01\x00"])
def test_bytes_that_do_not_decode_are_a08(message: bytes) -> None:
    session = played(ACTIVE)
    assert ended(session.told(0, message)) == (pb.REFUSED, "A08", "ABORTED", "A08", "A08")


def test_a_second_offer_does_not_decode() -> None:
    session = played(ACTIVE)
    assert ended(session.told(0, session.offer)) == (pb.REFUSED, "A08", "ABORTED", "A08", "A08")


def test_the_same_request_gets_the_same_answer_also_after_the_end() -> None:
    session = played(ACTIVE)
    session.play(4)
    request = session.requests[0]
    session.answer_all()
    again = session.told(0, request)
    assert again == pb.Outcome(status=pb.ACCEPTED, phase="COMPLETED", answer=session.answers[0])


def test_after_completion_a_second_request_for_shares_is_c62_and_all_else_is_refused() -> None:
    session = played(ACTIVE)
    session.play(4)
    request = Envelope.FromString(session.requests[0])
    session.answer_all()
    notices = session.taken(session.step(session.server, end_session=pb.EndSession()))
    unchanged = pb.Outcome(status=pb.LOCAL_ERROR, phase="COMPLETED")
    assert session.told(0, notices[0]) == unchanged
    assert session.told(0, b"\xff") == unchanged
    assert session.told(0, session.offer) == unchanged
    assert session.step(session.clients[0], end_session=pb.EndSession()) == unchanged
    assert session.step(session.clients[0], set_input=input_of(ACTIVE, 0)) == unchanged
    request.unmasking_request.survivors.pop()
    second = session.told(0, request.SerializeToString(deterministic=True))
    assert ended(second) == (pb.REFUSED, "C62", "ABORTED", "A07", "A07")


def test_a_host_may_end_a_client_once() -> None:
    session = played(ACTIVE)
    outcome = session.step(session.clients[0], end_session=pb.EndSession())
    assert ended(outcome) == (pb.ACCEPTED, "", "ABORTED", "A10", "A10")
    assert session.sent(0, outcome.notice).rule == "S06"
    again = session.step(session.clients[0], end_session=pb.EndSession())
    assert ended(again) == (pb.LOCAL_ERROR, "", "ABORTED", "A10", "")
    assert ended(session.told(0, session.requests[0])) == (pb.LOCAL_ERROR, "", "ABORTED", "A10", "")


@pytest.mark.parametrize(("length", "fails_in"), [(95, 0), (127, 1), (-1, 1)])
def test_a_tape_that_is_too_short_fails_in_the_middle_of_a_message(length: int, fails_in: int) -> None:
    session = played(ACTIVE)
    tape = tape_of(ACTIVE, 0)[:length]
    session.clients[0] = session.outcome(create_client=client_call(ACTIVE, session.offer, 0, tape=tape)).handle
    session.play(fails_in)
    outcome = session.told(0, session.requests[0])
    assert ended(outcome) == (pb.FAILED, "", "ABORTED", "A11", "A11")
    again = session.told(0, session.requests[0])
    assert ended(again) == (pb.LOCAL_ERROR, "", "ABORTED", "A11", "")


def test_a_tape_that_is_too_short_for_stochastic_rounding_fails_too() -> None:
    noisy = {"noisy": secagg.FixedPoint(length=2, clip=1.0, bits=8)}
    parameters = session_parameters(4, threshold=2, vectors=noisy)
    session = played(parameters, inputs=False)
    call = client_call(parameters, session.offer, 0, tape=bytes(31))
    handle = session.outcome(create_client=call).handle
    given = pb.SetInput(vectors=[pb.Values(name="noisy", reals=[0.5, 0.25])], weight=1)
    assert session.step(handle, set_input=given).status == pb.FAILED


def test_without_a_tape_keys_are_fresh() -> None:
    session = played(SEMI_HONEST)
    call = client_call(SEMI_HONEST, session.offer, 0)
    call.ClearField("tape")
    answers = set()
    for _ in range(2):
        handle = session.outcome(create_client=call).handle
        answers.add(session.step(handle, message=session.requests[0]).answer)
    assert len(answers) == 2


# Messages to a server.


def test_what_a_server_says_of_a_message() -> None:
    session = played(ACTIVE)
    first, second, third, fourth = ACTIVE.cohort[:4]
    session.answer_all(silent=[first])
    collecting: dict[str, Any] = {"phase": "COLLECTING_KEYS"}
    stranger = session.sent(1, session.answers[second])
    assert stranger == pb.Outcome(status=pb.LOCAL_ERROR, **collecting)
    assert session.sent(second, session.answers[second]) == pb.Outcome(status=pb.REPEATED, **collecting)
    differs = session.sent(second, session.answers[third])
    assert differs == pb.Outcome(status=pb.DROPPED, rule="S05", **collecting)
    late = session.sent(second, session.answers[second])
    assert late == pb.Outcome(status=pb.LATE, **collecting)
    assert session.sent(second, b"\xff") == pb.Outcome(status=pb.LATE, **collecting)
    assert session.sent(third, b"\xff") == pb.Outcome(status=pb.DROPPED, rule="S02", **collecting)
    dropped = session.sent(first, session.answers[fourth])
    assert dropped == pb.Outcome(status=pb.DROPPED, rule="S10", **collecting)
    closed = session.close_round()
    assert list(closed.dropped) == []
    late = session.sent(fourth, session.answers[fourth])
    assert late == pb.Outcome(status=pb.LATE, phase="COLLECTING_SHARES")


def test_a_host_may_end_a_server_once() -> None:
    session = played(ACTIVE)
    outcome = session.step(session.server, end_session=pb.EndSession())
    assert (outcome.status, outcome.phase, outcome.abort_reason) == (pb.ACCEPTED, "ABORTED", "A10")
    notices = session.taken(outcome)
    assert tuple(notices) == ACTIVE.cohort
    for event in ("end_session", "close_round"):
        kind = {"end_session": pb.EndSession(), "close_round": pb.CloseRound()}[event]
        again = session.step(session.server, **{event: kind})
        assert again == pb.Outcome(status=pb.LOCAL_ERROR, phase="ABORTED", abort_reason="A10")
    refused = session.sent(0, b"")
    assert refused == pb.Outcome(status=pb.LOCAL_ERROR, phase="ABORTED", abort_reason="A10")
    assert ended(session.told(0, notices[0])) == (pb.ACCEPTED, "", "ABORTED", "A09", "")


# Calls.


def test_handles_are_never_reused_and_a_freed_session_is_gone() -> None:
    session = played(SEMI_HONEST)
    first = session.clients[0]
    handles = [session.server, *session.clients.values()]
    assert handles == sorted(set(handles))
    assert 0 not in handles
    for _ in range(2):
        assert session.handle(pb.Call(free=pb.Free(handle=first))).WhichOneof("reply") == "freed"
    gone = session.handle(pb.Call(step=pb.Step(handle=first, message=session.requests[0])))
    assert gone.unsupported == f"there is no session {first}, or it was freed"
    made_next = session.outcome(create_client=client_call(SEMI_HONEST, session.offer, 0))
    assert made_next.handle > max(handles)


def test_what_it_does_not_understand_it_says_so() -> None:
    session = played(SEMI_HONEST)
    calls = [
        pb.Call(),
        pb.Call(step=pb.Step(handle=999, message=b"")),
        pb.Call(step=pb.Step(handle=session.clients[0])),
        pb.Call(step=pb.Step(handle=session.clients[0], close_round=pb.CloseRound())),
        pb.Call(step=pb.Step(handle=session.server, message=b"")),
        pb.Call(snapshot=pb.Snapshot(handle=999)),
        pb.Call(create_client=client_call(SEMI_HONEST, session.offer, 0, policy=pb.Policy())),
    ]
    for call in calls:
        reply = session.handle(call)
        assert reply.WhichOneof("reply") == "unsupported"
        assert len(reply.unsupported) > 20
