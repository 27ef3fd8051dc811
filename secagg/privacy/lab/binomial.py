"""NO SECURITY: exact binomial tails and the bounds of Clopper and Pearson (1934), which audits rest on."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np

from secagg.errors import ParameterError
from secagg.privacy.lab.digits import Reals

_HALVINGS: Final = 60


def masses(trials: int, p: float) -> Reals:
    """Return P[Bin(trials, p) = k] for k = 0 .. trials, float64; 0 < p < 1."""
    k = np.arange(trials + 1)
    return np.asarray(np.exp(_log_choose(trials) + k * math.log(p) + (trials - k) * math.log1p(-p)))


@lru_cache(maxsize=4)
def _log_choose(trials: int) -> Reals:
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    return np.asarray(log_factorials[trials] - log_factorials - log_factorials[::-1])


def at_least(trials: int, p: float, count: int) -> float:
    """Return P[Bin(trials, p) >= count]."""
    if count <= 0 or p >= 1.0:
        return 1.0
    if count > trials or p <= 0.0:
        return 0.0
    return min(1.0, float(masses(trials, p)[count:].sum()))


def lower_bound(count: int, trials: int, error: float) -> float:
    """Return a probability that the true one is below with probability at most `error`.

    Args:
        count: how often it happened, 0 .. trials.
        trials: at least 1.
        error: of this side, 0 < error < 1.

    Raises:
        ParameterError: numbers outside their range.
    """
    if not 0 <= count <= trials or trials < 1 or not 0.0 < error < 1.0:
        raise ParameterError(f"{count} of {trials} with an error of {error}; give counts, and an error between 0 and 1")
    if count == 0:
        return 0.0
    low, high = 0.0, count / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_least(trials, middle, count) <= error:
            low = middle
        else:
            high = middle
    return low


def upper_bound(count: int, trials: int, error: float) -> float:
    """Return a probability that the true one is above with probability at most `error`; see :func:`lower_bound`."""
    return 1.0 - lower_bound(trials - count, trials, error)
