"""Numbers to field entries and back (Specification §4.2).

Client side: a real `x` becomes the level `floor(clamp(x) * top / clip + r)` of `-top .. top`, and travels as level
plus top; `r` is 1/2 for nearest rounding, and uniform in [e, 1 - e) for stochastic. A whole number `x` becomes
`x - low`. Server side: the inverse, of a sum of entries. Must not know the session vector, keys of the session,
or masks.

Level k is the number `k / top * clip`, whose float64 becomes k again in either rounding: on the way there are seven
roundings, together below 2^(bits - 51) of a step, and e is 2^(bits - 50). Stochastic rounding is unbiased up to
that e, and up to 2^-32 of a step because noise has 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.kdf import expand
from secagg.crypto.labels import Label
from secagg.crypto.prg import AesCtrPrg
from secagg.crypto.randomness import RandomSource
from secagg.errors import InternalError, ParameterError
from secagg.parameters.arguments import as_whole
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec

_SEED_BYTES: Final = 32
_NOISE_UNIT: Final = 2.0**-32
_ENTRIES_PER_NOISE_WORD: Final = 2
_MARGIN_BITS: Final = 50
_EXACT_FLOAT: Final = 2**53


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
        self._words = np.empty(-(-largest_slice // _ENTRIES_PER_NOISE_WORD), dtype=np.uint64)
        self._word_offset = 0

    def fill(self, out: NDArray[np.float64], span: float) -> None:
        """Write the next `len(out)` numbers, uniform in [0, span); at most `largest_slice` at once."""
        words = self._words[: -(-len(out) // _ENTRIES_PER_NOISE_WORD)]
        self._stream.fill(words, self._word_offset)
        self._word_offset += len(words)
        lanes = words.astype("<u8", copy=False).view("<u4")[: len(out)]
        np.multiply(lanes, span * _NOISE_UNIT, out=out)


class Quantizer:
    """Encodes one client's vectors slice by slice, with buffers that it reuses.

    Args:
        largest_slice: most entries that `encode` takes at once.
        noise: for stochastic rounding; None when no vector rounds stochastically.
    """

    __slots__ = ("_flags", "_noise", "_reals", "_uniform")

    def __init__(self, largest_slice: int, noise: RoundingNoise | None) -> None:
        self._noise = noise
        self._reals = np.empty(largest_slice, dtype=np.float64)
        self._uniform = np.empty(largest_slice, dtype=np.float64)
        self._flags = np.empty(largest_slice, dtype=np.bool_)

    def encode(
        self,
        spec: VectorSpec,
        values: NDArray[Any],
        start: int,
        weight: int | None,
        out: NDArray[np.uint64],
    ) -> tuple[int, int]:
        """Write the encoded entries `start .. start + len(out)` of a vector. No value of any entry is refused.

        The steps are the same whatever the values are, and whatever the weight: the server chooses the bounds, and
        could ask by them how long an input takes.

        Args:
            spec: the vector's specification.
            values: all the vector's entries, as `check_array` returned them.
            start: flat index of the first entry to encode.
            weight: factor of every entry: the client's weight for a weighted mean, else None.
            out: uint64, C-contiguous; gets entries of at most `spec.largest * weight`.

        Returns:
            How many entries were beyond the bounds and moved there, and how many were NaN and became 0.
        """
        piece = values[start : start + len(out)]
        if isinstance(spec, Integers):
            _offset_integers(spec, _limited(spec, piece), out)
            return int(np.count_nonzero(_outside(spec, piece))), 0
        reals, scratch, flags = self._reals[: len(piece)], self._uniform[: len(piece)], self._flags[: len(piece)]
        # A signalling NaN makes the conversion itself complain; it becomes 0 below like every NaN.
        with np.errstate(invalid="ignore"):
            np.copyto(reals, piece, casting="same_kind")
        np.isnan(reals, out=flags)
        missing = int(np.count_nonzero(flags))
        # Every bit of a NaN is masked off; a copy where there are some takes longer the more there are.
        keep = scratch.view(np.int64)
        np.subtract(flags, 1, out=keep, dtype=np.int64)
        np.bitwise_and(reals.view(np.int64), keep, out=reals.view(np.int64))
        np.greater(np.abs(reals, out=scratch), _clip_in(values.dtype, spec.clip), out=flags)
        clipped = int(np.count_nonzero(flags))
        np.clip(reals, -spec.clip, spec.clip, out=reals)
        self._quantize(spec, reals)
        # Not negative, so cutting the fraction off is the floor; below 2^32, so int64 and uint64 agree.
        np.copyto(out.view(np.int64), reals, casting="unsafe")
        if weight is not None:
            np.multiply(out, np.uint64(weight), out=out)
        return clipped, missing

    def _quantize(self, spec: FixedPoint, reals: NDArray[np.float64]) -> None:
        """Replace values within [-clip, clip] by entries with a fraction still to be cut off."""
        with np.errstate(under="ignore"):  # a number that vanishes beside a step is level 0
            np.multiply(reals, spec.top / spec.clip, out=reals)
        if spec.rounding == "nearest":
            np.add(reals, spec.top + 0.5, out=reals)
            return
        if self._noise is None:
            raise InternalError("stochastic rounding without noise")
        margin = 2.0 ** (spec.bits - _MARGIN_BITS)
        uniform = self._uniform[: len(reals)]
        self._noise.fill(uniform, 1 - 2 * margin)
        np.add(reals, spec.top + margin, out=reals)
        np.add(reals, uniform, out=reals)


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


def _clip_in(dtype: np.dtype[Any], clip: float) -> float:
    """Return the bound beyond which a value counts as clipped: `clip` as the array's own precision has it.

    A float32 array that its owner clipped to 0.1 holds 0.1 rounded up, and loses nothing.
    """
    if dtype.kind != "f":
        return clip
    with np.errstate(over="ignore", under="ignore"):
        return max(clip, float(np.float64(clip).astype(dtype)))
