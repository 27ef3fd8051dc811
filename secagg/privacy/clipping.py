"""From an update to whole numbers of bounded norm: clip, scale to the grid, round by coins, check in integers.

The bound on the sum of squares is what the noise is calibrated to, and it is kept by comparing integers: a float that
is off costs accuracy and never privacy. No value of any entry raises: an update with a NaN or an infinity becomes zero,
because a client that stays away for its data would tell something about them. Every entry is treated in the same steps,
whatever it is, and both ways of rounding are always computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.encoding.quantization import RoundingNoise
from secagg.errors import ParameterError

SLICE_ENTRIES: Final = 2**15
MAX_ENTRY: Final = 2**19
"""Largest entry: float64 has every sum of 2^15 squares of such."""
MIN_CLIP: Final = 2.0**-400
MAX_CLIP: Final = 2.0**400

UNLUCKY_BITS: Final = 20
SQUARED_SPREAD: Final = UNLUCKY_BITS * 2 * Fraction(693_147_180_559_945_310, 10**18)
"""2 ln(1 / beta) at beta = 2^-20, rounded up: one rounding in a million, at most, is refused and cut off instead."""

_SQUARE_ROOT_BITS: Final = 64
_BELOW_ONE: Final = 1 - 2.0**-40
_SHRINK: Final = 2.0**-600
_MAX_SQUARES: Final = 2**63


@dataclass(frozen=True, slots=True)
class ClipReport:
    """What became of one update; stays on the client.

    Attributes:
        norm: its L2 norm over all arrays together; NaN or infinite if an entry is.
        clipped: whether the norm was above the clip, and the update was scaled down.
        replaced: whether zeros went out in its place: an entry was NaN or infinite.
        truncated: whether its rounding by coins was too long, and fractions were cut off instead.
    """

    norm: float
    clipped: bool
    replaced: bool
    truncated: bool


def norm_bound(steps: int, entries: int, squared_spread: Fraction = SQUARED_SPREAD) -> int:
    """Return the bound S2 on the sum of squares of a rounded update (whole number, rounded up).

    A vector of norm `steps` whose entries are rounded to a neighbour, up or down by an unbiased coin, is longer than
    sqrt(S2) with probability at most beta: S2 = steps^2 + entries/4 + sqrt(2 ln(1/beta)) (steps + sqrt(entries)/2).

    Args:
        steps: the clip in grid steps.
        entries: number of entries.
        squared_spread: 2 ln(1/beta); at beta = e^-1/2 it is 1.

    Source: Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian Mechanism", ICML 2021, Theorem 1.
    """
    unit = 1 << (2 * _SQUARE_ROOT_BITS)
    spread = _root_up(squared_spread * unit)
    half_diagonal = _root_up(Fraction(entries * unit, 4))
    scale = 1 << _SQUARE_ROOT_BITS
    return steps**2 + math.ceil(
        Fraction(entries, 4) + Fraction(spread, scale) * steps + Fraction(spread * half_diagonal, scale**2)
    )


class Entries:
    """Arrays one after another, read slice by slice as float64; nothing is copied but the slice.

    Args:
        arrays: of any shape and memory order, of dtypes that become float64.
    """

    __slots__ = ("_arrays", "_reals", "size")

    def __init__(self, arrays: Iterable[NDArray[Any]]) -> None:
        self._arrays = [array.reshape(-1) if array.flags.c_contiguous else array for array in arrays]
        self.size = sum(array.size for array in self._arrays)
        self._reals = np.empty(min(SLICE_ENTRIES, self.size), dtype=np.float64)

    def slices(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield where each slice of 2^15 starts, and its entries in a buffer that the next one overwrites."""
        start = filled = 0
        for array in self._arrays:
            done = 0
            while done < array.size:
                take = min(array.size - done, len(self._reals) - filled)
                piece = array[done : done + take] if array.ndim == 1 else array.flat[done : done + take]
                np.copyto(self._reals[filled : filled + take], piece, casting="unsafe")
                done, filled = done + take, filled + take
                if filled == len(self._reals):
                    yield start, self._reals
                    start, filled = start + filled, 0
        if filled:
            yield start, self._reals[:filled]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How an update gets onto the grid.

    Attributes:
        factor: what its entries are multiplied by: steps per unit, the clip and the weight's share; 0 if not finite.
        finite: whether every entry is a finite number.
        norm: the L2 norm of the update.
        clipped: whether it is above the clip.
    """

    factor: float
    finite: bool
    norm: float
    clipped: bool


def scaling_of(update: Entries, clip: float, steps: int, share: float = 1.0) -> Scaling:
    """Measure an update and say how its clipped self becomes a vector of at most `steps` in norm.

    Args:
        update: all entries together: the norm is that of the whole update.
        clip: largest norm that travels unchanged, from 2^-400 to 2^400; where squares vanish, nothing is clipped.
        steps: grid steps of a vector of that norm.
        share: factor from 0 to 1 after clipping, for a weighted mean.
    """
    plain = small = 0.0
    with np.errstate(all="ignore"):
        for _, reals in update.slices():
            plain += _squares_of(reals)
            # The squares of these do not overflow: their sum is finite if every entry is.
            np.multiply(reals, _SHRINK, out=reals)
            small += _squares_of(reals)
    finite = math.isfinite(small)
    norm = math.sqrt(plain) if math.isfinite(plain) else math.sqrt(small) / _SHRINK
    clipped = finite and norm > clip
    factor = steps / clip
    if clipped:
        # The norm of many of the largest floats is none itself.
        factor = steps / norm if math.isfinite(norm) else steps / math.sqrt(small) * _SHRINK
    return Scaling(factor * _BELOW_ONE * share if finite else 0.0, finite, norm, clipped)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which rounding goes out, for all entries alike: the whole part times `whole` plus the coin times `coin`."""

    whole: int
    coin: int

    def settle(self, packed: NDArray[np.int64], scratch: NDArray[np.int64]) -> None:
        """Replace what :meth:`Rounder.round` wrote by the whole numbers that go out; in place.

        Args:
            packed: int64, four times the whole part plus the coin, -1 .. 1.
            scratch: int64, at least as long; overwritten.
        """
        wholes = scratch[: len(packed)]
        np.add(packed, 1, out=wholes)
        np.right_shift(wholes, 2, out=wholes)
        np.multiply(wholes, self.whole - 4 * self.coin, out=wholes)
        np.multiply(packed, self.coin, out=packed)
        np.add(packed, wholes, out=packed)


