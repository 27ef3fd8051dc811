"""CellSiren over the rounds of a run: penalties, steps back, and what a liar cannot make of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import DecodeError, ParameterError
from secagg.robust import CellSiren, CellSums, Evaluate, Judge, Verdict
from secagg.robust.siren import ASTRAY, BLACKLISTED, FALLEN, HARMFUL, ROLLED_BACK, WORSE

CELLS: Final = 4
CLIENTS: Final = 20
TARGET: Final = np.array([1.0, 1.0, 1.0, 1.0])
START: Final = np.zeros(4)


def near(model: NDArray[np.float64]) -> float:
    """1 at the target, 0.5 at the start, 0 at the opposite of the target and beyond."""
    return max(0.0, 1 - float(np.linalg.norm(model - TARGET)) / 4)


def siren_of(**changed: Any) -> CellSiren:
    return CellSiren(**({"cells": CELLS, "clients": CLIENTS, "rounds": 20} | changed))


def sums_of(*scales: float | None, alarms: float = 0.0, rejected: dict[int, str] | None = None) -> CellSums:
    """Rows along the target; None is a missing cell."""
    proven = rejected or {}
    cells = tuple(cell for cell, scale in enumerate(scales) if scale is not None and cell not in proven)
    missing = tuple(cell for cell, scale in enumerate(scales) if scale is None)
    rows = np.array([np.full(4, scales[cell]) for cell in cells], dtype=np.float64).reshape(len(cells), 4)
    return CellSums(rows, cells, {0: alarms} if alarms else {}, proven, missing)


def test_it_is_a_judge() -> None:
    judge: Judge = siren_of()
    verdict = judge.judge(START, sums_of(0.5, 0.5, -1, 0.5), near)
    assert isinstance(verdict, Verdict)
    assert (verdict.kept, verdict.rejected) == ((0, 1, 3), {2: HARMFUL})
    np.testing.assert_allclose(verdict.model, 0.5)
    assert (verdict.rolled_back, verdict.alarms, verdict.unconfirmed) == (False, 0.0, False)


def test_a_penalty_is_earned_and_worked_off() -> None:
    siren = siren_of()
    seen = [
        siren.judge(START, sums_of(1, 1, scale, 1), near).penalties[2] for scale in (-1, -1, 1, 1, 1, -1, 1, 1, 1, 1)
    ]
    assert seen == [1, 2, 1.5, 1, 0.5, 1.5, 1, 0.5, 0, 0]


def test_a_cell_that_is_proven_to_lie_is_punished_and_a_missing_one_is_not() -> None:
    siren = siren_of()
    verdict = siren.judge(START, sums_of(1, 1, None, 1, rejected={3: "impossible"}), near)
    assert verdict.penalties == {0: 0, 1: 0, 2: 0, 3: 1}
    assert verdict.rejected == {3: "impossible"}
    assert verdict.kept == (0, 1)


def test_a_cell_at_the_limit_is_never_looked_at_again() -> None:
    siren = siren_of(rounds=10)
    assert siren.limit == 4
    for _ in range(4):
        verdict = siren.judge(START, sums_of(1, -1, 1, 1), near)
        assert verdict.rejected == {1: HARMFUL}
    asked: list[float] = []

    def counting(model: NDArray[np.float64]) -> float:
        asked.append(near(model))
        return asked[-1]

    for _ in range(3):
        verdict = siren.judge(START, sums_of(0.9, 1, 0.9, 0.9), counting)
        assert verdict.rejected == {1: BLACKLISTED}
        assert verdict.penalties[1] == 4
    assert len(asked) == 3 * 4
    assert 1.0 not in asked


@pytest.mark.parametrize(("rounds", "limit"), [(1, 1), (2, 1), (3, 1), (5, 2), (40, 18)])
def test_no_run_is_so_short_that_a_cell_begins_blacklisted(rounds: int, limit: int) -> None:
    siren = siren_of(rounds=rounds)
    assert siren.limit == limit
    assert siren.judge(START, sums_of(1, 1, 1, 1), near).kept == (0, 1, 2, 3)


def test_when_no_cell_is_left_the_model_stays() -> None:
    siren = siren_of(rounds=1)
    for sums in (
        sums_of(None, None, None, None),
        sums_of(1, 1, 1, 1, rejected=dict.fromkeys(range(4), "impossible")),
        sums_of(1, 1, 1, 1),
    ):
        verdict = siren.judge(START, sums, near)
        np.testing.assert_array_equal(verdict.model, START)
        assert verdict.kept == ()
    assert verdict.rejected == dict.fromkeys(range(4), BLACKLISTED)


def test_when_the_best_is_far_below_the_base_nothing_moves_and_nobody_is_punished() -> None:
    siren = siren_of()
    verdict = siren.judge(TARGET, sums_of(-1, -0.5, -0.25, -2), near)
    np.testing.assert_array_equal(verdict.model, TARGET)
    assert verdict.rejected == dict.fromkeys(range(4), FALLEN)
    assert set(verdict.penalties.values()) == {0.0}


def test_a_liar_alone_does_not_take_a_tenth_in_every_round() -> None:
    siren, model = siren_of(), TARGET
    for _ in range(20):
        down = np.full((1, 4), -0.18 * near(model))
        model = siren.judge(model, CellSums(down, (0,), {}, {}, (1, 2, 3)), near).model
    assert near(model) >= 0.9


def test_a_run_that_fell_may_climb_again() -> None:
    # Below nine tenths of the best so far, what is better than the base is taken all the same.
    siren = siren_of()
    siren.judge(TARGET, sums_of(0, 0, 0, 0), near)
    verdict = siren.judge(START, sums_of(0.1, 0.1, 0.1, 0.1), near)
    assert verdict.kept == (0, 1, 2, 3)


def test_the_owner_of_the_best_row_cannot_have_others_blacklisted() -> None:
    # It scores best by a hair and points the other way than all others.
    rows = np.array([[0.01, -0.02, 0, 0], *[[-0.03, 0.03, 0.0, 0.0]] * 3])
    siren, sums = siren_of(rounds=4), CellSums(rows, (0, 1, 2, 3), {}, {}, ())
    for _ in range(4):
        verdict = siren.judge(TARGET, sums, near)
        assert verdict.rejected == {1: ASTRAY, 2: ASTRAY, 3: ASTRAY}
        assert set(verdict.penalties.values()) == {0.0}


def test_whoever_is_far_better_than_all_others_does_not_have_them_blacklisted() -> None:
    siren, model = siren_of(rounds=4), START - 0.6
    for _ in range(2 * siren.limit):
        verdict = siren.judge(model, sums_of(0.8, 0.3, 0.3, 0.3), near)
        assert verdict.rejected == {1: WORSE, 2: WORSE, 3: WORSE}
        assert set(verdict.penalties.values()) == {0.0}


@pytest.mark.parametrize(("share", "penalty"), [(0.89, 1), (0.91, 0)])
def test_a_penalty_is_for_harm_beyond_the_tolerance(share: float, penalty: int) -> None:
    down = 2 * (1 - share) * near(START)  # a step of s along the target is worth s/2
    verdict = siren_of().judge(START, sums_of(1, 1, -down, 1), near)
    assert verdict.rejected == {2: HARMFUL if penalty else WORSE}
    assert verdict.penalties[2] == penalty


def test_an_update_of_the_server_takes_the_direction_from_the_owner_of_the_best_row() -> None:
    rows = np.array([[0.01, -0.02, 0, 0], *[[-0.03, 0.03, 0.0, 0.0]] * 3])
    siren = CellSiren.restore(siren_of().snapshot(), train=lambda model: rows[1])
    verdict = siren.judge(TARGET, CellSums(rows, (0, 1, 2, 3), {}, {}, ()), near)
    assert verdict.rejected == {0: ASTRAY}


def fallen_run(**changed: Any) -> tuple[CellSiren, NDArray[np.float64]]:
    """A run whose model was good and is bad now."""
    siren = siren_of(**changed)
    siren.judge(TARGET, sums_of(0, 0, 0, 0), near)
    return siren, START


def test_it_goes_back_when_alarms_and_root_data_agree() -> None:
    siren, model = fallen_run()
    verdict = siren.judge(model, sums_of(0.5, -1, 0.5, None, alarms=10, rejected={0: "impossible"}), near)
    assert verdict.rolled_back
    np.testing.assert_array_equal(verdict.model, TARGET)
    assert verdict.kept == ()
    assert verdict.rejected == {0: "impossible", 1: ROLLED_BACK, 2: ROLLED_BACK}
    assert (verdict.alarms, verdict.unconfirmed) == (10, False)
    assert set(verdict.penalties.values()) == {0.0}


def test_it_never_goes_back_without_confirmation() -> None:
    for model in (TARGET, TARGET * 0.85):
        siren, _ = fallen_run()
        verdict = siren.judge(model, sums_of(0.01, 0.01, 0.01, 0.01, alarms=CLIENTS), near)
        assert (verdict.rolled_back, verdict.unconfirmed) == (False, True)
        assert verdict.kept == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("quorum", "alarms", "back"), [(None, 9.9, False), (None, 10, True), (3, 2.9, False), (3, 3, True)]
)
def test_it_never_goes_back_without_a_quorum(quorum: float | None, alarms: float, back: bool) -> None:
    siren, model = fallen_run(quorum=quorum)
    verdict = siren.judge(model, sums_of(0.1, 0.1, 0.1, 0.1, alarms=alarms), near)
    assert (verdict.rolled_back, verdict.unconfirmed) == (back, False)


def test_it_never_goes_back_twice_in_a_row() -> None:
    siren, model = fallen_run()
    alarmed = sums_of(0.1, 0.1, 0.1, 0.1, alarms=CLIENTS)
    outcomes = []
    for _ in range(6):
        verdict = siren.judge(model, alarmed, near)
        outcomes.append((verdict.rolled_back, verdict.unconfirmed))
        model = START if outcomes[-1][0] else TARGET if len(outcomes) % 2 else START
    assert not any(one[0] and other[0] for one, other in pairwise(outcomes))
    assert sum(back for back, _ in outcomes) >= 2
    assert all(back or asked for back, asked in outcomes)


def test_the_first_round_has_nothing_to_go_back_to() -> None:
    verdict = siren_of().judge(START, sums_of(0.1, 0.1, 0.1, 0.1, alarms=CLIENTS), near)
    assert (verdict.rolled_back, verdict.unconfirmed) == (False, True)


def test_a_restarted_server_goes_on_where_it_was() -> None:
    rounds = [
        (TARGET, sums_of(0.1, -1, 0.1, 0.1)),
        (START, sums_of(0.1, -1, 0.1, 0.1, alarms=CLIENTS)),
        (START, sums_of(0.1, -1, 0.1, 0.1, alarms=CLIENTS)),
        (START, sums_of(0.1, 0.1, 0.1, None, alarms=CLIENTS)),
    ]
    lasting, restarted = siren_of(award=0.25), siren_of(award=0.25)
    for model, sums in rounds:
        restarted = CellSiren.restore(restarted.snapshot())
        one, other = lasting.judge(model, sums, near), restarted.judge(model, sums, near)
        np.testing.assert_array_equal(one.model, other.model)
        assert (one.kept, one.rejected, one.penalties) == (other.kept, other.rejected, other.penalties)
        assert (one.rolled_back, one.unconfirmed) == (other.rolled_back, other.unconfirmed)
        assert lasting.snapshot() == restarted.snapshot()
    assert one.penalties[1] == 1.75


def test_a_damaged_snapshot_is_refused() -> None:
    siren = siren_of()
    siren.judge(START, sums_of(1, 1, 1, 1), near)
    whole = siren.snapshot()
    for cut in range(len(whole)):
        with pytest.raises((DecodeError, ParameterError)):
            CellSiren.restore(whole[:cut])
    with pytest.raises(DecodeError):
        CellSiren.restore(whole + b"\0")
    with pytest.raises(DecodeError, match="no snapshot of a CellSiren"):
        CellSiren.restore(whole.replace(b"siren", b"bell "))


def test_a_failed_evaluation_leaves_everything_as_it_was() -> None:
    siren, _ = fallen_run()
    before = siren.snapshot()
    for evaluate in (lambda model: np.nan, lambda model: 1 / 0, None):
        with pytest.raises(ParameterError, match="evaluat"):
            siren.judge(START, sums_of(1, -1, 1, 1, alarms=CLIENTS), evaluate)
    assert siren.snapshot() == before


def test_the_model_that_is_kept_for_a_step_back_is_a_copy() -> None:
    siren, model = siren_of(), TARGET.copy()
    siren.judge(model, sums_of(0, 0, 0, 0), near)
    model[:] = np.nan
    np.testing.assert_array_equal(siren.judge(START, sums_of(0, 0, 0, 0, alarms=CLIENTS), near).model, TARGET)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"cells": 0}, "cells=0 is no number"),
        ({"clients": 3}, "3 clients do not fill 4 cells"),
        ({"rounds": 0}, "rounds=0 is no number"),
        ({"rounds": 2.5}, "rounds=2.5 is no number"),
        ({"tolerance": 1}, "is no share"),
        ({"award": -0.5}, "award=-0.5 is outside 0 .. 1"),
        ({"award": np.nan}, "award=nan is outside"),
        ({"quorum": 21}, "quorum=21 is outside 0 .. 20"),
        ({"quorum": 0}, "without any alarm"),
    ],
)
def test_settings_outside_their_range_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        siren_of(**changed)


def test_rounds_of_another_run_are_refused() -> None:
    siren, evaluate = siren_of(), near
    siren.judge(START, sums_of(1, 1, 1, 1), evaluate)
    wide = CellSums(np.zeros((1, 5)), (0,), {}, {}, ())
    with pytest.raises(ParameterError, match="model has 5 entries, and that of the round before had 4"):
        siren.judge(np.zeros(5), wide, lambda model: 0.5)
    with pytest.raises(ParameterError, match=r"model has shape \(5,\)"):
        siren.judge(np.zeros(5), sums_of(1, 1, 1, 1), near)
    with pytest.raises(ParameterError, match=r"name cell 4, and there are cells 0 .. 3; .* make a new CellSiren"):
        siren.judge(START, sums_of(1, 1, 1, 1, 1), near)


def test_evaluations_are_as_few_as_promised() -> None:
    asked: list[int] = []

    def counting(model: NDArray[np.float64]) -> float:
        asked.append(1)
        return near(model)

    evaluate: Evaluate = counting
    siren = siren_of()
    siren.judge(START, sums_of(1, 1, 1, 1), evaluate)
    assert len(asked) == CELLS + 1
    siren.judge(START, sums_of(1, 1, 1, 1, alarms=CLIENTS), evaluate)
    assert len(asked) == 2 * CELLS + 3
