"""Tails of the hypergeometric law in log space, exact enough for 10^9 clients (Specification §2.4).

Of n clients, `marked` are counted; `drawn` are drawn without return; X of the drawn are marked. Plain
arithmetic: must not know graphs, thresholds or clients.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

_LOG_2PI: Final = math.log(2 * math.pi)


def quantile(n: int, marked: int, drawn: int, log_limit: float) -> int:
    """Smallest u with log Pr[X > u] <= log_limit, X hypergeometric.

    A hypergeometric median lies within 1 of the mean (X is a sum of independent indicators: Jogdeo and
    Samuels 1968), so nothing below the mean qualifies while the limit is under 1/2.
    """
    first, last = drawn * marked // n, min(marked, drawn)
    return first + bisect_left(range(first, last), True, key=lambda u: _tail_within(n, marked, drawn, u, log_limit))


def _tail_within(n: int, marked: int, drawn: int, above: int, log_limit: float) -> bool:
    """Tell whether log Pr[X > above] <= log_limit, for `above` from the mean up, stopping when clear."""
    x, top = above + 1, min(marked, drawn)
    if x > top:
        return True
    log_budget = log_limit - log_probability(n, marked, drawn, x)
    if log_budget < 0:
        return False
    if log_budget > math.log(top) + 1:  # terms fall from the mean up, and there are at most `top`
        return True
    budget = math.exp(log_budget)
    total = term = 1.0
    while x < top and total <= budget:
        ratio = (marked - x) * (drawn - x) / ((x + 1) * (n - marked - drawn + x + 1))
        if ratio < 1 and total + term * ratio / (1 - ratio) <= budget:  # ratios fall: a geometric bound
            return True
        term *= ratio
        total += term
        x += 1
    return total <= budget


def log_tail(n: int, marked: int, drawn: int, above: int) -> float:
    """Log Pr[X > above]; 0, an upper bound, below the mean, where the tail is no small number."""
    x, top = above + 1, min(marked, drawn)
    if x > top:
        return -math.inf
    if above < drawn * marked // n:
        return 0.0
    log_first, total, term = log_probability(n, marked, drawn, x), 1.0, 1.0
    while x < top and term > total * 1e-17:
        term *= (marked - x) * (drawn - x) / ((x + 1) * (n - marked - drawn + x + 1))
        total += term
        x += 1
    return log_first + math.log(total)


def log_probability(n: int, marked: int, drawn: int, x: int) -> float:
    """Log Pr[X = x] of the hypergeometric law: `drawn` of n without return, `marked` of them counted.

    Differences of log-gamma at n = 10^9 would cancel all but six digits. With log m! = m log m - m + L(m)
    the large parts of the nine factorials combine into four deviances of a 2 x 2 table from its expectation,
    each of the size of the answer; only the small L(m) are left to add (the idea of Loader 2000).
    """
    rest, left = n - marked, n - drawn
    off = (x * n - marked * drawn) / n
    deviances = (
        _deviance(x, marked * drawn / n, off)
        + _deviance(marked - x, marked * left / n, -off)
        + _deviance(drawn - x, rest * drawn / n, -off)
        + _deviance(left - marked + x, rest * left / n, off)
    )
    margins = _stirling(marked) + _stirling(rest) + _stirling(drawn) + _stirling(left) - _stirling(n)
    cells = _stirling(x) + _stirling(marked - x) + _stirling(drawn - x) + _stirling(left - marked + x)
    return margins - cells - deviances


def _deviance(observed: int, expected: float, off: float) -> float:
    """Return x log(x/m) - x + m for x = m + off; `off` comes from integers, free of cancellation."""
    if observed == 0 or expected == 0:
        return expected
    return observed * math.log1p(off / expected) - off


def _stirling(m: int) -> float:
    """L(m) = log m! - (m log m - m), to 2e-14: the logarithm of Stirling's factor."""
    if m == 0:
        return 0.0
    if m < 16:
        return math.lgamma(m + 1) - m * math.log(m) + m
    square = m * m
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / m
    return (_LOG_2PI + math.log(m)) / 2 + series
