"""What was answered is remembered, and nothing else is ever answered."""

from __future__ import annotations

import hashlib

import pytest

from secagg import AbortReason, ClientPhase, LocalProtocolError, MemoryLedger, Round, SessionAbortedError
from secagg.parameters import ClientId
from tests.harness import Harness

SESSION, OTHER = bytes(32), bytes([1]) * 32
ONE, TWO = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()


def test_an_answer_may_be_recorded_again_and_no_other_in_its_place() -> None:
    ledger = MemoryLedger()
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)
    assert ledger.record(SESSION, 1, "share_keys", ONE), "a refused answer leaves no trace"


@pytest.mark.parametrize(
    ("session", "client", "phase"), [(OTHER, 1, "share_keys"), (SESSION, 2, "share_keys"), (SESSION, 1, "unmasking")]
)
def test_other_sessions_clients_and_phases_are_apart(session: bytes, client: int, phase: str) -> None:
    ledger = MemoryLedger()
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert ledger.record(session, client, phase, TWO)
    assert not ledger.record(session, client, phase, ONE)


class Spy:
    """A ledger that keeps what it is told and answers what it is told to."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.told: list[tuple[bytes, ClientId, str, bytes]] = []

    def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
        self.told.append((session, client, phase, answer))
        return self.answer


def test_a_session_records_each_answer_before_it_gives_it() -> None:
    harness = Harness(4, threat_model="active", threshold=3)
    spy = Spy()
    harness.clients[1] = harness.make_client(1, ledger=spy)
    given: list[bytes] = []
    while harness.round is not None:
        phase, before = harness.clients[1].phase, len(spy.told)
        answer = harness.play_round()[1]
        given.append(answer)
        assert spy.told[before:] == [(harness.session, 1, phase.value, hashlib.sha256(answer).digest())]
    assert len(given) == 5
    harness.assert_exact(harness.cohort)


def test_an_answer_that_the_ledger_refuses_is_never_given() -> None:
    harness = Harness(4, threshold=3)
    client = harness.make_client(1, ledger=Spy(answer=False))
    with pytest.raises(SessionAbortedError, match="another copy of this session answered ADVERTISE_KEYS") as caught:
        client.receive(harness.requests[1])
    assert caught.value.reason is client.abort_reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT


def test_an_input_that_was_masked_is_none_for_a_second_answer() -> None:
    """A ledger's error of the kind that leaves a session as it was: the words of the input are not as they were."""

    class Misused(Spy):
        def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
            raise LocalProtocolError("the ledger is closed")

    harness = Harness(4, threshold=3).run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    client._ledger = Misused()
    client.set_input(harness.inputs[1], harness.weight(1))
    with pytest.raises(LocalProtocolError, match="the ledger is closed"):
        client.receive(harness.requests[1])
    assert client.abort_reason is AbortReason.INTERNAL_ERROR
    with pytest.raises(SessionAbortedError):
        client.receive(harness.requests[1])


def test_a_ledger_that_fails_ends_the_session() -> None:
    class FullDisk(Spy):
        def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
            raise OSError("no space left on device")

    harness = Harness(4, threshold=3)
    client = harness.make_client(1, ledger=FullDisk())
    with pytest.raises(OSError, match="no space left"):
        client.receive(harness.requests[1])
    assert client.phase is ClientPhase.ABORTED
    assert client.abort_reason is AbortReason.INTERNAL_ERROR
