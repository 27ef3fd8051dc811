"""Whose input follows from which sums, against exact linear algebra and by reconstruction."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import Integers
from secagg.privacy.exposure import Exposure, Participation, exposure, fixed_groups, information_bits
from secagg.session.participation import look_up
from secagg.store.participations import ParticipationFile

PARAMETERS = SessionParameters.choose(clients=5, vectors={"v": Integers(0, 9, length=2)})


def of(matrix: NDArray[Any]) -> Exposure:
    return exposure(Participation(tuple(range(matrix.shape[1])), matrix.astype(np.uint8)))


def in_row_space(matrix: NDArray[Any], column: int) -> bool:
    """Whether a unit vector is a combination of rows, by elimination with fractions."""
    rows = [[Fraction(int(entry)) for entry in row] for row in matrix]
    wanted = [Fraction(place == column) for place in range(matrix.shape[1])]
    for place in range(matrix.shape[1]):
        pivot = next((row for row in rows if row[place]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        for other in (*rows, wanted):
            factor = other[place] / pivot[place]
            for at, entry in enumerate(pivot):
                other[at] -= factor * entry
    return not any(wanted)


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=1, max_size=7)
    )
)
def test_who_is_determined_is_who_is_by_fractions(rows: list[list[int]]) -> None:
    matrix = np.array(rows)
    found = of(matrix)
    assert found.determined == tuple(i for i in range(matrix.shape[1]) if in_row_space(matrix, i))
    assert ((found.leverage >= 0) & (found.leverage <= 1)).all()


def test_the_sums_of_two_cohorts_that_differ_by_one_give_its_input() -> None:
    found = exposure(Participation.of([(1, 2, 3, 7), (1, 2, 3)]))
    assert found.determined == (7,)
    assert found.error[3] == pytest.approx(math.sqrt(2))
    assert str(found).startswith("2 sums over 4 clients, 2 of them independent: the inputs of 1 clients follow")
    assert exposure(Participation.of([(1, 2, 3)] * 9)).determined == ()


def test_random_cohorts_give_everybody_away_once_there_are_enough() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.random((25, 20)) < 0.7
    assert of(matrix[:19]).determined == ()
    found = of(matrix)
    assert found.determined == tuple(range(20))
    # What is said to follow does: inputs from sums, by least squares.
    inputs = draw.normal(size=20)
    rebuilt = np.linalg.lstsq(matrix.astype(float), matrix @ inputs, rcond=None)[0]
    assert rebuilt == pytest.approx(inputs, abs=1e-9)
    noisy = matrix @ inputs + draw.normal(size=(4000, 25))
    errors = np.linalg.lstsq(matrix.astype(float), noisy.T, rcond=None)[0].std(axis=1)
    assert errors == pytest.approx(found.error, rel=0.06)


def test_fixed_groups_give_nobody_away() -> None:
    joins = np.random.default_rng(1).random((200, 10)) < 0.5
    found = of(np.repeat(joins, 10, axis=1))
    assert (found.rank, found.determined) == (10, ())
    assert found.leverage == pytest.approx(0.1)
    assert "no client's input follows" in str(found)
    one_left = np.repeat(joins, 10, axis=1)
    one_left[7, 30] = False
    assert of(one_left).determined == ((30,) if joins[7, 3] else ())


@given(st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=60), st.integers(2, 20))
def test_groups_hold_everybody_once_and_are_large_enough(clients: set[int], size: int) -> None:
    if len(clients) < size:
        with pytest.raises(ParameterError, match="no group"):
            fixed_groups(clients, size)
        return
    groups = fixed_groups(clients, size)
    assert sorted(client for group in groups for client in group) == sorted(clients)
    sizes = [len(group) for group in groups]
    assert min(sizes) >= size
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("clients", "bits"), [(2, 0.5), (5, 0.161), (10, 0.076), (100, 0.00725), (2**40, 6.6e-13)])
def test_bits_of_an_entry(clients: int, bits: float) -> None:
    assert information_bits(clients) == pytest.approx(bits, rel=1e-2)


def test_a_clients_ledger_is_a_history(tmp_path: Path) -> None:
    ledger = ParticipationFile(tmp_path / "3.participations")
    assert ledger.cohorts(3) == []
    for session in range(2):
        look_up(ledger, 3, bytes([session]), PARAMETERS, claim=True)
    look_up(ledger, 4, b"another client", PARAMETERS, claim=True)
    look_up(ledger, 3, b"not claimed", PARAMETERS, claim=False)
    assert ledger.cohorts(3) == [PARAMETERS.cohort] * 2
    found = exposure(Participation.of(ledger.cohorts(3)))
    assert (found.rounds, found.rank, found.determined) == (2, 1, ())


def test_a_report_is_plain_data() -> None:
    data = json.loads(json.dumps(exposure(Participation.of([(1, 2), (2,)])).to_json()))
    assert data["determined"] == [1, 2]
    assert data["leverage"] == pytest.approx([1.0, 1.0])
    assert json.loads(json.dumps(exposure(Participation.of([(1, 2)])).to_json()))["error"] == [None, None]


@pytest.mark.parametrize("rounds", [[], [()], [(1, 1)], [(-1,)], [("a",)]])
def test_a_history_names_clients(rounds: Any) -> None:
    with pytest.raises(ParameterError):
        Participation.of(rounds)


@pytest.mark.parametrize("matrix", [np.full((2, 2), 2), np.zeros((0, 2)), np.zeros(2), np.zeros((2, 3))])
def test_a_matrix_is_of_zeros_and_ones(matrix: NDArray[Any]) -> None:
    with pytest.raises(ParameterError):
        exposure(Participation((1, 2), matrix.astype(np.uint8)))


@pytest.mark.parametrize("wrong", [1, 0, -1, 2.0, None, True])
def test_sizes_are_whole_and_large_enough(wrong: Any) -> None:
    with pytest.raises(ParameterError):
        fixed_groups(range(10), wrong)
    with pytest.raises(ParameterError):
        information_bits(wrong)
    with pytest.raises(ParameterError, match="twice"):
        fixed_groups([1, 1, 2], 2)