class Rounder:
    """Rounds slices of one update once by coins and once by cutting off, and sums the squares of both exactly.

    Squares are of whole numbers up to 2^19, and 2^15 of them are added in float64, which has every whole number up to
    2^53; beyond, in Python's integers. So the sums are those of integer arithmetic.

    Args:
        bound: largest sum of squares that may go out.
        randomness: drawn from once, 32 bytes, for the coins.
    """

    __slots__ = ("_bound", "_coins", "_cut", "_cut_squares", "_squares", "_uniform")

    def __init__(self, bound: int, randomness: RandomSource) -> None:
        self._bound = bound
        self._coins = RoundingNoise(randomness, SLICE_ENTRIES)
        self._uniform = np.empty(SLICE_ENTRIES, dtype=np.float64)
        self._cut = np.empty(SLICE_ENTRIES, dtype=np.float64)
        self._squares = self._cut_squares = 0

    def round(self, reals: NDArray[np.float64], limit: int, out: NDArray[np.int64]) -> None:
        """Round one slice; `out` gets four times the entry cut off, plus what the coin adds to that.

        Args:
            reals: float64, at most 2^15 entries in grid steps; overwritten. What lies beyond the limit is moved there.
            limit: largest entry, at most 2^19.
            out: int64, as long; :meth:`Verdict.settle` makes the entries of it.
        """
        uniform, cut = self._uniform[: len(reals)], self._cut[: len(reals)]
        # Everything is small before it is squared. A NaN stays one, and so does the sum.
        np.clip(reals, -limit, limit, out=reals)
        np.trunc(reals, out=cut)
        self._coins.fill(uniform)
        # Exact: below 2^19 float64 has steps finer than the coins' 2^-32.
        np.add(reals, uniform, out=reals)
        np.floor(reals, out=reals)
        self._squares += _whole(_squares_of(reals))
        self._cut_squares += _whole(_squares_of(cut))
        np.multiply(cut, 3.0, out=cut)
        np.add(cut, reals, out=cut)
        np.copyto(out, cut, casting="unsafe")

    def verdict(self, finite: bool) -> Verdict:
        """Judge all slices together: the coins, else the cut entries, else zero; zero for what is not finite."""
        if finite and self._squares <= self._bound:
            return Verdict(1, 1)
        if finite and self._cut_squares <= self._bound:
            return Verdict(1, 0)
        return Verdict(0, 0)


def check_limit(limit: int) -> None:
    """Refuse entries whose squares could not be summed exactly.

    Raises:
        ParameterError: a limit above 2^19.
    """
    if limit > MAX_ENTRY:
        raise ParameterError(
            f"entries up to {limit} are above 2^19, and the grid is finer than any noise can use; raise overhead"
        )


def _squares_of(reals: NDArray[np.float64]) -> float:
    """Their sum, without BLAS: on a busy machine, waiting for its threads at every call took 50 times as long."""
    return float(np.einsum("i,i->", reals, reals))


def _whole(squares: float) -> int:
    """A sum of squares as an integer; more than any bound for a NaN."""
    return int(squares) if math.isfinite(squares) else _MAX_SQUARES


def _root_up(square: Fraction) -> int:
    """The square root of a fraction, rounded up to a whole number."""
    whole = math.ceil(square)
    root = math.isqrt(whole)
    return root if root * root == whole else root + 1
