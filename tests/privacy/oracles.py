"""What the accounting and the tables are held against: 60 digits, the published bound, a full scan of all steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath
import numpy as np
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon
from numpy.typing import NDArray
from scipy.special import ndtri_exp

DIGITS = 60
mpmath.mp.dps = DIGITS
RDP_ORDERS = (*range(2, 129), 256)


def exact_delta(epsilon: float, m: float) -> mpmath.mpf:
    """Balle and Wang's delta, with 60 digits after all cancellation."""
    with mpmath.workdps(2 * DIGITS + int(epsilon)):
        e, g = mpmath.mpf(epsilon), mpmath.mpf(m)
        return mpmath.ncdf(g / 2 - e / g) - mpmath.exp(e) * mpmath.ncdf(-g / 2 - e / g)


def exact_step(mu: float) -> mpmath.mpf:
    """2 Φ^-1(1/2 + P(0)/2) of Sk(mu)."""
    mass = mpmath.exp(-mpmath.mpf(mu)) * mpmath.besseli(0, mpmath.mpf(mu))
    return 2 * mpmath.sqrt(2) * mpmath.erfinv(mass)


def skellam_log_mass(mu: float, largest: int) -> NDArray[np.float64]:
    """ln P(k) of Sk(mu) for k = 0 .. largest, in float64."""
    last = largest + 110 + int(10 * math.sqrt(mu))
    ratios = np.ones(last + 1)
    ratio = 0.0
    for k in range(last, 0, -1):
        ratio = 1.0 / (2 * k / mu + ratio)
        ratios[k] = ratio
    logs = np.cumsum(np.log(ratios))
    total = np.logaddexp.reduce(np.concatenate([logs, logs[1:]]))
    logs -= total
    return logs[: largest + 1]


def all_steps(mu: float) -> NDArray[np.float64]:
    """h_k - h_{k-1} for k = 0, 1, ... to tails below 2^-400, h_k = Φ^-1(P(X <= k))."""
    wanted = int(26 * math.sqrt(mu)) + 200
    logs = skellam_log_mass(mu, wanted + int(8 * math.sqrt(mu)) + 200)
    upper = np.logaddexp.accumulate(logs[::-1])[::-1]  # ln P(X >= k)
    h = -ndtri_exp(upper[1 : wanted + 1])
    return np.concatenate([[2 * h[0]], np.diff(h)])


def published_rdp(l1: float, l2: float, mu: float, order: int) -> float:
    """Agarwal, Kairouz and Liu 2021, Corollary 4.1: Rényi divergence of whole order > 1, moves of l1 and l2 steps."""
    return order * l2**2 / (2 * mu) + min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * mu**2), 3 * l1 / (2 * mu))


def published_epsilon(squared: float, entries: int, mu: float, rounds: int, delta: float) -> float:
    """The published accounting of `rounds` sums; `squared` is the squared norm of what a client adds."""
    l2 = math.sqrt(squared)
    l1 = l2 * min(math.sqrt(entries), l2)
    divergences = [rounds * published_rdp(l1, l2, mu, order) for order in RDP_ORDERS]
    return float(compute_epsilon(RDP_ORDERS, divergences, delta)[0])


def rounded_norm(scale: float, entries: int) -> float:
    """Squared norm after rounding, Kairouz, Liu and Steinke 2021, Theorem 1 with beta = e^-1/2."""
    return scale**2 + entries / 4 + scale + math.sqrt(entries) / 2


def shifted_delta(masses: NDArray[np.float64], shift: Sequence[int], epsilon: float) -> float:
    """Exact delta between a distribution on -K .. K in each entry and itself shifted, in one or two entries."""
    here, there = np.ones(1), np.ones(1)
    for by in shift:
        here = np.multiply.outer(here, np.concatenate([np.zeros(by), masses])).ravel()
        there = np.multiply.outer(there, np.concatenate([masses, np.zeros(by)])).ravel()
    return float(np.maximum(here - math.exp(epsilon) * there, 0).sum())
