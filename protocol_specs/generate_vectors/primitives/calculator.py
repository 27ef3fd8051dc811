"""The choice of degree and threshold (Specification §2.4), in exact integers; slow and plain.

Probabilities of HG(n, K, k) are compared as whole numbers, so that no rounding decides. Must not know the library's
calculator, which works in logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

_ROUNDING = Fraction(1, 10**14)
_MOST_HOLDERS = 65520


def count_of(clients: int, fraction: str) -> int:
    """c or d of §2.4, the fraction being a decimal."""
    return min(math.floor((Fraction(fraction) + _ROUNDING) * clients), clients - 1)


def complete_threshold(clients: int, corrupt: str, dropout: str, *, active: bool) -> int | None:
    """The default threshold of the complete graph; None if no session is possible."""
    c, d = count_of(clients, corrupt), count_of(clients, dropout)
    lowest = math.floor(Fraction(clients + c, 2)) + 1 if active else c + 1
    highest = clients - d - 1
    if lowest > highest or clients - 1 > _MOST_HOLDERS:
        return None
    default = min(2 * clients // 3 + 1 if active else clients // 2 + 1, max(clients - 2, 2))
    return min(max(default, lowest), highest)


def minimum_contributors(clients: int, dropout: str) -> int:
    """The default of `minimum_contributors`."""
    return max(2, min((clients + 1) // 2, clients - count_of(clients, dropout)))


@dataclass(frozen=True, slots=True)
class Sparse:
    """The assumptions behind a sparse graph. The active model is the one of published tables; sessions refuse it."""

    clients: int
    corrupt: str
    dropout: str
    security_bits: int = 40
    correctness_bits: int = 20
    active: bool = False

    def choose(self, *, room_for_two: bool) -> tuple[int, int] | None:
        """Degree and threshold; None if no degree qualifies.

        `room_for_two`: the degree has a threshold of at least 2 with which one neighbour may leave; otherwise the
        published rule holds.
        """
        for degree in range(2, min(self.clients - 1, _MOST_HOLDERS) + 1, 2):
            if not self.connected(degree):
                continue
            lowest, highest = self.window(degree)
            if max(lowest, 2) <= min(highest, degree - 1) if room_for_two else lowest <= highest:
                return degree, max(lowest, 2)
        return None

    def connected(self, degree: int) -> bool:
        """Connectivity of §2.4."""
        n = self.clients
        bad = min(count_of(n, self.corrupt) + count_of(n, self.dropout), n)
        k = degree - degree % 2
        if k > bad or degree == n - 1:
            return True
        favourable = n * (n - k - 1) * math.comb(bad, k) << (self.security_bits + 1)
        return favourable < 2 * math.comb(n, k)

    def window(self, degree: int) -> tuple[int, int]:
        """The lowest threshold that secrecy allows, t1 + 1, and the highest that correctness allows, t2."""
        n = self.clients
        corrupt, dropped = count_of(n, self.corrupt), count_of(n, self.dropout)
        t1 = least_bound(n, corrupt, degree, Fraction(1, n * 2 ** (self.security_bits + 1)), strict=False)
        u = least_bound(n, dropped, degree, Fraction(1, n * 2**self.correctness_bits), strict=True)
        lowest = math.ceil(Fraction(t1 + degree) / 2 - Fraction(5, 8)) if self.active else t1
        return lowest + 1, degree - u


def least_bound(population: int, marked: int, drawn: int, limit: Fraction, *, strict: bool) -> int:
    """The least u with Pr[HG > u] at most the limit, or below it if strict."""
    others, top = population - marked, min(marked, drawn)
    allowed = math.comb(population, drawn) * limit.numerator
    tail, u = 0, top
    term = math.comb(marked, top) * math.comb(others, drawn - top)
    while u > 0:
        tail += term
        scaled = tail * limit.denominator
        if scaled > allowed or (strict and scaled == allowed):
            return u
        below = (marked - u + 1) * (drawn - u + 1)
        term = (
            term * u * (others - drawn + u) // below
            if term
            else math.comb(marked, u - 1) * math.comb(others, drawn - u + 1)
        )
        u -= 1
    return 0
