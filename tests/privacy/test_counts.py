"""Noise for counts: what it costs, how it is distributed, and what one client can move."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import ClientPolicy, ParameterError
from secagg.privacy import counts as module
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss, skellam_loss
from secagg.privacy.counts import (
    COUNTS,
    Counting,
    SkellamCounts,
    add_noise,
    bin_counts,
    check_size,
    half_width,
    released,
)
from secagg.privacy.laplace import LaplaceCounts
from secagg.privacy.limits import after
from secagg.privacy.trees import Quantiles
from secagg.protocol.results import SessionResult
from tests.privacy.counting import TERMS, plain_sum, session_of, source

CELLS = 20_000


def noise_of(counting: Counting, contributors: int) -> NDArray[np.int64]:
    """Of a sum of clients without items."""
    zeros = np.zeros(CELLS, dtype=np.int64)
    inputs = [add_noise(counting, zeros, source(seed), 0) for seed in range(contributors)]
    return plain_sum(inputs).vectors[COUNTS]


@pytest.mark.parametrize("bound", [1, 5, 400])
@pytest.mark.parametrize(("epsilon", "rounds"), [(0.5, 1), (4.0, 10)])
def test_the_noise_of_counts_is_the_least_that_keeps_the_promise(bound: int, epsilon: float, rounds: int) -> None:
    plan = SkellamCounts.choose(10, bound, epsilon=epsilon, rounds=rounds, **TERMS).plan
    assert (plan.bound, plan.limit, plan.clip / plan.grid) == (bound, math.isqrt(bound), 1.0)
    assert plan.honest == 5
    m2 = skellam_loss(bound, plan.variance16, plan.honest)
    assert plan.loss.m2 == m2
    assert after(Loss(), plan.loss, rounds).epsilon(plan.delta) <= epsilon
    if plan.variance16 > 1:
        less = Loss(skellam_loss(bound, plan.variance16 - 1, plan.honest), plan.loss.eta)
        assert after(Loss(), less, rounds).epsilon(plan.delta) > epsilon
        with pytest.raises(ParameterError, match="claims"):
            replace(plan, variance16=plan.variance16 - 1)
    assert plan.table().tail == plan.tail
    assert plan.vectors[COUNTS].high == plan.limit + plan.tail


def test_the_slack_of_a_sparse_graph_is_paid_by_noise() -> None:
    """Where it matters: 2^-32 a round, of 10^-6."""
    terms = {"epsilon": 0.5, "delta": 1e-6, "clients": 99, "minimum_contributors": 80, "max_dropout": 0.2, "rounds": 10}
    dense = SkellamCounts.choose(10, 400, **terms).plan
    sparse = SkellamCounts.choose(10, 400, topology="sparse", security_bits=32, **terms).plan
    assert sparse.loss.eta > 2**-32
    assert sparse.variance16 > dense.variance16
    less = Loss(skellam_loss(400, sparse.variance16 - 1, sparse.honest), sparse.loss.eta)
    assert after(Loss(), less, 10).epsilon(sparse.delta) > 0.5 >= after(Loss(), sparse.loss, 10).epsilon(sparse.delta)


def test_any_other_input_is_twice_as_far() -> None:
    near = SkellamCounts.choose(10, 9, epsilon=1.0, **TERMS).plan
    far = SkellamCounts.choose(10, 9, epsilon=1.0, neighbours="replace", **TERMS).plan
    assert far.variance16 == pytest.approx(4 * near.variance16, rel=0.02)
    assert LaplaceCounts.choose(10, 3, epsilon=1.0, neighbours="replace", **TERMS).distance == 6


def test_a_sum_of_shares_is_skellam() -> None:
    counting = SkellamCounts.choose(CELLS, 1, epsilon=1.0, **TERMS)
    noise = noise_of(counting, 8)
    assert noise.var() == pytest.approx(8 * counting.plan.variance16 / 16, rel=0.05)
    assert counting.deviation(8) == math.sqrt(8 * counting.plan.variance16 / 16)
    assert noise.mean() == pytest.approx(0, abs=5 * counting.deviation(8) / math.sqrt(CELLS))


def test_the_sum_of_honest_shares_is_discrete_laplace() -> None:
    counting = LaplaceCounts.choose(CELLS, 1, epsilon=1.0, **TERMS)
    noise = noise_of(counting, counting.terms.honest)
    p = math.exp(-1)
    values = np.arange(-6, 7)
    expected = (1 - p) / (1 + p) * p ** np.abs(values) * CELLS
    found = np.array([np.count_nonzero(noise == value) for value in values])
    assert float(((found - expected) ** 2 / expected).sum()) < 40  # 13 cells; beyond 40 with a probability below 1e-4
    assert counting.deviation(5) == pytest.approx(math.sqrt(2 * p) / (1 - p), rel=1e-9)
    more = noise_of(counting, 8)
    assert more.var() == pytest.approx(counting.deviation(8) ** 2, rel=0.08)


@pytest.mark.parametrize(
    ("epsilon", "items", "rounds"), [(0.1, 1, 1), (1.0, 3, 1), (8.0, 2, 4), (0.01, 2, 3), (20.0, 1, 1)]
)
def test_pure_noise_keeps_its_epsilon_in_whole_numbers(epsilon: float, items: int, rounds: int) -> None:
    counting = LaplaceCounts.choose(10, items, epsilon=epsilon, rounds=rounds, **TERMS)
    # p^(-items) = e^(epsilon of a round), with more digits than floats have.
    exact = -items * (Decimal(counting.numerator) / 2**64).ln(Context(prec=60))
    assert exact * rounds <= Decimal(epsilon)
    assert exact <= Decimal(counting.epsilon_round) <= exact * (1 + Decimal(2) ** -38)
    assert counting.epsilon_round == pytest.approx(epsilon / rounds, rel=1e-7)
    assert counting.loss.m2 >= gaussian.pure(counting.epsilon_round) ** 2
    statement = counting.statement
    assert (statement.epsilon, statement.rounds) == (epsilon, rounds)
    assert 0 < statement.delta < 1e-18
    assert statement.right_guesses == math.ceil(100 / (1 + math.exp(-epsilon)))
    assert statement.m == gaussian.pure(epsilon)


@pytest.mark.parametrize("kind", [SkellamCounts, LaplaceCounts])
@pytest.mark.parametrize(("epsilon", "contributors"), [(0.2, 6), (2.0, 8)])
def test_a_margin_holds_95_of_100_noises(kind: Any, epsilon: float, contributors: int) -> None:
    counting = kind.choose(CELLS, 1, epsilon=epsilon, **TERMS)
    width = half_width(counting, contributors)
    noise = np.abs(noise_of(counting, contributors))
    assert np.count_nonzero(noise <= width) / CELLS > 0.94
    assert np.count_nonzero(noise <= width - 1) / CELLS < 0.96


def test_a_margin_beyond_the_transform_is_that_of_a_normal_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = SkellamCounts.choose(1, 10**6, epsilon=1.0, **TERMS)
    exact = half_width(counting, 8)
    monkeypatch.setattr(module, "_FINEST", 2**10)
    assert half_width(counting, 8) == math.ceil(1.96 * counting.deviation(8))
    assert half_width(counting, 8) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("kind", [SkellamCounts, LaplaceCounts])
def test_a_plan_for_counts_is_bound_and_checked(kind: Any) -> None:
    plan = kind.choose(4, 1, epsilon=1.0, **TERMS).plan
    plan.check(session_of(plan))
    other = kind.choose(4, 1, epsilon=1.1, **TERMS).plan
    assert plan.digest != other.digest
    assert plan.bind(b"x") == plan.digest + b"x"
    for wrong in (
        session_of(plan, other.bind()),
        session_of(plan, vectors={COUNTS: secagg_integers(plan)}),
        session_of(plan, minimum_contributors=5),
        session_of(plan, threat_model="active"),
    ):
        with pytest.raises(ParameterError, match="does not fit the plan"):
            plan.check(wrong)
    with pytest.raises(ParameterError, match="that 2 of 8 clients may be corrupt, and the plan counts with 1"):
        plan.check(session_of(plan), ClientPolicy(max_corrupt=0.25))


def secagg_integers(plan: Any) -> Any:
    spec = plan.vectors[COUNTS]
    return type(spec)(spec.low, spec.high + 1, spec.size)


def test_counts_beyond_the_bound_never_go_out() -> None:
    """What bins count is within it by construction; whatever else comes is zeros, and nobody leaves for it."""
    counting = SkellamCounts.choose(3, 1, epsilon=1.0, **TERMS)
    for counts in ([1, 1, 0], [0, 2, 0], [-2, 0, 0]):
        private = add_noise(counting, np.array(counts), source(1), 0)
        nothing = add_noise(counting, np.zeros(3, dtype=np.int64), source(1), 0)
        assert private.report.replaced
        assert np.array_equal(private.arrays[COUNTS], nothing.arrays[COUNTS])
    one = add_noise(counting, np.array([0, 1, 0]), source(1), 2)
    assert (one.arrays[COUNTS] - nothing.arrays[COUNTS]).tolist() == [0, 1, 0]
    assert (one.report.clipped, one.report.replaced, one.report.norm) == (True, False, 1.0)


def test_two_draws_have_different_names_and_noises() -> None:
    counting = SkellamCounts.choose(64, 1, epsilon=0.1, **TERMS)
    zeros = np.zeros(64, dtype=np.int64)
    one, two = (add_noise(counting, zeros, None, 0) for _ in range(2))
    assert one.draw != two.draw
    assert not np.array_equal(one.arrays[COUNTS], two.arrays[COUNTS])


@pytest.mark.parametrize(
    ("values", "items", "distinct", "counts", "dropped"),
    [
        (2, 1, False, [0, 0, 1, 0], 0),
        ([0, 1, 1, 3], 9, False, [1, 2, 0, 1], 0),
        ([0, 1, 1, 3], 3, False, [1, 2, 0, 0], 1),
        ([3, 1, 1, 0], 2, True, [0, 1, 0, 1], 2),
        ([1, 1, 3], 2, True, [0, 1, 0, 1], 1),
        ([-1, 4, 1.5, math.nan, math.inf, -math.inf, 1e300, 2.0], 9, False, [0, 0, 1, 0], 7),
        ([], 5, False, [0, 0, 0, 0], 0),
        ([True, False], 5, False, [1, 1, 0, 0], 0),
        (np.array([[1], [1]], dtype=np.uint64), 5, False, [0, 2, 0, 0], 0),
        (np.array([2**64 - 1], dtype=np.uint64), 5, False, [0, 0, 0, 0], 1),
    ],
)
def test_items_are_counted(values: Any, items: int, distinct: bool, counts: list[int], dropped: int) -> None:
    found, left_out = bin_counts(values, 4, items, distinct=distinct)
    assert (found.tolist(), left_out) == (counts, dropped)
    assert found.dtype == np.int64


@given(st.lists(st.one_of(st.integers(-9, 20), st.floats()), max_size=40), st.integers(1, 10), st.booleans())
def test_one_client_moves_counts_by_no_more_than_its_items(values: list[float], items: int, distinct: bool) -> None:
    counts, dropped = bin_counts(values, 8, items, distinct=distinct)
    assert counts.min() >= 0
    assert counts.sum() <= items
    assert int(counts @ counts) <= (items if distinct else items**2)
    assert counts.sum() + dropped == len(values)


@pytest.mark.parametrize(
    "values", [["a"], [1j], np.ma.masked_equal([1, 2], 2), np.array(["2020-01-01"], dtype="datetime64[D]")]
)
def test_bins_are_numbers(values: Any) -> None:
    with pytest.raises(ParameterError, match="bin numbers"):
        bin_counts(values, 4, 1, distinct=False)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([3, None], [0, 0, 0, 1]), ([2**63, 1], [0, 1, 0, 0]), ([2**64, 1], [0, 1, 0, 0]), ([10**400], [0] * 4),
        ([-(10**400)], [0] * 4),
        ([None], [0] * 4), (2**70, [0] * 4), (np.array([np.longdouble("1e4000"), 2]), [0, 0, 1, 0]),
        (np.array([math.nan, 1], dtype=np.float16), [0, 1, 0, 0]), (np.array([2, "b"], dtype=object), [0, 0, 1, 0]),
    ],
)  # fmt: skip
def test_no_value_of_an_item_raises(values: Any, counts: list[int]) -> None:
    """A client that stays away for what it has would tell something about it."""
    found, _ = bin_counts(values, 4, 5, distinct=False)
    assert found.tolist() == counts
    Quantiles.choose(low=0.0, high=8.0, bins=8, items=9, epsilon=4.0, **TERMS).privatize(values, randomness=source(1))


def test_half_floats_count_in_more_bins_than_they_have_numbers() -> None:
    found, dropped = bin_counts(np.array([5], dtype=np.float16), 2**17, 1, distinct=True)
    assert (int(found[5]), dropped) == (1, 0)


@pytest.mark.parametrize("terms", [{"noise": "each"}, {"noise": "server"}, {"weights": 5}, {"adaptive": True}])
@pytest.mark.parametrize("kind", [SkellamCounts, LaplaceCounts])
def test_counts_have_shares_of_noise_and_nothing_else(kind: Any, terms: dict[str, Any]) -> None:
    """A server's plan has no room for clients' noise: whether an input were refused would depend on what it is."""
    with pytest.raises(ParameterError, match="leave out noise=, weights= and adaptive="):
        kind.choose(30, 24, epsilon=1.0, **TERMS, **terms)


def test_a_result_below_the_floor_or_of_another_plan_is_refused() -> None:
    counting = SkellamCounts.choose(3, 1, epsilon=1.0, **TERMS)
    inputs = [add_noise(counting, np.zeros(3, dtype=np.int64), source(seed), 0) for seed in range(6)]
    assert released(counting, plain_sum(inputs))[1] == 6
    with pytest.raises(ParameterError, match="5 clients is below the 6 of the plan"):
        released(counting, plain_sum(inputs[:5]))
    none = np.zeros(0, dtype=np.uint64)
    vectors: Any
    for vectors in ({}, {COUNTS: np.zeros(4, dtype=np.int64)}, {COUNTS: np.zeros(3)}):
        with pytest.raises(ParameterError, match="no vector"):
            released(counting, SessionResult(vectors, tuple(range(6)), None, none))


@pytest.mark.parametrize("wrong", [0, 11, 1.5, "1", None, True])
def test_sizes_are_whole(wrong: Any) -> None:
    with pytest.raises(ParameterError, match="from 1 to 10"):
        check_size("bins", wrong, 1, 10)


def test_more_noise_than_a_table_holds_is_refused() -> None:
    with pytest.raises(ParameterError, match="lower items"):
        SkellamCounts.choose(1, 10**12, epsilon=1.0, **TERMS)
    with pytest.raises(ParameterError, match="lower items"):
        LaplaceCounts.choose(2, 2**11, epsilon=0.01, **TERMS)
