"""Bit packing against plain Python integers, for every number of bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.encoding.packing import SLICE_WORDS, check_padding, pack_into, packed_size, unpack
from secagg.errors import DecodeError, ParameterError

DETERMINISTIC = settings(derandomize=True, deadline=None)

ALL_BITS = range(1, 65)


def reference(words: NDArray[np.uint64], bits: int) -> bytes:
    """Specification §4.3 read literally, with one big integer for every 64 words (which end on a byte)."""
    octets = b""
    for start in range(0, len(words), 64):
        block = words[start : start + 64].tolist()
        stream = sum((word % 2**bits) << (index * bits) for index, word in enumerate(block))
        octets += stream.to_bytes(-(-len(block) * bits // 8), "little")
    return octets


def some_words(count: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def packed(words: NDArray[np.uint64], bits: int) -> NDArray[np.uint8]:
    out = np.full(packed_size(len(words), bits), 0xA5, dtype=np.uint8)
    pack_into(words, bits, out)
    return out


def low_bits(words: NDArray[np.uint64], bits: int) -> list[int]:
    return [word % 2**bits for word in words.tolist()]


@pytest.mark.parametrize("bits", ALL_BITS)
def test_pack_and_unpack_agree_with_the_reference(bits: int) -> None:
    for count in (1, 2, 3, 7, 8, 9, 63, 64, 65, 200):
        words = some_words(count, seed=bits)
        octets = packed(words, bits)
        assert octets.tobytes() == reference(words, bits)
        unpacked = np.full(count, 0xA5A5, dtype=np.uint64)
        unpack(octets, bits, 0, unpacked)
        assert unpacked.tolist() == low_bits(words, bits)


@pytest.mark.parametrize("bits", ALL_BITS)
@pytest.mark.parametrize("word", [0, 1, 2**64 - 1, 0xAAAAAAAAAAAAAAAA])
def test_constant_words(bits: int, word: int) -> None:
    words = np.full(77, word, dtype=np.uint64)
    octets = packed(words, bits)
    assert octets.tobytes() == reference(words, bits)
    unpacked = np.empty(77, dtype=np.uint64)
    unpack(octets, bits, 0, unpacked)
    assert unpacked.tolist() == low_bits(words, bits)


@DETERMINISTIC
@given(st.integers(1, 64), st.lists(st.integers(0, 2**64 - 1), max_size=80))
def test_round_trip(bits: int, values: list[int]) -> None:
    words = np.array(values, dtype=np.uint64)
    octets = packed(words, bits)
    assert octets.tobytes() == reference(words, bits)
    unpacked = np.empty_like(words)
    unpack(octets, bits, 0, unpacked)
    assert unpacked.tolist() == low_bits(words, bits)
    check_padding(octets, bits, len(words))


@pytest.mark.parametrize("bits", [1, 7, 26, 33, 46, 52, 57, 60, 63, 64])
@pytest.mark.parametrize("extra", [0, 1, 5])
def test_several_slices(bits: int, extra: int) -> None:
    words = some_words(2 * SLICE_WORDS + extra)
    octets = packed(words, bits)
    assert octets.tobytes() == reference(words, bits)
    unpacked = np.empty_like(words)
    unpack(octets, bits, 0, unpacked)
    assert np.array_equal(unpacked, words & np.uint64(2**bits - 1))


@DETERMINISTIC
@given(st.integers(1, 64), st.integers(0, 5), st.integers(0, 200))
@example(51, 0, 0)
@example(51, 3, 0)
def test_a_slice_unpacks_as_in_the_whole(bits: int, blocks: int, count: int) -> None:
    words = some_words(64 * blocks + count + 3)
    unpacked = np.empty(count, dtype=np.uint64)
    unpack(packed(words, bits), bits, 64 * blocks, unpacked)
    assert unpacked.tolist() == low_bits(words[64 * blocks : 64 * blocks + count], bits)


@pytest.mark.parametrize("bits", [8, 26, 46, 64])
def test_strided_words_are_packed_and_unpacked(bits: int) -> None:
    words = some_words(60)[::3]
    octets = packed(words, bits)
    assert octets.tobytes() == reference(words, bits)
    target = np.zeros(60, dtype=np.uint64)
    unpack(octets, bits, 0, target[::3])
    assert target[::3].tolist() == low_bits(words, bits)
    assert target[1::3].tolist() == [0] * 20


@pytest.mark.parametrize("bits", [5, 26, 46, 51, 63, 64])
def test_packing_touches_nothing_outside(bits: int) -> None:
    words = some_words(37)
    size = packed_size(37, bits)
    frame = np.full(size + 40, 0xEE, dtype=np.uint8)
    pack_into(words, bits, frame[20 : 20 + size])
    assert frame[20 : 20 + size].tobytes() == reference(words, bits)
    assert set(frame[:20].tolist() + frame[20 + size :].tolist()) == {0xEE}
    target = np.full(77, 7, dtype=np.uint64)
    unpack(frame[20 : 20 + size], bits, 0, target[20:57])
    assert target[:20].tolist() + target[57:].tolist() == [7] * 40


@pytest.mark.parametrize("bits", ALL_BITS)
def test_every_pad_bit_is_checked(bits: int) -> None:
    for count in (1, 2, 3, 5):
        octets = packed(some_words(count), bits)
        check_padding(octets, bits, count)
        for bit in range(count * bits, 8 * len(octets)):
            octets[-1] ^= 1 << (bit % 8)
            with pytest.raises(DecodeError, match="pad bits after"):
                check_padding(octets, bits, count)
            octets[-1] ^= 1 << (bit % 8)


@pytest.mark.parametrize("change", [-1, 1])
def test_padding_of_another_length_is_refused(change: int) -> None:
    with pytest.raises(DecodeError, match=f"fill {17 + change} bytes where exactly 17 belong"):
        check_padding(np.zeros(17 + change, dtype=np.uint8), 26, 5)


@pytest.mark.parametrize("bits", [0, 65, -1])
def test_other_numbers_of_bits_are_refused(bits: int) -> None:
    with pytest.raises(ParameterError, match=r"cannot be packed; use 1 .. 64"):
        pack_into(some_words(1), bits, np.zeros(8, dtype=np.uint8))
    with pytest.raises(ParameterError, match=r"cannot be packed; use 1 .. 64"):
        unpack(np.zeros(8, dtype=np.uint8), bits, 0, some_words(1))


def test_other_arrays_are_refused() -> None:
    words, octets = some_words(8), np.zeros(32, dtype=np.uint8)
    read_only = octets.copy()
    read_only.flags.writeable = False
    with pytest.raises(ParameterError, match="dtype int64"):
        pack_into(words.view(np.int64), 32, octets)
    with pytest.raises(ParameterError, match="shape \\(2, 4\\)"):
        pack_into(words.reshape(2, 4), 32, octets)
    with pytest.raises(ParameterError, match="dtype int8"):
        pack_into(words, 32, octets.view(np.int8))
    with pytest.raises(ParameterError, match="C-contiguous"):
        pack_into(words, 32, np.zeros(64, dtype=np.uint8)[::2])
    with pytest.raises(ParameterError, match="length 31; exactly 32"):
        pack_into(words, 32, octets[:31])
    with pytest.raises(ParameterError, match="read-only"):
        pack_into(words, 32, read_only)
    with pytest.raises(ParameterError, match="dtype int64"):
        unpack(octets, 32, 0, words.view(np.int64))
    with pytest.raises(ParameterError, match="C-contiguous"):
        unpack(np.zeros(64, dtype=np.uint8)[::2], 32, 0, words)


def test_words_beyond_the_payload_are_refused() -> None:
    octets = np.zeros(packed_size(100, 46), dtype=np.uint8)
    with pytest.raises(ParameterError, match=r"words 64 \.\. 101 of 46 bits lie beyond"):
        unpack(octets, 46, 64, some_words(37))
    for word_start in (1, 63, -64):
        with pytest.raises(ParameterError, match="is not a multiple of 64"):
            unpack(octets, 46, word_start, some_words(3))
