"""Norms: what an honest client does to its update, and what a server may conclude from a mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg import FixedPoint
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import decode_sum, encode_input
from secagg.errors import ParameterError
from secagg.robust import clip_norm
from secagg.robust.sanity import largest_norm, norm_of, proof_against
from secagg.testing.randomness import DeterministicRandomSource

REALS = st.floats(-1e300, 1e300, allow_nan=False)


def exact_norm(arrays: dict[str, Any]) -> float:
    largest = max((float(np.abs(array.astype(np.float64)).max(initial=0)) for array in arrays.values()), default=0.0)
    scale = largest or 1.0
    return scale * math.sqrt(math.fsum((float(x) / scale) ** 2 for array in arrays.values() for x in array.reshape(-1)))


@given(
    st.lists(REALS, max_size=8),
    st.lists(REALS, min_size=1, max_size=8),
    st.floats(2.0**-60, 2.0**60),
    st.sampled_from([np.float32, np.float64]),
)
@example([], [9.99999830261558e299], 2.0**-60, np.float64)
def test_the_norm_of_all_arrays_together_is_at_most_the_bound(
    first: list[float], second: list[float], bound: float, dtype: Any
) -> None:
    with np.errstate(over="ignore", under="ignore"):
        arrays = {"a": np.clip(np.array(first), -1e30, 1e30).astype(dtype), "b": np.array([second])}
    kept = {name: array.copy() for name, array in arrays.items()}
    clipped = clip_norm(arrays, bound)
    assert all(np.array_equal(arrays[name], kept[name]) for name in arrays)
    assert list(clipped) == ["a", "b"]
    assert [(a.dtype, a.shape) for a in clipped.values()] == [(a.dtype, a.shape) for a in arrays.values()]
    norm = exact_norm(arrays)
    after = exact_norm(clipped)
    assert after <= bound
    if norm <= bound * (1 - 1e-9):
        assert all(np.array_equal(clipped[name], arrays[name]) for name in arrays)
    elif norm < 1e300:
        assert after >= bound * (1 - 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [1.0001, 1.5, 30.0])
def test_a_little_too_long_is_too_long(dtype: Any, factor: float) -> None:
    """0.1 itself is longer in float32."""
    for array in (np.array([0.1 * factor], dtype=dtype), np.full((4, 25), 0.01 * factor, dtype=dtype)):
        clipped = clip_norm({"a": array}, 0.1)
        assert 0.1 * (1 - 1e-6) <= exact_norm(clipped) <= 0.1


def test_many_slices_and_any_order_in_memory() -> None:
    generator = np.random.default_rng(1)
    wide = generator.normal(size=(300, 400)).T
    arrays: dict[str, Any] = {
        "wide": wide,
        "counts": np.arange(5),
        "half": np.ones(3, dtype=np.float16),
        "none": np.zeros((0, 2)),
    }
    clipped = clip_norm(arrays, 2.0)
    assert exact_norm(clipped) == pytest.approx(2.0, rel=1e-9)
    assert {array.dtype for array in clipped.values()} == {np.dtype(np.float64)}
    assert clipped["none"].shape == (0, 2)
    ratio = 2.0 / exact_norm(arrays)
    assert np.allclose(clipped["wide"], wide * ratio, rtol=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_update_that_is_not_finite_becomes_zeros(bad: float, dtype: Any) -> None:
    arrays = {"a": np.full(2**15 + 3, 0.5, dtype=dtype), "b": np.array([[1.0, bad]], dtype=dtype)}
    clipped = clip_norm(arrays, 1.0)
    assert not any(array.any() for array in clipped.values())
    assert clipped["b"].shape == (1, 2)


def test_entries_whose_squares_overflow_have_a_norm() -> None:
    norm, finite = norm_of([np.full(4, 2.0**600)])
    assert (norm, finite) == (2.0**601, True)
    assert exact_norm(clip_norm({"a": np.full(4, 1e308)}, 1.0)) == pytest.approx(0.0)
    assert exact_norm(clip_norm({"a": np.full(4, 1e300)}, 1.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("bound", [0, -1.0, math.nan, math.inf, "1", None, True, 2.0**-101])
def test_a_bound_that_is_none_is_refused(bound: Any) -> None:
    with pytest.raises(ParameterError, match=r"bound=.* is no number from 2\^-100 to 2\^400"):
        clip_norm({"a": np.zeros(2)}, bound)


@pytest.mark.parametrize(
    "array", [[1.0], np.array([1j]), np.array(["a"]), np.array([True]), np.zeros(1, np.longdouble)]
)
def test_arrays_without_a_norm_are_refused(array: Any) -> None:
    with pytest.raises(ParameterError, match=r"'a' is .*, and norms are of real arrays"):
        clip_norm({"a": array}, 1.0)


@given(
    st.integers(1, 40),
    st.sampled_from([2, 3, 8, 16, 32]),
    st.sampled_from(["nearest", "stochastic"]),
    st.integers(2, 6),
    st.integers(0, 2**32),
)
def test_honest_clients_that_clip_are_never_found_guilty(
    length: int, bits: int, rounding: Any, clients: int, seed: int
) -> None:
    """However coarse the steps are and however they round: all clients alike, which is the worst."""
    generator = np.random.default_rng(seed)
    spec = FixedPoint(length, clip=1.0, bits=bits, rounding=rounding, aggregate="mean")
    other = FixedPoint(3, clip=0.5, bits=2, rounding=rounding, aggregate="mean")
    layout = Layout.build([("w", spec), ("v", other)], clients, 1)
    arrays = {"w": generator.normal(size=length) * 10, "v": generator.normal(size=3)}
    bound = 0.7
    clipped = clip_norm(arrays, bound)
    words = np.zeros(layout.words, dtype=np.uint64)
    for client in range(clients):
        words += encode_input(layout, clipped, randomness=DeterministicRandomSource(client)).words
    decoded = decode_sum(layout, words, clients)
    row = np.concatenate([decoded.vectors["w"], decoded.vectors["v"]])
    assert proof_against(decoded.impossible, clients, row, largest_norm([spec, other], bound)) is None


def test_what_a_sum_proves_is_one_sentence() -> None:
    row = np.array([3.0, 4.0])
    assert proof_against({}, 5, row, None) is None
    assert proof_against({}, 5, row, 5.0) is None
    norm = proof_against({}, 5, row, 4.999)
    assert norm == "the mean has a norm of 5, and honest clients reach 4.999 at most"
    fields = proof_against({"w": 3}, 5, row, 1.0)
    assert fields == "3 fields of 'w' hold more than the inputs of 5 honest clients add up to"


def test_the_largest_norm_is_the_bound_and_a_step_for_each_entry() -> None:
    spec = FixedPoint(100, clip=1.0, bits=2, aggregate="mean")
    assert largest_norm([spec], 2.0) == 12.0
