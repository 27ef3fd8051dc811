"""The mask PRG: known answers, the seek rule, uniformity, independence, and what it refuses."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pyaegis
import pytest
from cryptography.hazmat.primitives.ciphers import CipherContext, modes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto import prg as prg_module
from secagg.crypto.prg import (
    MAX_STREAM_WORDS,
    SEGMENT_WORDS,
    WORD_BYTES,
    AegisPrg,
    AegisWriter,
    AesCtrPrg,
    MaskPrg,
    MaskStream,
    _AegisStream,
    _aes_ctr_context,
    _encrypting_writer,
    _load_aegis,
    _stream_writer,
    _write_key_stream,
    empty_words,
)
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

Words = NDArray[np.uint64]

KEY = bytes(range(16))
PRGS: list[MaskPrg] = [AesCtrPrg(), AegisPrg()]
WHOLE_WORDS = 3 * SEGMENT_WORDS + 1000

both_prgs = pytest.mark.parametrize("prg", PRGS, ids=["AES-128-CTR", "AEGIS-128X2"])


def words(stream: MaskStream, offset: int, count: int) -> Words:
    out = np.full(count, 0xA5, dtype=np.uint64)
    stream.fill(out, offset)
    return out


def open_stream(prg: MaskPrg, key: bytes = KEY) -> MaskStream:
    return prg.open(SecretBytes(key))


def octets(array: Words) -> str:
    return array.astype("<u8").tobytes().hex()


# Words at these offsets under the key 000102..0f, made by this library: they must never change.
OWN_ANSWERS = {
    ("AesCtrPrg", 0): [0x825B8F87373BA1C6, 0x79D8C8A162814F6F],
    ("AesCtrPrg", 1): [0x79D8C8A162814F6F, 0x1EB4C09595134673],
    ("AesCtrPrg", 2**15 - 1): [0x13B5128726CCCFBA, 0xD2F027794CB3A1F3],
    ("AesCtrPrg", 2**15): [0xD2F027794CB3A1F3, 0x20DB3597F7B4565B],
    ("AesCtrPrg", 3 * 2**15 + 5): [0x614FE6D258066A2B, 0xC4F626041221AA92],
    ("AesCtrPrg", 2**40 + 1): [0xE03A542AB4F5635A, 0x6E21D633DB90DA9A],
    ("AegisPrg", 0): [0x10D11ECCDAB939E2, 0xF02FB73992D36B2D],
    ("AegisPrg", 1): [0xF02FB73992D36B2D, 0xFB6FDF200AF9ABD2],
    ("AegisPrg", 2**15 - 1): [0x473A29472780D18B, 0xF9FD1416919A4335],
    ("AegisPrg", 2**15): [0xF9FD1416919A4335, 0xDF55A990D7893F2E],
    ("AegisPrg", 3 * 2**15 + 5): [0x36AD5A6B26A64273, 0x8F93F1661DDC08D6],
    ("AegisPrg", 2**40 + 1): [0xF4BC81CA257EDFFD, 0xAF35D030F4DBF5AC],
}


@both_prgs
def test_own_known_answers_stay_the_same(prg: MaskPrg) -> None:
    mine = {key: answer for key, answer in OWN_ANSWERS.items() if key[0] == type(prg).__name__}
    assert {key: words(open_stream(prg), key[1], 2).tolist() for key in mine} == mine


def test_aes_ctr_of_nist_sp_800_38a() -> None:
    """NIST SP 800-38A, F.5.1 (CTR-AES128.Encrypt), through the stream writer of the PRG."""
    key = SecretBytes(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plaintext = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    ciphertext = bytes.fromhex(
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
    )
    stream = bytearray(64)
    _write_key_stream(_aes_ctr_context(key.expose(), modes.CTR(counter)), memoryview(stream))
    assert bytes(a ^ b for a, b in zip(stream, plaintext, strict=True)) == ciphertext


def test_aes_ctr_counts_blocks_from_zero() -> None:
    """Blocks 0, 1, 2 under the zero key: subkey and key stream of the GCM specification's cases 1 and 2."""
    blocks = [
        "66e94bd4ef8a2c3b884cfa59ca342b2e",
        "58e2fccefa7e3061367f1d57a4e7455a",
        "0388dace60b6a392f328c2b971b2fe78",
    ]
    assert octets(words(open_stream(AesCtrPrg(), bytes(16)), 0, 6)) == "".join(blocks)


