"""The calculator of the experimental topology `chosen`: its table to the digit, and conditions in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import pytest

from secagg.errors import ParameterError
from secagg.parameters.chosen_graph import chosen_graph, chosen_resists

# (n, corrupt, dropping out), then for one sum, and for sums over a quarter of the honest clients: (k, t, S + 1)
TABLE = [
    ((200, 0.05, 0.05), (44, 34, 96), (30, 21, 49)),
    ((500, 0.05, 0.05), (77, 61, 238), (47, 34, 126)),
    ((500, 0.10, 0.10), (139, 106, 227), (82, 57, 128)),
    ((1000, 0.05, 0.05), (95, 75, 477), (52, 37, 243)),
    ((1000, 0.10, 0.05), (126, 103, 452), (69, 52, 235)),
    ((1000, 0.10, 0.10), (174, 133, 451), (96, 67, 257)),
    ((1000, 0.05, 0.20), (237, 156, 477), (148, 90, 361)),
    ((1000, 0.10, 0.30), (558, 348, 451), (414, 247, 390)),
    ((10**4, 0.05, 0.05), (121, 95, 4781), (62, 44, 2469)),
    ((10**4, 0.10, 0.05), (166, 135, 4534), (82, 61, 2286)),
    ((10**4, 0.10, 0.10), (244, 186, 4523), (121, 84, 2643)),
    ((10**4, 0.05, 0.20), (358, 236, 4756), (202, 123, 3623)),
    ((10**5, 0.05, 0.05), (135, 106, 47882), (67, 47, 24050)),
    ((10**5, 0.10, 0.05), (180, 146, 45006), (89, 66, 23097)),
    ((10**5, 0.10, 0.10), (270, 205, 45199), (133, 92, 26857)),
]


@pytest.mark.parametrize(("cohort", "one_sum", "quarters"), TABLE)
def test_the_table_of_forty_bits(
    cohort: tuple[int, float, float], one_sum: tuple[int, int, int], quarters: tuple[int, int, int]
) -> None:
    graph = chosen_graph(*cohort, security_bits=40)
    assert (graph.degree, graph.threshold, graph.smallest_sum) == one_sum
    graph = chosen_graph(*cohort, security_bits=40, smallest_sum=graph.honest // 4 + 1)
    assert (graph.degree, graph.threshold, graph.smallest_sum) == quarters


@pytest.mark.parametrize(
    ("clients", "corrupt", "forty", "per_offer"),
    [(1000, 0.05, 95, 115), (1000, 0.1, 126, 154), (10**4, 0.05, 121, 150), (10**4, 0.1, 166, 208)],
)
def test_failure_is_per_offer_and_takes_sixty_four_bits(
    clients: int, corrupt: float, forty: int, per_offer: int
) -> None:
    assert chosen_graph(clients, corrupt, 0.05, security_bits=40).degree == forty
    assert chosen_graph(clients, corrupt, 0.05).degree == per_offer


@cache
def tail(n: int, marked: int, drawn: int, least: int) -> Fraction:
    """Pr[X >= least], exactly."""
    found = sum(
        math.comb(marked, x) * math.comb(n - marked, drawn - x) for x in range(max(least, 0), min(marked, drawn) + 1)
    )
    return Fraction(found, math.comb(n, drawn))


def closed_sets(n: int, honest: int, k: int, mutual: int, largest: int) -> Fraction:
    return sum(
        (math.comb(honest, s) * tail(n - 1, s - 1, k, mutual) ** s for s in range(mutual + 1, largest + 1)),
        start=Fraction(0),
    )


@pytest.mark.parametrize(
    ("n", "corrupt", "dropped", "bits"), [(60, 0, 3, 20), (100, 5, 5, 30), (150, 0, 15, 40), (200, 10, 10, 40)]
)
def test_every_condition_is_met_and_least_in_exact_fractions(n: int, corrupt: int, dropped: int, bits: int) -> None:
    graph = chosen_graph(n, corrupt / n, dropped / n, security_bits=bits, correctness_bits=15)
    k, t1, ud, half = graph.degree, graph.most_corrupt, graph.most_dropped, Fraction(1, 2 ** (bits + 1))
    assert n * tail(n - 1, corrupt, k, t1 + 1) <= half < n * tail(n - 1, corrupt, k, t1)
    assert n * tail(n - 1, dropped, k, ud + 1) < Fraction(1, 2**15) <= n * tail(n - 1, dropped, k, ud)
    assert graph.threshold == k - ud
    assert 2 * graph.threshold >= k + t1 + 1
    mutual, honest = graph.threshold - t1, n - corrupt
    assert 2 * graph.smallest_sum > honest
    excluded = graph.smallest_sum - 1
    assert closed_sets(n, honest, k, mutual, excluded) <= half < closed_sets(n, honest, k, mutual, excluded + 1)
    for smaller in range(4, k):  # a linear scan: nothing below it serves
        t1, ud = least_above(n, corrupt, smaller, half / n), least_above(n, dropped, smaller, Fraction(1, 2**15) / n)
        t = smaller - ud
        assert 2 * t < smaller + t1 + 1 or t <= t1 or closed_sets(n, honest, smaller, t - t1, honest // 2) > half


def least_above(n: int, marked: int, k: int, limit: Fraction) -> int:
    return next(u for u in range(k + 1) if tail(n - 1, marked, k, u + 1) <= limit)


def test_a_client_judges_an_offer_without_the_search() -> None:
    graph = chosen_graph(1000, 0.05, 0.05)
    resists = (1000, 50, graph.degree, graph.threshold, 64)
    assert chosen_resists(*resists, 2)
    assert not chosen_resists(1000, 50, graph.degree - 1, graph.threshold - 1, 64, 2)
    assert not chosen_resists(1000, 60, graph.degree, graph.threshold, 64, 2), "more may be corrupt than was planned"
    assert not chosen_resists(1000, 50, graph.degree, graph.threshold, 70, 2), "more offers may come"
    assert chosen_resists(*resists, graph.smallest_sum)
    assert not chosen_resists(*resists, graph.smallest_sum + 1), "a floor above what the graph gives"


def test_both_kinds_of_share_bound_the_threshold_from_below() -> None:
    graph = chosen_graph(1000, 0.05, 0.05)
    lowest = -(-(graph.degree + graph.most_corrupt + 1) // 2)
    assert not chosen_resists(1000, 50, graph.degree, lowest - 1, 64, 2)
    assert not chosen_resists(1000, 950, graph.degree, graph.threshold, 64, 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1000, 0.4, 0.4), "no chosen graph of 1000 clients qualifies"),
        ((4, 0.0, 0.1), "no chosen graph of 4 clients qualifies"),
        ((2**20 + 1, 0.05, 0.05), "chosen graphs are for at most 1048576 clients"),
        ((1000, 1.0, 0.05), "max_corrupt is 1.0, outside"),
        ((1000, 0.05, 0.05, 0), "security_bits is 0, outside"),
        ((1000, 0.05, 0.05, 40, 20, 951), "smallest_sum is 951, outside"),
    ],
)
def test_what_does_not_qualify_is_refused(arguments: tuple[int, float, float], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        chosen_graph(*arguments)
