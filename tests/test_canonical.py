"""Canonical bytes: known answers, injectivity, and a reader that accepts nothing else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.canonical import CanonicalValue, Reader, Writer, encode_fields
from secagg.crypto.labels import Label
from secagg.errors import DecodeError, ParameterError

MAX_U64 = 2**64 - 1

scalars: st.SearchStrategy[CanonicalValue] = st.one_of(
    st.integers(0, MAX_U64), st.binary(max_size=12), st.text(st.characters(codec="utf-8"), max_size=8)
)
values: st.SearchStrategy[CanonicalValue] = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4))


def as_bytes(value: CanonicalValue) -> bytes:
    return Writer().value(value).finish()


def read_like(reader: Reader, value: CanonicalValue) -> CanonicalValue:
    """Read a value of the shape of `value`."""
    if isinstance(value, int):
        return reader.integer()
    if isinstance(value, bytes):
        return reader.data()
    if isinstance(value, str):
        return reader.text()
    length = reader.sequence(len(value))
    return [read_like(reader, item) for item in value[:length]]


# Written out by hand: a tag (1 integer, 2 bytes, 3 text, 4 list), then eight bytes, or four of length.
KNOWN: list[tuple[CanonicalValue, str]] = [
    (0, "01" "0000000000000000"),
    (1, "01" "0000000000000001"),
    (0x0102030405060708, "01" "0102030405060708"),
    (MAX_U64, "01" "ffffffffffffffff"),
    (b"", "02" "00000000"),
    (b"\x00", "02" "00000001" "00"),
    (b"abc", "02" "00000003" "616263"),
    (bytes(300), "02" "0000012c" + "00" * 300),
    ("", "03" "00000000"),
    ("abc", "03" "00000003" "616263"),
    ("\u00e9\u20ac", "03" "00000005" "c3a9" "e282ac"),
    ([], "04" "00000000"),
    ([1, b"a", "a"], "04" "00000003" "010000000000000001" "020000000161" "030000000161"),
    ([[], [b""]], "04" "00000002" "0400000000" "0400000001" "0200000000"),
    ((2,), "04" "00000001" "010000000000000002"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), KNOWN)
def test_known_answers(value: CanonicalValue, expected: str) -> None:
    assert as_bytes(value).hex() == expected


def test_fields_stand_behind_their_label() -> None:
    assert encode_fields(b"label") == bytes.fromhex("02" "00000005") + b"label"  # fmt: skip
    assert encode_fields(b"L", 7, b"x", "y", [1]).hex() == (
        "0200000001" "4c" "010000000000000007" "020000000178" "030000000179" "0400000001" "010000000000000001"
    )  # fmt: skip
    assert encode_fields(Label.CHANNEL_KEY, 1) == encode_fields(b"secagg/v1 channel key", 1)


def test_the_writer_chains_and_joins() -> None:
    chained = Writer().integer(5).data(b"d").text("t").sequence(2).integer(1).integer(2).finish()
    assert chained == b"".join(as_bytes(value) for value in (5, b"d", "t", [1, 2]))
    assert Writer().finish() == b""


# Pitfall 26: concatenations that collide when fields carry no length, or no kind.
COLLIDING: list[tuple[Sequence[CanonicalValue], Sequence[CanonicalValue]]] = [
    (["1", "23"], ["12", "3"]),
    ([b"1", b"23"], [b"12", b"3"]),
    ([b"", b"ab"], [b"ab", b""]),
    ([b"ab"], [b"a", b"b"]),
    ([b"ab"], ["ab"]),
    ([0], [b"\x00" * 8]),
    ([97], [b"a"]),
    ([1, 2], [[1, 2]]),
    ([[1], 2], [[1, 2]]),
    ([[1, 2], 3], [1, [2, 3]]),
    ([[], 1], [1, []]),
    ([[[]]], [[], []]),
    ([""], [b""]),
    ([""], [[]]),
    ([], [[]]),
    ([b"a"], [b"a", b""]),
    ([b"\x02\x00\x00\x00\x01a"], [b"a"]),
    ([256], [1, 0]),
]


@pytest.mark.parametrize(("one", "other"), COLLIDING)
def test_values_that_look_alike_when_joined_do_not_collide(
    one: Sequence[CanonicalValue], other: Sequence[CanonicalValue]
) -> None:
    assert encode_fields(b"label", *one) != encode_fields(b"label", *other)


def test_a_label_does_not_run_into_its_fields() -> None:
    assert encode_fields(b"label", b"x") != encode_fields(b"labelx")
    assert encode_fields(b"a", b"b") != encode_fields(b"b", b"a")
    assert encode_fields(b"secagg/v1 channel key", 1) != encode_fields(b"secagg/v1 channel ke", b"y", 1)


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_different_values_have_different_bytes(one: list[CanonicalValue], other: list[CanonicalValue]) -> None:
    assert (encode_fields(b"", *one) == encode_fields(b"", *other)) == (one == other)


@given(st.binary(max_size=10), st.sets(st.integers(0, 10)), st.sets(st.integers(0, 10)))
def test_one_string_cut_in_two_ways_has_two_encodings(whole: bytes, one: set[int], other: set[int]) -> None:
    def cut(places: set[int]) -> list[bytes]:
        edges = [0, *sorted(places), len(whole)]
        return [whole[start:end] for start, end in pairwise(edges)]

    assert (encode_fields(b"", *cut(one)) == encode_fields(b"", *cut(other))) == (cut(one) == cut(other))


@given(st.lists(scalars, min_size=1, max_size=5), st.data())
def test_moving_a_boundary_changes_the_bytes(fields: list[CanonicalValue], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(fields) - 1))
    nested = [*fields[:at], list(fields[at:])]
    assert encode_fields(b"", *fields) != encode_fields(b"", *nested)


@given(st.lists(values, max_size=4))
def test_the_reader_gives_back_what_was_written(written: list[CanonicalValue]) -> None:
    reader = Reader(encode_fields(b"label", *written))
    assert reader.data() == b"label"
    assert [read_like(reader, value) for value in written] == written
    reader.finish()


@given(st.lists(values, min_size=1, max_size=3), st.lists(values, min_size=1, max_size=3))
def test_no_encoding_begins_another(one: list[CanonicalValue], other: list[CanonicalValue]) -> None:
    first, second = as_bytes(one), as_bytes(other)
    assert first == second or not second.startswith(first)


@pytest.mark.parametrize("value", [-1, -(2**70), 2**64, 2**70])
def test_an_integer_out_of_range_is_refused(value: int) -> None:
    for write in (Writer().integer, Writer().value):
        with pytest.raises(ParameterError, match=rf"integer {value} is outside 0 \.\. 2\^64-1"):
            write(value)


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_integer(value: bool) -> None:
    with pytest.raises(ParameterError, match=f"{value} is a truth value"):
        encode_fields(b"label", value)


@pytest.mark.parametrize("length", [-1, 2**32])
def test_a_list_length_out_of_range_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"a list of {length} values"):
        Writer().sequence(length)


def test_a_list_length_at_its_limit_is_written() -> None:
    assert Writer().sequence(2**32 - 1).finish().hex() == "04ffffffff"


@pytest.mark.parametrize(
    "value",
    [None, 1.5, bytearray(b"ab"), memoryview(b"ab"), {"a": 1}, {1, 2}, "\ud800"],
    ids=["None", "float", "bytearray", "memoryview", "dict", "set", "lone surrogate"],
)
def test_a_value_without_canonical_bytes_is_a_parameter_error(value: object) -> None:
    with pytest.raises(ParameterError):
        Writer().value(value)  # type: ignore[arg-type]


READS: dict[int, Callable[[Reader], object]] = {
    1: lambda reader: reader.integer(),
    2: lambda reader: reader.data(),
    3: lambda reader: reader.text(),
    4: lambda reader: reader.sequence(10),
}
EXAMPLES = {1: as_bytes(7), 2: as_bytes(b"seven"), 3: as_bytes("seven"), 4: as_bytes([7, 7])}


@pytest.mark.parametrize("wanted", READS)
def test_a_wrong_tag_is_refused(wanted: int) -> None:
    READS[wanted](Reader(EXAMPLES[wanted]))
    for found in set(range(256)) - {wanted}:
        with pytest.raises(DecodeError, match=f"tag {found} at byte 0 where a canonical"):
            READS[wanted](Reader(bytes([found]) + EXAMPLES[wanted][1:]))


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_a_value_cut_short_is_refused(wanted: int) -> None:
    for length in range(len(EXAMPLES[wanted])):
        with pytest.raises(DecodeError, match=f"canonical bytes end at {length} where"):
            READS[wanted](Reader(EXAMPLES[wanted][:length]))


def test_trailing_bytes_are_refused() -> None:
    reader = Reader(as_bytes(1) + b"\x00\x00")
    reader.integer()
    with pytest.raises(DecodeError, match="2 trailing bytes after the last canonical field"):
        reader.finish()


def test_integers_have_a_bound() -> None:
    assert Reader(as_bytes(9)).integer(maximum=9) == 9
    with pytest.raises(DecodeError, match="integer 10 at byte 1 is above its bound 9"):
        Reader(as_bytes(10)).integer(maximum=9)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_bytes_of_a_fixed_length_have_that_length(length: int) -> None:
    with pytest.raises(DecodeError, match=f"canonical field of {length} bytes where exactly 32 belong"):
        Reader(as_bytes(bytes(length))).data(length=32)


def test_bytes_have_a_bound() -> None:
    assert Reader(as_bytes(bytes(5))).data(length=5) == Reader(as_bytes(bytes(5))).data(maximum=5) == bytes(5)
    with pytest.raises(DecodeError, match="canonical field of length 6 is above its bound 5"):
        Reader(as_bytes(bytes(6))).data(maximum=5)


def test_texts_have_a_bound_in_bytes() -> None:
    assert Reader(as_bytes("x" * 255)).text() == "x" * 255
    with pytest.raises(DecodeError, match="length 256 is above its bound 255"):
        Reader(as_bytes("x" * 256)).text()
    with pytest.raises(DecodeError, match="length 3 is above its bound 2"):
        Reader(as_bytes("\u20ac")).text(maximum=2)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_is_strict_utf_8(raw: bytes) -> None:
    data = bytes.fromhex("03") + len(raw).to_bytes(4, "big") + raw
    with pytest.raises(DecodeError, match="text at byte 5 is not UTF-8"):
        Reader(data).text()


def test_lists_have_a_bound() -> None:
    assert Reader(as_bytes([1, 2])).sequence(2) == 2
    with pytest.raises(DecodeError, match="length 2 is above its bound 1"):
        Reader(as_bytes([1, 2])).sequence(1)


@pytest.mark.parametrize("read", [READS[2], READS[3], lambda reader: reader.text(2**32 - 1), READS[4]])
@pytest.mark.parametrize("declared", ["7fffffff", "80000000", "ffffffff"])
def test_a_giant_declared_length_is_refused_before_anything_is_allocated(
    read: Callable[[Reader], object], declared: str
) -> None:
    for tag in ("02", "03", "04"):
        data = bytes.fromhex(tag + declared) + bytes(8)
        tracemalloc.start()
        try:
            with pytest.raises(DecodeError):
                read(Reader(data))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1 << 16


@given(st.binary(max_size=64))
def test_random_bytes_raise_nothing_but_decode_errors(data: bytes) -> None:
    for read in READS.values():
        try:
            read(Reader(data))
        except DecodeError as error:
            assert str(error)  # noqa: PT017 - anything else propagates
