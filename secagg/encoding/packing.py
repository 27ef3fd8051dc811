"""Tight bit packing: words of B bits to bytes and back (Specification §4.3).

Bit `j` of word `i` stands at bit `i*B + j` of the byte string, bits of a byte counted from the least
significant; the bits that fill the last byte are zero. Knows words and bytes only: no layout, no ring
arithmetic, no message.

No array of single bits is ever made. The bit offset of a word within its byte repeats after `p` words, and
`p` words fill `g = p*B/8` whole bytes, `g >= 8` (p = 1, 2, 4 or 8 for B >= 8). So the words `r`, `r+p`,
`r+2p` ... all stand at one shift within 64-bit windows that lie `g` bytes apart, and one strided NumPy
operation moves them all. A window that would pass the end of its group is moved back to end with it, so that
nothing outside is touched.

Odd widths from 57 on have groups of 8 words, where stepping is slow. There, 64-bit unit `k` of a group takes its
bits from the words `k` and `k+1` only, so shifts of whole contiguous slices make the units, at 8 bytes each; the
`g` bytes that are the group's are then cut out of every 64.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import DecodeError, ParameterError

WORD_BITS: Final = 64
SLICE_WORDS: Final = 2**15
_WINDOW_BYTES: Final = 8
_ALIGNMENT_WORDS: Final = 64
_WIDE_PERIOD: Final = 8
_WHOLE_UNITS: Final = {8: "<u1", 16: "<u2", 32: "<u4", 64: "<u8"}


def packed_size(words: int, bits: int) -> int:
    """Return the bytes that `words` words of `bits` bits fill: ceil(words * bits / 8)."""
    return -(-words * bits // 8)


def pack_into(words: NDArray[np.uint64], bits: int, out: NDArray[np.uint8]) -> None:
    """Pack the `bits` low bits of each word; higher bits are left out, pad bits are set to zero.

    Args:
        words: uint64, one-dimensional.
        bits: 1 .. 64.
        out: uint8, one-dimensional, C-contiguous, writable, exactly ceil(len(words) * bits / 8) long.

    Raises:
        ParameterError: other arrays or bits.
    """
    _check_bits(bits)
    _check_words(words)
    _check_bytes(out, packed_size(len(words), bits))
    if not out.flags.writeable:
        raise ParameterError("the packed bytes go to a read-only array; pass a writable one")
    unit = _WHOLE_UNITS.get(bits)
    if unit is not None:
        np.copyto(out.view(unit), words, casting="unsafe")
        return
    period, _ = _group(bits)
    pack_groups = _pack_wide_groups if _is_wide(bits) else _pack_groups
    scratch = np.empty((3, min(SLICE_WORDS, len(words) + period)), dtype=np.uint64)
    whole = len(words) - len(words) % period
    for start in range(0, whole, SLICE_WORDS):
        stop = min(start + SLICE_WORDS, whole)
        pack_groups(words[start:stop], bits, out[start * bits // 8 : stop * bits // 8], scratch)
    if whole < len(words):
        last_words = np.zeros(period, dtype=np.uint64)
        last_words[: len(words) - whole] = words[whole:]
        last_bytes = np.empty(period * bits // 8, dtype=np.uint8)
        _pack_groups(last_words, bits, last_bytes, scratch)
        rest = out[whole * bits // 8 :]
        rest[:] = last_bytes[: len(rest)]


def unpack(payload: NDArray[np.uint8], bits: int, word_start: int, out: NDArray[np.uint64]) -> None:
    """Unpack the words `word_start .. word_start + len(out)` of a packed byte string.

    Args:
        payload: uint8, one-dimensional, C-contiguous: the whole byte string.
        bits: 1 .. 64.
        word_start: index of the first word, a multiple of 64 (its first bit then starts a byte).
        out: uint64, one-dimensional, writable; every word is below 2^bits.

    Raises:
        ParameterError: other arrays or bits, or words beyond the payload.
    """
    _check_bits(bits)
    _check_words(out)
    _check_bytes(payload, None)
    if word_start < 0 or word_start % _ALIGNMENT_WORDS:
        raise ParameterError(f"word_start={word_start} is not a multiple of {_ALIGNMENT_WORDS}; align the slice")
    if packed_size(word_start + len(out), bits) > len(payload):
        raise ParameterError(
            f"words {word_start} .. {word_start + len(out)} of {bits} bits lie beyond a payload of "
            f"{len(payload)} bytes; unpack fewer"
        )
    first_byte = word_start * bits // 8
    source = payload[first_byte : first_byte + packed_size(len(out), bits)]
    unit = _WHOLE_UNITS.get(bits)
    if unit is not None:
        np.copyto(out, source.view(unit))
        return
    period, group_bytes = _group(bits)
    whole = len(out) - len(out) % period
    if _is_wide(bits):
        scratch = np.zeros((2, min(SLICE_WORDS, whole)), dtype=np.uint64)
        for start in range(0, whole, SLICE_WORDS):
            stop = min(start + SLICE_WORDS, whole)
            _unpack_wide_groups(source[start * bits // 8 : stop * bits // 8], bits, out[start:stop], scratch)
    elif whole:
        _unpack_groups(source[: whole * bits // 8], bits, out[:whole])
    if whole < len(out):
        last_bytes = np.zeros(group_bytes, dtype=np.uint8)
        rest = source[whole * bits // 8 :]
        last_bytes[: len(rest)] = rest
        last_words = np.empty(period, dtype=np.uint64)
        _unpack_groups(last_bytes, bits, last_words)
        out[whole:] = last_words[: len(out) - whole]


def check_padding(payload: NDArray[np.uint8], bits: int, words: int) -> None:
    """Check that the bits after the last word are zero, so that every vector has one encoding.

    Args:
        payload: uint8, one-dimensional: the whole byte string of `words` words of `bits` bits.
        bits: 1 .. 64.
        words: number of words.

    Raises:
        DecodeError: another length, or a pad bit that is set.
    """
    expected = packed_size(words, bits)
    if len(payload) != expected:
        raise DecodeError(f"packed words fill {len(payload)} bytes where exactly {expected} belong")
    used_bits = words * bits % 8
    if used_bits and int(payload[-1]) >> used_bits:
        raise DecodeError(f"the {8 - used_bits} pad bits after {words} words of {bits} bits are not all zero")


def _group(bits: int) -> tuple[int, int]:
    period = 8 // math.gcd(bits, 8)
    while period * bits < WORD_BITS:
        period *= 2
    return period, period * bits // 8


def _windows(octets: NDArray[np.uint8], first: int, stride: int) -> NDArray[np.uint64]:
    return np.ndarray(len(octets) // stride, dtype="<u8", buffer=octets, offset=first, strides=stride)


def _pack_groups(words: NDArray[np.uint64], bits: int, out: NDArray[np.uint8], scratch: NDArray[np.uint64]) -> None:
    """Pack whole groups. Each window is stored over the spill of the one before it, the last over all."""
    period, group_bytes = _group(bits)
    groups = len(words) // period
    masked = np.bitwise_and(words, np.uint64((1 << bits) - 1), out=scratch[0, : len(words)])
    content, part = scratch[1, :groups], scratch[2, :groups]
    last_window = group_bytes - _WINDOW_BYTES
    for residue in range(period):
        first = residue * bits // 8
        if first >= last_window:
            break
        _gather(masked, bits, period, residue, first * 8, content, part)
        _windows(out, first, group_bytes)[:] = content
    _gather(masked, bits, period, period - 1, last_window * 8, content, part)
    _windows(out, last_window, group_bytes)[:] = content


def _gather(
    masked: NDArray[np.uint64],
    bits: int,
    period: int,
    residue: int,
    first_bit: int,
    content: NDArray[np.uint64],
    part: NDArray[np.uint64],
) -> None:
    """Write into `content` what word `residue` and those before it put at and after `first_bit`."""
    np.left_shift(masked[residue::period], np.uint64(residue * bits - first_bit), out=content)
    while residue * bits > first_bit:
        residue -= 1
        shift = residue * bits - first_bit
        shift_words = np.left_shift if shift >= 0 else np.right_shift
        shift_words(masked[residue::period], np.uint64(abs(shift)), out=part)
        np.bitwise_or(content, part, out=content)


def _unpack_groups(source: NDArray[np.uint8], bits: int, out: NDArray[np.uint64]) -> None:
    period, group_bytes = _group(bits)
    last_window = group_bytes - _WINDOW_BYTES
    for residue in range(period):
        first = min(residue * bits // 8, last_window)
        shift = residue * bits - first * 8
        target = out[residue::period]
        np.right_shift(_windows(source, first, group_bytes), np.uint64(shift), out=target)
        if shift + bits > WORD_BITS:
            # The word ends in a ninth byte: the window one byte further on holds all but its lowest bits.
            upper = np.left_shift(_windows(source, first + 1, group_bytes), np.uint64(8 - shift))
            np.bitwise_or(target, upper, out=target)
    np.bitwise_and(out, np.uint64((1 << bits) - 1), out=out)


def _is_wide(bits: int) -> bool:
    """Whether a group is 8 words in 8 units: the odd widths from 57 on."""
    return bits % 2 == 1 and bits > WORD_BITS - _WIDE_PERIOD


@lru_cache(maxsize=4)
def _wide_shifts(bits: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """For a slice of words: by how much word `k` of a group lies above unit `k`, and word `k+1` below its end."""
    lag = np.arange(_WIDE_PERIOD, dtype=np.uint64) * np.uint64(WORD_BITS - bits)
    shifts = np.tile(lag, SLICE_WORDS // _WIDE_PERIOD), np.tile(np.uint64(bits) - lag, SLICE_WORDS // _WIDE_PERIOD)
    for array in shifts:
        array.flags.writeable = False
    return shifts


def _pack_wide_groups(
    words: NDArray[np.uint64], bits: int, out: NDArray[np.uint8], scratch: NDArray[np.uint64]
) -> None:
    """Pack whole groups. What the next group's first word adds to a last unit lies beyond the bytes that are cut."""
    lag, room = _wide_shifts(bits)
    count = len(words)
    masked = np.bitwise_and(words, np.uint64((1 << bits) - 1), out=scratch[0, :count])
    units = np.right_shift(masked, lag[:count], out=scratch[1, :count])
    upper = np.left_shift(masked[1:], room[: count - 1], out=scratch[2, : count - 1])
    np.bitwise_or(units[:-1], upper, out=units[:-1])
    octets = units.astype("<u8", copy=False).view(np.uint8).reshape(-1, _WIDE_PERIOD * _WINDOW_BYTES)
    out.reshape(-1, bits)[:] = octets[:, :bits]


