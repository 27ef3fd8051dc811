"""Histograms, quantiles and frequent words, through whole sessions and by many sums without them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import ParameterError
from secagg.privacy.analytics import Histogram
from secagg.privacy.budget import MemoryBudget
from secagg.privacy.counts import COUNTS
from secagg.privacy.mechanism import Neighbours
from secagg.privacy.trees import HeavyHitters, Prefixes, Quantiles
from tests.privacy.counting import TERMS, plain_sum, secure_sum, session_of, source

LITTLE: dict[str, Any] = {"epsilon": 20.0, "delta": 0.01, "clients": 8, "minimum_contributors": 6, "max_corrupt": 0.0}
"""Terms under which there is next to no noise."""


@pytest.mark.parametrize("pure", [False, True])
def test_a_histogram_of_a_session_is_the_plain_one_within_its_margin(pure: bool) -> None:
    histogram = Histogram.choose(bins=4, pure=pure, epsilon=4.0, **TERMS)
    values = [0, 1, 1, 1, 2, 3, 3, 3]
    result = secure_sum(
        histogram.plan, lambda i: histogram.privatize(values[i], randomness=source(i)), {"masked_input": [0, 7]}
    )
    found = histogram.decode(result)
    assert found.contributors == 6
    assert found.margin == histogram.margin(6) <= histogram.margin(8)
    plain = np.bincount(values[1:7], minlength=4)
    sent = np.sum([histogram.privatize(values[i], randomness=source(i)).arrays[COUNTS] for i in range(1, 7)], axis=0)
    assert np.array_equal(found.counts, sent)
    assert (np.abs(found.counts - plain) <= 3 * found.margin).all()
    assert found.counts.dtype == np.int64


@pytest.mark.parametrize("pure", [False, True])
def test_in_the_active_model_a_sum_holds_more_than_half_and_the_noise_counts_with_it(pure: bool) -> None:
    terms = TERMS | {"minimum_contributors": 3, "threat_model": "active", "max_corrupt": 0.25}
    histogram = Histogram.choose(bins=2, pure=pure, epsilon=4.0, **terms)
    assert (histogram.plan.minimum_contributors, histogram.plan.floor) == (3, 7)
    parameters = histogram.plan.parameters(8, b"round 1")
    assert parameters.context == histogram.plan.bind(b"round 1")
    with pytest.raises(ParameterError, match="a cohort of 6 clients is below the 7"):
        histogram.plan.parameters(6)
    result = secagg.simulate(parameters, {i: histogram.privatize(i % 2).arrays for i in range(8)})
    assert histogram.decode(result).contributors == 8
    few = plain_sum([histogram.privatize(0) for _ in range(6)])
    with pytest.raises(ParameterError, match="below the 7 of the plan"):
        histogram.decode(few)


def test_counts_are_unbiased_and_some_are_negative() -> None:
    histogram = Histogram.choose(bins=5000, epsilon=0.5, **TERMS)
    sums = plain_sum([histogram.privatize([0], randomness=source(i)) for i in range(8)])
    counts = histogram.decode(sums).counts
    assert counts.min() < 0
    assert counts.mean() == pytest.approx(8 / 5000, abs=5 * histogram.counting.deviation(8) / math.sqrt(5000))


def test_the_price_of_a_histogram_is_known_in_advance_and_is_what_is_spent() -> None:
    for pure in (False, True):
        histogram = Histogram.choose(bins=4, items=3, pure=pure, epsilon=1.0, **TERMS)
        assert "epsilon = 1 at delta" in str(histogram.plan.statement)
        assert histogram.plan.statement.noise_of_mean == pytest.approx(histogram.counting.deviation(8) / 3 / 8)
        budget = MemoryBudget(8.0 if pure else 1.0, 1e-6)
        budget.check(histogram.plan)
        private = histogram.privatize([1])
        arrays = budget.spend(histogram.plan, private, session_of(histogram.plan))
        assert arrays is private.arrays
        assert budget.report().m2 == histogram.plan.loss.m2
        with pytest.raises(secagg.BudgetExceededError):
            budget.spend(histogram.plan, histogram.privatize([1]), session_of(histogram.plan))


def test_distinct_items_take_less_noise() -> None:
    plain = Histogram.choose(bins=40, items=16, epsilon=1.0, **TERMS)
    distinct = Histogram.choose(bins=40, items=16, distinct=True, epsilon=1.0, **TERMS)
    few = Histogram.choose(bins=2, items=16, distinct=True, epsilon=1.0, **TERMS)
    assert (plain.counting.bound, distinct.counting.bound, few.counting.bound) == (256, 16, 2)
    assert plain.counting.deviation(8) == pytest.approx(4 * distinct.counting.deviation(8), rel=0.01)
    report = distinct.privatize([1] * 99).report
    assert (report.norm, report.clipped, report.replaced) == (1.0, True, False)


@pytest.mark.parametrize("wrong", [{"bins": 0}, {"bins": 2**24 + 1}, {"bins": 2, "items": 0}, {"bins": 2.0}])
def test_sizes_of_a_histogram(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Histogram.choose(**wrong, epsilon=1.0, **TERMS)


def test_quantiles_of_a_session_are_the_plain_ones_to_a_leaf() -> None:
    quantiles = Quantiles.choose(low=0.0, high=64.0, bins=64, items=100, **LITTLE)
    data = [np.linspace(client, client + 40, 100) for client in range(8)]
    result = secure_sum(quantiles.plan, lambda i: quantiles.privatize(data[i], randomness=source(i)))
    ratios = [0.0, 0.1, 0.5, 0.9, 1.0]
    found = quantiles.decode(result, ratios)
    values = np.concatenate(data)
    slack = quantiles.rank_margin(8) / 800
    assert slack < 0.5
    for ratio, quantile in zip(ratios, found.tolist(), strict=True):
        below, above = (np.count_nonzero(values <= quantile + side) / 800 for side in (-1, 1))
        assert below - slack <= ratio <= above + slack


def test_quantiles_without_noise_are_exact_to_a_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    quantiles = Quantiles.choose(low=-1.0, high=1.0, bins=1000, items=50, **LITTLE)
    assert quantiles.levels == 10
    draw = np.random.default_rng(3)
    data = draw.uniform(-1, 1, (8, 50))
    leaf = 2 / 1024
    tree = np.zeros(2**11 - 2, dtype=np.int64)
    for level in range(1, 11):
        tree[2**level - 2 : 2 ** (level + 1) - 2] = np.histogram(data, 2**level, (-1, 1))[0]
    result = plain_sum([quantiles.privatize([]) for _ in range(8)])
    result = replace(result, vectors={COUNTS: tree})
    for ratio in (0.01, 0.25, 0.5, 0.99):
        place = math.ceil(ratio * 400) - 1
        assert quantiles.decode(result, [ratio])[0] == pytest.approx(np.sort(data, axis=None)[place], abs=leaf / 2)


def test_values_beyond_the_bounds_count_as_the_bounds_and_nan_does_not() -> None:
    quantiles = Quantiles.choose(low=0.0, high=8.0, bins=8, items=9, **LITTLE)
    nothing = quantiles.privatize([], randomness=source(1)).arrays[COUNTS]
    given = quantiles.privatize([-math.inf, -5, 0, 8, 9, math.inf, math.nan], randomness=source(1))
    tree = given.arrays[COUNTS] - nothing
    assert tree.tolist() == [3, 3, 3, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 3]
    assert given.report.clipped
    with pytest.raises(ParameterError, match="give numbers"):
        quantiles.privatize(["a"])


@pytest.mark.parametrize("items", [1, 3])
def test_one_clients_values_move_the_tree_by_its_bound(items: int) -> None:
    """Correction of a usual mistake: k values may share all prefixes, so the distance is k sqrt(levels)."""
    quantiles = Quantiles.choose(low=0.0, high=1.0, bins=16, items=items, epsilon=1.0, **TERMS)
    assert quantiles.plan.bound == 4 * items**2
    nothing = quantiles.privatize([], randomness=source(1)).arrays[COUNTS]
    most = quantiles.privatize([0.3] * 9, randomness=source(1)).arrays[COUNTS] - nothing
    assert int(most @ most) == 4 * items**2


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 1.0, "high": 1.0}, {"low": math.nan, "high": 1.0}, {"low": 0.0, "high": math.inf},
        {"low": "0", "high": 1}, {"low": -1.7e308, "high": 1.7e308},
        {"low": 0, "high": 1, "bins": 1}, {"low": 0, "high": 1, "items": 0},
    ],
)  # fmt: skip
def test_bounds_of_quantiles(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Quantiles.choose(**wrong, epsilon=1.0, **TERMS)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan, "0.5"])
def test_ratios_are_from_0_to_1(ratio: Any) -> None:
    quantiles = Quantiles.choose(low=0, high=1, bins=2, **LITTLE)
    result = plain_sum([quantiles.privatize([0.5]) for _ in range(8)])
    with pytest.raises(ParameterError, match="from 0 to 1"):
        quantiles.decode(result, [ratio])


def search(hitters: HeavyHitters, words: list[list[str]], secure: bool) -> tuple[dict[str, int], list[Prefixes]]:
    steps = [hitters.root]
    while steps[-1].level < hitters.levels and steps[-1].kept:
        now = steps[-1]

        def make(client: int, now: Prefixes = now) -> Any:
            return hitters.privatize(words[client], now, randomness=source(1000 * now.level + client))

        if secure:
            result = secure_sum(hitters.plan, make, context=hitters.bind(now))
        else:
            result = plain_sum([make(client) for client in range(len(words))])
        steps.append(hitters.extend(now, result))
    return hitters.words(steps[-1]), steps


def test_frequent_words_are_found_by_sessions_and_rare_ones_are_not() -> None:
    hitters = HeavyHitters.choose(word_bytes=2, bits=8, width=4, **LITTLE)
    words = [["ja"]] * 6 + [["né"], ["no"]]  # four bytes do not fit, and one client is below the noise
    found, steps = search(hitters, words, secure=True)
    assert list(found) == ["ja"]
    assert abs(found["ja"] - 6) <= hitters.least_count(8)
    assert [step.level for step in steps] == [0, 1, 2]
    assert steps[1].kept == (ord("j"),)


def test_frequent_words_of_many_clients() -> None:
    terms = {"epsilon": 8.0, "delta": 1e-6, "clients": 120, "minimum_contributors": 100, "max_corrupt": 0.05}
    hitters = HeavyHitters.choose(word_bytes=3, bits=8, width=8, items=1, **terms)
    assert hitters.levels == hitters.plan.rounds == 3
    words = [["cat"]] * 50 + [["cab"]] * 40 + [[f"{i:03x}"] for i in range(30)]
    found, _ = search(hitters, words, secure=False)
    assert list(found) == ["cat", "cab"]
    for word, count in (("cat", 50), ("cab", 40)):
        assert found[word] == pytest.approx(count, abs=hitters.least_count(120))


def test_nobody_has_anything() -> None:
    hitters = HeavyHitters.choose(word_bytes=1, bits=4, width=4, epsilon=1.0, **TERMS)
    found, steps = search(hitters, [[]] * 8, secure=False)
    assert found == {}
    assert steps[-1].kept == ()


def test_words_share_prefixes_and_cost_as_many() -> None:
    hitters = HeavyHitters.choose(word_bytes=2, bits=8, width=2, items=3, epsilon=1.0, **TERMS)
    assert hitters.plan.bound == 9
    nothing = hitters.privatize([], hitters.root, randomness=source(1)).arrays[COUNTS]
    given = hitters.privatize(["aa", "ab", "longer", "", "a\0", "ac", "ad"], hitters.root, randomness=source(1))
    counts = given.arrays[COUNTS] - nothing
    assert counts[ord("a")] == counts.sum() == 3
    assert given.report.clipped
    odd: Any = [7, None, "\udc80"]
    assert (hitters.privatize(odd, hitters.root, randomness=source(1)).arrays[COUNTS] == nothing).all()


def test_words_of_noise_are_no_words() -> None:
    hitters = HeavyHitters.choose(word_bytes=1, bits=8, width=2, **LITTLE)
    assert hitters.words(Prefixes(1, (0x41, 0xFF), (5, 6))) == {"A": 5}
    with pytest.raises(ParameterError, match="0 of 1 levels"):
        hitters.words(hitters.root)


def test_clients_that_were_told_of_other_prefixes_do_not_cohere() -> None:
    hitters = HeavyHitters.choose(word_bytes=2, bits=8, width=4, **LITTLE)
    one, two = Prefixes(1, (1, 2), (9, 9)), Prefixes(1, (1, 3), (9, 9))
    assert hitters.bind(one) != hitters.bind(two)
    assert hitters.bind(one, b"x") == hitters.bind(one) + b"x"
    hitters.plan.check(session_of(hitters.plan, hitters.bind(one)))


@pytest.mark.parametrize(
    "prefixes",
    [
        Prefixes(2, (0,), (0,)), Prefixes(-1, (0,), (0,)), Prefixes(1, (2, 1), (0, 0)), Prefixes(1, (1, 1), (0, 0)),
        Prefixes(1, (256,), (0,)), Prefixes(1, (-1,), (0,)), Prefixes(1, tuple(range(5)), (0,) * 5),
    ],
)  # fmt: skip
def test_prefixes_are_those_of_the_search(prefixes: Prefixes) -> None:
    hitters = HeavyHitters.choose(word_bytes=2, bits=8, width=4, **LITTLE)
    with pytest.raises(ParameterError, match="prefixes of level"):
        hitters.privatize(["a"], prefixes)


@pytest.mark.parametrize("wrong", [{"bits": 3}, {"word_bytes": 0}, {"word_bytes": 65}, {"width": 0}, {"items": 0}])
def test_sizes_of_a_search(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        HeavyHitters.choose(**wrong, epsilon=1.0, **TERMS)


def test_a_search_costs_all_its_levels_from_the_beginning() -> None:
    hitters = HeavyHitters.choose(word_bytes=2, bits=8, width=4, epsilon=1.0, **TERMS)
    assert "over 2 rounds: epsilon = 1 at" in str(hitters.plan.statement)
    with pytest.raises(secagg.BudgetExceededError, match="2 rounds of this plan"):
        MemoryBudget(0.7, 1e-6).check(hitters.plan)
    MemoryBudget(1.0, 1e-6).check(hitters.plan)
    assert hitters.plan.neighbours is Neighbours.ZERO
