"""The consistency check: what a client signs, and whose signatures it demands before it reveals a share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from secagg import InternalError, PeerMisbehaved, Round, Violation
from secagg.crypto.key_schedule import confirmation_text
from secagg.crypto.signing import verify
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingUnmasking
from secagg.protocol.consistency import check_confirmations, confirm_contributors, confirmation_is_valid
from secagg.protocol.messages import ConsistencyCheckRequest, ConsistencyCheckResponse
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, decode_request
from tests.protocol.support import session

V = Violation
UNUSED = DeterministicRandomSource(0)
CONTRIBUTORS = (1, 2, 3, 4, 5, 6)


def waiting(**options: Any) -> Harness:
    """Client 7 dropped out after it shared its keys."""
    return session("active complete", **options).run_to(Round.CONSISTENCY_CHECK, silent={Round.MASKED_INPUT: {7}})


def state_of(harness: Harness) -> AwaitingConsistencyCheck:
    return cast(AwaitingConsistencyCheck, harness.clients[1]._state)


def shown(harness: Harness, *contributors: int) -> ConsistencyCheckRequest:
    return ConsistencyCheckRequest(harness.session, contributors)


def test_a_client_signs_the_contributors_and_remembers_them() -> None:
    harness = waiting()
    state = state_of(harness)
    step = confirm_contributors(state, decode_request(harness.requests[1]), UNUSED)
    assert step.state == AwaitingUnmasking(state.context, state.binding, state.held, CONTRIBUTORS)
    assert isinstance(step.outbound, ConsistencyCheckResponse)
    assert verify(harness.roster[1], confirmation_text(state.binding, CONTRIBUTORS), step.outbound.signature)
    assert confirmation_is_valid(harness.roster[1], state.binding, CONTRIBUTORS, step.outbound.signature)
    assert not confirmation_is_valid(harness.roster[2], state.binding, CONTRIBUTORS, step.outbound.signature)
    assert not confirmation_is_valid(harness.roster[1], state.binding, CONTRIBUTORS[1:], step.outbound.signature)
    assert not confirmation_is_valid(harness.roster[1], bytes(32), CONTRIBUTORS, step.outbound.signature)


@pytest.mark.parametrize(
    ("contributors", "violation"),
    [
        ((2, 3, 4, 5, 6), V.OWN_INPUT_NOT_AMONG_CONTRIBUTORS),
        ((1, 2, 3, 4, 5, 99), V.CONTRIBUTOR_NOT_A_SHARER),
        ((1, 2, 3, 4), V.CONTRIBUTORS_BELOW_THRESHOLD),
        ((1,), V.CONTRIBUTORS_BELOW_THRESHOLD),
        ((), V.OWN_INPUT_NOT_AMONG_CONTRIBUTORS),
        ((1, 2, 3, 4, 5), V.CONTRIBUTORS_BELOW_MINIMUM),
    ],
)
def test_each_rule_for_contributors(contributors: tuple[int, ...], violation: Violation) -> None:
    harness = waiting(minimum_contributors=6)
    with pytest.raises(PeerMisbehaved) as caught:
        confirm_contributors(state_of(harness), shown(harness, *contributors), UNUSED)
    assert caught.value.violation is violation


def test_threshold_others_are_enough() -> None:
    harness = waiting()
    assert confirm_contributors(state_of(harness), shown(harness, 1, 2, 3, 4, 5), UNUSED).outbound is not None


def signatures(harness: Harness, *clients: int) -> tuple[tuple[int, bytes], ...]:
    text = confirmation_text(state_of(harness).binding, CONTRIBUTORS)
    return tuple((client, harness.identities[client].sign(text)) for client in clients)


def test_threshold_signatures_with_ones_own_are_enough() -> None:
    harness = waiting()
    state = state_of(harness)
    for clients in ((1, 2, 3, 4), (1, 4, 5, 6), CONTRIBUTORS):
        check_confirmations(state.context, state.binding, CONTRIBUTORS, signatures(harness, *clients))


@pytest.mark.parametrize(
    ("clients", "violation"),
    [
        ((), V.OWN_CONFIRMATION_MISSING),
        ((2, 3, 4, 5, 6), V.OWN_CONFIRMATION_MISSING),
        ((1,), V.CONFIRMATIONS_BELOW_THRESHOLD),
        ((1, 5, 6), V.CONFIRMATIONS_BELOW_THRESHOLD),
        ((1, 2, 2, 3, 3), V.CONFIRMATIONS_BELOW_THRESHOLD),
        ((1, 2, 3, 4, 7), V.CONFIRMATION_OF_A_STRANGER),
    ],
)
def test_each_rule_for_who_confirms(clients: tuple[int, ...], violation: Violation) -> None:
    harness = waiting()
    state = state_of(harness)
    with pytest.raises(PeerMisbehaved) as caught:
        check_confirmations(state.context, state.binding, CONTRIBUTORS, signatures(harness, *clients))
    assert caught.value.violation is violation


def test_a_client_outside_the_cohort_confirms_nothing() -> None:
    harness = waiting()
    state = state_of(harness)
    forged = ((99, signatures(harness, 2)[0][1]), *signatures(harness, *CONTRIBUTORS))
    with pytest.raises(PeerMisbehaved) as caught:
        check_confirmations(state.context, state.binding, CONTRIBUTORS, forged)
    assert caught.value.violation is V.CONFIRMATION_OF_A_STRANGER


def test_signatures_over_anything_else_are_invalid() -> None:
    harness = waiting()
    state = state_of(harness)
    good = signatures(harness, *CONTRIBUTORS)
    own_binding, other_binding = state.binding, bytes(32)
    sign = harness.identities[2].sign
    for wrong in (
        sign(confirmation_text(own_binding, CONTRIBUTORS[:-1])),
        sign(confirmation_text(other_binding, CONTRIBUTORS)),
        sign(CONTRIBUTORS.__repr__().encode()),
        harness.identities[3].sign(confirmation_text(own_binding, CONTRIBUTORS)),
        good[2][1],
        bytes(64),
    ):
        with pytest.raises(PeerMisbehaved, match="client 2 did not sign") as caught:
            check_confirmations(state.context, own_binding, CONTRIBUTORS, (good[0], (2, wrong), *good[2:]))
        assert caught.value.violation is V.CONFIRMATION_SIGNATURE_INVALID


def test_one_invalid_signature_is_not_outvoted() -> None:
    harness = waiting()
    state = state_of(harness)
    good = signatures(harness, *CONTRIBUTORS)
    with pytest.raises(PeerMisbehaved):
        check_confirmations(state.context, state.binding, CONTRIBUTORS, (*good[:5], (6, bytes(64))))


def test_an_active_session_without_identity_is_a_defect_of_ours() -> None:
    harness = waiting()
    state = state_of(harness)
    with pytest.raises(InternalError):
        confirm_contributors(
            replace(state, context=replace(state.context, identity=None)), decode_request(harness.requests[1]), UNUSED
        )