# draft-irtf-cfrg-aegis-aead, AEGIS-128X2 test vectors.
DRAFT_KEY = bytes(range(0x00, 0x10))
DRAFT_NONCE = bytes(range(0x10, 0x20))
DRAFT_STATE = {
    1: "380f435cf801763b1f0c2a2f7212052d73796607b59b1b650ee91c152af1f18a",
    2: "6ee1de433ea877fa33bc0782abff2dcbb9fab2ab496e16d1facaffd5453cbf14",
    3: "85f94b0d4263bfa86fdf45a603d8b6ac90356c8cadbaa2c969001da02e3feca0",
    5: "fcdeb0cf0a87bf442fc82383ddb0f6d661ad32a4694d6f3cca313a2d3f4687aa",
    6: "571c207988659e2cdfbdaae77f4f37e332e6094e217573bf91fb28c145a3efa8",
    7: "ca549badf8faa58222412478598651cf3407279a54ce76d2e2e8a90ec5d108eb",
}
DRAFT_CIPHERTEXT = (
    "5795544301997f93621b278809d6331b3bfa6f18e90db12c4aa35965b5e98c5fc6fb4e54bcb6111842c20637252eff74"
    "7cb3a8f85b37de80919a589fe0f24872bc926360696739e05520647e390989e1eb5fd42f99678a0276a498f8c454761c"
    "9d6aacb647ad56be62b29c22cd4b5761b38f43d5a5ee062f"
)


def test_aegis_of_the_draft_without_a_message() -> None:
    tag = pyaegis.Aegis128X2(tag_size=16).encrypt_inplace(DRAFT_KEY, DRAFT_NONCE, bytearray())
    assert tag.hex() == "63117dc57756e402819a82e13eca8379"


def test_aegis_of_the_draft_with_a_message() -> None:
    buffer = bytearray(bytes.fromhex("04050607") * 30)
    cipher = pyaegis.Aegis128X2(tag_size=16)
    tag = cipher.encrypt_inplace(DRAFT_KEY, DRAFT_NONCE, buffer, bytes.fromhex("0102030401020304"))
    assert (buffer.hex(), tag.hex()) == (DRAFT_CIPHERTEXT, "1aebc200804f405cab637f2adebb6d77")


def stream_writer() -> AegisWriter:
    writer = _stream_writer(pyaegis)
    assert writer is not None, "this pyaegis has no aegis128x2_stream: streams are made by the slower way"
    return writer


@pytest.mark.parametrize("write", [stream_writer(), _encrypting_writer(pyaegis)], ids=["stream", "encryption"])
def test_aegis_stream_begins_as_the_drafts_initial_state_says(write: AegisWriter) -> None:
    """The draft prints the state after initialization; the first 64 stream bytes follow from it by hand."""
    state = {index: int(text, 16) for index, text in DRAFT_STATE.items()}
    first = state[6] ^ state[1] ^ (state[2] & state[3])
    second = state[2] ^ state[5] ^ (state[6] & state[7])
    out = np.empty(8, dtype=np.uint64)
    write(DRAFT_KEY, DRAFT_NONCE, out.view(np.uint8).data)
    assert out.tobytes() == first.to_bytes(32, "big") + second.to_bytes(32, "big")


