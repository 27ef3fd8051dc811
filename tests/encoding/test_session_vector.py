"""From arrays to the session vector to bytes to a sum: exact sums at every extreme, strict bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.encoding.layout import Layout
from secagg.encoding.packing import SLICE_WORDS
from secagg.encoding.session_vector import (
    EncodedInput,
    add_packed,
    decode_sum,
    encode_input,
    pack_in_place,
    pack_vector,
    reduce_to_ring,
)
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec
from secagg.testing.randomness import DeterministicRandomSource

DETERMINISTIC = settings(derandomize=True, deadline=None)

Words = NDArray[np.uint64]


class NoRandomness:
    def secret(self, length: int) -> SecretBytes:
        raise AssertionError(f"{length} bytes were drawn")


def encoded(layout: Layout, arrays: dict[str, NDArray[Any]], weight: int = 1, seed: int = 0) -> EncodedInput:
    given = weight if layout.max_weight > 1 or weight != 1 else None
    return encode_input(layout, arrays, given, randomness=DeterministicRandomSource(seed))


def random_words(layout: Layout, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 2**64, layout.words, dtype=np.uint64)


def mixed_layout(clients: int = 20, max_weight: int = 50) -> Layout:
    return Layout.build(
        [
            ("mean", FixedPoint(shape=(3, 5), clip=2.0, bits=12, aggregate="mean")),
            ("sum", FixedPoint(7, clip=0.5, bits=16, rounding="nearest")),
            ("counts", Integers(-3, 250, shape=(2, 2, 2))),
        ],
        clients,
        max_weight,
    )


def mixed_input(seed: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return {
        "mean": generator.uniform(-2, 2, (3, 5)).astype(np.float32),
        "sum": generator.uniform(-0.5, 0.5, 7),
        "counts": generator.integers(-3, 251, (2, 2, 2)),
    }


def test_the_fields_of_the_worked_example() -> None:
    layout = Layout.build([("n", Integers(10, 20, 5))], clients=2**22, max_weight=1)
    section = layout.sections[0]
    assert (section.width, section.fields_per_word) == (26, 2)
    words = encoded(layout, {"n": np.array([11, 12, 13, 14, 15])}).words
    assert words.tolist() == [1 + (2 << 26), 3 + (4 << 26), 5]


def test_the_packed_bytes_of_the_worked_example() -> None:
    layout = Layout.build([("n", Integers(0, 1, 3)), ("m", Integers(0, 15, 2))], clients=1, max_weight=1)
    arrays = {"n": np.array([1, 0, 1]), "m": np.array([2, 10])}
    packed = pack_vector(layout, encoded(layout, arrays).words)
    assert packed == bytes([0b101, 0, 0, 0, 0, 0, 0, 0, 0xA2, 0, 0, 0, 0, 0, 0, 0])


@DETERMINISTIC
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6), st.data())
def test_the_decoded_sum_is_the_sum(seeds: list[int], data: st.DataObject) -> None:
    layout = mixed_layout()
    accumulator = np.zeros(layout.words, dtype=np.uint64)
    inputs = [mixed_input(seed) for seed in seeds]
    weights = [data.draw(st.integers(1, 50)) for _ in seeds]
    for index, (arrays, weight) in enumerate(zip(inputs, weights, strict=True)):
        add_packed(layout, bytes(pack_vector(layout, encoded(layout, arrays, weight, index).words)), accumulator)
    result = decode_sum(layout, accumulator, len(seeds))
    mean = sum(w * a["mean"].astype(np.float64) for a, w in zip(inputs, weights, strict=True)) / sum(weights)
    total = sum(a["sum"] for a in inputs)
    assert list(result.vectors) == ["mean", "sum", "counts"]
    assert result.total_weight == sum(weights)
    assert float(np.abs(result.vectors["mean"] - mean).max()) <= 4.0 / 4094 + 1e-12
    assert float(np.abs(result.vectors["sum"] - total).max()) <= len(seeds) * 0.5 / 65534 + 1e-12
    assert np.array_equal(result.vectors["counts"], sum(a["counts"] for a in inputs))
    assert [(v.dtype.name, v.shape) for v in result.vectors.values()] == [
        ("float64", (3, 5)),
        ("float64", (7,)),
        ("int64", (2, 2, 2)),
    ]


def most_clients(spec: VectorSpec, width: int) -> int:
    largest: int = spec.largest
    return ((1 << width) - 1) // largest


@pytest.mark.parametrize("width", range(2, 65))
def test_sums_of_maxima_fill_their_fields_and_never_carry(width: int) -> None:
    """Pitfall 13, at the largest cohort of every width: n equal maxima beside n minima."""
    for bits in {2, min(width, 8), min(width, 16), min(width, 32)}:
        spec = FixedPoint(130, clip=1.0, bits=bits, rounding="nearest")
        clients = most_clients(spec, width)
        layout = Layout.build([("w", spec)], clients, max_weight=1)
        assert layout.sections[0].width == width
        for pattern in (np.ones(130), -np.ones(130), np.tile([1.0, -1.0], 65), np.tile([-1.0, 1.0], 65)):
            words = encoded(layout, {"w": pattern}).words * np.uint64(clients % 2**64)
            assert np.array_equal(decode_sum(layout, words, clients).vectors["w"], pattern * float(clients))


@pytest.mark.parametrize("width", range(2, 64))
def test_sums_of_extreme_integers_never_carry(width: int) -> None:
    spec = Integers(-1, 1, 67)
    clients = most_clients(spec, width)
    layout = Layout.build([("n", spec)], clients, max_weight=1)
    assert layout.sections[0].width == width
    for pattern in (np.ones(67, dtype=np.int64), np.where(np.arange(67) % 3 == 0, 1, -1)):
        words = encoded(layout, {"n": pattern}).words * np.uint64(clients)
        assert np.array_equal(decode_sum(layout, words, clients).vectors["n"], pattern * clients)


@pytest.mark.parametrize("clients", [1, 2, 3, 15, 16, 17, 255, 256, 257, 1023, 1024, 65535])
def test_weighted_sums_of_maxima_never_carry(clients: int) -> None:
    for max_weight in (2, 3, 1000, 2**16):
        spec = FixedPoint(9, clip=3.0, bits=16, aggregate="mean")
        layout = Layout.build([("w", spec)], clients, max_weight)
        pattern = np.tile([3.0, -3.0, 3.0], 3)
        words = encoded(layout, {"w": pattern}, max_weight).words * np.uint64(clients)
        result = decode_sum(layout, words, clients)
        assert result.total_weight == clients * max_weight
        assert np.array_equal(result.vectors["w"], pattern)


def test_a_mean_without_weights_divides_by_the_contributors() -> None:
    spec = FixedPoint(2, clip=1.0, bits=20, rounding="nearest", aggregate="mean")
    layout = Layout.build([("w", spec)], 10, max_weight=1)
    words = sum(encoded(layout, {"w": np.array([x, -1.0])}).words for x in (0.1, 0.2, 0.6))
    assert isinstance(words, np.ndarray)
    result = decode_sum(layout, words, 3)
    assert result.total_weight is None
    assert result.vectors["w"].tolist() == pytest.approx([0.3, -1.0], abs=1e-6)


def test_the_mean_is_weighted_and_the_other_vectors_are_not() -> None:
    layout = mixed_layout()
    arrays = {"mean": np.full((3, 5), 2.0), "sum": np.full(7, 0.5), "counts": np.full((2, 2, 2), 9)}
    other = {"mean": np.full((3, 5), -2.0), "sum": np.full(7, 0.5), "counts": np.full((2, 2, 2), 1)}
    words = encoded(layout, arrays, 30).words + encoded(layout, other, 10).words
    result = decode_sum(layout, words, 2)
    assert result.total_weight == 40
    assert result.vectors["mean"].reshape(-1).tolist() == pytest.approx([1.0] * 15, abs=1e-12)
    assert result.vectors["sum"].tolist() == [1.0] * 7
    assert result.vectors["counts"].reshape(-1).tolist() == [10] * 8


@pytest.mark.parametrize(("fields", "clients"), [(1, 2**55), (2, 2**23), (3, 2**12), (7, 2)])
def test_several_slices_are_encoded_and_decoded_in_order(fields: int, clients: int) -> None:
    spec = Integers(-100, 155, shape=(2 * SLICE_WORDS + 3,))
    layout = Layout.build([("n", spec)], clients, max_weight=1)
    assert layout.sections[0].fields_per_word == fields
    array = np.random.default_rng(fields).integers(-100, 156, spec.shape)
    words = encoded(layout, {"n": array}).words
    accumulator = np.zeros(layout.words, dtype=np.uint64)
    add_packed(layout, pack_vector(layout, words), accumulator)
    assert np.array_equal(accumulator, words)
    assert np.array_equal(decode_sum(layout, accumulator, 1).vectors["n"], array)


def test_stochastic_noise_differs_between_slices_and_vectors() -> None:
    length = SLICE_WORDS
    spec = FixedPoint(2 * length, clip=1.0, bits=2)
    layout = Layout.build([("a", spec), ("b", spec)], 1, 1)
    words = encoded(layout, dict.fromkeys("ab", np.full(2 * length, 0.5))).words
    result = {name: 2 * values - 1 for name, values in decode_sum(layout, words, 1).vectors.items()}
    parts = [result["a"][:length], result["a"][length:], result["b"][:length], result["b"][length:]]
    for first in range(4):
        for second in range(first):
            assert abs(float(np.mean(parts[first] * parts[second]))) < 5 / np.sqrt(length)


def test_randomness_is_drawn_only_for_stochastic_rounding() -> None:
    nearest = FixedPoint(2, clip=1.0, bits=8, rounding="nearest")
    layout = Layout.build([("w", nearest), ("n", Integers(0, 1, 1))], 5, 1)
    arrays = {"w": np.zeros(2), "n": np.zeros(1, dtype=np.int64)}
    assert encode_input(layout, arrays, randomness=NoRandomness()).weight == 1
    stochastic = Layout.build([("w", FixedPoint(2, clip=1.0, bits=8))], 5, 1)
    with pytest.raises(AssertionError, match="32 bytes were drawn"):
        encode_input(stochastic, {"w": np.zeros(2)}, randomness=NoRandomness())


def test_clipping_is_reported_for_each_vector() -> None:
    """Pitfall 14."""
    layout = mixed_layout()
    arrays = mixed_input(1)
    arrays["sum"][[1, 4]] = [0.6, -7.0]
    result = encoded(layout, arrays)
    assert [(r.name, r.entries, r.clipped) for r in result.reports] == [
        ("mean", 15, 0),
        ("sum", 7, 2),
        ("counts", 8, 0),
    ]
    assert result.reports[1].fraction == 2 / 7
    assert decode_sum(layout, result.words, 1).vectors["sum"][[1, 4]].tolist() == [0.5, -0.5]


def test_strict_mode_refuses_to_clip() -> None:
    """Pitfall 14."""
    layout = mixed_layout()
    arrays = mixed_input(1)
    source = DeterministicRandomSource(1)
    assert encode_input(layout, arrays, 1, randomness=source, strict=True).reports[0].clipped == 0
    changes: list[tuple[dict[str, NDArray[Any]], int, str]] = [
        ({"sum": np.array([0.6, 0, 0, 0, -7.0, 0, 0])}, 1, r"'sum': 2 of 7 entries lie beyond clip=0.5, and strict"),
        ({"sum": np.array([np.nan, 9, 0, 0, 0, 0, 0])}, 1, "'sum': 1 of 7 entries are NaN, and strict=True"),
        ({"counts": np.full((2, 2, 2), 251)}, 1, r"'counts': 8 of 8 entries lie beyond .* \.\. 250, and strict"),
        ({}, 51, r"weight=51 is outside 0 \.\. 50, the session's max_weight, and strict=True"),
        ({}, -1, r"weight=-1 is outside 0 \.\. 50"),
    ]
    for change, weight, message in changes:
        with pytest.raises(ParameterError, match=message):
            encode_input(layout, {**arrays, **change}, weight, randomness=source, strict=True)
        assert encode_input(layout, {**arrays, **change}, weight, randomness=source).clipped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, r"^the input lacks the vectors 'mean'; this session sums 'mean', 'sum', 'counts'$"),
        ({"men": np.zeros(3)}, r"the unknown arrays 'men'; this session sums"),
        (
            {"sum": None, "arr_0": np.zeros(7)},
            r"lacks the vectors 'sum' and has the unknown arrays 'arr_0'; .*name=array",
        ),
        ({"sum": np.zeros(7, dtype=complex)}, "complex128, and complex numbers are not clipped; sum array.real"),
        ({"counts": np.zeros((2, 2, 2), dtype=complex)}, "complex128, and complex numbers"),
        ({"counts": np.zeros((2, 2, 2), dtype=bool)}, r"Integers takes integer dtypes; convert with"),
        ({"\x00weight": np.zeros(1, dtype=np.int64)}, r"the unknown arrays '\\x00weight'"),
        ({"sum": np.zeros(8)}, r"vector 'sum' has shape \(8,\)"),
        ({"sum": np.zeros(7, dtype=bool)}, "vector 'sum' has dtype bool"),
        ({"sum": [0.0] * 7}, "vector 'sum' is a list"),
        ({"counts": np.zeros((2, 2, 2))}, "vector 'counts' has dtype float64"),
    ],
)
def test_bad_inputs_are_refused_and_named(change: dict[str, Any], message: str) -> None:
    """Pitfall 15."""
    arrays = {name: array for name, array in {**mixed_input(1), **change}.items() if array is not None}
    before = {name: np.array(array) for name, array in arrays.items()}
    with pytest.raises(ParameterError, match=message):
        encoded(mixed_layout(), arrays)
    assert all(np.array_equal(np.array(arrays[name]), before[name], equal_nan=name == "sum") for name in arrays)


def test_the_input_is_a_mapping() -> None:
    with pytest.raises(ParameterError, match="maps vector names to arrays; it is a ndarray"):
        encoded(mixed_layout(), np.zeros(3))  # type: ignore[arg-type]


def test_weights_are_limited_and_reported() -> None:
    for weight, sent in ((51, 50), (50, 50), (0, 0), (-1, 0)):
        found = encoded(mixed_layout(), mixed_input(1), weight)
        assert (found.weight, found.weight_clipped, found.clipped) == (sent, weight != sent, weight != sent)
        assert found.words[-1] == sent
    with pytest.raises(ParameterError, match="none was given"):
        encode_input(mixed_layout(), mixed_input(1), randomness=DeterministicRandomSource(1))
    with pytest.raises(ParameterError, match="weight=2, and this session has no weights"):
        encoded(mixed_layout(max_weight=1), mixed_input(1), 2)


def test_the_repr_shows_no_values() -> None:
    result = encoded(mixed_layout(), mixed_input(1))
    assert "words" not in repr(result)
    assert "vectors" not in repr(decode_sum(mixed_layout(), result.words, 1))


@DETERMINISTIC
@given(st.integers(0, 10**6), st.integers(1, 50))
def test_packing_keeps_the_ring_and_drops_the_rest(seed: int, max_weight: int) -> None:
    layout = mixed_layout(max_weight=max_weight)
    words = random_words(layout, seed)
    packed = pack_vector(layout, words)
    assert len(packed) == layout.packed_bytes
    accumulator = random_words(layout, seed + 1)
    expected = random_words(layout, seed + 1)
    reduced = words.copy()
    reduce_to_ring(layout, reduced)
    expected += reduced
    add_packed(layout, memoryview(packed), accumulator)
    assert np.array_equal(accumulator, expected)
    for section in layout.sections:
        part = words[section.word_slice] & np.uint64(2**section.ring_bits - 1)
        assert np.array_equal(reduced[section.word_slice], part)
    assert pack_vector(layout, reduced) == packed


@pytest.mark.parametrize("words", [1, 9, 1000, 2**15 + 9])
@pytest.mark.parametrize("width", [2, 7, 8, 16, 17, 19, 21, 23, 32, 52, 57, 59, 62, 63])
def test_words_are_packed_over_themselves(width: int, words: int) -> None:
    """Of the same bits as elsewhere, whichever way a width is packed, and behind another section."""
    high = 2 ** (width - 1) - 1
    specs = {name: Integers(0, high, words * (64 // width)) for name in ("a", "b")}
    layout = Layout.build(specs.items(), 2, 1)
    assert (layout.words, layout.sections[0].width) == (2 * words, width)
    given = random_words(layout, width)
    expected, octets = pack_vector(layout, given), given.view(np.uint8)
    packed = pack_in_place(layout, given)
    assert packed == expected
    assert np.shares_memory(np.frombuffer(packed, dtype=np.uint8), octets)


def test_only_words_in_one_piece_are_packed_over_themselves() -> None:
    layout = mixed_layout()
    with pytest.raises(ParameterError, match="in one piece"):
        pack_in_place(layout, np.zeros(2 * layout.words, dtype=np.uint64)[::2])
    read_only = random_words(layout, 1)
    read_only.flags.writeable = False
    with pytest.raises(ParameterError, match="read-only"):
        pack_in_place(layout, read_only)
    with pytest.raises(ParameterError, match="this layout needs uint64"):
        pack_in_place(layout, np.zeros(layout.words + 1, dtype=np.uint64))


def test_decoding_ignores_bits_above_the_rings() -> None:
    layout = mixed_layout()
    words = encoded(layout, mixed_input(3), 5).words
    noisy = words.copy()
    for section in layout.sections:
        noisy[section.word_slice] |= np.uint64(2**64 - 2**section.ring_bits)
    assert not np.array_equal(noisy, words)
    kept = noisy.copy()
    expected, result = decode_sum(layout, words, 1), decode_sum(layout, noisy, 1)
    assert result.total_weight == expected.total_weight == 5
    assert all(np.array_equal(result.vectors[name], expected.vectors[name]) for name in expected.vectors)
    assert result.impossible == expected.impossible == {}
    assert np.array_equal(noisy, kept)


@pytest.mark.parametrize("length", [1, 5, 2**15 + 5])
def test_impossible_fields_are_counted_up_to_the_last_entry(length: int) -> None:
    """At the bound nothing is found, one above it everything: in the first slice, the last one, and beyond the end."""
    spec = FixedPoint(length, clip=1.0, bits=6, rounding="nearest")
    layout = Layout.build([("w", spec)], 5, 1)
    section = layout.sections[0]
    assert (section.width, section.fields_per_word) == (9, 7)
    bound = 3 * spec.largest
    words = encoded(layout, {"w": np.ones(length)}).words * np.uint64(3)
    assert decode_sum(layout, words, 3).impossible == {}
    assert decode_sum(layout, words, 2).impossible == {"w": length}
    for entry in {0, length // 2, length - 1}:
        one_more = words.copy()
        one_more[entry // 7] += np.uint64(1 << (9 * (entry % 7)))
        assert decode_sum(layout, one_more, 3).impossible == {"w": 1}
        one_more[entry // 7] += np.uint64((2**9 - 1 - bound - 1) << (9 * (entry % 7)))
        assert decode_sum(layout, one_more, 3).impossible == {"w": 1}
    unused = words.copy()
    unused[-1] |= np.uint64(1 << (9 * 6))
    assert decode_sum(layout, unused, 3).impossible == {"w": 1}
    assert np.array_equal(decode_sum(layout, unused, 3).vectors["w"], np.full(length, 3.0))


def test_the_bound_of_a_mean_is_that_of_the_weights_that_are_there() -> None:
    layout = mixed_layout()
    arrays = {"mean": np.full((3, 5), 2.0), "sum": np.full(7, 0.5), "counts": np.full((2, 2, 2), 250)}
    words = encoded(layout, arrays, 25).words
    assert decode_sum(layout, words, 1).impossible == {}
    assert decode_sum(layout, words + words, 1).impossible == {"sum": 7, "counts": 8}
    words[-1] -= np.uint64(1)
    assert decode_sum(layout, words, 1).impossible == {"mean": 15}
    words[-1] = np.uint64(0)
    assert decode_sum(layout, words, 1).impossible == {"mean": 15}
    assert decode_sum(layout, encoded(layout, arrays, 0).words, 1).impossible == {}


@pytest.mark.parametrize("change", [-1, 1])
def test_payloads_of_another_length_are_refused(change: int) -> None:
    layout = mixed_layout()
    accumulator = random_words(layout)
    payload = bytes(layout.packed_bytes + change)
    with pytest.raises(DecodeError, match=rf"{len(payload)} bytes, where this session's are exactly"):
        add_packed(layout, payload, accumulator)
    with pytest.raises(DecodeError, match="a masked vector of 0 bytes"):
        add_packed(layout, b"", accumulator)
    assert np.array_equal(accumulator, random_words(layout))


def test_every_pad_bit_is_checked_before_anything_is_added() -> None:
    layout = mixed_layout()
    accumulator = random_words(layout)
    payload = pack_vector(layout, random_words(layout, 9))
    pad_bits = 0
    for section in layout.sections:
        for bit in range(section.words * section.ring_bits, section.packed_bytes * 8):
            changed = bytearray(payload)
            changed[section.byte_offset + bit // 8] ^= 1 << (bit % 8)
            with pytest.raises(DecodeError, match="pad bits after"):
                add_packed(layout, changed, accumulator)
            pad_bits += 1
    assert pad_bits == 8 * layout.packed_bytes - sum(s.words * s.ring_bits for s in layout.sections) > 3
    assert np.array_equal(accumulator, random_words(layout))


@pytest.mark.parametrize("total", [151, 255])
def test_an_impossible_total_weight_is_refused(total: int) -> None:
    layout = mixed_layout()
    words = np.zeros(layout.words, dtype=np.uint64)
    words[-1] = total
    with pytest.raises(DecodeError, match=rf"weights of 3 contributors add up to {total}, above 150"):
        decode_sum(layout, words, 3)


@pytest.mark.parametrize("total", [0, 1, 3, 150])
def test_possible_total_weights_are_accepted(total: int) -> None:
    layout = mixed_layout()
    words = np.zeros(layout.words, dtype=np.uint64)
    words[-1] = total
    assert decode_sum(layout, words, 3).total_weight == total


@DETERMINISTIC
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_any_sum_decodes_to_finite_numbers(seed: int, contributors: int) -> None:
    """A client that cheats can spoil the sum, but not crash the server or make it divide by zero."""
    layout = mixed_layout()
    words = random_words(layout, seed)
    words[-1] = contributors
    result = decode_sum(layout, words, contributors)
    assert all(np.isfinite(vector).all() for vector in result.vectors.values())


@pytest.mark.parametrize("contributors", [0, -1, 21])
def test_contributors_are_within_the_cohort(contributors: int) -> None:
    layout = mixed_layout()
    with pytest.raises(ParameterError, match=rf"{contributors} contributors are outside 1 \.\. 20"):
        decode_sum(layout, np.zeros(layout.words, dtype=np.uint64), contributors)


def test_other_session_vectors_are_refused() -> None:
    layout = mixed_layout()
    good = np.zeros(layout.words, dtype=np.uint64)
    read_only = good.copy()
    read_only.flags.writeable = False
    payload = pack_vector(layout, good)
    for bad in (good[:-1], good.view(np.int64), good.astype(np.float64), good.reshape(1, -1)):
        for use in (
            lambda words: pack_vector(layout, words),
            lambda words: reduce_to_ring(layout, words),
            lambda words: add_packed(layout, payload, words),
            lambda words: decode_sum(layout, words, 1),
        ):
            with pytest.raises(ParameterError, match="this layout needs uint64 and"):
                use(bad)
    with pytest.raises(ParameterError, match="is read-only"):
        add_packed(layout, payload, read_only)
    with pytest.raises(ParameterError, match="is read-only"):
        reduce_to_ring(layout, read_only)
    assert pack_vector(layout, read_only) == payload
