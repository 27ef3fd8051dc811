"""Quantization: error bounds, bias, clipping, every dtype, and everything that is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.encoding import quantization
from secagg.encoding.quantization import (
    QuantizationReport,
    Quantizer,
    RoundingNoise,
    check_array,
    decode_entries,
    limit_weight,
)
from secagg.errors import InternalError, ParameterError
from secagg.parameters.vectors import FixedPoint, Integers, Rounding, VectorSpec
from secagg.testing.randomness import DeterministicRandomSource

DETERMINISTIC = settings(derandomize=True, deadline=None)

FLOAT_DTYPES = [np.float16, np.float32, np.float64]
INTEGER_DTYPES = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def decoded_entries(spec: VectorSpec, sums: NDArray[np.uint64], contributors: int, total_weight: int) -> NDArray[Any]:
    values = np.empty(len(sums), dtype=np.int64 if isinstance(spec, Integers) else np.float64)
    decode_entries(spec, sums, contributors, total_weight, values)
    return values


def quantized(spec: VectorSpec, array: NDArray[Any], weight: int = 1, seed: int = 0) -> tuple[NDArray[np.uint64], int]:
    values = check_array("w", spec, array)
    noise = RoundingNoise(DeterministicRandomSource(seed), len(values))
    out = np.empty(len(values), dtype=np.uint64)
    clipped, nan = Quantizer(len(values), noise).encode(spec, values, 0, weight, out)
    assert not nan or isinstance(spec, FixedPoint)
    return out, clipped + nan


def fixed_point(length: int, bits: int = 8, clip: float = 1.0, rounding: Rounding = "nearest") -> FixedPoint:
    return FixedPoint(length, clip=clip, bits=bits, rounding=rounding)


def test_the_levels_of_two_bits() -> None:
    array = np.array([-9, -1, -0.51, -0.49, 0.0, 0.49, 0.51, 1, 9])
    levels, clipped = quantized(fixed_point(9, bits=2), array)
    assert levels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert clipped == 2


@DETERMINISTIC
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    st.integers(2, 32),
    st.sampled_from([1.0, 0.1, 3.7, 2.0**-512, 2.0**512]),
    st.sampled_from(["nearest", "stochastic"]),
)
@example([1.0, -1.0, 0.0], 32, 0.1, "stochastic")
def test_the_error_of_one_client(values: list[float], bits: int, clip: float, rounding: Rounding) -> None:
    """Half a step for nearest rounding, one step for stochastic, plus the rounding of float64."""
    spec = fixed_point(len(values), bits, clip, rounding)
    array = np.array(values) * clip
    levels, clipped = quantized(spec, array)
    step = Fraction(clip) / spec.top
    bound = (Fraction(1, 2) if rounding == "nearest" else 1) * step + Fraction(clip) / 2**50
    assert clipped == 0
    for level, value in zip(levels.tolist(), array.tolist(), strict=True):
        assert 0 <= level <= spec.largest
        assert abs((level - spec.top) * step - Fraction(value)) <= bound


@pytest.mark.parametrize("bits", range(2, 33))
@pytest.mark.parametrize("clip", [1.0, 0.1, 0.3, 1e-9, 7e8])
def test_the_bounds_are_the_first_and_the_last_level(bits: int, clip: float) -> None:
    """Whatever the noise and however the scale was rounded: no level beyond the last, so no carry."""
    for rounding in ("nearest", "stochastic"):
        spec = fixed_point(1000, bits, clip, rounding)
        assert set(quantized(spec, np.full(1000, clip))[0].tolist()) == {spec.largest}
        assert set(quantized(spec, np.full(1000, -clip))[0].tolist()) == {0}
        assert set(quantized(spec, np.full(1000, clip * 50))[0].tolist()) == {spec.largest}
        below = quantized(spec, np.full(1000, np.nextafter(clip, 0)))[0]
        assert int(below.max()) <= spec.largest


class ExtremeNoise(RoundingNoise):
    """The lowest or the largest number that noise can be, for every entry."""

    def __init__(self, word: int) -> None:
        super().__init__(DeterministicRandomSource(0), 1)
        self._word = word

    def draw(self, words: NDArray[np.uint64]) -> NDArray[np.uint32]:
        return np.full(2 * len(words), self._word, dtype=np.uint32)


def some_levels(draw: Callable[[st.SearchStrategy[int]], int], spec: FixedPoint, count: int = 5) -> list[int]:
    inside = [draw(st.integers(-spec.top, spec.top)) for _ in range(count)]
    return [0, spec.top, -spec.top, 1, -1, *inside]


def numbers_of(spec: FixedPoint, levels: list[int]) -> NDArray[np.float64]:
    """What levels stand for, as Specification §4.2 rounds it."""
    return np.array(levels) / spec.top * spec.clip


CLIPS = st.one_of(st.sampled_from([1.0, 0.1, 32767.0, 2.0**-512, 2.0**512]), st.floats(2.0**-512, 2.0**512))


@DETERMINISTIC
@given(st.integers(2, 32), CLIPS, st.sampled_from([0, 2**32 - 1, None]), st.data())
@example(32, 2.0**512, 0, None)
@example(32, 0.1, 2**32 - 1, None)
def test_a_level_stays_that_level_whatever_the_noise(
    bits: int, clip: float, word: int | None, data: st.DataObject | None
) -> None:
    """The numbers of Specification §4.2, and the float64 nearest to k * clip / top, which may be another."""
    spec = fixed_point(1, bits, clip, "nearest" if word is None else "stochastic")
    levels = some_levels(data.draw if data is not None else lambda strategy: spec.top // 3, spec)
    nearest = np.array([float(level * Fraction(clip) / spec.top) for level in levels])
    for values in (numbers_of(spec, levels), nearest):
        out = np.empty(len(levels), dtype=np.uint64)
        Quantizer(len(levels), None if word is None else ExtremeNoise(word)).encode(spec, values, 0, 1, out)
        assert [int(entry) - spec.top for entry in out] == levels


@DETERMINISTIC
@given(st.integers(2, 32), CLIPS, st.integers(0, 2**32 - 1), st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_stochastic_rounding_adds_whole_numbers(bits: int, clip: float, word: int, parts: list[float]) -> None:
    """The scaled number to F places, F bits of noise, and the floor, whatever clip and noise are."""
    spec = fixed_point(len(parts), bits, clip, "stochastic")
    values = np.array(parts) * clip
    out = np.empty(len(parts), dtype=np.uint64)
    Quantizer(len(parts), ExtremeNoise(word)).encode(spec, values, 0, None, out)
    unit = 2 ** min(32, 50 - bits)
    noise = word >> 32 - min(32, 50 - bits)
    for value, entry in zip(values.tolist(), out.tolist(), strict=True):
        scaled = value * (spec.top / clip)
        places = round(Fraction(scaled) * unit)  # ties to even, and top is whole
        assert entry == (places + spec.top * unit + noise) // unit


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("dtype", [*FLOAT_DTYPES, np.int16, np.uint64, ">f4", ">f8"])
@pytest.mark.parametrize(("fields", "width"), [(1, 64), (2, 23), (3, 21), (7, 9), (12, 5)])
@pytest.mark.parametrize("unused", [0, 1])
def test_fields_of_a_word_hold_the_same_entries(
    dtype: Any, rounding: Rounding, fields: int, width: int, unused: int
) -> None:
    spec = fixed_point(9 * fields - unused * (fields > 1), 4, 3.0, rounding)
    reals = np.random.default_rng(fields).uniform(-4, 4, spec.size)
    array = np.abs(reals).astype(dtype) if np.dtype(dtype).kind == "u" else reals.astype(dtype)
    alone, words = np.empty(spec.size, dtype=np.uint64), np.empty(9, dtype=np.uint64)
    half = ExtremeNoise(2**31)
    moved = Quantizer(spec.size, half).encode(spec, array, 0, 1, alone)
    assert Quantizer(9 * fields, half).encode(spec, array, 0, 1, words, fields, width) == moved
    expected = [
        sum(int(e) << width * j for j, e in enumerate(alone[i : i + fields])) for i in range(0, len(alone), fields)
    ]
    assert words.tolist() == expected
    weighed = np.empty(9, dtype=np.uint64)
    Quantizer(9 * fields, half).encode(spec, array, 0, 2, weighed, fields, width)
    assert weighed.tolist() == [2 * word for word in expected]


@pytest.mark.parametrize("clip", [0.1, 0.3, 1.0, 2.0**-512, 2.0**512])
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_what_is_beyond_is_the_last_level_whatever_precision_holds_of_the_bound(dtype: type, clip: float) -> None:
    """float32(0.3) is below 0.3, and float32(0.1) above 0.1: neither may become another level by noise."""
    for word in (0, 2**32 - 1):
        spec = fixed_point(2, 16, clip, "stochastic")
        out = np.empty(2, dtype=np.uint64)
        array: NDArray[Any] = np.array([np.inf, -np.inf], dtype=dtype)
        assert Quantizer(2, ExtremeNoise(word)).encode(spec, array, 0, 1, out) == (
            0 if overflows(dtype, clip) else 2,
            0,
        )
        assert out.tolist() == [spec.largest, 0]


def overflows(dtype: type, clip: float) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        return bool(np.isinf(np.array(clip).astype(dtype)))


def test_numbers_beside_zero_are_zero_even_where_numpy_raises() -> None:
    """How small an input is must not show in what its owner does."""
    spec = fixed_point(4, 8, 2.0**512, "stochastic")
    with np.errstate(all="raise"):
        out, clipped = quantized(spec, np.array([0.0, -0.0, 5e-324, -5e-324]))
    assert (out.tolist()[:3], clipped) == ([spec.top] * 3, 0)


@pytest.mark.parametrize("value", [-0.999, -0.37, 0.0, 0.001, 0.25, 0.9])
@pytest.mark.parametrize("bits", [2, 4, 16, 32])
def test_stochastic_rounding_is_unbiased(value: float, bits: int) -> None:
    count = 40_000
    levels, _ = quantized(fixed_point(count, bits, rounding="stochastic"), np.full(count, value))
    exact = (value + 1) * (2 ** (bits - 1) - 1)
    fraction = exact % 1
    deviation = np.sqrt(fraction * (1 - fraction) / count)
    assert set((levels - np.uint64(int(exact))).tolist()) <= {0, 1}
    assert abs(float((levels - np.uint64(int(exact))).mean()) - fraction) <= 5 * deviation + 1e-6


def test_nearest_rounding_is_biased_where_stochastic_is_not() -> None:
    array = np.full(10_000, 0.2)
    assert float(quantized(fixed_point(10_000, bits=2), array)[0].mean()) == 1.0
    assert abs(float(quantized(fixed_point(10_000, bits=2, rounding="stochastic"), array)[0].mean()) - 1.2) < 0.03


def test_noise_comes_from_the_source_and_is_fresh_in_every_slice() -> None:
    spec, array = fixed_point(2000, bits=2, rounding="stochastic"), np.full(2000, 0.5)
    first, second = quantized(spec, array, seed=1)[0], quantized(spec, array, seed=2)[0]
    assert np.array_equal(first, quantized(spec, array, seed=1)[0])
    assert 850 < int((first != second).sum()) < 1150
    noise = RoundingNoise(DeterministicRandomSource(1), 101)
    slices = np.empty((200, 101))
    for row in slices:
        noise.fill(row)
    assert len(np.unique(slices)) == slices.size
    assert float(slices.min()) >= 0
    assert float(slices.max()) < 1
    assert abs(float(slices.mean()) - 0.5) < 0.01
    correlations = np.corrcoef(slices[:-1].reshape(-1), slices[1:].reshape(-1))
    assert abs(float(correlations[0, 1])) < 5 / np.sqrt(slices.size)


def test_noise_draws_32_bytes_once_and_wipes_them() -> None:
    drawn: list[SecretBytes] = []

    class Source:
        def secret(self, length: int) -> SecretBytes:
            drawn.append(SecretBytes(bytes(range(length))))
            return drawn[-1]

    noise = RoundingNoise(Source(), 10)
    noise.fill(np.empty(10))
    noise.fill(np.empty(10))
    assert [repr(secret) for secret in drawn] == ["SecretBytes(32 bytes, wiped)"]


def test_stochastic_rounding_without_noise_is_a_defect() -> None:
    spec = fixed_point(1, rounding="stochastic")
    with pytest.raises(InternalError, match="without noise"):
        Quantizer(1, None).encode(spec, np.zeros(1), 0, 1, np.empty(1, dtype=np.uint64))


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_float_dtypes_are_quantized_by_their_values(dtype: type) -> None:
    array: NDArray[Any] = np.array([-1, -0.625, 0.0, 0.3125, 1]).astype(dtype)
    assert quantized(fixed_point(5), array)[0].tolist() == [0, 48, 127, 167, 254]


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_integer_dtypes_are_quantized_by_their_values(dtype: type) -> None:
    levels, clipped = quantized(fixed_point(4, clip=100.0), np.array([10, 50, 100, 120]).astype(dtype))
    assert (levels.tolist(), clipped) == ([140, 191, 254, 254], 1)


def test_extreme_integers_are_clipped_at_the_right_end() -> None:
    assert quantized(fixed_point(2), np.array([-(2**63), 2**63 - 1]))[0].tolist() == [0, 254]
    assert quantized(fixed_point(1), np.array([2**64 - 1], dtype=np.uint64))[0].tolist() == [254]


@pytest.mark.parametrize("spec", [fixed_point(3, clip=4.0), Integers(0, 9, 3)])
def test_the_other_byte_order_is_read_by_value(spec: VectorSpec) -> None:
    array: NDArray[Any] = np.array([1, 2, 3], dtype=np.int32)
    swapped = array.astype(array.dtype.newbyteorder())
    assert np.array_equal(quantized(spec, swapped)[0], quantized(spec, array)[0])


@pytest.mark.parametrize("dtype", [np.bool_, np.complex64, np.complex128, np.object_, "U3", "M8[s]", "m8[s]", "V8"])
@pytest.mark.parametrize("spec", [fixed_point(3), Integers(0, 9, 3)])
def test_other_dtypes_are_refused(spec: VectorSpec, dtype: Any) -> None:
    with pytest.raises(ParameterError, match=r"vector 'w' has dtype .*((round it and )?convert|.*array.imag)"):
        check_array("w", spec, np.zeros(3, dtype=dtype))


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_long_double_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"has dtype float128|has dtype float96"):
        check_array("w", fixed_point(3), np.zeros(3, dtype=np.longdouble))


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_integers_refuse_floats_even_when_they_are_whole(dtype: type) -> None:
    with pytest.raises(ParameterError, match=r"Integers takes integer dtypes; .* astype\(numpy.int64\)"):
        check_array("n", Integers(0, 9, 3), np.ones(3, dtype=dtype))


@pytest.mark.parametrize("value", [[1.0, 2.0, 3.0], 1.0, None, "abc", b"abc"])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"is a \w+, not a NumPy array; wrap it in numpy.asarray"):
        check_array("w", fixed_point(3), value)


def test_masked_arrays_are_refused() -> None:
    array = np.ma.MaskedArray(np.zeros(3), mask=[True, False, False])
    with pytest.raises(ParameterError, match="masked array; fill it"):
        check_array("w", fixed_point(3), array)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (7,), (6,), (3, 2), (1, 2, 3), (2, 3, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    spec = FixedPoint(shape=(2, 3), clip=1.0, bits=8)
    with pytest.raises(ParameterError, match=r"has shape \(.*\), and its specification says \(2, 3\)"):
        check_array("w", spec, np.zeros(shape))


def test_entries_are_taken_row_by_row_from_any_memory_order() -> None:
    spec = Integers(0, 99, shape=(3, 4))
    array = np.arange(12).reshape(3, 4)
    wide = np.zeros((6, 8), dtype=np.int64)
    wide[::2, ::2] = array
    for other in (array, np.asfortranarray(array), wide[::2, ::2], array[::-1][::-1], array.T.copy().T):
        assert quantized(spec, other)[0].tolist() == list(range(12))
    read_only = array.copy()
    read_only.flags.writeable = False
    assert quantized(spec, read_only)[0].tolist() == list(range(12))


def test_a_contiguous_array_is_viewed_and_not_changed() -> None:
    spec, array = fixed_point(4), np.array([-5.0, 0.0, 0.5, 5.0])
    assert np.shares_memory(check_array("w", spec, array), array)
    quantized(spec, array, weight=3)
    assert array.tolist() == [-5.0, 0.0, 0.5, 5.0]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_nan_becomes_0_and_infinity_the_nearer_bound_and_both_are_counted(dtype: type) -> None:
    array: NDArray[Any] = np.array([[0.5, np.nan, np.inf], [-np.inf, np.nan, -0.5]], dtype=dtype)
    spec = FixedPoint(shape=(2, 3), clip=1.0, bits=8, rounding="nearest")
    values, out = check_array("w", spec, array), np.empty(6, dtype=np.uint64)
    assert Quantizer(6, None).encode(spec, values, 0, 1, out) == (2, 2)
    plain = np.array([[0.5, 0.0, 1.0], [-1.0, 0.0, -0.5]])
    assert out.tolist() == quantized(spec, plain)[0].tolist()


class Recorder:
    """NumPy, and what was taken from it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.taken.append(name)
        return getattr(np, name)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_the_steps_are_the_same_whatever_the_values_and_the_weight(
    monkeypatch: pytest.MonkeyPatch, rounding: Rounding
) -> None:
    """The server chooses clip, and would read off the time whether anything is beyond it."""
    seen = set()
    quantized(fixed_point(2, rounding=rounding), np.zeros(2))  # what follows from the specification is remembered
    for values in ([0.5, -0.5], [0.5, 7.0], [np.inf, -np.inf], [np.nan, np.nan], [0.0, 0.0]):
        for weight in (0, 1, 7):
            monkeypatch.setattr(quantization, "np", recorder := Recorder())
            quantized(fixed_point(2, rounding=rounding), np.array(values), weight)
            seen.add(tuple(recorder.taken))
    (steps,) = seen
    assert {"clip", "not_equal", "equal", "bitwise_and"} <= set(steps)
    seen.clear()
    for whole in ([1, 2], [1, 90], [-90, 90]):
        monkeypatch.setattr(quantization, "np", recorder := Recorder())
        quantized(Integers(0, 9, 2), np.array(whole))
        seen.add(tuple(recorder.taken))
    assert len(seen) == 1