def _unpack_wide_groups(
    source: NDArray[np.uint8], bits: int, out: NDArray[np.uint64], scratch: NDArray[np.uint64]
) -> None:
    """Unpack whole groups; the bytes of the scratch space beyond each group's stay zero."""
    lag, room = _wide_shifts(bits)
    count = len(out)
    units = scratch[0, :count].view("<u8")
    units.view(np.uint8).reshape(-1, _WIDE_PERIOD * _WINDOW_BYTES)[:, :bits] = source.reshape(-1, bits)
    np.left_shift(units, lag[:count], out=out)
    # The words that begin a group take nothing from the unit before: its upper bits are the zeros beyond the group.
    lower = np.right_shift(units[:-1], room[: count - 1], out=scratch[1, : count - 1])
    np.bitwise_or(out[1:], lower, out=out[1:])
    np.bitwise_and(out, np.uint64((1 << bits) - 1), out=out)


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= WORD_BITS:
        raise ParameterError(f"words of {bits} bits cannot be packed; use 1 .. {WORD_BITS}")


def _check_words(words: NDArray[np.uint64]) -> None:
    if words.dtype != np.uint64 or words.ndim != 1:
        raise ParameterError(
            f"words of dtype {words.dtype} and shape {words.shape} cannot be packed; pass one-dimensional uint64"
        )


def _check_bytes(octets: NDArray[np.uint8], length: int | None) -> None:
    if octets.dtype != np.uint8 or octets.ndim != 1 or not octets.flags.c_contiguous:
        raise ParameterError(
            f"packed bytes of dtype {octets.dtype} and shape {octets.shape} are unusable; "
            "pass a one-dimensional, C-contiguous uint8 array"
        )
    if length is not None and len(octets) != length:
        raise ParameterError(f"packed bytes of length {len(octets)}; exactly {length} are needed")
