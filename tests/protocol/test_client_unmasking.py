"""A client reveals one kind of share for each neighbour, for sets that add up, and never again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from secagg import ClientPhase, PeerMisbehaved, Round, Violation
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.protocol import client_unmasking
from secagg.protocol.client_states import AwaitingUnmasking, ClientCompleted
from secagg.protocol.client_unmasking import reveal_shares
from secagg.protocol.messages import UnmaskingRequest, UnmaskingResponse
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, decode_request
from tests.protocol.support import KINDS, session

V = Violation
UNUSED = DeterministicRandomSource(0)


def waiting(kind: str, **options: Any) -> Harness:
    """Client 7 dropped out after it shared its keys."""
    return session(kind, **options).run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {7}})


def state_of(harness: Harness, client: int = 1) -> AwaitingUnmasking:
    return cast(AwaitingUnmasking, harness.clients[client]._state)


def request_of(harness: Harness, client: int = 1) -> UnmaskingRequest:
    request: UnmaskingRequest = decode_request(harness.requests[client])
    return request


@pytest.mark.parametrize("kind", KINDS)
def test_survivors_lose_their_seed_share_and_the_dropped_their_mask_key_share(kind: str) -> None:
    harness = waiting(kind)
    revealed = 0
    for client in harness.requests:
        state, request = state_of(harness, client), request_of(harness, client)
        step = reveal_shares(state, request, UNUSED)
        assert step.state == ClientCompleted(state.context)
        assert isinstance(step.outbound, UnmaskingResponse)
        assert [owner for owner, _ in step.outbound.seed_shares] == list(request.survivors)
        assert [owner for owner, _ in step.outbound.mask_key_shares] == list(request.dropped)
        commitments = Commitments(harness.session, state.binding)
        for owner, given in (*step.outbound.seed_shares, *step.outbound.mask_key_shares):
            both = bytes(state.held[owner].expose())
            share, other, of = both[:36], both[36:], ShareKind.MASK_KEY
            if owner not in request.survivors:
                share, other, of = other, share, ShareKind.SEED
            behind = commitments.digest(owner, client, of, other) if harness.active else b""
            assert bytes(given.expose()) == share + behind
        revealed += len(request.dropped)
    assert revealed == (6 if "complete" in kind else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_revealed_in_the_name_of_a_stranger(kind: str) -> None:
    """Not even if nobody had looked at the sets: it would be the other share of somebody else."""
    state = state_of(waiting(kind))
    for survivors, dropped in (([99], []), ([], [99]), ([2, 99], [3])):
        with pytest.raises(KeyError, match="99"):
            client_unmasking._reveal(state, survivors, dropped)


Change = Callable[[UnmaskingRequest], UnmaskingRequest]
CHANGES: list[tuple[str, Change, Violation]] = [
    (
        "overlap",
        lambda request: replace(request, dropped=(2, *request.dropped)),
        V.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED,
    ),
    (
        "me, survived",
        lambda request: replace(request, survivors=(1, *request.survivors)),
        V.THIS_CLIENT_LISTED_FOR_UNMASKING,
    ),
    (
        "me, dropped",
        lambda request: replace(request, dropped=(1, *request.dropped)),
        V.THIS_CLIENT_LISTED_FOR_UNMASKING,
    ),
    ("grown", lambda request: replace(request, survivors=(*request.survivors, 99)), V.SURVIVOR_NOT_A_SHARER),
    ("grown drops", lambda request: replace(request, dropped=(*request.dropped, 99)), V.DROPPED_CLIENT_NOT_A_SHARER),
    ("forgotten", lambda request: replace(request, dropped=()), V.SHARER_NEITHER_SURVIVOR_NOR_DROPPED),
    (
        "shrunk",
        lambda request: replace(request, survivors=request.survivors[1:]),
        V.SHARER_NEITHER_SURVIVOR_NOR_DROPPED,
    ),
    (
        "few survivors",
        lambda request: replace(request, survivors=(2, 3, 4), dropped=(5, 6, 7)),
        V.SURVIVORS_BELOW_THRESHOLD,
    ),
]


@pytest.mark.parametrize("kind", ["semi-honest complete", "active complete"])
@pytest.mark.parametrize(("name", "change", "violation"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_each_rule_for_the_sets(kind: str, name: str, change: Change, violation: Violation) -> None:
    harness = waiting(kind)
    with pytest.raises(PeerMisbehaved) as caught:
        reveal_shares(state_of(harness), change(request_of(harness)), UNUSED)
    assert caught.value.violation is violation


@pytest.mark.parametrize("kind", ["semi-honest complete", "active complete"])
def test_a_set_that_adds_up_is_not_the_confirmed_one(kind: str) -> None:
    """In the semi-honest model a moved client cannot be noticed; in the active model it is."""
    harness = waiting(kind)
    moved = replace(request_of(harness), survivors=(2, 3, 4, 5), dropped=(6, 7))
    if kind == "semi-honest complete":
        assert isinstance(reveal_shares(state_of(harness), moved, UNUSED).outbound, UnmaskingResponse)
        return
    with pytest.raises(PeerMisbehaved, match="client 6") as caught:
        reveal_shares(state_of(harness), moved, UNUSED)
    assert caught.value.violation is V.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS


@pytest.mark.parametrize(("minimum", "refused"), [(6, True), (5, False)])
def test_the_minimum_counts_the_client_itself(minimum: int, refused: bool) -> None:
    """Four survivors and this client are five contributors."""
    harness = waiting("semi-honest complete", minimum_contributors=minimum)
    fewer = replace(request_of(harness), survivors=(2, 3, 4, 5), dropped=(6, 7))
    if refused:
        with pytest.raises(PeerMisbehaved) as caught:
            reveal_shares(state_of(harness), fewer, UNUSED)
        assert caught.value.violation is V.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS
    else:
        assert reveal_shares(state_of(harness), fewer, UNUSED).state.phase is ClientPhase.COMPLETED


def test_a_sparse_neighbourhood_may_be_smaller_than_the_minimum() -> None:
    harness = session("semi-honest sparse", minimum_contributors=7).finish()
    assert harness.server.result.contributors == harness.cohort


def test_exactly_threshold_survivors_are_enough() -> None:
    harness = waiting("semi-honest complete")
    edge = replace(request_of(harness), survivors=(2, 3, 4, 5), dropped=(6, 7))
    assert len(edge.survivors) == harness.parameters.threshold
    assert reveal_shares(state_of(harness), edge, UNUSED).state.phase is ClientPhase.COMPLETED


@pytest.mark.parametrize(
    ("kept", "violation"),
    [
        (0, V.OWN_CONFIRMATION_MISSING),
        (3, V.CONFIRMATIONS_BELOW_THRESHOLD),
        (4, None),
    ],
)
def test_an_active_client_demands_confirmations(kept: int, violation: Violation | None) -> None:
    """What counts as one is told in test_consistency.py."""
    harness = waiting("active complete")
    request = request_of(harness)
    fewer = replace(request, confirmations=request.confirmations[:kept])
    if violation is None:
        assert reveal_shares(state_of(harness), fewer, UNUSED).state.phase is ClientPhase.COMPLETED
        return
    with pytest.raises(PeerMisbehaved) as caught:
        reveal_shares(state_of(harness), fewer, UNUSED)
    assert caught.value.violation is violation


def test_a_semi_honest_session_takes_no_confirmations() -> None:
    harness = waiting("semi-honest complete")
    signed = replace(request_of(harness), confirmations=((1, bytes(64)),))
    with pytest.raises(PeerMisbehaved) as caught:
        reveal_shares(state_of(harness), signed, UNUSED)
    assert caught.value.violation is V.CONFIRMATION_OF_A_STRANGER
