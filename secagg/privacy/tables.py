"""Tables of noise: distributions on whole numbers as cumulative thresholds of 128 bits, made by big integers alone.

Each table is within 2^-99 of its ideal distribution in total variation: what lies beyond the tail T is at most 2^-101,
and rounding to 2^-128 a cell, with fixed-point arithmetic of 192 bits before, is less than that again. Must not know
who draws, or what for.

Skellam and discrete Laplace shares come from the ratios r_k = P(k)/P(k-1), which three-term recurrences give downwards
from far beyond the tail, where any start is forgotten (Miller's algorithm): for Sk(mu), P(k) = e^-mu I_k(mu),
r_k = 1/(2k/mu + r_{k+1}). The rounded Gaussian is density times cell mass over density: the density by products of
exp(-1/(2 sigma^2)), the rest by the series in its docstring, all of whose terms are positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole

VARIANCE_UNIT: Final = 16
"""Variances are whole numbers of sixteenths."""
MASS_BITS: Final = 128
LARGEST_TAIL: Final = 2**21
_TAIL_BITS: Final = 101
_BITS: Final = 192
_ONE: Final = 1 << _BITS
_WORD_BITS: Final = 64
_CACHED: Final = 4
# P(|X| > 11.6 sigma) is about 2^-101, P(|X| > 14 sigma) below 2^-140, and from 17 sigma on ratios forget their start.
_LEAST_TAIL_IN_SIGMAS: Final = 11.5
_GAUSSIAN_REACH: Final = (14, 4)
_SKELLAM_REACH: Final = (17, 220)
# The same in steps by which p^k halves: 101 halvings, less what the factor before p^k may take; and 101 + 192/2.
_LEAST_TAIL_IN_HALVINGS: Final = 70
_REACH_IN_HALVINGS: Final = 208


@dataclass(frozen=True, slots=True, eq=False)
class NoiseTable:
    """A symmetric distribution on -tail .. tail.

    Threshold i is 2^128 P(X <= i - tail), i = 0 .. 2 tail - 1; the next would be 2^128 itself. The value of a uniform
    128-bit number is the number of thresholds that are not above it, less the tail.

    Attributes:
        tail: largest value, at least 1.
        high: the upper 64 bits of the thresholds, uint64, (2 tail,), not decreasing.
        low: their lower 64 bits, uint64, (2 tail,).
    """

    tail: int
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]

    def threshold(self, index: int) -> int:
        """Return threshold `index`, 0 .. 2 tail, a whole number up to 2^128."""
        if index == len(self.high):
            return 1 << MASS_BITS
        return (int(self.high[index]) << _WORD_BITS) + int(self.low[index])

    def mass(self, value: int) -> int:
        """Return 2^128 P(X = value), a whole number."""
        if abs(value) > self.tail:
            return 0
        index = value + self.tail
        return self.threshold(index) - (self.threshold(index - 1) if index else 0)


@lru_cache(maxsize=_CACHED)
def skellam(variance16: int) -> NoiseTable:
    """Return the table of Sk(mu), the difference of two Poisson numbers of mean mu/2.

    Args:
        variance16: 16 mu, at least 1.

    Raises:
        ParameterError: not such a number, or so large that the tail would exceed 2^21.
    """
    return _table(skellam_weights(variance16))


def skellam_weights(variance16: int) -> list[int]:
    """Return P(k)/P(0) of Sk(variance16/16) in units of 2^-192, for k = 0, 1, ... until far beyond the tail.

    Raises:
        ParameterError: as `skellam`.
    """
    last = _reach(variance16, *_SKELLAM_REACH)
    ratios = [0] * (last + 1)
    ratio, numerator = 0, 2 * VARIANCE_UNIT << _BITS
    for k in range(last, 0, -1):
        ratio = (_ONE << _BITS) // (k * numerator // variance16 + ratio)
        ratios[k] = ratio
    return list(_products(ratios))


@lru_cache(maxsize=_CACHED)
def rounded_gaussian(variance16: int) -> NoiseTable:
    """Return the table of the normal distribution, rounded: P(k) = Φ((k + 1/2)/sigma) - Φ((k - 1/2)/sigma).

    The mass of a cell over the density in its middle is, with h = 1/(2 sigma) and y = (h k/sigma)^2,
    2 h times the sum over m of y^m/(2m)! M_m, M_m = ∫_0^1 u^2m exp(-h^2 u^2/2) du.

    Args:
        variance16: 16 sigma^2, at least 1.

    Raises:
        ParameterError: not such a number, or so large that the tail would exceed 2^21.
    """
    last = _reach(variance16, *_GAUSSIAN_REACH)
    series = _cell_series(variance16, last)
    step = _exp_minus(Fraction(VARIANCE_UNIT, 2 * variance16))
    square, density, ratio = step * step >> _BITS, _ONE, step
    inverse = (_ONE << _WORD_BITS) // (last * last)
    weights = []
    for k in range(last + 1):
        part, cell = k * k * inverse >> _WORD_BITS, 0
        for coefficient in series:
            cell = (cell * part >> _BITS) + coefficient
        weights.append(density * cell >> _BITS)
        density, ratio = density * ratio >> _BITS, ratio * square >> _BITS
    return _table(weights)


@lru_cache(maxsize=_CACHED)
def discrete_laplace_share(p: Fraction, shares: int) -> NoiseTable:
    """Return the table of one of `shares` shares whose sum has P(k) = (1 - p)/(1 + p) p^|k|.

    A share is the difference of two numbers with the generating function ((1 - p)/(1 - p z))^(1/shares), negative
    binomial (Kotz, Kozubowski and Podgorski 2001). That of the share gives, with r = 1/shares,
    (1 + p^2) k P(k) = p (k - 1 + r) P(k - 1) + p (k + 1 - r) P(k + 1).

    Args:
        p: 0 < p < 1; exp(-epsilon/sensitivity), rounded up.
        shares: at least 1.

    Raises:
        ParameterError: numbers outside their range, or a tail beyond 2^21.
    """
    count = _whole("shares", shares)
    if not 0 < p < 1:
        raise ParameterError(f"p={p} of discrete Laplace noise; give a Fraction with 0 < p < 1")
    last = _forgotten(p)
    fixed, square = math.ceil(p * _ONE), math.ceil((1 + p * p) * _ONE)
    ratios = [0] * (last + 1)
    ratio = 0
    for k in range(last, 0, -1):
        # Everything times `count`, so that r is whole.
        above = (fixed * ratio >> _BITS) * ((k + 1) * count - 1)
        ratio = (fixed * ((k - 1) * count + 1) << _BITS) // (square * k * count - above)
        ratios[k] = ratio
    return _table(list(_products(ratios)))


def _reach(variance16: int, sigmas: int, more: int) -> int:
    """Return a k that is far beyond the tail: so many standard deviations and some more."""
    variance = _whole("variance16", variance16)
    sigma = math.sqrt(variance / VARIANCE_UNIT)
    _check_tail(math.floor(_LEAST_TAIL_IN_SIGMAS * sigma))
    return math.ceil(sigmas * sigma) + more


def _forgotten(p: Fraction) -> int:
    """Return a k that is far beyond the tail; the ratios forget their start by p^2 a step."""
    steps = math.log(2) / -math.log1p(-max(float(1 - p), 2.0**-40))
    _check_tail(math.floor(_LEAST_TAIL_IN_HALVINGS * steps))
    return math.ceil(_REACH_IN_HALVINGS * steps) + 1


def _products(ratios: list[int]) -> Iterator[int]:
    """Running products of ratios in fixed point; the first is one, whatever stands there."""
    return accumulate(ratios[1:], lambda product, ratio: product * ratio >> _BITS, initial=_ONE)


def _table(weights: list[int]) -> NoiseTable:
    """Cut a symmetric distribution, given for k >= 0 up to a factor, at the tail, and scale the rest to 2^128."""
    whole = 2 * sum(weights) - weights[0]
    beyond, tail = 0, len(weights) - 1
    while tail > 1 and (beyond + 2 * weights[tail]) << _TAIL_BITS <= whole:
        beyond += 2 * weights[tail]
        tail -= 1
    _check_tail(tail)
    kept = whole - beyond
    masses = [(weight << MASS_BITS) // kept for weight in weights[: tail + 1]]
    masses[0] += (1 << MASS_BITS) - (2 * sum(masses) - masses[0])
    thresholds = list(accumulate((*masses[:0:-1], *masses[:-1])))
    octets = b"".join(threshold.to_bytes(MASS_BITS // 8, "little") for threshold in thresholds)
    pairs = np.frombuffer(octets, dtype="<u8").reshape(-1, 2).astype(np.uint64)
    low, high = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    low.flags.writeable = high.flags.writeable = False
    return NoiseTable(tail, high, low)


def _cell_series(variance16: int, last: int) -> list[int]:
    """Return the coefficients of the cell series in (k/last)^2, the highest power first, each times 2^192."""
    square = Fraction(VARIANCE_UNIT, 4 * variance16)  # h^2
    largest = (2 * square * last) ** 2  # y of k = last, as h/sigma = 2 h^2
    coefficients: list[int] = []
    power = Fraction(1)
    m = 0
    while not coefficients or coefficients[-1] > 0:
        coefficients.append(math.floor(power * _middle_moment(m, square) * _ONE))
        m += 1
        # Cut to a fixed number of bits: exact fractions of ever more digits would be slow.
        power = Fraction(math.floor(power * largest / ((2 * m - 1) * 2 * m) * _ONE * _ONE), _ONE * _ONE)
    return coefficients[::-1]


def _middle_moment(m: int, square: Fraction) -> Fraction:
    """∫_0^1 u^2m exp(-h^2 u^2/2) du, h^2 = `square`, to 192 bits."""
    total, term, i = Fraction(0), Fraction(1), 0
    while abs(term) * _ONE > 1:
        total += Fraction(math.floor(term / (2 * m + 2 * i + 1) * _ONE * _ONE), _ONE * _ONE)
        i += 1
        term *= -square / (2 * i)
    return total


def _exp_minus(x: Fraction) -> int:
    """Return exp(-x) in units of 2^-192, x >= 0: Taylor's series of x/2^n <= 1/2, squared n times."""
    halvings = max(0, math.ceil(2 * x).bit_length())
    unit = _BITS + 64 + 2 * halvings
    small = math.floor(x / 2**halvings * 2**unit)
    total = term = 1 << unit
    i = 1
    while term:
        term = (term * small >> unit) // i
        total += -term if i % 2 else term
        i += 1
    for _ in range(halvings):
        total = total * total >> unit
    return total >> (unit - _BITS)


def _whole(name: str, value: int) -> int:
    given = as_whole(value)
    if given is None or given < 1:
        raise ParameterError(f"{name}={value!r}; give a whole number from 1 on")
    return given


def _check_tail(tail: int) -> None:
    if tail > LARGEST_TAIL:
        raise ParameterError(
            f"noise that needs a table up to {tail}, and {LARGEST_TAIL} is the most: the grid is finer than the noise "
            "can use; raise overhead"
        )
