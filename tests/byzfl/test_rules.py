"""The same rows give the same vector, here and in ByzFL 0.0.11."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.robust import geometric_median, krum, mean, median, multi_krum, norm_clipped_mean, trimmed_mean

SHAPES: Final = [(5, 3), (9, 40), (10, 400), (23, 1000), (60, 200)]
CLOSE: Final = 1e-9


def rows_of(shape: tuple[int, int], liars: int) -> NDArray[np.float64]:
    rows = np.random.default_rng(shape).normal(size=shape)
    rows[:liars] *= 7
    return rows


@pytest.mark.parametrize("shape", SHAPES)
def test_rules_without_a_number(byzfl: Any, shape: tuple[int, int]) -> None:
    rows = rows_of(shape, shape[0] // 5)
    np.testing.assert_allclose(mean(rows).vector, byzfl.Average()(rows), atol=CLOSE)
    np.testing.assert_allclose(median(rows).vector, byzfl.Median()(rows), atol=CLOSE)
    theirs = byzfl.GeometricMedian(nu=1e-9, T=3000)(rows)
    np.testing.assert_allclose(geometric_median(rows).vector, theirs, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_rules_that_are_told_how_many_lie(byzfl: Any, shape: tuple[int, int]) -> None:
    most = (shape[0] - 3) // 2
    for b in {0, 1, most // 2, most}:
        rows = rows_of(shape, b)
        np.testing.assert_allclose(trimmed_mean(rows, b).vector, byzfl.TrMean(b)(rows), atol=CLOSE)
        # ByzFL sums the distances to one row more than K-b-2, the number of Blanchard et al.: it is told one liar more.
        if shape[0] - b - 2 > 1:  # else the two nearest rows have the same score
            np.testing.assert_allclose(krum(rows, b).vector, byzfl.Krum(b + 1)(rows), atol=CLOSE)
        if shape[1] >= 40:  # liars are far from all others, so that one row more or less picks the same
            np.testing.assert_allclose(multi_krum(rows, b).vector, byzfl.MultiKrum(b)(rows), atol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", [0.5, 5.0, 1e3])
def test_clipping_before_a_mean(byzfl: Any, shape: tuple[int, int], bound: float) -> None:
    rows = rows_of(shape, 1)
    theirs = byzfl.Average()(byzfl.Clipping(c=bound)(rows))
    np.testing.assert_allclose(norm_clipped_mean(rows, bound).vector, theirs, atol=CLOSE)
