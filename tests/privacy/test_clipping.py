"""From an update to integers of bounded norm: the bound itself, and that nothing gets past it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.privacy.choosing import grid_steps
from secagg.privacy.clipping import (
    MAX_ENTRY,
    SLICE_ENTRIES,
    SQUARED_SPREAD,
    Entries,
    Rounder,
    Verdict,
    check_limit,
    norm_bound,
    scaling_of,
)
from secagg.testing.randomness import DeterministicRandomSource

# Entries, m of one round, honest shares, and then: steps and bound at beta = e^-1/2 (the paper's own corollary).
ROWS = [
    (10**6, 0.83785875709 / math.sqrt(50), 75, 3586, 13113482),
    (650, 1.66603059785 / math.sqrt(15), 14, 141, 20198),
    (10**5, 0.21373627188 / math.sqrt(100), 850, 1169, 1392889),
]


@pytest.mark.parametrize(("entries", "m_round", "honest", "steps", "bound"), ROWS)
def test_the_theorem_at_its_own_beta(entries: int, m_round: float, honest: int, steps: int, bound: int) -> None:
    assert grid_steps(entries, 0.02, m_round, honest, 1.0) == steps
    assert norm_bound(steps, entries, Fraction(1)) == bound


@pytest.mark.parametrize(("entries", "steps"), [(1, 1), (7, 3), (650, 354), (10**6, 3799), (10**9, 2**22)])
def test_the_bound_of_one_rounding_in_a_million(entries: int, steps: int) -> None:
    spread = math.sqrt(2 * 20 * math.log(2))
    exact = steps**2 + entries / 4 + spread * (steps + math.sqrt(entries) / 2)
    assert exact - 1e-6 * exact**0.5 <= norm_bound(steps, entries) <= exact + 1 + 1e-6 * exact**0.5
    assert float(SQUARED_SPREAD) == pytest.approx(40 * math.log(2), rel=1e-15)
    assert Fraction(40 * math.log(2)) - SQUARED_SPREAD < Fraction(1, 10**14)


def rounded(
    arrays: list[NDArray[Any]], *, clip: float = 1.0, steps: int = 50, bound: int | None = None, seed: int = 1
) -> tuple[NDArray[np.int64], Verdict, int]:
    """Integers of an update as `release` makes them, without noise."""
    entries = Entries(arrays)
    most = norm_bound(steps, entries.size) if bound is None else bound
    scaling = scaling_of(entries, clip, steps)
    rounder = Rounder(most, DeterministicRandomSource(seed))
    out = np.empty(entries.size, dtype=np.int64)
    with np.errstate(all="ignore"):
        for start, reals in entries.slices():
            reals *= scaling.factor
            rounder.round(reals, math.isqrt(most), out[start : start + len(reals)])
    verdict = rounder.verdict(scaling.finite)
    verdict.settle(out, np.empty_like(out))
    return out, verdict, most


def squares(integers: NDArray[np.int64]) -> int:
    return sum(int(entry) ** 2 for entry in integers)


EXTREMES = [0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
REALS = st.one_of(st.sampled_from(EXTREMES), st.floats(width=64), st.floats(-2, 2))


@st.composite
def updates(draw: st.DrawFn) -> list[NDArray[Any]]:
    """Arrays of any dtype and memory order."""
    arrays = []
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(st.sampled_from([(3,), (1,), (2, 3), (0,), ()]))
        size = math.prod(shape)
        kind = draw(st.sampled_from(["f2", "f4", "f8", "i1", "u8", "i8", "?"]))
        with np.errstate(all="ignore"):
            if kind[0] == "f":
                values = np.array(draw(st.lists(REALS, min_size=size, max_size=size)), dtype="f8").astype(kind)
            else:
                values = np.array(draw(st.lists(st.integers(0, 127), min_size=size, max_size=size))).astype(kind)
        array = values.reshape(shape)
        match draw(st.integers(0, 2)):
            case 1:
                array = np.asfortranarray(array)
            case 2 if array.ndim:
                array = np.repeat(array, 2, axis=0)[::-2]
        arrays.append(array)
    return arrays


@given(updates(), st.sampled_from([2.0**-400, 1e-3, 1.0, 2.0**400]), st.sampled_from([1, 3, 50, 2**18]))
@settings(max_examples=150)
def test_no_input_gets_past_the_bound(arrays: list[NDArray[Any]], clip: float, steps: int) -> None:
    integers, verdict, bound = rounded(arrays, clip=clip, steps=steps)
    assert squares(integers) <= bound
    finite = all(bool(np.isfinite(array).all()) for array in arrays)
    assert bool(verdict.whole) is finite
    if not finite:
        assert not integers.any()


@given(updates(), st.sampled_from([1e-3, 1.0, 1e300]))
@settings(max_examples=100)
def test_integers_are_the_clipped_update_within_a_step(arrays: list[NDArray[Any]], clip: float) -> None:
    values = np.concatenate([np.ravel(array).astype(np.float64) for array in arrays] or [np.zeros(0)])
    if not np.isfinite(values).all() or not values.size:
        return
    integers, verdict, _ = rounded(arrays, clip=clip)
    largest = float(np.abs(values).max()) or 1.0
    norm = largest * float(np.linalg.norm(values / largest)) if math.isfinite(largest) else math.inf
    if not math.isfinite(norm):
        return
    expected = values / clip * 50 if norm <= clip else values / norm * 50
    assert np.abs(integers - expected).max() <= 1 + 1e-9
    assert verdict.whole


def test_the_norm_is_that_of_the_whole_update() -> None:
    arrays = [np.full(4, 0.5), np.full((3, 3), 1 / 3, dtype=np.float32)]
    scaling = scaling_of(Entries(arrays), 1.0, 100)
    assert scaling.norm == pytest.approx(math.sqrt(2), rel=1e-6)
    assert scaling.clipped
    assert scaling.factor == pytest.approx(100 / math.sqrt(2), rel=1e-6)


@pytest.mark.parametrize("size", [1e-120, 1e-60, 1.0, 1e160, 1e300, 1e308])
def test_norms_neither_overflow_nor_vanish(size: float) -> None:
    scaling = scaling_of(Entries([np.array([0.75, -1.0]) * size]), 2.0**-400, 10)
    assert scaling.norm == pytest.approx(size * 1.25, rel=1e-9)
    assert scaling.finite


def test_the_norm_of_an_update_at_the_end_of_the_floats_is_clipped() -> None:
    integers, verdict, _ = rounded([np.full(5, 1.7e308)])
    assert verdict == Verdict(1, 1)
    assert np.abs(integers - 50 / math.sqrt(5)).max() <= 1


def test_a_share_scales_what_was_clipped() -> None:
    entries = Entries([np.array([3.0, 4.0])])
    assert scaling_of(entries, 1.0, 100, 0.25).factor == pytest.approx(scaling_of(entries, 1.0, 100).factor / 4)


def test_rounding_is_unbiased_and_by_the_coins_given() -> None:
    ones = [np.full(40_000, 0.3)]
    integers, verdict, _ = rounded(ones, clip=60.0, steps=60)
    assert verdict == Verdict(1, 1)
    assert set(integers.tolist()) == {0, 1}
    assert abs(integers.mean() - 0.3) < 5 * math.sqrt(0.21 / 40_000)
    again, _, _ = rounded(ones, clip=60.0, steps=60)
    other, _, _ = rounded(ones, clip=60.0, steps=60, seed=2)
    assert np.array_equal(integers, again)
    assert not np.array_equal(integers, other)


def test_negative_entries_round_both_ways() -> None:
    integers, _, _ = rounded([np.full(4000, -2.5)], clip=200.0, steps=200)
    assert set(integers.tolist()) == {-3, -2}


def test_what_is_too_long_is_cut_off_and_what_is_still_too_long_is_zero() -> None:
    # 1000 entries of 1.5 steps: by coins the squares add up to about 2500, cut off to exactly 1000.
    update = [np.full(1000, 1.5)]
    norm = 1.5 * math.sqrt(1000)
    coins, by_coins, _ = rounded(update, clip=norm, steps=math.ceil(norm), bound=2600)
    cut, by_cutting, _ = rounded(update, clip=norm, steps=math.ceil(norm), bound=1100)
    zero, by_neither, _ = rounded(update, clip=norm, steps=math.ceil(norm), bound=999)
    assert by_coins == Verdict(1, 1)
    assert set(coins.tolist()) == {1, 2}
    assert by_cutting == Verdict(1, 0)
    assert set(cut.tolist()) == {1}
    assert by_neither == Verdict(0, 0)
    assert not zero.any()


def test_an_entry_beyond_the_limit_is_moved_and_coins_do_not_lift_it_over() -> None:
    rounder = Rounder(10**6, DeterministicRandomSource(3))
    out = np.empty(64, dtype=np.int64)
    rounder.round(np.linspace(-1e300, 1e300, 64), 7, out)
    verdict = rounder.verdict(finite=True)
    verdict.settle(out, np.empty_like(out))
    assert np.abs(out).max() <= 7


def test_squares_of_the_largest_entries_are_summed_exactly() -> None:
    # Odd squares, which float64 has beyond 2^53 only by halves: the sum must not lose the last.
    rounder = Rounder(2**62, DeterministicRandomSource(3))
    out = np.empty(SLICE_ENTRIES, dtype=np.int64)
    largest = float(MAX_ENTRY - 1)
    for _ in range(3):
        rounder.round(np.full(SLICE_ENTRIES, largest), MAX_ENTRY, out)
    exact = 3 * SLICE_ENTRIES * (MAX_ENTRY - 1) ** 2
    assert rounder.verdict(finite=True) == Verdict(1, 1)
    for bound, verdict in ((exact, Verdict(1, 1)), (exact - 1, Verdict(0, 0))):
        judged = Rounder(bound, DeterministicRandomSource(3))
        for _ in range(3):
            judged.round(np.full(SLICE_ENTRIES, largest), MAX_ENTRY, out)
        assert judged.verdict(finite=True) == verdict
    check_limit(MAX_ENTRY)
    with pytest.raises(ParameterError, match=r"above 2\^19.*raise overhead"):
        check_limit(MAX_ENTRY + 1)


def test_entries_are_read_in_slices_across_arrays() -> None:
    arrays: list[NDArray[Any]] = [
        np.arange(5),
        np.arange(SLICE_ENTRIES, dtype=np.float32),
        np.zeros(0),
        np.arange(6).reshape(2, 3).T,
    ]
    slices = [(start, reals.copy()) for start, reals in Entries(arrays).slices()]
    assert [start for start, _ in slices] == [0, SLICE_ENTRIES]
    flat = np.concatenate([np.ravel(array) for array in arrays])
    assert np.array_equal(np.concatenate([reals for _, reals in slices]), flat)
