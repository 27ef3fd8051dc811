"""Group testing: what the designs' sums tell, proved exactly, and whom the decoder finds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pytest

from secagg import ParameterError
from secagg.robust.group_testing import DESIGNS, MAX_CLIENTS, Design, Grouping, flag, passed_mean

PRIME: Final = 2**31 - 1
SEED: Final = bytes(range(32))
NAMES: Final = sorted(DESIGNS)


def matrix_of(design: Design) -> list[list[int]]:
    return [[int(place in group) for place in range(design.clients)] for group in design.groups]


def rank(rows: Sequence[Sequence[int]]) -> int:
    """The rank modulo a prime: a lower bound of the rank over the reals, and exact where it is full."""
    left, found = [list(row) for row in rows], 0
    for column in range(len(left[0])):
        pivot = next((row for row in left if row[column] % PRIME), None)
        if pivot is None:
            continue
        left.remove(pivot)
        found += 1
        inverse = pow(pivot[column], -1, PRIME)
        left = [
            [(value - row[column] * inverse * top) % PRIME for value, top in zip(row, pivot, strict=True)]
            for row in left
        ]
        if not left:
            break
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_distance_of_a_design_is_what_it_says(name: str) -> None:
    """No combination is 0 outside of fewer places: the other columns have full rank, over the reals as over a prime."""
    design = DESIGNS[name]
    rows = matrix_of(design)
    for support in combinations(range(design.clients), design.distance - 1):
        assert rank([[bit for place, bit in enumerate(row) if place not in support] for row in rows]) == len(rows)
    assert min(sum(row) for row in rows) == design.distance


@pytest.mark.parametrize("name", NAMES)
def test_a_design_tests_every_place_and_is_small(name: str) -> None:
    design = DESIGNS[name]
    assert design.name == name == f"{design.clients}x{len(design.groups)}"
    assert design.clients <= MAX_CLIENTS
    assert {place for group in design.groups for place in group} == set(range(design.clients))
    assert len({tuple(column) for column in zip(*matrix_of(design), strict=True)}) == design.clients


def test_the_sum_of_the_unflagged_would_halve_the_distance() -> None:
    design = DESIGNS["15x8"]
    worst = design.clients
    for flagged in range(design.clients):
        rows = np.array([*matrix_of(design), [int(place != flagged) for place in range(design.clients)]])
        for support in combinations(range(design.clients), 2):
            if np.linalg.matrix_rank(np.delete(rows, support, axis=1)) < len(rows):
                worst = min(worst, len(support))
    assert worst == 2


def grouping(name: str = "15x8") -> Grouping:
    return Grouping.draw(name, range(100, 100 + DESIGNS[name].clients), seed=SEED, floor=4)


def outcome_of(drawn: Grouping, liars: Sequence[int]) -> list[bool]:
    return [bool(set(group) & set(liars)) for group in drawn.groups]


def test_a_grouping_follows_from_ids_and_seed() -> None:
    one, other = grouping(), Grouping.draw("15x8", reversed(range(100, 115)), seed=SEED, floor=4)
    assert one == other
    assert sorted(one.places) == list(range(100, 115))
    assert [len(group) for group in one.groups] == [4] * 8
    assert all(list(group) == sorted(group) for group in one.groups)
    assert Grouping.draw("15x8", range(100, 115), seed=bytes(32), floor=4).places != one.places


def test_one_liar_is_found_whoever_it_is() -> None:
    drawn = grouping()
    for liar in drawn.places:
        assert flag(drawn, outcome_of(drawn, [liar])) == (liar,)
    assert flag(drawn, [False] * 8) == ()


def test_of_two_liars_most_are_found_and_few_others() -> None:
    drawn = grouping()
    found = false = 0
    pairs = list(combinations(drawn.places, 2))
    for pair in pairs:
        flagged = set(flag(drawn, outcome_of(drawn, pair)))
        found += len(flagged & set(pair))
        false += len(flagged - set(pair))
    assert found / (2 * len(pairs)) > 0.8
    assert false / (13 * len(pairs)) < 0.03


def test_one_test_that_errs_does_not_accuse_anybody() -> None:
    drawn = grouping()
    accused = [flag(drawn, [group == wrong for group in range(8)], false_alarm=0.2, missed=0.2) for wrong in range(8)]
    assert accused == [()] * 8


def test_the_posterior_is_that_of_every_pattern() -> None:
    drawn, bad = grouping("15x4"), [True, False, True, True]
    weights = np.zeros(15)
    total = 0.0
    for pattern in range(2**15):
        liars = [place for place in range(15) if pattern >> place & 1]
        chance = 0.2 ** len(liars) * 0.8 ** (15 - len(liars))
        for group, tested in zip(drawn.design.groups, bad, strict=True):
            said = 0.9 if set(group) & set(liars) else 0.1
            chance *= said if tested else 1 - said
        weights[liars] += chance
        total += chance
    expected = sorted(drawn.places[place] for place in range(15) if weights[place] > total / 2)
    assert flag(drawn, bad, prevalence=0.2, false_alarm=0.1, missed=0.1) == tuple(expected)


def test_groups_that_passed_are_averaged_as_they_are() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    mean = passed_mean(rows, [True, False, True, False])
    assert mean is not None
    np.testing.assert_array_equal(mean, (rows[1] + rows[3]) / 2)
    assert passed_mean(rows, [True] * 4) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"design": "30x12"}, "unknown; take one of 15x8, 15x4, whose distances are proved .a random"),
        ({"clients": range(14)}, "15 places, and there are 14 clients"),
        ({"seed": b"short"}, "no byte string of 32"),
        ({"colluding": 1}, "with 1 colluding, .* may be about 3 clients, below the floor of 4"),
        ({"floor": None}, "below the floor of 5; take a design of a larger distance"),
        ({"floor": 1}, "give whole numbers"),
        ({"colluding": -1}, "give whole numbers"),
    ],
)
def test_what_gives_clients_away_is_refused(changed: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"design": "15x8", "clients": range(15), "seed": SEED, "floor": 4} | changed
    with pytest.raises(ParameterError, match=sentence):
        Grouping.draw(given.pop("design"), given.pop("clients"), **given)


def test_the_wider_design_bears_colluding_clients() -> None:
    assert Grouping.draw("15x4", range(15), seed=SEED, colluding=3, floor=5).design.distance == 8


@pytest.mark.parametrize("bad", [[True] * 7, [1] * 8, [0.9] * 8, True])
def test_tests_are_one_truth_value_for_each_group(bad: Any) -> None:
    with pytest.raises(ParameterError, match="one truth value for each of 8 groups"):
        flag(grouping(), bad)


@pytest.mark.parametrize("name", ["prevalence", "false_alarm", "missed"])
@pytest.mark.parametrize("value", [0, 1, -0.1, np.nan, "a", True])
def test_probabilities_are_inside_of_0_and_1(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"{name}=.* is no probability"):
        flag(grouping(), [False] * 8, **{name: value})
