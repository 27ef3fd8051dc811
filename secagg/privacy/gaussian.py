"""m-GDP in floats, every result rounded to the worse side: the one currency of all accounting here.

A release is m-GDP when telling a client's presence from its absence is no easier than telling N(0, 1) from N(m, 1)
(Dong, Roth and Su, "Gaussian differential privacy", 2022). Such a release is (epsilon, delta)-DP exactly for

    delta >= Φ(m/2 - epsilon/m) - e^epsilon Φ(-m/2 - epsilon/m),

Φ being the normal distribution function (there, Corollary 2.13; Balle and Wang 2018, Theorem 8). Must not know what is
released, or how often.

With u = epsilon/m - m/2 and v = epsilon/m + m/2, and R(x) = Φ(-x)/φ(x) the Mills ratio, the second term is φ(u) R(v):
nothing overflows, however large epsilon is. The relative error of either term is below (v + 1)^2 2^-50, as `math.erfc`
and `math.exp` err by a few units in the last place; that much of their sum is added, and 1e-300 for what vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real

LEAST_DELTA: Final = 1e-200
"""Below, what is added for errors would be as much as delta."""
_ERROR: Final = 2.0**-50
_VANISHED: Final = 1e-300
_LARGEST_CENTRE: Final = 0.999
_ROOT_TWO_PI: Final = math.sqrt(2 * math.pi)
_ROOT_TWO: Final = math.sqrt(2)
# From here on the continued fraction of the Mills ratio is exact in float64 after this many steps.
_FAR: Final = 6.0
_FRACTION_STEPS: Final = 40


def delta(epsilon: float, m: float) -> float:
    """Return the least delta for which an m-GDP release is (epsilon, delta)-DP, rounded up.

    Args:
        epsilon: at least 0.
        m: at least 0.

    Raises:
        ParameterError: a number outside its range.
    """
    epsilon, m = _at_least_zero("epsilon", epsilon), _at_least_zero("m", m)
    if m == 0.0:
        return 0.0
    ratio = epsilon / m
    u, v = ratio - m / 2, ratio + m / 2
    if math.isinf(v):
        return _VANISHED
    first, second = _tail(u), _density(u) * _mills(v) if v >= _FAR else math.exp(epsilon) * _tail(v)
    error = (first + second) * (v + 1) * (v + 1) * _ERROR + _VANISHED
    return min(1.0, math.nextafter(max(first - second, 0.0) + error, math.inf))


def epsilon(delta: float, m: float) -> float:
    """Return the least epsilon for which an m-GDP release is (epsilon, delta)-DP, rounded up.

    Args:
        delta: from 1e-200 on, below 1.
        m: at least 0.

    Raises:
        ParameterError: a number outside its range.
    """
    wanted, m = _probability("delta", delta), _at_least_zero("m", m)
    if _delta(0.0, m) <= wanted:
        return 0.0
    # Φ(-u) <= delta there.
    enough = (m / 2 + math.sqrt(-2 * math.log(wanted)) + 1) * m
    return _least(lambda guess: _delta(guess, m) <= wanted, 0.0, enough)


def calibrate(epsilon: float, delta: float) -> float:
    """Return the largest m for which every m-GDP release is (epsilon, delta)-DP, rounded down.

    `epsilon` of it is the epsilon given or less.

    Args:
        epsilon: above 0.
        delta: from 1e-200 on, below 1.

    Raises:
        ParameterError: a number outside its range.
    """
    epsilon, delta = _positive("epsilon", epsilon), _probability("delta", delta)
    too_much = 1.0
    while _delta(epsilon, too_much) <= delta:
        too_much *= 2
    m = math.nextafter(_least(lambda guess: _delta(epsilon, guess) > delta, 0.0, too_much), 0.0)
    # What is added for errors is not monotonic in the last bits.
    less = _ERROR
    while _epsilon(delta, m) > epsilon:
        m, less = m * (1 - less), 2 * less
    return m


def sigma(epsilon: float, delta: float, sensitivity: float) -> float:
    """Return the standard deviation of Gaussian noise that makes one release (epsilon, delta)-DP, rounded up.

    The analytic Gaussian mechanism (Balle and Wang 2018): right for every epsilon, where the classical formula
    sqrt(2 ln(1.25/delta)) sensitivity / epsilon wastes noise below 1 and fails above about 8.

    Args:
        epsilon: above 0.
        delta: from 1e-200 on, below 1.
        sensitivity: how far one client moves the released vector, in the L2 norm; at least 0.

    Raises:
        ParameterError: a number outside its range.
    """
    sensitivity = _at_least_zero("sensitivity", sensitivity)
    m = calibrate(epsilon, delta)
    return math.nextafter(sensitivity / m, math.inf) if sensitivity else 0.0


def pure(epsilon: float) -> float:
    """Return the least m for which every (epsilon, 0)-DP release is m-GDP, rounded up.

    It is 2 Φ^-1(e^epsilon / (1 + e^epsilon)): the trade-off curve of (epsilon, 0)-DP is two chords that meet on the
    diagonal at 1/(1 + e^epsilon), and the convex curve of m-GDP goes through that point.

    Args:
        epsilon: at least 0.

    Raises:
        ParameterError: it is not.
    """
    epsilon = _at_least_zero("epsilon", epsilon)
    if epsilon == 0.0:
        return 0.0
    if epsilon < 1.0:
        return 2 * centre(math.tanh(epsilon / 2) * (1 + _ERROR))
    # ln Φ(-x) <= -epsilon - ln(1 + e^-epsilon), with a margin for both sides' errors.
    wanted = (epsilon + math.log1p(math.exp(-epsilon))) * (1 + _ERROR)
    return 2 * _least(lambda x: -_log_tail(x) * (1 - _ERROR) >= wanted, 0.0, math.sqrt(2 * wanted) + 1)


def centre(mass: float) -> float:
    """Return the x with Φ(x) - Φ(-x) = mass, rounded up; 0 <= mass <= 0.999.

    Raises:
        ParameterError: another mass.
    """
    given = as_real(mass)
    if given is None or not 0.0 <= given <= _LARGEST_CENTRE:
        raise ParameterError(
            f"mass={mass!r} of the middle of a distribution; give a number from 0 to {_LARGEST_CENTRE}"
        )
    if given == 0.0:
        return 0.0
    return _least(lambda x: math.erf(x / _ROOT_TWO) * (1 - _ERROR) >= given, 0.0, 40.0)


def guessing(m: float) -> float:
    """Return the share of right answers of the best guesser about m-GDP, Φ(m/2), rounded up.

    Somebody who knows everything but whether a client took part, which is as likely as not, and must say so.

    Raises:
        ParameterError: m is below 0.
    """
    m = _at_least_zero("m", m)
    return 0.5 if m == 0.0 else min(1.0, 0.5 * math.erfc(-m / 2 / _ROOT_TWO) * (1 + _ERROR))


def right_guesses(m: float, eta: float = 0.0) -> int:
    """Return `guessing` of 100 cases as a whole number, rounded up: 50 is a coin.

    Args:
        m: of what is guessed about.
        eta: how far that is from the m-GDP release, in total variation; a guess is better by no more.

    Raises:
        ParameterError: m or eta is below 0.
    """
    right, more = guessing(m), _at_least_zero("eta", eta)
    return min(100, math.ceil(100 * (right + more * (1 + _ERROR)) * (1 + _ERROR) if more else 100 * right))


# Under names that no argument hides.
_delta, _epsilon = delta, epsilon


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / _ROOT_TWO_PI


def _mills(x: float) -> float:
    """Φ(-x)/φ(x) for x >= _FAR, as 1/(x + 1/(x + 2/(x + 3/...)))."""
    below = x
    for step in range(_FRACTION_STEPS, 0, -1):
        below = x + step / below
    return 1.0 / below


def _tail(x: float) -> float:
    """Φ(-x)."""
    return 0.5 * math.erfc(x / _ROOT_TWO) if x < _FAR else _density(x) * _mills(x)


def _log_tail(x: float) -> float:
    """ln Φ(-x)."""
    return math.log(_tail(x)) if x < _FAR else -0.5 * x * x - math.log(_ROOT_TWO_PI) + math.log(_mills(x))


def _least(holds: Callable[[float], bool], below: float, enough: float) -> float:
    """Return the float from which on a condition holds, to the last bit; it holds at the float that is returned."""
    while not holds(enough):
        below, enough = enough, 2 * enough
    while below < (middle := below + (enough - below) / 2) < enough:
        if holds(middle):
            enough = middle
        else:
            below = middle
    return enough


def _at_least_zero(name: str, value: float) -> float:
    given = as_real(value)
    if given is None or not 0.0 <= given < math.inf:
        raise ParameterError(f"{name}={value!r}; give a finite number from 0 on")
    return given


def _positive(name: str, value: float) -> float:
    given = _at_least_zero(name, value)
    if given == 0.0:
        raise ParameterError(f"{name}={value!r}; give a number above 0")
    return given


def _probability(name: str, value: float) -> float:
    given = as_real(value)
    if given is None or not LEAST_DELTA <= given < 1.0:
        raise ParameterError(f"{name}={value!r}; give a probability with {LEAST_DELTA:g} <= {name} < 1")
    return given
