"""Vector specifications: what they accept, how wide their sums are, their canonical bytes."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.canonical import Reader, Writer
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.vectors import (
    FixedPoint,
    Integers,
    VectorSpec,
    check_vector_name,
    check_vectors,
    read_vector,
    write_vector,
)

DETERMINISTIC = settings(derandomize=True, deadline=None)

SHAPES = st.lists(st.integers(1, 100), min_size=1, max_size=4).map(tuple)
FIXED_POINTS = st.builds(
    FixedPoint,
    shape=SHAPES,
    clip=st.floats(2.0**-512, 2.0**512),
    bits=st.integers(2, 32),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    aggregate=st.sampled_from(["sum", "mean"]),
)
INT64 = st.integers(-(2**63), 2**63 - 1)
INTEGERS = st.tuples(INT64, INT64, SHAPES).filter(lambda t: t[0] < t[1]).map(lambda t: Integers(t[0], t[1], shape=t[2]))
SPECS = st.one_of(FIXED_POINTS, INTEGERS)
NAMES = st.from_regex(r"[A-Za-z0-9_.\-/]{1,64}", fullmatch=True)


def encoded(name: str, spec: VectorSpec) -> bytes:
    writer = Writer()
    write_vector(writer, name, spec)
    return writer.finish()


def decoded(data: bytes) -> tuple[str, VectorSpec]:
    reader = Reader(data)
    result = read_vector(reader)
    reader.finish()
    return result


def test_length_is_short_for_a_shape_of_one_dimension() -> None:
    assert FixedPoint(5, clip=1, bits=8) == FixedPoint(shape=(5,), clip=1.0, bits=8)
    assert Integers(0, 9, 5) == Integers(0, 9, shape=(5,))
    assert FixedPoint(length=5, clip=1.0, bits=8).shape == (5,)


def test_properties_of_fixed_point() -> None:
    spec = FixedPoint(shape=(3, 4), clip=0.5, bits=16)
    assert (spec.size, spec.top, spec.largest, spec.weighted) == (12, 32767, 65534, False)
    assert FixedPoint(shape=(3, 4), clip=0.5) == spec
    assert (spec.rounding, spec.aggregate) == ("stochastic", "sum")
    assert FixedPoint(1, clip=1.0, bits=2, aggregate="mean").weighted is True


def test_properties_of_integers() -> None:
    spec = Integers(-3, 7, shape=(2, 5))
    assert (spec.size, spec.largest, spec.weighted) == (10, 10, False)


@pytest.mark.parametrize("spec", [FixedPoint(5, clip=1.0, bits=8), Integers(0, 1, 2)])
def test_specifications_are_values(spec: VectorSpec) -> None:
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - made on this line
    assert copy.deepcopy(spec) == spec
    assert len({spec, copy.copy(spec)}) == 1
    assert dataclasses.replace(spec, shape=(9,)).shape == (9,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.shape = (1,)  # type: ignore[misc]


def test_numpy_scalars_are_taken_as_numbers() -> None:
    spec = FixedPoint(np.int64(5), clip=np.float32(0.5), bits=np.uint8(8))  # type: ignore[arg-type]
    assert spec == FixedPoint(5, clip=0.5, bits=8)
    assert [type(spec.shape[0]), type(spec.clip), type(spec.bits)] == [int, float, int]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of length=n and shape"),
        ({"length": 3, "shape": (3,)}, "exactly one of length=n and shape"),
        ({"length": 0}, "holds no entries"),
        ({"length": -1}, "holds no entries"),
        ({"length": True}, "truth value"),
        ({"length": 2.0}, "length=2.0 is a float and no whole number"),
        ({"shape": ()}, "0 dimensions"),
        ({"shape": (1,) * 33}, "33 dimensions"),
        ({"shape": (3, 0)}, "holds no entries"),
        ({"shape": 3}, "use length=n"),
        ({"shape": (3, "4")}, "is a str and no whole number"),
        ({"shape": (2**20, 2**20 + 1)}, r"2\^40 is the limit"),
        ({"length": 3, "clip": 0.0}, "clip=0.0"),
        ({"length": 3, "clip": -1.0}, "clip=-1.0"),
        ({"length": 3, "clip": math.nan}, "clip=nan"),
        ({"length": 3, "clip": math.inf}, "clip=inf"),
        ({"length": 3, "clip": 5e-324}, "clip=5e-324"),
        ({"length": 3, "clip": 10**400}, "clip=inf"),
        ({"length": 3, "clip": "1"}, "clip='1' is no real number; give"),
        ({"length": 3, "clip": True}, "clip=True is no real number; give"),
        ({"length": 3, "bits": 0}, "bits=0 is outside 2 .. 32"),
        ({"length": 3, "bits": 1}, r"bits=1 is outside 2 .. 32; .* entries of one bit are Integers\(0, 1\)"),
        ({"length": 3, "bits": 33}, "bits=33 is outside 2 .. 32"),
        ({"length": 3, "bits": 8.0}, "bits=8.0 is a float and no whole number"),
        ({"length": 3, "rounding": "up"}, "rounding='up' is unknown"),
        ({"length": 3, "rounding": []}, "rounding=\\[\\] is unknown"),
        ({"length": 3, "aggregate": "max"}, "aggregate='max' is unknown"),
    ],
)
def test_bad_fixed_points_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        FixedPoint(**{"clip": 1.0, "bits": 8, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 3), "low=0 is not below high=0"),
        ((5, 4, 3), "low=5 is not below high=4"),
        ((-(2**63) - 1, 0, 3), "low=-9223372036854775809 is outside"),
        ((0, 2**63, 3), "high=9223372036854775808 is outside"),
        ((0.0, 4, 3), "low=0.0 is a float and no whole number; give one"),
        ((0, True, 3), "high=True is a truth value"),
        ((0, 4), "exactly one of length=n and shape"),
        ((0, 4, 0), "holds no entries"),
    ],
)
def test_bad_integers_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Integers(*arguments)


def test_largest_sums_count_the_weight_only_for_means() -> None:
    assert FixedPoint(1, clip=1.0, bits=8).largest_sum(10, 100) == 2540
    assert FixedPoint(1, clip=1.0, bits=8, aggregate="mean").largest_sum(10, 100) == 254_000
    assert Integers(-5, 5, 1).largest_sum(10, 100) == 100


def test_the_published_width() -> None:
    """26 bits for 16-bit inputs and 2^10 clients (Bonawitz et al. 2017)."""
    assert FixedPoint(1, clip=1.0, bits=16).field_width(2**10, 1) == 26


@DETERMINISTIC
@given(SPECS, st.integers(1, 2**20), st.integers(1, 2**20))
def test_the_width_is_the_smallest_that_holds_the_largest_sum(spec: VectorSpec, clients: int, weight: int) -> None:
    largest = spec.largest_sum(clients, weight)
    try:
        width = spec.field_width(clients, weight)
    except ParameterError:
        below_int64 = isinstance(spec, FixedPoint) or (clients * spec.low >= -(2**63) and clients * spec.high < 2**63)
        assert largest >= 2**64 or not below_int64
    else:
        assert 2 ** (width - 1) <= largest < 2**width <= 2**64


def test_the_width_is_64_bits_at_most() -> None:
    mean = FixedPoint(1, clip=1.0, bits=32, aggregate="mean")
    assert mean.field_width(2**16, 2**16) == 64
    assert FixedPoint(1, clip=1.0, bits=32).field_width(2**32, 2**60) == 64
    with pytest.raises(ParameterError, match=r"32-bit entries over 65536 clients of weight up to 65538 .* 65 bits"):
        mean.field_width(2**16, 2**16 + 2)
    with pytest.raises(ParameterError, match=r"32-bit entries over 4294967299 clients needs .* 65 bits, .* lower bits"):
        FixedPoint(1, clip=1.0, bits=32).field_width(2**32 + 3, 1)


def test_sums_of_integers_stay_within_64_bits_signed() -> None:
    assert Integers(-(2**62), 2**62 - 1, 1).field_width(2, 1) == 64
    with pytest.raises(ParameterError, match=r"0 .. 9223372036854775807 over 2 clients can leave"):
        Integers(0, 2**63 - 1, 1).field_width(2, 1)
    with pytest.raises(ParameterError, match=r"-9223372036854775808 .. 0 over 2 clients can leave|needs fields of 65"):
        Integers(-(2**63), 0, 1).field_width(2, 1)
    with pytest.raises(ParameterError, match="can leave the 64-bit signed"):
        Integers(-(2**62) - 1, -(2**62) + 1, 1).field_width(2, 1)
    with pytest.raises(ParameterError, match="needs fields of 65 bits"):
        Integers(-(2**63), 2**63 - 1, 1).field_width(2, 1)


@pytest.mark.parametrize("spec", [FixedPoint(1, clip=1.0, bits=8), Integers(0, 1, 1)])
def test_counts_below_one_are_refused(spec: VectorSpec) -> None:
    with pytest.raises(ParameterError, match="clients=0 is below 1"):
        spec.field_width(0, 1)
    with pytest.raises(ParameterError, match="max_weight=0 is below 1"):
        spec.largest_sum(1, 0)
    with pytest.raises(ParameterError, match=r"clients=1\.5 is a float and no whole number"):
        spec.largest_sum(1.5, 1)  # type: ignore[arg-type]


@DETERMINISTIC
@given(NAMES, SPECS)
def test_canonical_bytes_round_trip(name: str, spec: VectorSpec) -> None:
    assert decoded(encoded(name, spec)) == (name, spec)


@DETERMINISTIC
@given(st.tuples(NAMES, SPECS), st.tuples(NAMES, SPECS))
def test_canonical_bytes_are_equal_only_for_equal_values(
    left: tuple[str, VectorSpec], right: tuple[str, VectorSpec]
) -> None:
    assert (encoded(*left) == encoded(*right)) == (left == right)


def test_canonical_bytes_are_as_specified() -> None:
    shape = "04 00000002 01 0000000000000003 01 0000000000000004"
    fixed_point = (
        "03 00000001 77 01 0000000000000001 "
        + shape
        + " 02 00000008 3fe0000000000000 01 0000000000000010 01 0000000000000001 01 0000000000000001"
    )
    integers = "03 00000001 77 01 0000000000000002 02 00000008 fffffffffffffffe 02 00000008 0000000000000005 " + shape
    spec = FixedPoint(shape=(3, 4), clip=0.5, bits=16, rounding="nearest", aggregate="mean")
    assert encoded("w", spec) == bytes.fromhex(fixed_point)
    assert encoded("w", Integers(-2, 5, shape=(3, 4))) == bytes.fromhex(integers)


@pytest.mark.parametrize(
    "spec", [FixedPoint(shape=(3, 4), clip=0.5, bits=16, rounding="nearest"), Integers(-2, 5, shape=(3, 4))]
)
def test_every_other_byte_string_is_refused_or_another_value(spec: VectorSpec) -> None:
    data = encoded("w", spec)
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            decoded(data[:length])
    for position in range(len(data)):
        for flip in (0x01, 0x40, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            try:
                name, other = decoded(bytes(changed))
            except DecodeError:
                continue
            assert encoded(name, other) == bytes(changed)
            assert (name, other) != ("w", spec)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3fe0000000000000", "7ff8000000000000", "clip=nan"),
        ("3fe0000000000000", "7ff0000000000000", "clip=inf"),
        ("3fe0000000000000", "8000000000000000", "clip=-0.0"),
        ("010000000000000010", "010000000000000000", "bits=0"),
        ("010000000000000010", "010000000000000001", "bits=1"),
        ("010000000000000010", "010000000000000021", "above its bound 32"),
        ("010000000000000003", "010000000000000000", "holds no entries"),
        ("0400000002", "0400000021", "above its bound 32"),
        ("030000000177", "030000000107", "vector name"),
        ("030000000177010000000000000001", "030000000177010000000000000003", "unknown kind 3"),
    ],
)
def test_invalid_specifications_are_decode_errors(old: str, new: str, message: str) -> None:
    data = encoded("w", FixedPoint(shape=(3, 4), clip=0.5, bits=16)).hex()
    assert data.count(old) == 1
    with pytest.raises(DecodeError, match=message):
        decoded(bytes.fromhex(data.replace(old, new)))


def test_invalid_integer_specifications_are_decode_errors() -> None:
    data = encoded("w", Integers(-2, 5, 3)).hex()
    with pytest.raises(DecodeError, match="low=-2 is not below high=-5"):
        decoded(bytes.fromhex(data.replace("0000000000000005", "fffffffffffffffb")))


@pytest.mark.parametrize(
    "name", ["a", "layer.0/weight_x-1", "Z" * 255, "0", "dense/kernel:0", "a b", "größe", "重" * 85, "\ufeffw"]
)
def test_good_names(name: str) -> None:
    assert check_vector_name(name) == name


@pytest.mark.parametrize("name", ["", "Z" * 256, "重" * 86, "a\n", "\x00weight", "\x7f", "\x9b1m", "\ud800"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=r"outside 1 \.\. 255; rename|half a surrogate pair; rename"):
        check_vector_name(name)
    with pytest.raises(ParameterError, match=r"outside 1 \.\. 255; rename|half a surrogate pair; rename"):
        encoded(name, Integers(0, 1, 1))


def test_names_are_text() -> None:
    with pytest.raises(ParameterError, match="a text, not bytes"):
        check_vector_name(b"w")  # type: ignore[arg-type]


def test_check_vectors() -> None:
    spec = Integers(0, 1, 1)
    assert check_vectors(iter([("b", spec), ("a", spec)])) == (("b", spec), ("a", spec))
    with pytest.raises(ParameterError, match="at least one vector"):
        check_vectors([])
    with pytest.raises(ParameterError, match="'a' is used twice"):
        check_vectors([("a", spec), ("b", spec), ("a", spec)])
    with pytest.raises(ParameterError, match=r"FixedPoint\(...\) or Integers\(...\), not int"):
        check_vectors([("a", 3)])  # type: ignore[list-item]
    with pytest.raises(ParameterError, match=r"FixedPoint\(...\) or Integers\(...\), not str"):
        encoded("a", "spec")  # type: ignore[arg-type]


@pytest.mark.parametrize(("most", "bits", "clip"), [(1, 2, 1), (2, 3, 3), (2000, 12, 2047), (2**31 - 1, 32, 2**31 - 1)])
def test_whole_numbers_travel_in_steps_of_one(most: int, bits: int, clip: int) -> None:
    spec = FixedPoint.whole_numbers(most, shape=(2, 3))
    assert spec == FixedPoint(shape=(2, 3), clip=clip, bits=bits, rounding="nearest", aggregate="mean")
    assert spec.clip / spec.top == 1
    assert FixedPoint.whole_numbers(most, 4, aggregate="sum").aggregate == "sum"


@pytest.mark.parametrize("most", [0, -1, 2**31, 1.5])
def test_whole_numbers_have_a_largest(most: int) -> None:
    with pytest.raises(ParameterError, match="most"):
        FixedPoint.whole_numbers(most, 1)
