"""Numbers to field entries and back (Specification §4.2).

Client side: a real `x` becomes the level `floor((clamp(x) + clip) * scale + u)` of `0 .. 2^bits - 1`, with
`scale = (2^bits - 1) / (2 * clip)`; `u` is uniform in [0, 1) for stochastic rounding and 1/2 for nearest. A
whole number `x` becomes `x - low`. Server side: the inverse, of a sum of entries. Must not know the session
vector, keys of the session, or masks.

Stochastic rounding is unbiased up to two errors, both far below what float64 resolves in a sum. `u` is one of
the 2^32 multiples of 2^-32, which lowers the probability of rounding up by less than 2^-32: at most 2^-32 of
a step per entry. The sum `level + u` is rounded to float64: at most 2^(bits - 53) of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
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


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What quantization did to one vector of one client; made and kept on the client's side only.

    Attributes:
        name: the vector's name.
        entries: number of entries.
        clipped: entries beyond [-clip, clip], which were moved to the bound.
    """

    name: str
    entries: int
    clipped: int

    @property
    def fraction(self) -> float:
        """Share of the entries that were clipped, 0.0 .. 1.0."""
        return self.clipped / self.entries


class RoundingNoise:
    """Uniform numbers in [0, 1), 32 bits each, from one fresh AES-128-CTR key; for one client's one input."""

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

    def fill(self, out: NDArray[np.float64]) -> None:
        """Write the next `len(out)` numbers; at most `largest_slice` at once."""
        words = self._words[: -(-len(out) // _ENTRIES_PER_NOISE_WORD)]
        self._stream.fill(words, self._word_offset)
        self._word_offset += len(words)
        np.multiply(words.view(np.uint32)[: len(out)], _NOISE_UNIT, out=out)


class Quantizer:
    """Encodes one client's vectors slice by slice, with buffers that it reuses.

    Args:
        largest_slice: most entries that `encode` takes at once.
        noise: for stochastic rounding; None when no vector rounds stochastically.
    """

    __slots__ = ("_noise", "_reals", "_uniform")

    def __init__(self, largest_slice: int, noise: RoundingNoise | None) -> None:
        self._noise = noise
        self._reals = np.empty(largest_slice, dtype=np.float64)
        self._uniform = np.empty(largest_slice, dtype=np.float64)

    def encode(
        self,
        name: str,
        spec: VectorSpec,
        values: NDArray[Any],
        start: int,
        weight: int,
        out: NDArray[np.uint64],
    ) -> int:
        """Write the encoded entries `start .. start + len(out)` of a vector.

        Args:
            name: the vector's name, for errors.
            spec: the vector's specification.
            values: all the vector's entries, as `check_array` returned them.
            start: flat index of the first entry to encode.
            weight: factor of every entry: the client's weight for a weighted mean, else 1.
            out: uint64, C-contiguous; gets entries of at most `spec.largest * weight`.

        Returns:
            The number of clipped entries.

        Raises:
            ParameterError: the vector holds NaN, infinity or an integer outside its range: how many such
                values in all, and where the first one is.
        """
        piece = values[start : start + len(out)]
        if isinstance(spec, Integers):
            if int(piece.min()) < spec.low or int(piece.max()) > spec.high:
                raise _bad_values(name, spec, values, len(self._reals))
            _offset_integers(spec, piece, out)
            return 0
        reals = self._reals[: len(piece)]
        # A signalling NaN makes the conversion itself complain; it is refused below like every NaN.
        with np.errstate(invalid="ignore"):
            np.copyto(reals, piece, casting="same_kind")
        clipped = 0
        # A NaN makes both extremes NaN, so it fails this comparison as infinities do.
        if not (float(reals.min()) >= -spec.clip and float(reals.max()) <= spec.clip):
            if not np.isfinite(reals).all():
                raise _bad_values(name, spec, values, len(self._reals))
            clipped = int(np.count_nonzero(np.abs(reals) > _clip_in(values.dtype, spec.clip)))
            np.maximum(reals, -spec.clip, out=reals)
            np.minimum(reals, spec.clip, out=reals)
        self._quantize(spec, reals)
        # Not negative, so cutting the fraction off is the floor; below 2^32, so int64 and uint64 agree.
        np.copyto(out.view(np.int64), reals, casting="unsafe")
        if weight != 1:
            np.multiply(out, np.uint64(weight), out=out)
        return clipped

    def _quantize(self, spec: FixedPoint, reals: NDArray[np.float64]) -> None:
        """Replace values within [-clip, clip] by levels with a fraction still to be cut off."""
        clip, levels = spec.clip, spec.largest
        np.add(reals, clip, out=reals)
        np.multiply(reals, levels / (2 * clip), out=reals)
        if spec.rounding == "nearest":
            np.add(reals, 0.5, out=reals)
        elif self._noise is None:
            raise InternalError("stochastic rounding without noise")
        else:
            uniform = self._uniform[: len(reals)]
            self._noise.fill(uniform)
            np.add(reals, uniform, out=reals)
            # The highest level and a number just below 1 may have been rounded up to the next whole number.
            np.minimum(reals, float(levels), out=reals)


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


def check_weight(weight: int, max_weight: int) -> int:
    """Return the client's weight as an int within 1 .. max_weight.

    Raises:
        ParameterError: another value or type, or a weight in a session that has none.
    """
    checked = as_whole(weight)
    if checked is None:
        raise ParameterError(f"weight={weight!r:.80} is no whole number; give one, such as the example count")
    if max_weight == 1 and checked != 1:
        raise ParameterError(
            f"weight={checked}, and this session has no weights; "
            "set max_weight in the session's parameters, or leave the weight out"
        )
    if checked < 1:
        raise ParameterError(f"weight={checked} is below 1; a client without examples takes no part")
    if checked > max_weight:
        raise ParameterError(f"weight={checked} is above the session's max_weight={max_weight}; scale weights down")
    return checked


def decode_entries(
    spec: VectorSpec, sums: NDArray[np.uint64], contributors: int, total_weight: int
) -> NDArray[np.float64] | NDArray[np.int64]:
    """Turn sums of encoded entries into sums or means of values.

    Args:
        spec: the vector's specification.
        sums: uint64, field sums over all contributors; overwritten.
        contributors: number of clients in the sum, at least 1.
        total_weight: sum of their weights; equal to `contributors` when the session has no weights.

    Returns:
        float64 sums or means for FixedPoint, exact int64 sums for Integers; of the length of `sums`.
    """
    if isinstance(spec, Integers):
        np.add(sums, np.uint64(contributors * spec.low % 2**64), out=sums)
        return sums.view(np.int64)
    terms = total_weight if spec.weighted else contributors
    # sum = sums * step - terms * clip = (sums - terms * largest / 2) * step; the bracket is taken in whole
    # numbers, so that nothing cancels in float64. Rounding the half up keeps it within int64.
    doubled = terms * spec.largest
    np.subtract(sums, np.uint64((doubled + 1) // 2), out=sums)
    values = sums.view(np.int64).astype(np.float64)
    if doubled % 2:
        np.add(values, 0.5, out=values)
    step = Fraction(spec.clip) * 2 / spec.largest
    np.multiply(values, float(step / terms if spec.aggregate == "mean" else step), out=values)
    return values


def _bad_values(name: str, spec: VectorSpec, values: NDArray[Any], slice_entries: int) -> ParameterError:
    """Say how many entries cannot be encoded, and where the first is; at least one must be bad."""
    count, first = 0, -1
    for start in range(0, len(values), slice_entries):
        piece = values[start : start + slice_entries]
        bad = _outside(spec, piece) if isinstance(spec, Integers) else ~np.isfinite(piece)
        found = int(np.count_nonzero(bad))
        if found and first < 0:
            first = start + int(np.argmax(bad))
        count += found
    number = "1 entry is" if count == 1 else f"{count} entries are"
    where = f"the first at flat index {first}"
    if isinstance(spec, Integers):
        return ParameterError(
            f"vector {name!r}: {number} outside {spec.low} .. {spec.high}, {where}; "
            "counts are never clipped, so widen the specification or correct the input"
        )
    return ParameterError(f"vector {name!r}: {number} NaN or infinite, {where}; send finite numbers only")


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
