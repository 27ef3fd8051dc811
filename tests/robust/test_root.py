"""Rules with the server's own data: what they keep, what they refuse, and what an application's function may do."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import ParameterError
from secagg.robust import Evaluate, fltrust, root_check

TARGET: Final = np.array([1.0, 1.0, 1.0, 1.0])
BASE: Final = np.zeros(4)


def near(model: NDArray[np.float64]) -> float:
    """An accuracy: 1 at the target, less with the distance from it; 0.5 where training begins."""
    return max(0.0, 1 - float(np.linalg.norm(model - TARGET)) / 4)


def rows_of(*scales: float) -> NDArray[np.float64]:
    return np.outer(scales, TARGET)


def test_bad_rows_are_left_out_and_the_rest_is_averaged() -> None:
    rows = rows_of(1, 0.9, -1, 0.95)
    result = root_check(BASE, rows, near)
    assert result.kept.tolist() == [True, True, False, True]
    np.testing.assert_allclose(result.scores, [1, 0.95, 0, 0.975])
    # The median norm of the kept is 1.9, and the longest is shortened to it.
    np.testing.assert_allclose(result.vector, rows_of((0.95 + 0.9 + 0.95) / 3)[0])


def test_one_clean_cell_is_enough() -> None:
    rows = rows_of(*[-1.0] * 9, 1)
    result = root_check(BASE, rows, near)
    assert result.kept.tolist() == [False] * 9 + [True]
    np.testing.assert_array_equal(result.vector, rows[-1])


def test_what_points_away_from_the_best_is_left_out_however_well_it_scores() -> None:
    rows = np.array([[0.5, 0.5, 0.5, 0.5], [0.1, -0.2, 0.0, 0.0]])
    for direction, kept in (
        (None, [True, False]),
        (np.array([0, -1.0, 0, 0]), [False, True]),
        (np.zeros(4), [True, False]),
    ):
        result = root_check(BASE, rows, near, tolerance=0.5, direction=direction)
        assert result.kept.tolist() == kept


def test_a_best_row_of_zeros_points_nowhere_and_nobody_is_left_out_for_it() -> None:
    rows = np.vstack([np.zeros(4), rows_of(0.05, -0.05)])
    assert root_check(TARGET, rows, near).kept.all()


def test_nothing_is_kept_when_the_best_is_much_worse_than_the_base() -> None:
    good, bad = rows_of(-0.19, -0.3), rows_of(-0.21, -0.3)
    assert root_check(TARGET, good, near, tolerance=0.1).kept.tolist() == [True, True]
    result = root_check(TARGET, bad, near, tolerance=0.1)
    assert not result.kept.any()
    assert not result.vector.any()
    np.testing.assert_allclose(result.scores, [0.895, 0.85])


def test_rows_that_are_not_allowed_are_not_looked_at() -> None:
    asked: list[NDArray[np.float64]] = []

    def counting(model: NDArray[np.float64]) -> float:
        asked.append(model)
        return near(model)

    result = root_check(BASE, rows_of(1, 0.9, 0.8), counting, allowed=np.array([False, True, True]))
    assert len(asked) == 3
    assert result.kept.tolist() == [False, True, True]
    assert np.isnan(result.scores[0])
    nobody = root_check(BASE, rows_of(1, 0.9), near, allowed=np.zeros(2, dtype=bool))
    assert not nobody.kept.any()
    assert not nobody.vector.any()


def test_evaluate_may_write_into_what_it_gets() -> None:
    def careless(model: NDArray[np.float64]) -> float:
        score = near(model)
        model[:] = np.nan
        return score

    base, rows = BASE.copy(), rows_of(1, 0.9)
    result = root_check(base, rows, careless)
    np.testing.assert_array_equal(result.kept, root_check(BASE, rows_of(1, 0.9), near).kept)
    assert not base.any()
    np.testing.assert_array_equal(rows, rows_of(1, 0.9))


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1, np.inf, None, "0.9", True, [0.5]])
def test_what_is_no_accuracy_is_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match="for the model itself; return an accuracy from 0 to 1"):
        root_check(BASE, rows_of(1), lambda model: value)
    answers = iter([0.5, 0.6, value])
    with pytest.raises(ParameterError, match="for the model with row 1; return"):
        root_check(BASE, rows_of(1, 1), lambda model: next(answers))


@pytest.mark.parametrize("value", [0, 1, np.float32(0.5), np.float64(0.5), 0.0])
def test_any_real_number_from_0_to_1_is_an_accuracy(value: Any) -> None:
    assert root_check(BASE, rows_of(1), lambda model: value).scores.tolist() == [float(value)]


@pytest.mark.parametrize("error", [ValueError("shape"), RuntimeError("cuda"), KeyError("layer"), ZeroDivisionError()])
def test_an_evaluation_that_fails_is_said_in_one_sentence(error: Exception) -> None:
    def failing(model: NDArray[np.float64]) -> float:
        raise error

    with pytest.raises(ParameterError, match=f"evaluate failed for the model itself .{type(error).__name__}") as seen:
        root_check(BASE, rows_of(1), failing)
    assert seen.value.__cause__ is error


@pytest.mark.parametrize("tolerance", [-0.1, 1, np.nan, None, "0.1", True])
def test_a_tolerance_is_a_share(tolerance: Any) -> None:
    with pytest.raises(ParameterError, match=r"is no share; give a number from 0 on and below 1"):
        root_check(BASE, rows_of(1), near, tolerance=tolerance)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"base": np.zeros(3)}, r"base has shape \(3,\); give shape \(4,\)"),
        ({"base": np.full(4, np.nan)}, "not finite"),
        ({"rows": np.full((2, 4), np.inf)}, "not finite"),
        ({"allowed": np.ones(3, dtype=bool)}, "one truth value for each of 2 rows"),
        ({"allowed": np.ones(2)}, "one truth value for each of 2 rows"),
        ({"direction": np.zeros((1, 4))}, "direction has shape"),
        ({"direction": [1.0] * 4}, "direction is of type list"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changed: dict[str, Any], sentence: str) -> None:
    evaluate: Evaluate = near
    given: dict[str, Any] = {"base": BASE, "rows": rows_of(1, 1), "evaluate": evaluate} | changed
    with pytest.raises(ParameterError, match=sentence):
        root_check(**given)


def test_trust_is_the_cosine_and_length_is_the_servers() -> None:
    update = np.array([2.0, 0.0])
    rows = np.array([[3.0, 4.0], [-1.0, 0.0], [0.0, 5.0], [1e30, 0.0], [0.0, 0.0]])
    result = fltrust(rows, update)
    np.testing.assert_allclose(result.scores, [0.6, -1, 0, 1, 0])
    assert result.kept.tolist() == [True, False, False, True, False]
    np.testing.assert_allclose(result.vector, (0.6 * np.array([1.2, 1.6]) + np.array([2.0, 0.0])) / 1.6)


def test_a_row_moves_the_result_by_the_servers_length_at_most() -> None:
    generator = np.random.default_rng(1)
    update = generator.normal(size=50)
    for _ in range(20):
        rows = generator.normal(size=(6, 50)) * generator.choice([1e-9, 1, 1e9], size=(6, 1))
        assert np.linalg.norm(fltrust(rows, update).vector) <= np.linalg.norm(update) * (1 + 1e-12)


@pytest.mark.parametrize("update", [np.zeros(4), -TARGET])
def test_without_anybody_to_trust_nothing_moves(update: NDArray[np.float64]) -> None:
    result = fltrust(rows_of(1, 2), update)
    assert not result.vector.any()
    assert not result.kept.any()


def test_an_update_of_another_length_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"root_update has shape \(3,\); give shape \(4,\)"):
        fltrust(rows_of(1), np.zeros(3))
