"""The layout of the session vector: places, widths, the weight's section, limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.encoding.layout import MAX_WORDS, WEIGHT_SECTION, Layout, Section
from secagg.errors import ParameterError
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec, check_vector_name

DETERMINISTIC = settings(derandomize=True, deadline=None)

SPECS: st.SearchStrategy[VectorSpec] = st.one_of(
    st.builds(
        FixedPoint,
        st.integers(1, 300),
        clip=st.just(1.0),
        bits=st.integers(2, 32),
        aggregate=st.sampled_from(["sum", "mean"]),
    ),
    st.builds(Integers, st.integers(-9, 0), st.integers(1, 1000), st.integers(1, 300)),
)


def test_the_worked_example() -> None:
    """16-bit entries of 2^10 clients: 26 bits, two fields in a word, ring of 52 bits."""
    spec = FixedPoint(5, clip=1.0, bits=16)
    layout = Layout.build([("weights", spec)], clients=2**10, max_weight=1)
    section = Section(
        name="weights",
        spec=spec,
        word_offset=0,
        words=3,
        width=26,
        fields_per_word=2,
        ring_bits=52,
        byte_offset=0,
        packed_bytes=20,
        weighted=False,
    )
    assert layout == Layout((section,), clients=1024, max_weight=1, words=3, packed_bytes=20)
    assert (section.field_mask, section.ring_mask) == (2**26 - 1, 2**52 - 1)
    assert layout.vector_sections == (section,)
    assert layout.weight_section is None


def test_the_weight_is_the_last_section_when_weights_are_used() -> None:
    spec = FixedPoint(3, clip=1.0, bits=8, aggregate="mean")
    layout = Layout.build([("w", spec), ("n", Integers(0, 1, 3))], clients=10, max_weight=100)
    weight = layout.sections[-1]
    assert [section.name for section in layout.sections] == ["w", "n", WEIGHT_SECTION]
    assert [section.weighted for section in layout.sections] == [True, False, False]
    assert layout.weight_section == weight
    assert layout.vector_sections == layout.sections[:-1]
    assert (weight.spec, weight.width, weight.words) == (Integers(0, 100, 1), 10, 1)
    assert layout.words == weight.word_offset + 1


def test_no_vector_can_have_the_name_of_the_weight() -> None:
    with pytest.raises(ParameterError, match="control character"):
        check_vector_name(WEIGHT_SECTION)


@DETERMINISTIC
@given(st.lists(SPECS, min_size=1, max_size=6), st.integers(1, 5000), st.integers(1, 50))
def test_sections_lie_back_to_back_and_hold_every_entry(specs: list[VectorSpec], clients: int, max_weight: int) -> None:
    named = [(f"v{index}", spec) for index, spec in enumerate(specs)]
    layout = Layout.build(named, clients, max_weight)
    assert [(s.name, s.spec) for s in layout.vector_sections] == named
    word = byte = 0
    for section in layout.sections:
        assert (section.word_offset, section.byte_offset) == (word, byte)
        assert section.word_slice == slice(word, word + section.words)
        assert section.byte_slice == slice(byte, byte + section.packed_bytes)
        assert section.width == section.spec.field_width(clients, max_weight)
        assert section.fields_per_word * section.width == section.ring_bits <= 64
        assert (section.fields_per_word + 1) * section.width > 64
        assert (section.words - 1) * section.fields_per_word < section.spec.size
        assert section.spec.size <= section.words * section.fields_per_word
        assert (section.packed_bytes - 1) * 8 < section.words * section.ring_bits <= section.packed_bytes * 8
        assert section.weighted == (section.spec.weighted and max_weight > 1)
        word += section.words
        byte += section.packed_bytes
    assert (layout.words, layout.packed_bytes) == (word, byte)
    assert len(layout.sections) == len(specs) + (max_weight > 1)


def test_a_width_that_does_not_fit_names_the_vector() -> None:
    spec = FixedPoint(3, clip=1.0, bits=32, aggregate="mean")
    with pytest.raises(ParameterError, match=r"vector 'w': the sum of 32-bit .* 1000 clients .* 10000000 .* 66 bits"):
        Layout.build([("w", spec)], clients=1000, max_weight=10**7)


def test_weights_that_do_not_fit_are_named() -> None:
    with pytest.raises(ParameterError, match=r"the clients' weights: .* over 1000 clients"):
        Layout.build([("n", Integers(0, 1, 1))], clients=1000, max_weight=2**60)


@pytest.mark.parametrize(("clients", "max_weight"), [(0, 1), (-1, 1), (5, 0), (5, -2)])
def test_counts_below_one_are_refused(clients: int, max_weight: int) -> None:
    with pytest.raises(ParameterError, match="is below 1"):
        Layout.build([("n", Integers(0, 1, 1))], clients, max_weight)


def test_bad_names_are_refused() -> None:
    spec = Integers(0, 1, 1)
    with pytest.raises(ParameterError, match="used twice"):
        Layout.build([("n", spec), ("n", spec)], 3, 1)
    with pytest.raises(ParameterError, match="at least one vector"):
        Layout.build([], 3, 1)


def test_the_limit_of_words() -> None:
    wide = FixedPoint(MAX_WORDS, clip=1.0, bits=32)
    assert Layout.build([("w", wide)], clients=2**10, max_weight=1).words == MAX_WORDS
    with pytest.raises(ParameterError, match=r"1099511627777 words, and 2\^40 is the limit"):
        Layout.build([("w", wide), ("n", Integers(0, 1, 1))], clients=2**10, max_weight=1)
