"""Whoever leaves, whenever: the sum of the contributors is exact, or the session aborts early and says why."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from itertools import combinations, combinations_with_replacement

import pytest

from secagg import AbortReason, DropReason, Round, ServerPhase, SessionAbortedError, ThreatModel
from secagg.protocol.events import ClientDropped, RoundClosed, SessionAborted
from secagg.protocol.messages import Abort
from secagg.protocol.topology import Neighbourhoods, neighbourhoods
from secagg.protocol.transitions import rounds
from tests.harness import Harness, decode_request
from tests.protocol.support import (
    KINDS,
    MIXED_VECTORS,
    WEIGHTED_VECTORS,
    Frozen,
    assert_exact,
    freeze,
    rounds_of,
    session,
)

pytestmark = pytest.mark.thorough

R = Round
ABORT_REASONS = {
    R.ADVERTISE_KEYS: AbortReason.TOO_FEW_ADVERTISED,
    R.SHARE_KEYS: AbortReason.TOO_FEW_SHARERS,
    R.MASKED_INPUT: AbortReason.TOO_FEW_CONTRIBUTORS,
    R.CONSISTENCY_CHECK: AbortReason.TOO_FEW_CONFIRMERS,
    R.UNMASKING: AbortReason.TOO_FEW_UNMASKERS,
}
BEFORE_THE_SUM = (R.ADVERTISE_KEYS, R.SHARE_KEYS, R.MASKED_INPUT)
COMPLETE_KINDS = [kind for kind in KINDS if "complete" in kind]


@cache
def opened(kind: str, round_: Round) -> Frozen:
    """A session that everybody takes part in, with this round open."""
    return freeze(session(kind, vectors=MIXED_VECTORS).run_to(round_))


def kinds_and_rounds(count: int, kinds: Collection[str] = KINDS) -> list[object]:
    """Every ascending choice of `count` rounds, in each kind of session."""
    return [
        pytest.param(kind, *chosen, id="-".join((kind, *(round_.name for round_ in chosen))))
        for kind in kinds
        for chosen in combinations_with_replacement(rounds(ThreatModel(kind.split()[0])), count)
    ]


def dropped(harness: Harness) -> list[tuple[int, Round, DropReason]]:
    return [(event.client, event.round, event.reason) for event in harness.events if isinstance(event, ClientDropped)]


def phase_of(harness: Harness) -> ServerPhase:
    return harness.server.phase


def assert_aborted_early(harness: Harness, round_: Round, reason: AbortReason) -> None:
    """The session ended when this round closed, told whoever was left, and gives no sum."""
    assert phase_of(harness) is ServerPhase.ABORTED
    assert harness.server.abort_reason is reason
    last = harness.events[-1]
    assert isinstance(last, SessionAborted)
    assert last.reason is reason
    closed = [event.round for event in harness.events if isinstance(event, RoundClosed)]
    assert closed == list(rounds_of(harness))[: rounds_of(harness).index(round_)]
    for notice in harness.requests.values():
        assert decode_request(notice) == Abort(harness.session, reason)
    with pytest.raises(SessionAbortedError) as caught:
        harness.server.result  # noqa: B018 - the property raises
    assert caught.value.reason is reason


@pytest.mark.parametrize(("kind", "round_"), kinds_and_rounds(1))
def test_any_one_client_leaves_before_it_answers(kind: str, round_: Round) -> None:
    for client in opened(kind, round_).harness.cohort:
        harness = opened(kind, round_).thaw()
        harness.play_round(silent={client})
        harness.finish()
        assert dropped(harness) == [(client, round_, DropReason.DID_NOT_ANSWER_IN_TIME)]
        assert_exact(harness, set(harness.cohort) - ({client} if round_ in BEFORE_THE_SUM else set()))


@pytest.mark.parametrize(("kind", "round_"), kinds_and_rounds(1))
def test_any_one_client_leaves_after_it_answered(kind: str, round_: Round) -> None:
    """What it gave to an open round is forgotten, but an input stays in the sum that it was added to."""
    harness = opened(kind, round_).thaw()
    harness.play_round(close=False)
    answered = freeze(harness)
    for client in harness.cohort:
        harness = answered.thaw()
        (event,) = harness.server.drop(client, DropReason.CLIENT_ABORTED)
        assert isinstance(event, ClientDropped)
        harness.close()
        assert client not in harness.requests
        harness.finish()
        lost = round_ in (R.ADVERTISE_KEYS, R.SHARE_KEYS)
        assert_exact(harness, set(harness.cohort) - ({client} if lost else set()))


@pytest.mark.parametrize(("kind", "first", "second"), kinds_and_rounds(2))
def test_two_clients_leave(kind: str, first: Round, second: Round) -> None:
    """In the complete graphs this leaves threshold + 1 clients, the fewest that can finish."""
    cohort = opened(kind, first).harness.cohort
    for one, other in zip(cohort, (*cohort[1:], cohort[0]), strict=True):
        harness = opened(kind, first).thaw()
        if first is second:
            harness.play_round(silent={one, other})
            harness.finish()
        else:
            harness.play_round(silent={one})
            harness.finish(silent={second: {other}})
        gone = {client for client, round_ in ((one, first), (other, second)) if round_ in BEFORE_THE_SUM}
        assert_exact(harness, set(harness.cohort) - gone)


@pytest.mark.parametrize(("kind", "first", "second", "third"), kinds_and_rounds(3, COMPLETE_KINDS))
def test_one_client_too_many_leaves(kind: str, first: Round, second: Round, third: Round) -> None:
    harness = opened(kind, first).thaw()
    silent: dict[Round, set[int]] = {}
    for client, round_ in zip((2, 5, 7), (first, second, third), strict=True):
        silent.setdefault(round_, set()).add(client)
    harness.finish(silent=silent)
    assert_aborted_early(harness, third, ABORT_REASONS[third])


@pytest.mark.parametrize(
    "leaving",
    [
        {R.ADVERTISE_KEYS: (1, 2, 3, 4, 5)},
        {R.SHARE_KEYS: (8, 7, 6, 5, 4)},
        {R.MASKED_INPUT: (1, 3, 5, 7, 8)},
        {R.UNMASKING: (2, 4, 6, 7, 8)},
        {R.ADVERTISE_KEYS: (1,), R.SHARE_KEYS: (8,), R.MASKED_INPUT: (3, 4), R.UNMASKING: (6,)},
        {R.SHARE_KEYS: (2, 3), R.MASKED_INPUT: (5,), R.UNMASKING: (4, 8)},
    ],
)
def test_most_of_a_cohort_leaves(leaving: dict[Round, tuple[int, ...]]) -> None:
    """8 clients at threshold 2: three suffice to the end, two do not."""
    harness = session("semi-honest complete", clients=8, threshold=2, vectors=MIXED_VECTORS)
    harness.finish(silent=leaving)
    gone = {client for round_ in BEFORE_THE_SUM for client in leaving.get(round_, ())}
    assert_exact(harness, set(harness.cohort) - gone)

    last = max(leaving, key=list(Round).index)
    one_more = next(client for client in harness.cohort if not any(client in clients for clients in leaving.values()))
    harness = session("semi-honest complete", clients=8, threshold=2)
    harness.finish(silent={**leaving, last: (*leaving[last], one_more)})
    assert_aborted_early(harness, last, ABORT_REASONS[last])


@pytest.mark.parametrize("kind", COMPLETE_KINDS)
@pytest.mark.parametrize("round_", BEFORE_THE_SUM)
def test_a_sum_over_fewer_than_the_minimum_is_given_up_early(kind: str, round_: Round) -> None:
    harness = session(kind, minimum_contributors=6)
    harness.finish(silent={round_: (1, 7)})
    assert_aborted_early(harness, round_, ABORT_REASONS[round_])


@pytest.mark.parametrize("kind", COMPLETE_KINDS)
def test_the_minimum_counts_contributors_and_not_who_is_left(kind: str) -> None:
    harness = session(kind, minimum_contributors=7)
    harness.finish(silent={R.UNMASKING: (1, 7)})
    assert_exact(harness, harness.cohort)


@pytest.mark.thorough
@pytest.mark.parametrize("round_", [R.ADVERTISE_KEYS, R.SHARE_KEYS, R.MASKED_INPUT, R.UNMASKING])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_any_few_clients_leave_a_sparse_graph(round_: Round, count: int) -> None:
    """8 clients of degree 4 at threshold 2: every 3, 4 or 5 of them, against the rule written out naively."""
    beginning = opened("semi-honest sparse", round_)
    cohort = frozenset(beginning.harness.cohort)
    graph, outcomes = neighbourhoods(beginning.harness.parameters), set[bool]()
    for leaving in combinations(sorted(cohort), count):
        harness = beginning.thaw()
        harness.play_round(silent=leaving)
        harness.finish()
        staying = cohort - frozenset(leaving)
        contributors = sparse_outcome(graph, round_, staying, cohort)
        outcomes.add(contributors is None)
        if contributors is None:
            assert_aborted_early(harness, round_, ABORT_REASONS[round_])
        else:
            assert_exact(harness, contributors)
            pruned = staying - contributors
            assert {client for client, _, reason in dropped(harness) if client in pruned} == pruned
    assert True in outcomes or count == 3
    assert False in outcomes or count == 5


def sparse_outcome(
    graph: Neighbourhoods, round_: Round, staying: frozenset[int], cohort: frozenset[int]
) -> frozenset[int] | None:
    """The contributors of a session in which only `staying` answer this round and all later ones; None: aborted."""
    threshold, minimum = 2, 3
    if round_ in (R.ADVERTISE_KEYS, R.SHARE_KEYS):
        while isolated := {c for c in staying if len(staying & set(graph.of(c))) < threshold}:
            staying -= isolated
        return staying if len(staying) >= max(minimum, threshold + 1) else None
    contributors = staying if round_ is R.MASKED_INPUT else cohort
    if len(contributors) < max(minimum, threshold + 1):
        return None
    needed = [owner for owner in cohort if owner in contributors or contributors & set(graph.of(owner))]
    if any(len(staying & set(graph.of(owner))) < threshold for owner in needed):
        return None
    return contributors


@pytest.mark.parametrize("kind", KINDS)
def test_weighted_means_and_counts_survive_dropouts(kind: str) -> None:
    for leaving in rounds(ThreatModel(kind.split()[0])):
        harness = session(kind, vectors=WEIGHTED_VECTORS, max_weight=40)
        harness.weights = {client: 1 + (client * 13) % 40 for client in harness.cohort}
        harness.finish(silent={leaving: (2, 6)})
        assert_exact(harness, set(harness.cohort) - ({2, 6} if leaving in BEFORE_THE_SUM else set()))


def test_the_matrix_has_real_cases() -> None:
    harness = session("semi-honest complete")
    harness.finish(silent={R.MASKED_INPUT: (2,)})
    with pytest.raises(AssertionError):
        assert_exact(harness, harness.cohort)
    harness.inputs[1] = {"v": harness.inputs[1]["v"] + 1}
    with pytest.raises(AssertionError):
        assert_exact(harness, set(harness.cohort) - {2})
