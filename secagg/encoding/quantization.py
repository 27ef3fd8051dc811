"""Numbers to words of fields, and sums of fields back to numbers (Specification §4.2).

Client side: a real `x` becomes the level `floor(clamp(x) * top / clip + r)` of `-top .. top`, and travels as level
plus top; `r` is 1/2 for nearest rounding, and uniform for stochastic. A whole number `x` becomes `x - low`. Server
side: the inverse, of a sum of entries. Must not know the session vector, keys of the session, or masks.

Stochastic rounding is done in whole numbers. `clamp(x) * top / clip` is added to a power of two so large that its
float64 has F = min(32, 50 - bits) places after the point, and its bits are then a whole number: F random bits are
added, and F bits are cut off. Level k is the number `k / top * clip`, whose float64 becomes k again in either rounding:
on the way there are four roundings, together below a quarter of the last of those places. So rounding is unbiased up to
2^-(F+1) of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.kdf import expand
from secagg.crypto.labels import Label
from secagg.crypto.prg import AesCtrPrg, empty_words
from secagg.crypto.randomness import RandomSource
from secagg.errors import InternalError, ParameterError
from secagg.parameters.arguments import as_whole
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec

_SEED_BYTES: Final = 32
_NOISE_BITS: Final = 32
_ENTRIES_PER_NOISE_WORD: Final = 2
_EXACT_PLACES: Final = 50
_MANTISSA_BITS: Final = 52
_EXPONENT_OF_ONE: Final = 1023
_WORD_BITS: Final = 64
_EXACT_FLOAT: Final = 2**53
_CLIPPED_AS_THEY_ARE: Final = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What quantization did to one vector of one client; made and kept on the client's side only.

    Attributes:
        name: the vector's name.
        entries: number of entries.
        clipped: entries beyond the specification's bounds, infinities among them, which were moved to the bound.
        nan: entries that were NaN and count as 0.
    """

    name: str
    entries: int
    clipped: int
    nan: int = 0

    @property
    def fraction(self) -> float:
        """Share of the entries that were clipped or NaN, 0.0 .. 1.0."""
        return (self.clipped + self.nan) / self.entries


