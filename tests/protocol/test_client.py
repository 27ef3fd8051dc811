"""The client's machine, beyond the table: sessions that ended, other sessions, and purity."""

from __future__ import annotations

from typing import cast

import pytest

from secagg import AbortReason, ClientPhase, PeerMisbehaved, Round, SessionAbortedError, SessionOffer, Violation
from secagg.protocol.client import receive
from secagg.protocol.client_states import AwaitingAdvertiseKeys, ClientAborted, ClientCompleted, ClientContext
from secagg.protocol.messages import Abort, AdvertiseKeysRequest, UnmaskingRequest
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import ROUNDS, decode_request
from tests.protocol.support import session

UNUSED = DeterministicRandomSource(0)


def context() -> ClientContext:
    return cast(AwaitingAdvertiseKeys, session("semi-honest complete").clients[1]._state).context


def test_an_aborted_session_says_why() -> None:
    state = ClientAborted(AbortReason.PEER_ABORTED, "the server aborted: TOO_FEW_SHARERS")
    for message in (AdvertiseKeysRequest(bytes(32)), Abort(bytes(32), AbortReason.PEER_ABORTED)):
        with pytest.raises(SessionAbortedError, match="TOO_FEW_SHARERS") as caught:
            receive(state, message, UNUSED)
        assert caught.value.reason is AbortReason.PEER_ABORTED


def test_a_completed_session_has_no_reason() -> None:
    """Nor does a request of another session show that this session's server asks twice."""
    state = ClientCompleted(context())
    for message in (AdvertiseKeysRequest(state.context.session), UnmaskingRequest(bytes(32), (2,), (3,))):
        with pytest.raises(SessionAbortedError, match="start a new one") as caught:
            receive(state, message, UNUSED)
        assert caught.value.reason is None


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_message_of_another_session_is_found_before_anything_else(round_: Round) -> None:
    harness = session("active complete").run_to(round_)
    other = session("active complete", seed=1).run_to(round_)
    assert harness.session != other.session
    with pytest.raises(PeerMisbehaved) as caught:
        harness.ask(1, other.requests[1])
    assert caught.value.violation is Violation.MESSAGE_OF_ANOTHER_SESSION
    assert harness.clients[1].phase is ClientPhase.ABORTED


def test_an_offer_comes_once() -> None:
    state = AwaitingAdvertiseKeys(context())
    with pytest.raises(PeerMisbehaved) as caught:
        receive(state, SessionOffer(state.context.parameters), UNUSED)
    assert caught.value.violation is Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE


def test_an_abort_of_the_server_ends_the_session_with_its_reason() -> None:
    state = AwaitingAdvertiseKeys(context())
    step = receive(state, Abort(state.context.session, AbortReason.TOO_FEW_ADVERTISED), UNUSED)
    assert step.outbound is None
    assert step.state == ClientAborted(AbortReason.PEER_ABORTED, "the server aborted: TOO_FEW_ADVERTISED")


def test_equal_states_messages_and_randomness_give_equal_steps() -> None:
    harness = session("active complete")
    client = harness.clients[1]
    for _ in range(5):
        state, request = client._state, decode_request(harness.requests[1])
        if client.phase is not ClientPhase.MASKED_INPUT:
            first = receive(state, request, DeterministicRandomSource(5))
            second = receive(state, request, DeterministicRandomSource(5))
            assert first.outbound == second.outbound
            assert repr(first.state) == repr(second.state)
            assert client._state is state
        harness.play_round()
    assert client.phase is ClientPhase.COMPLETED