def test_signalling_nans_become_0_without_a_warning() -> None:
    array = np.array([0, 0x7F800001], dtype=np.uint32).view(np.float32)
    levels, changed = quantized(fixed_point(2), array)
    assert (levels[0], changed) == (levels[1], 1)


def test_clipping_is_counted() -> None:
    array = np.array([-1.5, -1.0, 0.0, 1.0, 1.0000001, 2.0])
    levels, clipped = quantized(fixed_point(6), array)
    assert (levels.tolist(), clipped) == ([0, 0, 127, 254, 254, 254], 3)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("clip", [0.1, 0.3, 1e-9, 1e9, 2.0**-512, 2.0**512])
def test_an_array_clipped_by_its_owner_is_not_clipped_again(dtype: type, clip: float) -> None:
    """float32(0.1) is above 0.1: rounding of the bound itself is not a loss."""
    with np.errstate(over="ignore", under="ignore"):
        bound: NDArray[Any] = np.array(clip).astype(dtype)
    array: NDArray[Any] = np.clip(np.array([-10, -0.05, 0.0, 0.05, 10], dtype=dtype), -bound, bound)
    if np.isfinite(bound):
        assert quantized(fixed_point(5, clip=clip), array)[1] == 0
    beyond = np.nextafter(bound, dtype(np.inf))
    if np.isfinite(beyond):
        assert quantized(fixed_point(1, clip=clip), np.full(1, beyond))[1] == 1


