"""Who is summed with whom decides what sums of many rounds tell: regrouping gives single clients away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secagg.poisoning import leak
from secagg.poisoning.leak import ALL, CLIENTS, ROUNDS, Discipline, Federation, auc, cosine, federate, solve, told
from secagg.poisoning.plan import seeds
from secagg.poisoning.runner import run

FIXED = Discipline("fixed", 5)
REGROUPED = Discipline("regrouped", 5, partitions=0)


@pytest.fixture(scope="module")
def federation() -> Federation:
    return federate(5 + ROUNDS, 0)


def sums_of(discipline: Discipline) -> list[tuple[int, tuple[int, ...]]]:
    return list(discipline.sums(np.random.default_rng(3)))


def test_regrouping_gives_clients_away_and_fixed_cells_do_not(federation: Federation) -> None:
    fixed, regrouped = told(federation, FIXED, 0), told(federation, REGROUPED, 0)
    assert regrouped.auc > 0.95
    assert fixed.auc < 0.85
    assert (fixed.rank, fixed.smallest_atom) == (10, 5)
    assert (regrouped.rank, regrouped.smallest_atom) == (50, 1)
    assert regrouped.cosine > 0.95 > 0.6 > fixed.cosine


def test_a_cell_that_goes_on_without_a_member_gives_clients_away(federation: Federation) -> None:
    whole = told(federation, Discipline("whole", 5, dropout=0.1), 0)
    left = told(federation, Discipline("left", 5, dropout=0.1, whole=False), 0)
    assert (whole.rank, whole.smallest_atom) == (10, 5)
    assert whole.auc < 0.85
    assert left.auc > 0.95


def test_one_cohort_whose_members_come_and_go_tells_more_round_by_round(federation: Federation) -> None:
    early, late = (
        told(federation, Discipline("cohort", CLIENTS, rounds=rounds, dropout=0.1, whole=False), 0)
        for rounds in (1, ROUNDS)
    )
    assert (late.rank, late.smallest_atom) == (25, 1)
    assert early.auc < 0.65 < 0.75 < late.auc


def test_unions_of_whole_cells_tell_what_their_cells_would(federation: Federation) -> None:
    joined = told(federation, Discipline("joined", 10, union=2), 0)
    assert (joined.g, joined.rank, joined.smallest_atom) == (10, 10, 5)
    assert joined.auc < 0.85


def test_every_round_counts() -> None:
    numbers = np.random.default_rng(0)
    made = Federation(numbers.random((CLIENTS, 10)) < 0.2, numbers.normal(size=(7, CLIENTS, 10)))
    assert told(made, Discipline("alone", 1, rounds=2), 0).cosine > 0.99
    assert told(made, Discipline("alone", 1, rounds=1), 0).cosine > 0.99


def test_fixed_cells_are_the_same_every_round_and_others_are_not() -> None:
    fixed, regrouped = sums_of(FIXED), sums_of(REGROUPED)
    assert len(fixed) == len(regrouped) == 10 * ROUNDS
    assert len({clients for _, clients in fixed}) == 10
    assert len({clients for _, clients in regrouped}) > 10 * (ROUNDS - 1)
    halves = [
        {clients for number, clients in sums_of(Discipline("once", 5, partitions=2)) if number == at} for at in (0, 24)
    ]
    assert len(halves[0] & halves[1]) < 3


def test_all_or_nothing_sums_are_whole_and_others_lack_who_is_away() -> None:
    cells = {clients for _, clients in sums_of(FIXED)}
    whole = sums_of(Discipline("whole", 5, dropout=0.3))
    left = sums_of(Discipline("left", 5, dropout=0.3, whole=False))
    assert 0 < len(whole) < 10 * ROUNDS / 3
    assert {clients for _, clients in whole} <= cells
    assert {len(clients) for _, clients in left} == {2, 3, 4, 5}


def test_unions_are_of_cells() -> None:
    cells = {clients for _, clients in sums_of(FIXED)}
    joined = sums_of(Discipline("joined", 10, union=2))
    assert len(joined) == 5 * ROUNDS
    assert all(frozenset((clients[:5], clients[5:])) <= cells for _, clients in joined)
    assert len({frozenset((clients[:5], clients[5:])) for _, clients in joined}) > 20


def test_the_figures_of_an_attack() -> None:
    truth = np.array([[True, False], [False, True]])
    assert auc(np.array([[2.0, 1.0], [0.0, 3.0]]), truth) == 1
    assert auc(np.array([[0.0, 3.0], [2.0, 1.0]]), truth) == 0
    assert auc(np.ones((2, 2)), truth) == 0.5
    assert auc(np.array([[1.0, 1.0], [0.0, 1.0 + 1e-15]]), truth) == 0.75
    table = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert cosine(table, 3 * table + 7) == pytest.approx(1)
    assert cosine(table, -table) == pytest.approx(-1)
    assert cosine(np.ones((2, 2)), table) == 0


def test_equations_that_are_enough_are_solved() -> None:
    numbers = np.random.default_rng(1)
    usual, members = numbers.normal(size=(6, 3)), (numbers.random((20, 6)) < 0.5).astype(float)
    assert np.allclose(solve(members, members @ usual, 1e-6), usual)
    # Two clients that are always together share what they send.
    together = members.copy()
    together[:, 1] = together[:, 0]
    found = solve(together, together @ usual, 1e-6)
    assert np.allclose(found[0], (usual[0] + usual[1]) / 2)
    assert np.allclose(found[0], found[1])


def test_the_suite_of_a_run_has_every_discipline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leak, "ALL", (FIXED, replace(FIXED, rounds=1), replace(FIXED, rounds=26)))
    for quick, rounds in ((True, [25, 1]), (False, [25, 1, 26])):
        results = run(("leak",), quick=quick, version="9", workers=1, seed=4)
        assert [row.rounds for row in results.leak if row.seed == 4] == rounds
        assert {row.seed for row in results.leak} == set(seeds(quick, 4))


def test_a_full_run_has_what_the_page_speaks_of() -> None:
    named = {(each.name, each.g, each.dropout, each.rounds) for each in ALL}
    assert len(named) == len(ALL)
    assert ("one cohort, whoever is left", 50, 0.1, 25) in named
    assert ("regrouped every round", 5, 0.0, 25) in named
