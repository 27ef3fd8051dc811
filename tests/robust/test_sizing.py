"""The law of spoiled cells against counting, the table of the largest cells, and what is chosen or refused."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.robust import (
    Partition,
    SizeChoice,
    choose_size,
    condition_holds,
    default_floor,
    dirty_cells,
    most_dirty,
    sizing,
)
from secagg.robust.sizing import RULES

SEED = bytes(range(32))


def counted(clients: int, size: int, liars: int) -> dict[int, Fraction]:
    """The law by trying every choice of liars on one partition: which clients lie does not depend on the cells."""
    partition = Partition.draw(clients, size=size, seed=SEED)
    seen = Counter(
        len({partition.cell_of(client) for client in chosen}) for chosen in combinations(range(clients), liars)
    )
    return {dirty: Fraction(count, math.comb(clients, liars)) for dirty, count in seen.items()}


@pytest.mark.parametrize("clients", range(2, 13))
def test_the_law_is_what_counting_gives(clients: int) -> None:
    for size in range(2, clients + 1):
        for liars in range(clients + 1):
            law = dirty_cells(clients, size, liars)
            assert len(law) == clients // size + 1
            assert sum(law) == 1
            assert {dirty: p for dirty, p in enumerate(law) if p} == counted(clients, size, liars)


@settings(max_examples=30)
@given(st.integers(2, 150), st.data())
def test_tails_are_sums_of_the_law(clients: int, data: st.DataObject) -> None:
    size, liars = data.draw(st.integers(1, clients)), data.draw(st.integers(0, clients))
    law = dirty_cells(clients, size, liars)
    assert sum(law) == 1
    assert min(law) >= 0
    cells = clients // size
    for most in {0, (cells - 1) // 2, cells - 1, cells}:
        exact = sum(law[: most + 1])
        assert sizing._holds(clients, cells, liars, most) == exact
        if most < min(liars, cells):
            assert 1 - sizing._too_many_bound(clients, cells, liars, most + 1) <= exact
    assert sizing._holds(clients, cells, liars, -1) == 0


LARGEST = {
    50: (16, 10, 4, 3, 2, 1),
    100: (20, 9, 4, 3, 2, 1),
    1000: (24, 10, 5, 3, 2, 1),
}


@pytest.mark.parametrize("clients", LARGEST)
def test_the_largest_cells_most_of_which_are_clean(clients: int) -> None:
    """For 2, 5, 10, 15, 20 and 30 percent of liars, three cells or more, and a failure of 0.001."""
    found = []
    for percent in (2, 5, 10, 15, 20, 30):
        for size, cells in sizing._sizes(clients, 1):
            if cells >= 3 and sizing._holds(clients, cells, clients * percent // 100, (cells - 1) // 2) >= Fraction(
                "0.999"
            ):
                found.append(size)
                break
    assert tuple(found) == LARGEST[clients]


def test_at_least_one_clean_cell() -> None:
    """The figures that the text about choosing a rule quotes."""
    found = [
        round(float(1 - dirty_cells(clients, size, liars)[-1]), 3)
        for clients, size, liars in ((50, 5, 10), (50, 5, 15), (50, 10, 5), (50, 10, 10), (100, 10, 20))
    ]
    assert found == [0.999, 0.887, 0.953, 0.384, 0.689]


@pytest.mark.parametrize(
    ("size", "spies", "mates", "exact"),
    [
        (5, 5, 1, Fraction(math.comb(5, 4), math.comb(49, 4))),
        (5, 10, 1, Fraction(math.comb(10, 4), math.comb(49, 4))),
        (8, 5, 1, Fraction(0)),
        (8, 10, 1, Fraction(math.comb(10, 7), math.comb(49, 7))),
        (8, 10, 2, Fraction(math.comb(10, 7) + 39 * math.comb(10, 6), math.comb(49, 7))),
        (2, 10, 2, Fraction(1)),
        (50, 49, 1, Fraction(1)),
        (50, 48, 1, Fraction(0)),
    ],
)
def test_how_often_colluding_clients_leave_one_alone(size: int, spies: int, mates: int, exact: Fraction) -> None:
    found = sizing._exposure(50, size, spies, mates)
    assert exact <= Fraction(found) <= exact * Fraction(1.00001)


@pytest.mark.parametrize(
    ("rule", "bears"),
    [
        ("median", {1: 0, 2: 0, 3: 1, 10: 4, 11: 5}),
        ("geometric_median", {3: 1, 10: 4}),
        ("trimmed_mean", {3: 1, 10: 4}),
        ("norm_clipped_mean", {3: 1, 10: 4}),
        ("krum", {2: -1, 3: 0, 5: 1, 10: 3}),
        ("multi_krum", {2: -1, 3: 0, 5: 1, 10: 3}),
        ("root_check", {1: 0, 10: 9}),
        ("fltrust", {1: 0, 10: 9}),
    ],
)
def test_what_a_rule_bears(rule: str, bears: dict[int, int]) -> None:
    assert {cells: most_dirty(rule, cells) for cells in bears} == bears
    for cells, most in bears.items():
        assert not condition_holds(rule, cells, most + 1)
        assert condition_holds(rule, cells, most)


def test_every_rule_was_looked_at() -> None:
    assert list(RULES) == sorted(RULES)
    assert len(RULES) == 8


def test_floors() -> None:
    assert default_floor() == default_floor(0.19) == 5
    assert default_floor(0.2) == default_floor(0.0, "active") == 8


def sixth_of_values_impossible(choice: SizeChoice, clients: int) -> bool:
    sizes = {len(cell) for cell in Partition.draw(clients, size=choice.size, seed=SEED).cells}
    return all((1 << (size - 1).bit_length()) / size >= 1.2 for size in sizes)


def test_the_largest_cells_are_chosen() -> None:
    choice = choose_size(50, 0.2, 0.1, "root_check")
    assert (choice.size, choice.cells, choice.bears) == (5, 10, 9)
    assert choice.probability <= 1 - dirty_cells(50, 5, 10)[-1] <= choice.probability + 1e-15
    assert str(choice) == choice.explanation
    assert choice.explanation == (
        "10 cells of 5 clients. root_check bears up to 9 spoiled; that 10 malicious of 50 clients spoil more happens "
        "at most once in 1051 partitions. That 5 colluding leave a given client with fewer honest others in its cell "
        "than the 1 that it needs happens at most once in 42375 partitions."
    )


def test_what_is_rarer_than_once_in_a_million_million_is_not_spelt_out() -> None:
    choice = choose_size(1_000_000, 0.01, 0.1, "median")
    assert 0 < choice.exposure < 1e-60
    assert choice.explanation.endswith("than the 1 that it needs happens at most once in 10^12 partitions.")


def test_no_larger_cells_would_do() -> None:
    for malicious in (0.02, 0.05, 0.1):
        for rule in ("median", "multi_krum", "root_check"):
            choice = choose_size(60, malicious, 0.0, rule, floor=2)
            law = dirty_cells(60, choice.size, math.floor(60 * malicious + 1e-9))
            assert sum(law[: choice.bears + 1]) >= Fraction("0.999")
            larger = [
                size
                for size in range(choice.size + 1, 61)
                if (most := most_dirty(rule, 60 // size)) >= 0
                and sum(dirty_cells(60, size, math.floor(60 * malicious + 1e-9))[: most + 1]) >= Fraction("0.999")
                and 60 // size != choice.cells
            ]
            if larger:
                assert sixth_of_values_impossible(choice, 60)
                assert choice.size >= 0.75 * max(larger)


def test_garbage_shows_where_it_costs_little() -> None:
    choice = choose_size(50, 0.02, 0.1, "median")
    assert choice.size == 12
    assert sixth_of_values_impossible(choice, 50)
    assert choice.explanation.endswith("Cells of 16 would do as well, but random garbage hardly shows in their sums.")


def test_garbage_is_not_worth_half_of_a_cell() -> None:
    choice = choose_size(50, 0.1, 0.1, "root_check")
    assert choice.size == 8
    assert choice.explanation.endswith("hardly shows in their sums: nearly every value of a field is possible.")


def test_without_liars_nobody_is_parted() -> None:
    choice = choose_size(50, 0.0, 0.0, "median")
    assert (choice.size, choice.cells, choice.probability, choice.exposure) == (50, 1, 1.0, 0.0)
    assert choice.explanation.startswith("1 cell of 50 clients.")


def test_colluding_clients_make_cells_larger() -> None:
    assert choose_size(200, 0.02, 0.1, "median", floor=2).size == choose_size(200, 0.02, 0.3, "median", floor=2).size
    with pytest.raises(ParameterError, match="leave no cell size of 11 or more \\(below, 100 colluding may leave"):
        choose_size(200, 0.2, 0.5, "median", floor=2)


def test_an_active_server_needs_two_honest_others() -> None:
    assert choose_size(20, 0.0, 0.9, "median", floor=20).exposure == 0.0
    with pytest.raises(
        ParameterError, match="18 colluding of 20 clients may leave one with fewer than 2 honest others"
    ):
        choose_size(20, 0.0, 0.9, "median", floor=20, threat_model="active")


@pytest.mark.parametrize("clients", [100_000, 10_000_000])
def test_many_clients_are_bounded(clients: int) -> None:
    choice = choose_size(clients, 0.05, 0.1, "median")
    assert 10 <= choice.size <= 13
    assert 0.999 <= choice.probability <= 1


def test_more_liars_than_a_cell_can_miss() -> None:
    with pytest.raises(ParameterError, match="4500 malicious of 5000 clients leave no cell size of 5 or more"):
        choose_size(5000, 0.9, 0.0, "root_check")


def test_a_conflict_is_named_with_its_ways_out() -> None:
    with pytest.raises(ParameterError) as caught:
        choose_size(50, 0.1, 0.1, "median", threat_model="active")
    assert str(caught.value) == (
        "5 malicious of 50 clients leave no cell size of 8 or more at which median bears the spoiled cells with "
        "probability 0.999; use a rule with data of the server's own (with root_check, cells of 8 do), or gather more "
        "clients"
    )
    with pytest.raises(ParameterError, match=r"accept floor=4, and less privacy with it"):
        choose_size(50, 0.1, 0.0, "median")
    with pytest.raises(ParameterError, match=r"accept failure=(0\.\d+)") as advised:
        choose_size(50, 0.3, 0.1, "root_check")
    failure = float(str(advised.value).split("failure=")[1].split(",")[0])
    assert choose_size(50, 0.3, 0.1, "root_check", failure=failure).size == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 0.1, 0.1, "median"), "clients=1 is no number of clients; give 2 or more"),
        ((50.0, 0.1, 0.1, "median"), "clients=50.0 is no number of clients; give 2 or more"),
        ((50, 1.0, 0.1, "median"), "malicious is 1.0, outside [0, 1): give a fraction of the clients, like 0.1."),
        ((50, 0.1, -0.1, "median"), "colluding is -0.1, outside [0, 1): give a fraction of the clients, like 0.1."),
        ((50, 0.1, 0.1, "bulyan"), "rule='bulyan' is unknown; take one of fltrust, geometric_median, krum, median,"),
        ((50, 0.1, 0.1, "median", 0.0), "failure=0.0 is not from 1e-12 on and below 1; take 0.001"),
        ((50, 0.1, 0.1, "median", math.nan), "failure=nan is not from 1e-12 on and below 1; take 0.001"),
        ((50, 0.1, 0.1, "median", 0.1, 1), "floor=1 is no size of a cell; give 2 or more, or None for the default"),
        ((4, 0.1, 0.1, "median"), "4 clients do not fill one cell of 5; gather more clients, or accept floor=4"),
        ((50, 0.1, 0.1, "median", 0.1, 5, "lying"), "threat_model='lying' is unknown; give 'active' or 'semi-honest'"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        choose_size(*arguments)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1025, 5, 3), "clients=1025 is outside 2 .. 1024; give a number inside"),
        ((50, 0, 3), "size=0 is outside 1 .. 50; give a number inside"),
        ((50, 5, 51), "liars=51 is outside 0 .. 50; give a number inside"),
    ],
)
def test_bad_arguments_of_the_law_are_named(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        dirty_cells(*arguments)
    assert str(caught.value) == message