def test_the_report() -> None:
    report = QuantizationReport("w", entries=200, clipped=50, nan=10)
    assert report.fraction == 0.3


@DETERMINISTIC
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.data())
def test_integers_are_exact(left: int, right: int, data: st.DataObject) -> None:
    low, high = min(left, right), max(left, right)
    if low == high:
        return
    values = [*data.draw(st.lists(st.integers(low, high), max_size=5)), low, high]
    spec = Integers(low, high, len(values))
    assert quantized(spec, np.array(values, dtype=np.int64))[0].tolist() == [value - low for value in values]


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_integers_of_every_dtype(dtype: type) -> None:
    array: NDArray[Any] = np.array([3, 0, 7, 127], dtype=dtype)
    assert quantized(Integers(-5, 127, 4), array)[0].tolist() == [8, 5, 12, 132]
    for low, high, levels, clipped in (
        (1, 100, [2, 0, 6, 99], 2),
        (1000, 2000, [0, 0, 0, 0], 4),
        (-9, -1, [8, 8, 8, 8], 4),
    ):
        found, changed = quantized(Integers(low, high, 4), array)
        assert (found.tolist(), changed) == (levels, clipped)


@pytest.mark.parametrize(
    ("low", "high"), [(-(2**63), 2**63 - 1), (-5, 5), (-5, -1), (0, 2**63 - 1), (2**62, 2**63 - 1), (-(2**63), -1)]
)
def test_unsigned_values_do_not_wrap_into_the_range(low: int, high: int) -> None:
    bad = [value for value in (2**63, 2**64 - 1, 2**64 - 5, 2**64 - 2**63, 2**63 + 2**62) if value > high]
    array = np.array(bad, dtype=np.uint64)
    levels, clipped = quantized(Integers(low, high, len(bad)), array)
    assert (levels.tolist(), clipped) == ([high - low] * len(bad), len(bad))


