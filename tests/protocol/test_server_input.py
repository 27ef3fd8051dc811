"""The server adds inputs as they come, and gives up as soon as the sum can no longer be unmasked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secagg import AbortReason, DropReason, Round, ServerPhase
from secagg.protocol.context import session_context
from secagg.protocol.events import ClientDropped, ServerEvent, SessionAborted
from secagg.protocol.roster import NO_ROSTER
from secagg.protocol.server_states import CollectingConfirmations, CollectingMaskedInputs
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import KINDS, assert_exact, session

R = Round


def accumulator(harness: Harness) -> list[int]:
    state = harness.server._state
    assert isinstance(state, CollectingMaskedInputs)
    return [int(word) for word in state.accumulator]


def reason_of(events: tuple[ServerEvent, ...]) -> DropReason:
    (event,) = events
    assert isinstance(event, ClientDropped)
    return event.reason


def test_inputs_are_added_once_and_at_once() -> None:
    harness = session("semi-honest complete").run_to(R.MASKED_INPUT)
    assert set(accumulator(harness)) == {0}
    answer = harness.ask(1) or b""
    harness.deliver(1, answer)
    after = accumulator(harness)
    assert 0 not in after
    harness.deliver(1, answer)
    assert accumulator(harness) == after


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda p: b"", lambda p: p + p])
def test_an_input_of_another_length_changes_nothing(change: Any) -> None:
    harness = session("semi-honest complete").run_to(R.MASKED_INPUT)
    harness.deliver(2, harness.ask(2) or b"")
    before = accumulator(harness)
    answer = harness.ask(1) or b""
    payload = bytes(decode_answer(answer).payload)
    assert reason_of(harness.deliver(1, alter(answer, payload=change(payload)))) is DropReason.MESSAGE_MALFORMED
    assert accumulator(harness) == before
    harness.play_round(silent={1, 2})
    harness.finish()
    assert_exact(harness, set(harness.cohort) - {1})


def test_who_is_dropped_after_its_input_stays_in_the_sum_and_is_asked_no_more() -> None:
    harness = session("active complete").run_to(R.MASKED_INPUT)
    harness.play_round(close=False)
    harness.server.drop(4, DropReason.CLIENT_ABORTED)
    harness.close()
    assert 4 not in harness.requests
    assert decode_request(harness.requests[1]).contributors == harness.cohort
    harness.finish()
    assert_exact(harness, harness.cohort)


def test_everybody_is_shown_the_same_contributors_and_confirmations() -> None:
    harness = session("active complete").run_to(R.CONSISTENCY_CHECK, silent={R.MASKED_INPUT: {5}})
    assert len(set(harness.requests.values())) == 1
    answers = harness.play_round(silent={2})
    signatures = tuple((client, decode_answer(answer).signature) for client, answer in sorted(answers.items()))
    for client, request in harness.requests.items():
        decoded = decode_request(request)
        assert tuple(decoded.confirmations) == signatures
        assert decoded.survivors == tuple(c for c in harness.cohort if c not in (client, 5))
        assert decoded.dropped == (5,)


def test_a_semi_honest_request_holds_no_confirmations() -> None:
    harness = session("semi-honest complete").run_to(R.UNMASKING)
    assert not any(decode_request(request).confirmations for request in harness.requests.values())


def test_each_request_is_about_the_clients_own_neighbours() -> None:
    harness = session("semi-honest sparse").run_to(R.UNMASKING, silent={R.SHARE_KEYS: {2}, R.MASKED_INPUT: {6}})
    graph = session_context(harness.parameters, NO_ROSTER).graph
    for client, request in harness.requests.items():
        decoded, neighbours = decode_request(request), set(graph.of(client))
        assert set(decoded.survivors) == neighbours - {2, 6}
        assert set(decoded.dropped) == neighbours & {6}


@pytest.mark.parametrize("forger", [1, 4])
def test_a_signature_over_anything_else_drops_its_client(forger: int) -> None:
    harness = session("active complete").run_to(R.CONSISTENCY_CHECK)
    answers = harness.play_round(close=False, silent={forger})
    state = harness.server._state
    assert isinstance(state, CollectingConfirmations)
    other = decode_answer(answers[2]).signature
    forged = alter(answers[2], signature=other)
    assert reason_of(harness.deliver(forger, forged)) is DropReason.CONFIRMATION_SIGNATURE_INVALID
    assert forger not in state.confirmations
    harness.close()
    harness.finish()
    assert_exact(harness, harness.cohort)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_holders_of_one_secret_end_the_session_at_once(kind: str) -> None:
    """All of one client's neighbours but `threshold - 1` stay away from MaskedInputCollection."""
    harness = session(kind).run_to(R.MASKED_INPUT)
    graph = session_context(harness.parameters, NO_ROSTER).graph
    harness.play_round(silent=graph.of(1)[harness.parameters.threshold - 1 :])
    last = harness.events[-1]
    assert isinstance(last, SessionAborted)
    assert last.reason is AbortReason.TOO_FEW_CONTRIBUTORS
    assert harness.server.phase is ServerPhase.ABORTED


def test_the_accumulator_is_one_vector_of_words() -> None:
    harness = session("semi-honest complete").run_to(R.MASKED_INPUT)
    state = harness.server._state
    assert isinstance(state, CollectingMaskedInputs)
    assert state.accumulator.dtype == np.uint64
    assert state.accumulator.shape == (state.context.layout.words,)
    for client in harness.cohort:
        harness.deliver(client, harness.ask(client) or b"")
    same = harness.server._state
    assert isinstance(same, CollectingMaskedInputs)
    assert same.accumulator is state.accumulator
