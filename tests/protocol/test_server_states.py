"""Who must answer a round, and what a server's states are made of."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from secagg import Round, SecAggError, ServerPhase, ThreatModel
from secagg.protocol.context import SessionContext
from secagg.protocol.server_states import (
    AnswerRefusedError,
    CannotContinueError,
    CollectingUnmaskingShares,
    ServerState,
    ServerStep,
    Turnout,
)
from secagg.protocol.transitions import SERVER_TRANSITIONS
from tests.protocol.support import session

STATES: tuple[type[Any], ...] = get_args(ServerState)


@pytest.mark.parametrize("state", [*STATES, SessionContext, ServerStep, Turnout])
def test_states_are_frozen_and_slotted(state: type[Any]) -> None:
    assert state.__dataclass_params__.frozen
    assert "__slots__" in vars(state)
    assert not any("__dict__" in vars(base) for base in state.__mro__)


def test_there_is_one_state_for_each_phase() -> None:
    assert [state.phase for state in STATES] == list(ServerPhase)
    assert set(SERVER_TRANSITIONS[ThreatModel.ACTIVE]) == {state.phase for state in STATES}


def test_a_turnout_counts_everybody_once() -> None:
    turnout = Turnout(frozenset({1, 2, 3, 4}))
    assert (turnout.pending, turnout.remaining) == (frozenset({1, 2, 3, 4}), frozenset[int]())
    turnout.answered[1] = turnout.answered[2] = b""
    turnout.dropped.update((2, 3))
    assert (turnout.pending, turnout.remaining) == (frozenset({4}), frozenset({1}))


def test_who_shared_and_did_not_contribute_is_dropped() -> None:
    harness = session("semi-honest complete").run_to(
        Round.UNMASKING, silent={Round.ADVERTISE_KEYS: {3}, Round.MASKED_INPUT: {6}}
    )
    state = harness.server._state
    assert isinstance(state, CollectingUnmaskingShares)
    assert state.contributors == (1, 2, 4, 5, 7)
    assert (state.survivors.tolist(), state.lost.tolist()) == ([1, 2, 4, 5, 7], [6])


def test_the_exceptions_between_handlers_and_machine_are_no_errors_of_the_api() -> None:
    assert not issubclass(AnswerRefusedError, SecAggError)
    assert not issubclass(CannotContinueError, SecAggError)