def test_weights_multiply_the_levels() -> None:
    spec = FixedPoint(3, clip=1.0, bits=32, rounding="nearest", aggregate="mean")
    levels, _ = quantized(spec, np.array([-1.0, 0.5, 1.0]), weight=2**32)
    assert levels.tolist() == [0, 3221225471 * 2**32, (2**32 - 2) * 2**32]


@pytest.mark.parametrize(
    ("weight", "sent"),
    [(1, 1), (7, 7), (100, 100), (np.int32(5), 5), (np.uint64(9), 9), (0, 0), (-3, 0), (101, 100), (2**70, 100)],
)
def test_weights_are_limited(weight: int, sent: int) -> None:
    limited = limit_weight(weight, 100)
    assert (limited, type(limited)) == (sent, int)


def test_a_session_without_weights_has_none() -> None:
    assert limit_weight(None, 1) == 1


@pytest.mark.parametrize(
    ("weight", "max_weight", "message"),
    [
        (None, 100, r"this session has weights, 0 \.\. 100, and none was given; pass weight="),
        (2, 1, "weight=2, and this session has no weights; set max_weight"),
        (1, 1, "weight=1, and this session has no weights; set max_weight"),
        (0, 1, "weight=0, and this session has no weights; set max_weight"),
        (1.0, 100, "weight=1.0 is no whole number"),
        ("3", 100, "weight='3' is no whole number"),
        (True, 100, "weight=.*True.* is no whole number"),
        (np.True_, 100, "weight=.*True.* is no whole number"),
    ],
)
def test_weights_of_another_form_are_refused(weight: Any, max_weight: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        limit_weight(weight, max_weight)


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
def test_a_mean_over_no_weight_is_0(aggregate: Any) -> None:
    spec = FixedPoint(2, clip=1.0, bits=8, aggregate=aggregate)
    sums = np.zeros(2, dtype=np.uint64)
    assert decoded_entries(spec, sums, 3, 0).tolist() == ([0.0, 0.0] if aggregate == "mean" else [-3.0, -3.0])


@DETERMINISTIC
@given(
    st.integers(2, 32),
    st.integers(1, 2**32),
    st.integers(1, 2**20),
    st.sampled_from([1.0, 0.1, 2.0**-512, 2.0**512]),
    st.sampled_from(["sum", "mean"]),
    st.data(),
)
@example(32, 2**32, 1, 1.0, "sum", None)
@example(32, 2**32 + 1, 1, 1.0, "sum", None)
@example(2, 1, 1, 1.0, "mean", None)
def test_decoding_is_exact_up_to_float64(
    bits: int, contributors: int, weight: int, clip: float, aggregate: Any, data: st.DataObject | None
) -> None:
    """Nothing cancels: the relative error is that of two roundings, also where the true sum is nearly zero."""
    spec = FixedPoint(4, clip=clip, bits=bits, aggregate=aggregate)
    largest = spec.largest_sum(contributors, weight)
    if largest >= 2**64:
        weight, largest = 1, spec.largest_sum(contributors, 1)
    inside = data.draw(st.integers(0, largest)) if data is not None else 1
    sums = [0, largest, largest // 2, inside]
    total_weight = contributors * weight
    terms = total_weight if aggregate == "mean" else contributors
    values = decoded_entries(spec, np.array(sums, dtype=np.uint64), contributors, total_weight)
    assert values.dtype == np.float64
    for encoded_sum, value in zip(sums, values.tolist(), strict=True):
        exact = (encoded_sum - terms * spec.top) * Fraction(clip) / spec.top
        exact /= terms if aggregate == "mean" else 1
        assert abs(Fraction(value) - exact) <= abs(exact) / 2**51


@DETERMINISTIC
@given(st.integers(2, 32), CLIPS, st.integers(1, 2**31), st.data())
@example(32, 0.1, 2**31, None)
@example(16, 0.3, 2**47, None)
def test_the_mean_of_equal_levels_is_that_level(
    bits: int, clip: float, total_weight: int, data: st.DataObject | None
) -> None:
    """Also where neither the sum nor the divisor fits into float64."""
    spec = FixedPoint(1, clip=clip, bits=bits, aggregate="mean")
    levels = some_levels(data.draw if data is not None else lambda strategy: spec.top // 3, spec)
    sums = np.array([(level + spec.top) * total_weight for level in levels], dtype=np.uint64)
    values = decoded_entries(spec, sums, 1, total_weight)
    assert values.tolist() == numbers_of(spec, levels).tolist()
    assert not np.signbit(values[0])
    assert values[1:3].tolist() == [clip, -clip]


@pytest.mark.parametrize("total_weight", [2**22 - 1, 2**31 - 1, 3 * 2**29 + 7])
def test_equal_levels_come_back_where_float64_holds_neither_sum_nor_divisor(total_weight: int) -> None:
    """A quotient of the two, each rounded before, is off for every third to second level."""
    spec = FixedPoint(1000, clip=0.1, bits=32, aggregate="mean")
    levels = np.random.default_rng(0).integers(-spec.top, spec.top + 1, 1000).tolist()
    sums = np.array([(level + spec.top) * total_weight for level in levels], dtype=np.uint64)
    assert decoded_entries(spec, sums, 1, total_weight).tolist() == numbers_of(spec, levels).tolist()


@pytest.mark.parametrize("contributors", [1, 3, 2**20])
def test_sums_of_zeros_are_zero_and_sums_of_bounds_exact(contributors: int) -> None:
    spec = FixedPoint(3, clip=0.1, bits=16)
    sums = np.array([spec.top * contributors, spec.largest * contributors, 0], dtype=np.uint64)
    values = decoded_entries(spec, sums, contributors, contributors)
    assert values.tolist() == [0.0, contributors * 0.1, -contributors * 0.1]
    assert not np.signbit(values[0])


@DETERMINISTIC
@given(st.integers(-(2**40), 2**40), st.integers(1, 2**40), st.integers(1, 2**20), st.data())
def test_integer_sums_are_decoded_exactly(low: int, span: int, contributors: int, data: st.DataObject) -> None:
    spec = Integers(low, low + span, 3)
    inside = data.draw(st.integers(0, contributors * span))
    sums = [0, contributors * span, inside]
    values = decoded_entries(spec, np.array(sums, dtype=np.uint64), contributors, contributors)
    assert values.dtype == np.int64
    assert values.tolist() == [contributors * low + encoded_sum for encoded_sum in sums]


def test_integer_sums_reach_both_ends_of_int64() -> None:
    spec = Integers(-(2**63), 2**63 - 1, 2)
    sums = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert decoded_entries(spec, sums, 1, 1).tolist() == [-(2**63), 2**63 - 1]
