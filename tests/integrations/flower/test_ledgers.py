"""Ledgers: an answer is given once, whatever is repeated, and whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import RecordDict

import secagg
from secagg.integrations.flower.ledgers import ContextLedger, JoinedLedger
from secagg.protocol.transitions import ClientPhase
from secagg.store.answers import DirectoryLedger

SESSION, OTHER = b"s" * 32, b"t" * 32
ONE, TWO = b"1" * 32, b"2" * 32


@pytest.fixture(params=["context", "directory", "joined"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> secagg.AnswerLedger:
    if request.param == "context":
        return ContextLedger(RecordDict())
    if request.param == "directory":
        return DirectoryLedger(tmp_path)
    return JoinedLedger((DirectoryLedger(tmp_path), ContextLedger(RecordDict())))


def test_one_answer_for_each_phase_client_and_session(ledger: secagg.AnswerLedger) -> None:
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)
    assert ledger.record(SESSION, 1, "masked_input", TWO)
    assert ledger.record(SESSION, 2, "share_keys", TWO)
    assert ledger.record(OTHER, 1, "share_keys", TWO)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)


def test_a_new_session_forgets_all_but_the_first_answer_of_old_ones() -> None:
    state = RecordDict()
    ledger = ContextLedger(state)
    ledger.record(SESSION, 1, "advertise_keys", ONE)
    ledger.record(SESSION, 1, "share_keys", ONE)
    ContextLedger(state).record(OTHER, 1, "advertise_keys", ONE)
    assert len(state.config_records["secagg.ledger"]) == 2
    assert not ContextLedger(state).record(SESSION, 1, "advertise_keys", TWO)


def test_a_new_session_forgets_answers_of_old_ones_and_nothing_else() -> None:
    state = RecordDict()
    phases = [*(phase.value for phase in ClientPhase), "cell", "partition"]
    for phase in phases:
        ContextLedger(state).record(SESSION, 1, phase, ONE)
    ContextLedger(state).record(OTHER, 1, "advertise_keys", ONE)
    kept = {phase for phase in phases if not ContextLedger(state).record(SESSION, 1, phase, TWO)}
    assert kept == {"advertise_keys", "cell", "partition", "offered", "completed", "aborted"}


def test_any_ledger_of_several_can_refuse(tmp_path: Path) -> None:
    durable = DirectoryLedger(tmp_path)
    durable.record(SESSION, 1, "unmasking", ONE)
    assert not JoinedLedger((durable, ContextLedger(RecordDict()))).record(SESSION, 1, "unmasking", TWO)
    fresh = ContextLedger(RecordDict())
    fresh.record(SESSION, 1, "share_keys", ONE)
    assert not JoinedLedger((durable, fresh)).record(SESSION, 1, "share_keys", TWO)
