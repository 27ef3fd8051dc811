"""Noise of a plan (privacy-v1.md §7, §8): tables of thresholds by long integers, and what a stream of bits draws."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.errors import demand
from protocol_specs.reference.keys import expand
from protocol_specs.reference.parameters import SUITE_AES
from protocol_specs.reference.plans import CLIENTS
from protocol_specs.reference.prg import words

SLICE = 2**15
Words = Callable[[int], list[int]]
"""The next words of a stream."""

_SCALE = 1 << 320
_SERIES_BITS = 1024
_LARGEST_TAIL = 2**21


@dataclass(frozen=True, slots=True)
class Table:
    """The largest value T, and c_0 … c_{2T-1}: how many numbers below 2^128 have a value of at most i - T."""

    tail: int
    thresholds: list[int]


def table(noise: str, variance16: int) -> Table:
    """The table of one draw; raises `Breach("P12")` for a variance that has none."""
    demand(variance16 >= 1 and 11 * math.isqrt(variance16) // 4 <= _LARGEST_TAIL, "P12")
    weights = _skellam(variance16) if noise == CLIENTS else _rounded_gaussian(variance16)
    whole = 2 * sum(weights) - weights[0]
    beyond, tail = 0, len(weights) - 1
    while tail > 1 and (beyond + 2 * weights[tail]) << 101 <= whole:
        beyond += 2 * weights[tail]
        tail -= 1
    demand(tail <= _LARGEST_TAIL, "P12")
    masses = [(weight << 128) // (whole - beyond) for weight in weights[: tail + 1]]
    masses[0] = 2**128 - 2 * sum(masses[1:])
    return Table(tail, list(accumulate([*masses[:0:-1], *masses[:-1]])))


def _skellam(variance16: int) -> list[int]:
    """I_k(mu) for k = 0, 1, … up to a factor: I_{k-1} = I_{k+1} + (2k/mu) I_k, downwards from far beyond the tail."""
    last = 17 * (math.isqrt(variance16) + 1) // 4 + 220
    bessel = [0] * (last + 2)
    bessel[last] = _SCALE
    for k in range(last, 0, -1):
        bessel[k - 1] = bessel[k + 1] + 32 * k * bessel[k] // variance16
    return bessel


def _rounded_gaussian(variance16: int) -> list[int]:
    """Φ((k + ½)/sigma) - Φ((k - ½)/sigma) for k = 0, 1, … up to a factor, by the series of the error function."""
    last = 14 * (math.isqrt(variance16) + 1) // 4 + 2
    halves = [_half(2 * k + 1, variance16) for k in range(last)]
    return [2 * halves[0], *(after - before for before, after in pairwise(halves))]


def _half(odd: int, variance16: int) -> int:
    """Sum over n of odd (-y)^n/(n! (2n + 1)), y = 2 odd²/variance16: the integral from 0 to odd/2, up to a factor."""
    total, term, n = 0, odd << _SERIES_BITS, 0
    while term:
        total += term // (2 * n + 1) if n % 2 == 0 else -(term // (2 * n + 1))
        n += 1
        term = term * 2 * odd * odd // (variance16 * n)
    return total


def key_stream(key: bytes) -> Words:
    """The words of an AES-128-CTR key, one after the other."""
    used = 0

    def following(count: int) -> list[int]:
        nonlocal used
        used += count
        return words(SUITE_AES, key, used - count, count)

    return following


def noise_stream(seed: bytes) -> Words:
    """The stream of a draw of noise."""
    return key_stream(expand(seed, canonical("secagg/v1 noise key"), 16))


def coin_stream(seed: bytes) -> Words:
    """The stream of the coins of rounding."""
    return key_stream(expand(seed, canonical("secagg/v1 quantization key"), 16))


def lanes(stream: Words, count: int, bits: int) -> list[int]:
    """The next `count` numbers of so many bits; a word that was begun is used up."""
    per_word = 64 // bits
    taken = stream(-(-count // per_word))
    return [taken[i // per_word] >> (i % per_word * bits) & (2**bits - 1) for i in range(count)]


def draw(its: Table, length: int, stream: Words) -> list[int]:
    """Independent entries, in the order of bits of §8."""
    entries: list[int] = []
    for start in range(0, length, SLICE):
        entries += _draw_slice(its, min(SLICE, length - start), stream)
    return entries


def _draw_slice(its: Table, count: int, stream: Words) -> list[int]:
    g = 16 if its.tail <= 12_000 else 18 if its.tail <= 60_000 else 20
    lane = 16 if g == 16 else 32
    cells = [number >> (lane - g) for number in lanes(stream, count, lane)]
    low, high = [cell << (128 - g) for cell in cells], [(cell + 1 << (128 - g)) - 1 for cell in cells]
    found = [bisect_right(its.thresholds, number) for number in low]
    last = [bisect_right(its.thresholds, number) for number in high]
    open_ = [i for i in range(count) if found[i] != last[i]]
    numbers = {i: low[i] + (word >> g << 64) for i, word in zip(open_, stream(len(open_)), strict=True)}
    tied = [i for i in open_ if _begins(its, numbers[i])]
    for i, word in zip(tied, stream(len(tied)), strict=True):
        numbers[i] += word
    for i in open_:
        found[i] = bisect_right(its.thresholds, numbers[i])
    return [place - its.tail for place in found]


def _begins(its: Table, number: int) -> bool:
    """Whether a threshold begins with the 64 upper bits of this number."""
    place = bisect_left(its.thresholds, number)
    return place < len(its.thresholds) and its.thresholds[place] >> 64 == number >> 64
