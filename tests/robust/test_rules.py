"""Rules over rows: what each is, what it bears, and where its numbers end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import ParameterError
from secagg.robust import (
    RuleResult,
    geometric_median,
    krum,
    mean,
    median,
    multi_krum,
    norm_clipped_mean,
    rules,
    trimmed_mean,
)

Rows = NDArray[np.float64]
K: Final = 11
B: Final = 3
RULES: Final[dict[str, Callable[[Rows], RuleResult]]] = {
    "mean": mean,
    "median": median,
    "trimmed_mean": lambda rows: trimmed_mean(rows, B),
    "geometric_median": geometric_median,
    "krum": lambda rows: krum(rows, B),
    "multi_krum": lambda rows: multi_krum(rows, B),
    "norm_clipped_mean": norm_clipped_mean,
}
ROBUST: Final = sorted(set(RULES) - {"mean"})
SHIFTED: Final = sorted(set(RULES) - {"norm_clipped_mean"})


def made_up(seed: int, rows: int = K, entries: int = 40, scale: float = 1.0) -> Rows:
    return np.random.default_rng(seed).normal(size=(rows, entries)) * scale


def reference_of(name: str, rows: Rows) -> Rows:
    """Each rule as it is written in a paper: plain, slow, and for small arrays."""
    if name == "median":
        return np.asarray(np.median(rows, axis=0))
    if name == "trimmed_mean":
        return np.asarray(np.sort(rows, axis=0)[B : len(rows) - B].mean(axis=0))
    if name == "norm_clipped_mean":
        norms = np.linalg.norm(rows, axis=1)
        return np.asarray((rows * np.minimum(1, np.median(norms) / norms)[:, None]).mean(axis=0))
    if name == "geometric_median":
        point = rows.mean(axis=0)
        before = np.full(len(point), np.inf)
        while np.abs(point - before).max() > 1e-12:
            weights = 1 / np.maximum(np.linalg.norm(rows - point, axis=1), 1e-9)
            before, point = point, weights @ rows / weights.sum()
        return np.asarray(point)
    if name in ("krum", "multi_krum"):
        squares = [((rows - row) ** 2).sum(axis=1) for row in rows]
        near = [np.sort(np.delete(squares[row], row))[: len(rows) - B - 2].sum() for row in range(len(rows))]
        best = np.argsort(near)[: 1 if name == "krum" else len(rows) - B]
        return np.asarray(rows[best].mean(axis=0))
    return np.asarray(rows.mean(axis=0))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_a_rule_is_what_its_paper_says(name: str, seed: int) -> None:
    rows = made_up(seed)
    rows[:2] *= 5
    np.testing.assert_allclose(RULES[name](rows).vector, reference_of(name, rows), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("count", [9, 10, 40])
def test_more_entries_than_a_slice_are_the_same_rule_slice_by_slice(name: str, count: int) -> None:
    # 2^15 columns and some more: every loop over slices has a last one that is short.
    rows = made_up(count, count, 2**15 + 37)
    vector = RULES[name](rows).vector
    np.testing.assert_allclose(vector, reference_of(name, rows), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    rows, order = made_up(1), np.random.default_rng(9).permutation(K)
    one, other = RULES[name](rows), RULES[name](rows[order])
    np.testing.assert_allclose(other.vector, one.vector, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(other.kept, one.kept[order])
    np.testing.assert_allclose(other.scores, one.scores[order], rtol=1e-9)


@pytest.mark.parametrize("name", SHIFTED)
def test_what_all_rows_have_in_common_is_only_added(name: str) -> None:
    rows, common = made_up(2), made_up(3, rows=1)[0] * 100
    np.testing.assert_allclose(RULES[name](rows + common).vector, RULES[name](rows).vector + common, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_a_change_of_unit_changes_nothing_else(name: str) -> None:
    rows = made_up(4)
    for unit in (1e-30, 1e30):
        np.testing.assert_allclose(RULES[name](rows * unit).vector / unit, RULES[name](rows).vector, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_equal_rows_are_the_result(name: str) -> None:
    row = made_up(5, rows=1)[0]
    result = RULES[name](np.tile(row, (K, 1)))
    np.testing.assert_allclose(result.vector, row, rtol=1e-14)


@pytest.mark.parametrize("name", ROBUST)
@given(data=st.data())
def test_liars_move_the_result_by_a_bound(name: str, data: st.DataObject) -> None:
    rows = made_up(data.draw(st.integers(0, 99)))
    clean = rows[B:].copy()
    size = data.draw(st.sampled_from([1e-3, 1.0, 10.0, 1e6, 1e40, 1e100]))
    for liar in range(B):
        kind = data.draw(st.sampled_from(["random", "opposite", "same"]))
        honest = clean.mean(axis=0)
        rows[liar] = {"random": made_up(liar, rows=1)[0] * size, "opposite": -honest * size, "same": rows[0]}[kind]
    moved = np.linalg.norm(RULES[name](rows).vector - clean.mean(axis=0))
    assert moved <= 4 * np.linalg.norm(clean - clean.mean(axis=0), axis=1).max()


def test_a_liar_moves_the_mean_at_will() -> None:
    rows = made_up(6)
    rows[0] = 1e9
    assert np.linalg.norm(mean(rows).vector) > 1e8


@pytest.mark.parametrize("first", [0.0, 1e30])
def test_krum_tells_near_rows_apart_whatever_they_have_in_common(first: float) -> None:
    rows = 1e9 + made_up(7, scale=1e-3)
    rows[0] += first
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    exact = np.sort(squares, axis=1)[:, 1 : K - B - 1].sum(axis=1)
    np.testing.assert_allclose(krum(rows, B).scores, exact, rtol=1e-9)


def test_the_geometric_median_of_a_majority_of_equal_rows_is_theirs() -> None:
    rows = np.tile(made_up(8, rows=1), (K, 1))
    rows[:B] = made_up(9, rows=B) * 1e6
    np.testing.assert_array_equal(geometric_median(rows).vector, rows[-1])


def test_scores_say_what_a_row_was_judged_by() -> None:
    rows = made_up(10)
    rows[4] *= 1e3
    for name in RULES:
        scores = RULES[name](rows).scores
        assert scores.shape == (K,)
        assert int(scores.argmax()) == 4
    for rule in (mean, median, geometric_median):
        result = rule(rows)
        np.testing.assert_allclose(result.scores, np.linalg.norm(rows - result.vector, axis=1), rtol=1e-9)
        assert result.kept.all()


def test_krum_keeps_one_row_and_multi_krum_all_but_b() -> None:
    rows = made_up(11)
    rows[2] += 100
    one, many = krum(rows, B), multi_krum(rows, B)
    assert (one.kept.sum(), many.kept.sum()) == (1, K - B)
    assert not one.kept[2]
    assert not many.kept[2]
    np.testing.assert_array_equal(one.vector, rows[one.kept][0])
    one.vector[:] = 0
    assert rows.all()


def test_a_given_bound_shortens_and_a_wide_one_does_not() -> None:
    rows = made_up(12)
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(norm_clipped_mean(rows, 1e9).vector, rows.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(
        norm_clipped_mean(rows, 0.5).vector, (rows / norms[:, None] / 2).mean(axis=0), atol=1e-12
    )


@pytest.mark.parametrize(
    ("rule", "rows", "b", "most"),
    [(krum, 9, 4, 3), (multi_krum, 9, 4, 3), (krum, 10, 4, 3), (trimmed_mean, 10, 5, 4), (trimmed_mean, 9, 5, 4)],
)
def test_more_liars_than_a_rule_bears_are_refused(
    rule: Callable[[Rows, int], RuleResult], rows: int, b: int, most: int
) -> None:
    assert np.isfinite(rule(made_up(1, rows), most).vector).all()
    with pytest.raises(ParameterError, match=rf"of {rows} rows bears b={most} at most, not b={b}; make .* root_check"):
        rule(made_up(1, rows), b)


def test_krum_of_two_rows_needs_more() -> None:
    with pytest.raises(ParameterError, match="krum of 2 rows bears more rows"):
        krum(made_up(1, 2), 0)


@pytest.mark.parametrize("b", [-1, 1.0, True, None, "2"])
def test_b_is_a_whole_number(b: Any) -> None:
    for rule in (krum, multi_krum, trimmed_mean):
        with pytest.raises(ParameterError, match="give a whole number from 0"):
            rule(made_up(1), b)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**401, -(2.0**401)])
def test_what_is_not_finite_is_refused_and_its_row_is_named(name: str, bad: float) -> None:
    rows = made_up(1, entries=2**14 + 1)
    rows[5, -1] = bad
    with pytest.raises(ParameterError, match=r"row 5 has an entry that is not finite"):
        RULES[name](rows)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "rows", [np.zeros(4), np.zeros((0, 4)), np.zeros((4, 0)), np.zeros((4, 2), dtype=np.float32), [[1.0]], None]
)
def test_what_is_no_table_of_floats_is_refused(name: str, rows: Any) -> None:
    with pytest.raises(ParameterError, match=r"give (a )?float64 (array )?of shape \(cells, entries\)"):
        RULES[name](rows)


@pytest.mark.parametrize("bound", [0, -1.0, np.nan, np.inf, "1", True])
def test_a_bound_is_above_zero(bound: Any) -> None:
    with pytest.raises(ParameterError, match="is no norm"):
        norm_clipped_mean(made_up(1), bound)


def test_settings_of_the_geometric_median_are_checked() -> None:
    for iterations in (0, -1, 1.5, None):
        with pytest.raises(ParameterError, match="are no steps"):
            geometric_median(made_up(1), iterations)  # type: ignore[arg-type]
    for nu in (0, -1, 2, np.nan, "a"):
        with pytest.raises(ParameterError, match="is no share"):
            geometric_median(made_up(1), nu=nu)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_leaves_its_rows_as_they_were(name: str) -> None:
    rows = made_up(13)
    before = rows.copy()
    rows.setflags(write=False)
    RULES[name](rows)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("name", RULES)
def test_nothing_as_large_as_the_rows_is_copied(name: str) -> None:
    rows = made_up(14, 20, 2**18)
    tracemalloc.start()
    RULES[name](rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 8 * rows.shape[1] + 3 * 8 * rules.SLICE_ENTRIES < rows.nbytes / 2
