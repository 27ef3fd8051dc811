"""Snapshots behind the calls of conformance.proto: both roles go on from them, and a client answers once."""

from __future__ import annotations

import pytest

from secagg import ThreatModel
from secagg.conformance import conformance_pb2 as pb
from tests.conformance.played import KINDS, Played, assert_exact, client_call, roster_entries, rounds_of, tape_of
from tests.conformance.test_library_testee import ACTIVE, CLIENT_PHASES, ended, no_session, played
from tests.reference.support import identity_keys


def frozen(session: Played, handle: int) -> bytes:
    reply = session.handle(pb.Call(snapshot=pb.Snapshot(handle=handle)))
    assert reply.WhichOneof("reply") == "frozen", reply
    return reply.frozen.snapshot


def restore_call(session: Played, client: int, snapshot: bytes, tape: bytes, ledger: str = "one") -> pb.Restore:
    call = pb.Restore(snapshot=snapshot, tape=tape, ledger=ledger, roster=roster_entries(session.parameters))
    if session.parameters.threat_model is ThreatModel.ACTIVE:
        call.identity_key = identity_keys([client])[client]
    return call


@pytest.mark.parametrize("kind", KINDS)
def test_both_roles_go_on_from_snapshots_in_every_round(kind: str) -> None:
    parameters = KINDS[kind]
    session = played(parameters, ledger="one")
    for number in range(rounds_of(parameters)):
        phase = CLIENT_PHASES[number + (parameters.threat_model is not ThreatModel.ACTIVE and number > 2)]
        for client, handle in session.clients.items():
            snapshot = frozen(session, handle)
            used = session.step(handle, message=session.requests[client])
            assert ended(used) == (pb.LOCAL_ERROR, "", "ABORTED", "A10", "")
            tape = tape_of(parameters, client, f"restored before {number}")
            restored = session.outcome(restore=restore_call(session, client, snapshot, tape))
            assert (restored.status, restored.phase) == (pb.ACCEPTED, phase)
            session.clients[client] = restored.handle
        call = pb.Restore(snapshot=frozen(session, session.server), server=True, roster=roster_entries(parameters))
        restored = session.outcome(restore=call)
        assert (restored.status, restored.phase) == (pb.ACCEPTED, session.phase)
        session.server = restored.handle
        session.answer_all()
        closed = session.close_round()
    assert_exact(parameters, closed, parameters.cohort)


def test_a_client_that_was_restored_twice_answers_once() -> None:
    session = played(ACTIVE, ledger="one")
    snapshot = frozen(session, session.clients[0])
    twins = [
        session.outcome(restore=restore_call(session, 0, snapshot, tape_of(ACTIVE, 0, label))).handle
        for label in ("a tape", "another tape")
    ]
    assert session.step(twins[0], message=session.requests[0]).status == pb.ACCEPTED
    second = session.step(twins[1], message=session.requests[0])
    assert ended(second) == (pb.REFUSED, "A12", "ABORTED", "A12", "A12")
    assert not second.HasField("answer")
    again = session.step(twins[1], message=session.requests[0])
    assert ended(again) == (pb.LOCAL_ERROR, "", "ABORTED", "A12", "")


def test_ledgers_of_other_names_know_nothing_of_each_other() -> None:
    session = played(ACTIVE)
    statuses = []
    for ledger, label in [("one", "a"), ("two", "b"), ("", "c"), ("", "d"), ("two", "e")]:
        call = client_call(ACTIVE, session.offer, 0, tape=tape_of(ACTIVE, 0, label), ledger=ledger)
        handle = session.outcome(create_client=call).handle
        outcome = session.step(handle, message=session.requests[0])
        statuses.append(outcome.rule or outcome.status)
    assert statuses == [pb.ACCEPTED, pb.ACCEPTED, pb.ACCEPTED, pb.ACCEPTED, "A12"]


def test_sessions_without_a_snapshot() -> None:
    session = played(ACTIVE)
    reply = session.handle(pb.Call(snapshot=pb.Snapshot(handle=session.clients[0])))
    assert reply.outcome == pb.Outcome(status=pb.LOCAL_ERROR, phase="ADVERTISE_KEYS")
    for handle in (session.server, session.clients[0]):
        session.step(handle, end_session=pb.EndSession())
        reply = session.handle(pb.Call(snapshot=pb.Snapshot(handle=handle)))
        assert reply.outcome == pb.Outcome(status=pb.LOCAL_ERROR, phase="ABORTED", abort_reason="A10")


def test_what_cannot_be_restored_is_the_hosts_mistake() -> None:
    session = played(ACTIVE, ledger="one")
    client, server = frozen(session, session.clients[0]), frozen(session, session.server)
    tape = tape_of(ACTIVE, 0)
    nothing = no_session(pb.LOCAL_ERROR)
    assert session.outcome(restore=restore_call(session, 0, client, tape, ledger="")) == nothing
    assert session.outcome(restore=restore_call(session, 0, client[:-1], tape)) == nothing
    assert session.outcome(restore=restore_call(session, 0, server, tape)) == nothing
    assert session.outcome(restore=pb.Restore(snapshot=client, ledger="one")) == nothing
    assert session.outcome(restore=pb.Restore(snapshot=server, server=True)) == nothing
    assert session.outcome(restore=restore_call(session, 0, client, tape)).status == pb.ACCEPTED