class RoundingNoise:
    """Uniform numbers, 32 bits each, from one fresh AES-128-CTR key; for one client's one input."""

    __slots__ = ("_stream", "_word_offset", "_words")

    def __init__(self, randomness: RandomSource, largest_slice: int) -> None:
        prg = AesCtrPrg()
        seed = randomness.secret(_SEED_BYTES)
        key = expand(seed, encode_fields(Label.QUANTIZATION_KEY), prg.key_bytes)
        self._stream = prg.open(key)
        key.wipe()
        seed.wipe()
        self._words = empty_words(-(-largest_slice // _ENTRIES_PER_NOISE_WORD))
        self._word_offset = 0

    def draw(self, words: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Overwrite `words` with the next numbers, two a word, and return them as they stand there."""
        self._stream.fill(words, self._word_offset)
        self._word_offset += len(words)
        return words.astype("<u8", copy=False).view("<u4")

    def fill(self, out: NDArray[np.float64]) -> None:
        """Write the next `len(out)` numbers, at most `largest_slice`, as fractions in [0, 1)."""
        lanes = self.draw(self._words[: -(-len(out) // _ENTRIES_PER_NOISE_WORD)])
        np.multiply(lanes[: len(out)], 2.0**-_NOISE_BITS, out=out)


class Quantizer:
    """Encodes one client's vectors slice by slice, with buffers that it reuses.

    Args:
        largest_slice: most fields that `encode` writes at once.
        noise: for stochastic rounding; None when no vector rounds stochastically.
    """

    __slots__ = ("_finite", "_flags", "_noise", "_reals")

    def __init__(self, largest_slice: int, noise: RoundingNoise | None) -> None:
        self._noise = noise
        self._reals = empty_words(largest_slice).view(np.float64)
        self._finite = empty_words(largest_slice).view(np.float64)
        self._flags = np.empty(largest_slice, dtype=np.bool_)

    def encode(
        self,
        spec: VectorSpec,
        values: NDArray[Any],
        start: int,
        weight: int | None,
        out: NDArray[np.uint64],
        fields: int = 1,
        width: int = _WORD_BITS,
    ) -> tuple[int, int]:
        """Write words of encoded entries, the vector's from `start` on. No value of any entry is refused.

        The steps are the same whatever the values are, and whatever the weight: the server chooses the bounds, and
        could ask by them how long an input takes.

        Args:
            spec: the vector's specification.
            values: all the vector's entries, as `check_array` returned them.
            start: flat index of the first entry to encode.
            weight: factor of every entry: the client's weight for a weighted mean, else None.
            out: uint64, C-contiguous; gets `fields` entries a word, the first in the lowest bits, each at most
                `spec.largest * weight`. Fields after the vector's last entry are zero.
            fields: entries of a word.
            width: bits of a field.

        Returns:
            How many entries were beyond the bounds and moved there, and how many were NaN and became 0.
        """
        piece = values[start : start + len(out) * fields]
        entries = self._reals[: len(out) * fields].view(np.uint64)
        if isinstance(spec, Integers):
            clipped, missing = int(np.count_nonzero(_outside(spec, piece))), 0
            _offset_integers(spec, _limited(spec, piece), entries[: len(piece)])
            _join_fields(entries.reshape(len(out), fields).T, width, 0, out)
        else:
            clipped, missing = self._quantize(spec, piece, fields)
            above = _exponents(spec, fields, width) if spec.rounding == "stochastic" else 0
            _join_fields(entries.reshape(fields, len(out)), width, above, out)
        unused = len(entries) - len(piece)
        if unused:
            np.bitwise_and(out[-1:], np.uint64((1 << (fields - unused) * width) - 1), out=out[-1:])
        if weight is not None:
            np.multiply(out, np.uint64(weight), out=out)
        return clipped, missing

    def _quantize(self, spec: FixedPoint, piece: NDArray[Any], fields: int) -> tuple[int, int]:
        """Write the entries over the reals, as integers: all first fields of words, then all second ones, and so on.

        Above entries that were rounded stochastically there is still what `_exponents` says.
        """
        count, words = len(piece), -(-len(piece) // fields)
        reals, flags = self._reals[: words * fields], self._flags[:count]
        bound = _clip_in(piece.dtype, spec.clip)
        # A signalling NaN complains when it is looked at, and so does what vanishes beside a step.
        with np.errstate(invalid="ignore", under="ignore"):
            source = piece
            if not _holds(piece.dtype, bound):
                source = reals[:count]
                np.copyto(source, piece, casting="same_kind")
            real = source.dtype.type
            finite = self._finite.view(real)[: words * fields]
            limited, rest = finite[:count], finite[count:]
            np.clip(source, real(-bound), real(bound), out=limited)
            np.not_equal(source, limited, out=flags)
            changed = int(np.count_nonzero(flags))
            # NaN alone is not what it is.
            np.equal(limited, limited, out=flags)
            missing = count - int(np.count_nonzero(flags))
            # Every bit of a NaN is masked off; a copy where there are some takes longer the more there are.
            keep, bits = flags.view(np.int8), limited.view(f"i{limited.itemsize}")
            mask = reals.view(bits.dtype)[:count]
            np.negative(keep, out=keep)
            np.copyto(mask, keep)
            np.bitwise_and(bits, mask, out=bits)
            rest.fill(0)
            np.copyto(reals.reshape(fields, words), finite.reshape(words, fields).T)
            np.multiply(reals, spec.top / spec.clip, out=reals)
            if bound != spec.clip:
                np.clip(reals, -spec.top, spec.top, out=reals)
        self._round(spec, reals)
        return changed - missing, missing

    def _round(self, spec: FixedPoint, reals: NDArray[np.float64]) -> None:
        """Replace numbers within [-top, top] by entries."""
        entries = reals.view(np.uint64)
        if spec.rounding == "nearest":
            np.add(reals, spec.top + 0.5, out=reals)
            # Not negative, so cutting the fraction off is the floor; below 2^32, so int64 and uint64 agree.
            np.copyto(entries.view(np.int64), reals, casting="unsafe")
            return
        if self._noise is None:
            raise InternalError("stochastic rounding without noise")
        places = _places(spec)
        np.add(reals, 2.0 ** (_MANTISSA_BITS - places) + spec.top, out=reals)
        # Nobody needs the reals of before any more, and what is drawn over them is in the cache.
        room = self._finite.view(np.uint64)[: -(-len(reals) // _ENTRIES_PER_NOISE_WORD)]
        noise = self._noise.draw(room)[: len(reals)]
        if places < _NOISE_BITS:
            np.right_shift(noise, np.uint32(_NOISE_BITS - places), out=noise)
        np.add(entries, noise, out=entries)
        np.right_shift(entries, np.uint64(places), out=entries)


def check_array(name: str, spec: VectorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Check type and shape of one input and return its entries as a one-dimensional array, row by row.

    A contiguous array is viewed; any other is copied once. FixedPoint takes float16, float32, float64 and
    every integer dtype; long double is refused, because its values may not fit float64. Integers takes
    integer dtypes only.

    Raises:
        ParameterError: not a plain NumPy array, another dtype, or another shape.
    """
    if not isinstance(array, np.ndarray):
        raise ParameterError(
            f"vector {name!r} is a {type(array).__name__}, not a NumPy array; wrap it in numpy.asarray(...)"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise ParameterError(f"vector {name!r} is a masked array; fill it with values first (array.filled(0))")
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "c":
        raise ParameterError(
            f"vector {name!r} has dtype {array.dtype}, and complex numbers are not clipped; sum array.real and "
            "array.imag as two vectors"
        )
    if isinstance(spec, Integers):
        if kind not in "iu":
            raise ParameterError(
                f"vector {name!r} has dtype {array.dtype}, and Integers takes integer dtypes; "
                f"{'round it and ' if kind == 'f' else ''}convert with astype(numpy.int64)"
            )
    elif not (kind in "iu" or (kind == "f" and size <= np.dtype(np.float64).itemsize)):
        raise ParameterError(
            f"vector {name!r} has dtype {array.dtype}, and FixedPoint takes float16, float32, float64 and "
            "integer dtypes; convert with astype(numpy.float64)"
        )
    if array.shape != spec.shape:
        raise ParameterError(f"vector {name!r} has shape {array.shape}, and its specification says {spec.shape}")
    return np.ascontiguousarray(array).reshape(-1)


def limit_weight(weight: int | None, max_weight: int) -> int:
    """Return the weight that travels: limited to 0 .. max_weight, or 1 when the session has no weights.

    Raises:
        ParameterError: another type; no weight in a session that has weights, or one in a session that has none.
            Whatever number it is decides nothing.
    """
    if weight is None:
        if max_weight > 1:
            raise ParameterError(
                f"this session has weights, 0 .. {max_weight}, and none was given; pass weight=, such as the number "
                "of examples (0 without any)"
            )
        return 1
    given = as_whole(weight)
    if given is None:
        raise ParameterError(f"weight={weight!r:.80} is no whole number; give one, such as the example count")
    if max_weight == 1:
        raise ParameterError(
            f"weight={given}, and this session has no weights; "
            "set max_weight in the session's parameters, or leave the weight out"
        )
    return min(max(given, 0), max_weight)


def decode_entries(
    spec: VectorSpec, sums: NDArray[np.uint64], contributors: int, total_weight: int, out: NDArray[Any]
) -> None:
    """Turn sums of encoded entries into sums or means of values.

    Args:
        spec: the vector's specification.
        sums: uint64, field sums over all contributors; overwritten.
        contributors: number of clients in the sum, at least 1.
        total_weight: sum of their weights, at least 0; equal to `contributors` when the session has no weights.
        out: of the length of `sums`. float64 for FixedPoint; gets sums or means: the mean of equal levels is that
            level, a mean over a total weight of 0 is 0, and zero is +0.0. int64 for Integers; gets exact sums.
    """
    if isinstance(spec, Integers):
        np.add(sums, np.uint64(contributors * spec.low % 2**64), out=out.view(np.uint64))
        return
    terms = total_weight if spec.weighted else contributors
    if terms == 0:
        out.fill(0)
        return
    np.subtract(sums, np.uint64(terms * spec.top), out=sums)
    levels = sums.view(np.int64)
    np.copyto(out, levels)
    parts = spec.top * terms if spec.aggregate == "mean" else spec.top
    if parts < _EXACT_FLOAT:
        np.divide(out, parts, out=out)
    else:
        # Float64 holds neither the sum nor the divisor, and equal levels have to come back as they are.
        whole = np.rint(out / terms)
        np.subtract(levels, whole.astype(np.int64) * terms, out=levels)
        np.divide(whole + levels / terms, spec.top, out=out)
    np.multiply(out, spec.clip, out=out)


def _places(spec: FixedPoint) -> int:
    """Return F: how many bits after the point stochastic rounding looks at."""
    return min(_NOISE_BITS, _EXACT_PLACES - spec.bits)


@lru_cache(maxsize=64)
def _exponents(spec: FixedPoint, fields: int, width: int) -> int:
    """Return what the exponents of float64 add to a word of so many fields, modulo 2^64."""
    places = _MANTISSA_BITS - _places(spec)
    exponent = (_EXPONENT_OF_ONE + places) << places
    return sum(exponent << field * width for field in range(fields)) % (1 << _WORD_BITS)


def _join_fields(rows: NDArray[np.uint64], width: int, above: int, out: NDArray[np.uint64]) -> None:
    """Put the first row's entries into the lowest field of each word, and each row above the one before.

    In the last row, which is in the cache; `out` is written once, without what stands above the entries.
    """
    joined = rows[-1]
    for row in rows[-2::-1]:
        np.left_shift(joined, np.uint64(width), out=joined)
        np.add(joined, row, out=joined)
    np.subtract(joined, np.uint64(above), out=out)


def _limited(spec: Integers, piece: NDArray[Any]) -> NDArray[np.int64]:
    """Return the entries moved into low .. high, as int64, in which an unsigned one may not fit before."""
    if piece.dtype.kind == "u":
        piece = np.minimum(piece.astype(np.uint64), np.uint64(max(spec.high, 0)))
    limited: NDArray[np.int64] = np.clip(piece.astype(np.int64), spec.low, spec.high)
    return limited


def _outside(spec: Integers, piece: NDArray[Any]) -> NDArray[np.bool_]:
    encoded = np.empty(len(piece), dtype=np.uint64)
    _offset_integers(spec, piece, encoded)
    outside: NDArray[np.bool_] = encoded > np.uint64(spec.largest)
    if piece.dtype.kind == "u":
        # An unsigned entry from 2^63 on may wrap back into the range.
        outside |= piece.astype(np.uint64) > np.uint64(max(spec.high, 0))
    return outside


def _offset_integers(spec: Integers, piece: NDArray[Any], out: NDArray[np.uint64]) -> None:
    """Write `piece - low` modulo 2^64: exact for entries in range, of signed and unsigned types alike."""
    np.copyto(out, piece, casting="unsafe")
    np.subtract(out, np.uint64(spec.low % 2**64), out=out)


def _holds(dtype: np.dtype[Any], bound: float) -> bool:
    """Whether arrays of that type are clipped as they are: NumPy does so quickly, and they hold the bound exactly."""
    return dtype in _CLIPPED_AS_THEY_ARE and float(dtype.type(bound)) == bound


@lru_cache(maxsize=64)
def _clip_in(dtype: np.dtype[Any], clip: float) -> float:
    """Return the bound beyond which a value counts as clipped: `clip` as the array's own precision has it.

    A float32 array that its owner clipped to 0.1 holds 0.1 rounded up, and loses nothing.
    """
    if dtype.kind != "f":
        return clip
    with np.errstate(over="ignore", under="ignore"):
        return max(clip, float(np.float64(clip).astype(dtype)))
