"""No combination of admitted sums is over fewer clients than an atom has, and how many sums are independent."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.robust import Disclosure, Partition, disclosure
from secagg.robust.disclosure import _rank

SEED = bytes(range(32))


def smallest_support(sums: list[frozenset[int]]) -> int:
    """Of all combinations with coefficients -2 ... 2 that are not zero everywhere, the fewest clients with any."""
    clients = sorted(frozenset().union(*sums))
    matrix = np.array([[client in each for client in clients] for each in sums], dtype=np.int64)
    combinations = np.array(list(product(range(-2, 3), repeat=len(sums))), dtype=np.int64) @ matrix
    supports = np.count_nonzero(combinations, axis=1)
    return int(min(supports[supports > 0]))


SUMS = st.lists(st.frozensets(st.integers(0, 7), min_size=1), min_size=1, max_size=5)


@given(SUMS)
def test_no_combination_is_over_fewer_clients_than_an_atom(sums: list[frozenset[int]]) -> None:
    account = Disclosure(8, floor=1)
    for number, contributors in enumerate(sums):
        account.admit(contributors, number)
    found = account.summary()
    assert found.smallest_atom <= smallest_support(sums)
    assert found.sums == len(sums)
    assert found.clients == len(frozenset().union(*sums))
    matrix = np.array([[client in each for client in range(8)] for each in sums], dtype=float)
    assert found.rank == np.linalg.matrix_rank(matrix)


@given(SUMS, st.integers(1, 4))
def test_what_is_admitted_keeps_the_floor_and_what_is_refused_leaves_no_trace(
    sums: list[frozenset[int]], floor: int
) -> None:
    account = Disclosure(8, floor=floor)
    admitted: list[frozenset[int]] = []
    for number, contributors in enumerate(sums):
        before = account.summary()
        try:
            account.admit(contributors, number)
        except ParameterError:
            assert account.summary() == before
            alone = Disclosure(8, floor=1)
            for each in [*admitted, contributors]:
                alone.admit(each, 0)
            assert alone.summary().smallest_atom < floor
        else:
            admitted.append(contributors)
            assert account.summary().smallest_atom >= floor
            assert smallest_support(admitted) >= floor


def test_cells_of_one_partition_say_what_one_round_says() -> None:
    partition = Partition.draw(52, size=5, seed=SEED)
    account = Disclosure(52)
    for number in range(25):
        for cell in partition.cells:
            account.admit(cell, number)
    found = account.summary()
    assert (found.sums, found.rank, found.clients, found.smallest_atom) == (250, 10, 52, 5)
    assert str(found) == (
        "250 sums, 10 of them independent, over 52 clients; no combination is over fewer than 5 clients."
    )


def test_a_second_partition_is_refused() -> None:
    account = Disclosure(50)
    for cell in Partition.draw(50, size=5, seed=SEED).cells:
        account.admit(cell, 0)
    regrouped = Partition.draw(50, size=5, seed=SEED, epoch=1).cells
    with pytest.raises(ParameterError) as caught:
        account.admit(regrouped[0], 1)
    assert str(caught.value) == (
        "the sum over 5 clients in round 1 is not to be released: together with 10 sums before it could tell of 1 "
        "clients alone, and floor=5; sum whole cells of one partition only"
    )


def test_unions_of_whole_cells_are_admitted() -> None:
    cells = Partition.draw(50, size=5, seed=SEED).cells
    account = Disclosure(50)
    for number in range(5):
        account.admit(cells[number] + cells[number + 1], number)
    assert account.summary().smallest_atom == 5
    assert account.summary().rank == 5


@pytest.mark.parametrize(("regroupings", "rank"), [(0, 10), (1, 19), (2, 28), (3, 37), (7, 50)])
def test_regrouping_solves_for_everybody(regroupings: int, rank: int) -> None:
    """Each further partition of 10 cells adds 9 equations: all sum to the same. With 50, single updates are known."""
    account = Disclosure(50, floor=1)
    for epoch in range(regroupings + 1):
        for cell in Partition.draw(50, size=5, seed=SEED, epoch=epoch).cells:
            account.admit(cell, epoch)
    assert account.summary().rank == rank


def test_a_sum_of_who_is_left_is_refused() -> None:
    account = Disclosure(10)
    account.admit(range(10), 0)
    with pytest.raises(ParameterError, match=r"over 9 clients in round 1 .* could tell of 1 clients alone"):
        account.admit(range(9), 1)
    account.admit(range(5), 1)
    assert account.summary().smallest_atom == 5


def test_clients_that_are_never_summed_need_no_company() -> None:
    account = Disclosure(11)
    account.admit(range(10), 0)
    assert account.summary().clients == 10
    with pytest.raises(ParameterError, match="could tell of 1 clients alone"):
        account.admit(range(11), 1)


def test_nothing_was_summed() -> None:
    found = Disclosure(10).summary()
    assert (found.sums, found.rank, found.clients, found.smallest_atom) == (0, 0, 0, 0)


def ones(matrix: list[list[int]]) -> list[set[int]]:
    return [{at for at, one in enumerate(row) if one} for row in matrix]


@pytest.mark.parametrize("order", [2, 3, 64, 128])
def test_a_rank_is_exact_where_small_primes_fail(order: int) -> None:
    """J - I of order k has the determinant (-1)^(k-1) (k-1): 0 modulo every prime that divides k - 1."""
    assert _rank([set(range(order)) - {at} for at in range(order)], order) == order


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=1, max_size=8))
def test_a_rank_is_that_of_fractions(matrix: list[list[int]]) -> None:
    rest, rank = [[Fraction(x) for x in row] for row in matrix], 0
    while rest:
        row = rest.pop()
        pivot = next((at for at, x in enumerate(row) if x), None)
        if pivot is not None:
            rank += 1
            rest = [[x - each[pivot] / row[pivot] * y for x, y in zip(each, row, strict=True)] for each in rest]
    assert _rank(ones(matrix), 6) == rank


def test_very_many_different_sums_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    square = [{0, 1}, {1, 2}, {2, 3}, {0, 3}, {4}]
    assert _rank(square, 5) == 4
    monkeypatch.setattr(disclosure, "_MOST_ENTRIES", 15)
    assert _rank(square, 5) == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Disclosure(1), "a cohort of 1 clients is outside"),
        (lambda: Disclosure([1, 1]), "client 1 stands in the cohort twice"),
        (lambda: Disclosure(10, floor=0), "floor=0 is no size of a group; give 1 or more"),
        (lambda: Disclosure(10).admit([10], 0), "client 10 is none of the 10 clients of this account"),
        (lambda: Disclosure(10).admit([], 0), "a sum over nobody tells nothing; give its contributors"),
        (lambda: Disclosure(10).admit([-1], 0), "-1 is no client id"),
    ],
)
def test_bad_arguments_are_named(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value).startswith(message)