@given(
    key=st.binary(min_size=16, max_size=16),
    nonce=st.binary(min_size=16, max_size=16),
    length=st.integers(0, 2 * SEGMENT_WORDS) | st.integers(0, 40),
    offset=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_both_ways_to_the_aegis_stream_give_the_same_words(key: bytes, nonce: bytes, length: int, offset: int) -> None:
    arrays = [np.full(length + offset + 2, 0xA5, dtype=np.uint64) for _ in range(2)]
    stream_writer()(key, nonce, arrays[0][offset : offset + length].view(np.uint8).data)
    _encrypting_writer(pyaegis)(key, nonce, arrays[1][offset : offset + length].view(np.uint8).data)
    np.testing.assert_array_equal(arrays[0], arrays[1])
    assert [*arrays[0][:offset], *arrays[0][offset + length :]] == [0xA5] * (offset + 2)


@pytest.mark.parametrize(
    "lacking",
    [
        SimpleNamespace(),
        SimpleNamespace(_aegis_ffi=SimpleNamespace(ffi=None, lib=SimpleNamespace())),
        SimpleNamespace(
            _aegis_ffi=SimpleNamespace(
                ffi=SimpleNamespace(typeof=lambda function: SimpleNamespace(cname="void(*)(uint8_t *, uint8_t *)")),
                lib=SimpleNamespace(aegis128x2_stream=None),
            )
        ),
    ],
    ids=["no binding", "no function", "another signature"],
)
def test_a_pyaegis_without_the_stream_function_encrypts_zeros(lacking: SimpleNamespace) -> None:
    assert _stream_writer(lacking) is None
    lacking.Aegis128X2 = pyaegis.Aegis128X2
    stream = _AegisStream(memoryview(KEY), _encrypting_writer(lacking))
    np.testing.assert_array_equal(words(stream, 5, SEGMENT_WORDS), WHOLE["AegisPrg"][5 : 5 + SEGMENT_WORDS])


def test_the_stream_function_is_the_one_in_use() -> None:
    assert _load_aegis().__qualname__ == stream_writer().__qualname__


@pytest.mark.parametrize("segment", [0, 1, 2, 255, 256, 2**44])
def test_aegis_segments_are_the_encryption_of_zeros_under_their_number(segment: int) -> None:
    nonce = segment.to_bytes(16, "big")
    expected, _ = pyaegis.Aegis128X2().encrypt_detached(KEY, nonce, bytes(SEGMENT_WORDS * WORD_BYTES))
    actual = words(open_stream(AegisPrg()), segment * SEGMENT_WORDS, SEGMENT_WORDS)
    assert actual.astype("<u8").tobytes() == expected


WHOLE = {type(prg).__name__: words(open_stream(prg), 0, WHOLE_WORDS) for prg in PRGS}


@both_prgs
@given(
    slices=st.lists(
        st.tuples(st.integers(0, WHOLE_WORDS), st.integers(0, SEGMENT_WORDS + 9), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
@example(slices=[(0, 3, False), (0, 3, True), (0, 1, True), (0, 0, True), (0, 2, True)])
@example(slices=[(5, 7, False), (5, 7, False), (4, 1, False)])
@example(slices=[(SEGMENT_WORDS - 1, 2, False), (SEGMENT_WORDS, SEGMENT_WORDS, False), (0, 1, True)])
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_slices_in_any_order_equal_those_of_the_whole(prg: MaskPrg, slices: list[tuple[int, int, bool]]) -> None:
    """A slice with the flag continues where the last one ended."""
    stream, whole, end = open_stream(prg), WHOLE[type(prg).__name__], 0
    for start, length, continues in slices:
        begin = end if continues else start
        end = min(begin + length, WHOLE_WORDS)
        np.testing.assert_array_equal(words(stream, begin, end - begin), whole[begin:end])


@both_prgs
@pytest.mark.parametrize("step", [1, 2, 1023, SEGMENT_WORDS - 1, SEGMENT_WORDS])
def test_contiguous_slices_join_to_the_whole(prg: MaskPrg, step: int) -> None:
    begin = max(0, SEGMENT_WORDS - 2 * step)
    whole = WHOLE[type(prg).__name__][begin:][: 4 * step]
    stream = open_stream(prg)
    pieces = [words(stream, begin + at, min(step, len(whole) - at)) for at in range(0, len(whole), step)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@both_prgs
def test_a_slice_across_many_pieces_of_the_input_equals_its_parts(prg: MaskPrg) -> None:
    np.testing.assert_array_equal(
        words(open_stream(prg), SEGMENT_WORDS // 2, 2 * SEGMENT_WORDS),
        WHOLE[type(prg).__name__][SEGMENT_WORDS // 2 :][: 2 * SEGMENT_WORDS],
    )


@both_prgs
def test_a_slice_of_a_larger_array_is_filled_and_nothing_else(prg: MaskPrg) -> None:
    array = np.zeros(100, dtype=np.uint64)
    open_stream(prg).fill(array[10:20], 30)
    np.testing.assert_array_equal(array[10:20], WHOLE[type(prg).__name__][30:40])
    assert int(np.count_nonzero(array)) == 10


@both_prgs
def test_what_the_array_held_before_does_not_matter(prg: MaskPrg) -> None:
    full, empty = np.full(50, 2**64 - 1, dtype=np.uint64), np.zeros(50, dtype=np.uint64)
    open_stream(prg).fill(full, 7)
    open_stream(prg).fill(empty, 7)
    np.testing.assert_array_equal(full, empty)


@both_prgs
def test_words_are_little_endian_on_a_big_endian_host(prg: MaskPrg, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, expected = open_stream(prg), WHOLE[type(prg).__name__][:9].byteswap()
    monkeypatch.setattr(sys, "byteorder", "big")
    np.testing.assert_array_equal(words(stream, 0, 9), expected)


@both_prgs
def test_the_key_may_be_wiped_once_the_stream_is_open(prg: MaskPrg) -> None:
    key = SecretBytes(KEY)
    stream = prg.open(key)
    key.wipe()
    np.testing.assert_array_equal(words(stream, 3, 9), WHOLE[type(prg).__name__][3:12])


@both_prgs
def test_bytes_are_uniform(prg: MaskPrg) -> None:
    """Chi-square with 255 degrees of freedom, between its 0.01 % and 99.99 % points; the key is fixed."""
    for key in (KEY, bytes(16), b"\xff" * 16):
        stream = words(open_stream(prg, key), 0, 2**17).view(np.uint8)
        counts = np.bincount(stream, minlength=256)
        expected = stream.size / 256
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        assert 179.4 < chi_square < 347.7, chi_square


@both_prgs
@pytest.mark.parametrize("bit", [0, 1, 31, 32, 62, 63])
def test_bits_are_balanced_and_unlike_their_successors(prg: MaskPrg, bit: int) -> None:
    """Ones, and changes from one word to the next, within four standard deviations of one half."""
    count = 2**17
    column = (words(open_stream(prg), 0, count + 1) >> np.uint64(bit)) & np.uint64(1)
    ones, changes = int(column[:count].sum()), int((column[1:] != column[:-1]).sum())
    four_deviations = 2 * count**0.5
    assert abs(ones - count / 2) < four_deviations, ones
    assert abs(changes - count / 2) < four_deviations, changes


@both_prgs
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (KEY, bytes([KEY[0] ^ 1]) + KEY[1:]),
        (KEY, KEY[:-1] + bytes([KEY[-1] ^ 0x80])),
        (bytes(16), b"\xff" * 16),
    ],
    ids=["first bit", "last bit", "complement"],
)
def test_streams_of_different_keys_are_independent(prg: MaskPrg, first: bytes, second: bytes) -> None:
    count = 2**15
    difference = words(open_stream(prg, first), 0, count) ^ words(open_stream(prg, second), 0, count)
    differing_bits = int(np.unpackbits(difference.view(np.uint8)).sum())
    assert int(np.count_nonzero(difference)) == count
    assert abs(differing_bits - count * 32) < 4 * (count * 64) ** 0.5 / 2, differing_bits


@both_prgs
def test_segments_of_one_key_are_independent(prg: MaskPrg) -> None:
    whole = WHOLE[type(prg).__name__]
    assert len(np.unique(whole)) == len(whole)


def test_the_two_prgs_differ() -> None:
    assert int(np.count_nonzero(WHOLE["AesCtrPrg"] == WHOLE["AegisPrg"])) == 0


@both_prgs
def test_the_end_of_the_stream(prg: MaskPrg) -> None:
    stream = open_stream(prg)
    last = words(stream, MAX_STREAM_WORDS - 2, 2)
    assert words(stream, MAX_STREAM_WORDS - 1, 1).tolist() == last[1:].tolist()
    assert words(stream, MAX_STREAM_WORDS, 0).tolist() == []
    with pytest.raises(ParameterError, match="lie outside the mask stream"):
        words(stream, MAX_STREAM_WORDS - 1, 2)


@both_prgs
def test_a_slice_before_the_stream_is_refused(prg: MaskPrg) -> None:
    with pytest.raises(ParameterError, match=r"words -1 \.\. 0 lie outside"):
        words(open_stream(prg), -1, 1)


def read_only_array() -> Words:
    array = np.zeros(8, dtype=np.uint64)
    array.flags.writeable = False
    return array


@both_prgs
@pytest.mark.parametrize(
    "out",
    [
        np.zeros(8, dtype=np.int64),
        np.zeros(8, dtype=np.uint32),
        np.zeros(8, dtype=np.dtype(np.uint64).newbyteorder()),
        np.zeros((2, 4), dtype=np.uint64),
        np.zeros((), dtype=np.uint64),
        np.zeros(16, dtype=np.uint64)[::2],
        np.zeros(8, dtype=np.uint64)[::-1],
        read_only_array(),
    ],
    ids=["int64", "uint32", "foreign byte order", "2-d", "0-d", "strided", "reversed", "read-only"],
)
def test_other_arrays_are_refused(prg: MaskPrg, out: Words) -> None:
    before = out.tolist()
    with pytest.raises(ParameterError, match="one-dimensional, C-contiguous, writable uint64 array"):
        open_stream(prg).fill(out, 0)
    assert out.tolist() == before


@both_prgs
@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_key_of_another_length_is_refused(prg: MaskPrg, length: int) -> None:
    with pytest.raises(ParameterError, match=f"a mask PRG key of {length} bytes; derive exactly 16"):
        prg.open(SecretBytes(bytes(length)))


@both_prgs
def test_sizes_are_those_of_the_specification(prg: MaskPrg) -> None:
    assert (prg.key_bytes, prg.segment_words, WORD_BYTES) == (16, 2**15, 8)


def test_a_missing_pyaegis_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaegis", None)
    with pytest.raises(ParameterError, match=r"suite 0x0002 needs the 'fast' extra: pip install 'secagg\[fast\]'"):
        open_stream(AegisPrg())
    assert words(open_stream(AesCtrPrg()), 0, 1).tolist() == OWN_ANSWERS["AesCtrPrg", 0][:1]


def test_a_slice_after_one_that_was_interrupted_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how far the cipher came, whatever the next slice is."""
    whole = words(open_stream(AesCtrPrg()), 0, 30)
    for again in (10, 20):
        stream = open_stream(AesCtrPrg())
        words(stream, 0, 10)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(prg_module, "_write_key_stream", half_written)
            with pytest.raises(KeyboardInterrupt):
                words(stream, 10, 10)
        assert words(stream, again, 10).tolist() == whole[again : again + 10].tolist()


def half_written(context: CipherContext, octets: memoryview) -> None:
    _write_key_stream(context, octets[: len(octets) // 2])
    raise KeyboardInterrupt


@pytest.mark.parametrize("count", [1, 1000, 2**15])
def test_words_for_sums_begin_with_a_cache_line(count: int) -> None:
    words = [empty_words(count) for _ in range(5)]
    assert {(len(each), each.dtype, each.ctypes.data % 64) for each in words} == {(count, np.dtype(np.uint64), 0)}
    assert all(each.flags.writeable and each.flags.c_contiguous for each in words)
