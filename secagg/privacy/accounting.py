"""What releases cost: one float that adds up, m squared, and what tables and slack add to delta.

m-GDP composes by adding squares, over entries, over rounds and adaptively (Dong, Roth and Su 2022, Corollary 3.3).
Skellam noise is m-GDP by the theorem of docs/privacy.md: a vector of whole numbers that one client moves by at most D
in the L2 norm, with Sk(mu) added to each entry, is released with m = s D, where
s = 2 Φ^-1(1/2 + P(0)/2) = g(mu)/sqrt(mu). Every result is rounded to the worse side. Must not know how noise is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.privacy import gaussian
from secagg.privacy.tables import VARIANCE_UNIT, skellam_weights

ENTRY_SLACK: Final = Fraction(1, 2**99)
"""How far a table may be from its ideal distribution, in total variation."""
# From here on the bound on P(0) is within 6e-11 of it, relatively.
_LARGE_VARIANCE16: Final = 1024 * VARIANCE_UNIT
_MARGIN: Final = 1 + 2.0**-50
# Where slack takes a hundredth of delta, a few do. Where there is hardly an epsilon, millions would, and a plan that
# was made for it would stop whoever judges it.
_MOST_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Loss:
    """What releases have cost one client. Sums are rounded up.

    Attributes:
        m2: sum of the squares of m.
        eta: total variation between what is drawn and what the proof speaks of.

    Raises:
        ParameterError: a number below 0, or none.
    """

    m2: float = 0.0
    eta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("m2", "eta"):
            given = as_real(getattr(self, name))
            if given is None or not 0.0 <= given < math.inf:
                raise ParameterError(f"{name}={getattr(self, name)!r} of a loss; give a finite number from 0 on")

    def __add__(self, other: Loss) -> Loss:
        return Loss(_sum_up(self.m2, other.m2), _sum_up(self.eta, other.eta))

    @property
    def m(self) -> float:
        """The m of all releases together, rounded up."""
        return _up(math.sqrt(self.m2)) if self.m2 else 0.0

    def epsilon(self, delta: float) -> float:
        """Return an epsilon for which all together are (epsilon, delta)-DP, rounded up; infinite when hardly any is.

        What is within eta of an (epsilon, d)-DP release is (epsilon, d + (1 + e^epsilon) eta)-DP.

        Raises:
            ParameterError: not 0 < delta < 1.
        """
        epsilon, m = gaussian.epsilon(delta, self.m), self.m
        for _ in range(_MOST_STEPS):
            rest = delta - self._lost(epsilon)
            if rest < gaussian.LEAST_DELTA:
                break
            if gaussian.delta(epsilon, m) <= rest:
                return epsilon
            epsilon = max(_up(epsilon), gaussian.epsilon(rest, m))
        return math.inf

    def _lost(self, epsilon: float) -> float:
        if self.eta == 0.0:
            return 0.0
        return (1 + math.exp(min(epsilon, 700.0))) * self.eta * _MARGIN


def skellam_factor(variance16: int) -> float:
    """Return g: noise Sk(mu) is worth as much as normal noise of variance mu/g^2. Rounded up.

    Exact, from P(0); below 1 + 1/(6 mu) + 1/(4 mu^2).

    Args:
        variance16: 16 mu, at least 1; mu of all shares together.

    Raises:
        ParameterError: not such a number.
    """
    variance = _whole("variance16", variance16)
    return _up(_step(variance) * _up(math.sqrt(variance / VARIANCE_UNIT)))


def skellam_loss(bound: int, variance16: int, honest: int) -> float:
    """Return m^2 of one release of a sum with Skellam shares, rounded up.

    Args:
        bound: squared L2 norm of what one client adds at most, in grid steps; four times that of a client's own vector
            where neighbours differ by any vector.
        variance16: 16 times the variance of one share.
        honest: how many honest shares the sum has at least.

    Raises:
        ParameterError: a number below 1.
    """
    step = _step(_whole("variance16", variance16) * _whole("honest", honest))
    return _up(_up(step * step) * _up(float(_whole("bound", bound))))


def rounded_gaussian_loss(bound: int, variance16: int) -> float:
    """Return m^2 = bound/variance of one release with the rounded Gaussian, rounded up.

    Args:
        bound: as in `skellam_loss`.
        variance16: 16 sigma^2.

    Raises:
        ParameterError: a number below 1.
    """
    return _up(float(Fraction(VARIANCE_UNIT * _whole("bound", bound), _whole("variance16", variance16))))


def share_variance16(bound: int, m_round: float, honest: int) -> int:
    """Return the least variance of a share, times 16, with which one release costs at most m_round^2.

    Args:
        bound: as in `skellam_loss`.
        m_round: above 0.
        honest: how many honest shares the sum has at least.

    Raises:
        ParameterError: a number outside its range.
    """
    given = as_real(m_round)
    if given is None or not 0.0 < given < math.inf:
        raise ParameterError(f"m_round={m_round!r}; give a number above 0")
    allowed = Fraction(given) ** 2
    # One less than with g = 1 is too little: g^2 is above 0.88, and from mu = 1/8 on above 1.
    below = max(0, math.floor(VARIANCE_UNIT * _whole("bound", bound) / (allowed * _whole("honest", honest))) - 1)
    enough = below + 1
    while skellam_loss(bound, enough, honest) > allowed:
        below, enough = enough, enough + 2 * (enough - below)
    while enough - below > 1:
        middle = (below + enough) // 2
        if skellam_loss(bound, middle, honest) <= allowed:
            enough = middle
        else:
            below = middle
    return enough


def slack(rounds: int, clients: int, entries: int, security_bits: int | None) -> float:
    """Return eta of all releases together, rounded up.

    Args:
        rounds: releases.
        clients: whose noise is in one.
        entries: of one client's vector.
        security_bits: of a sparse graph, in which an honest client is cut off with probability 2^-security_bits; None
            for a complete graph.

    Raises:
        ParameterError: a number below 1.
    """
    eta = _whole("clients", clients) * _whole("entries", entries) * ENTRY_SLACK
    if security_bits is not None:
        eta += Fraction(1, 2 ** _whole("security_bits", security_bits))
    return _up(float(_whole("rounds", rounds) * eta))


@lru_cache(maxsize=1024)
def _step(variance16: int) -> float:
    """2 Φ^-1(1/2 + P(0)/2) of Sk(variance16/16), rounded up: m of a shift by one."""
    return 2 * gaussian.centre(_central_mass(variance16))


def _central_mass(variance16: int) -> float:
    """P(0) of Sk(mu), rounded up: from the table's weights, and for large mu by its bound (docs/privacy.md)."""
    if variance16 <= _LARGE_VARIANCE16:
        weights = skellam_weights(variance16)
        return float(Fraction(weights[0], 2 * sum(weights) - weights[0])) * _MARGIN
    mu = variance16 / VARIANCE_UNIT
    # The last term of the bound, sqrt(pi mu/2) e^-mu, is far below the margin.
    return (1 + (1 / 8 + (9 / 128 + 0.1322 / mu) / mu) / mu) / math.sqrt(2 * math.pi * mu) * _MARGIN


def _up(value: float) -> float:
    return math.nextafter(value, math.inf)


def _sum_up(one: float, other: float) -> float:
    """Return the sum, rounded up; exact when either is 0."""
    return one + other if 0.0 in (one, other) else _up(one + other)


def _whole(name: str, value: int) -> int:
    given = as_whole(value)
    if given is None or given < 1:
        raise ParameterError(f"{name}={value!r}; give a whole number from 1 on")
    return given
