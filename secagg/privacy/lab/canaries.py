"""NO SECURITY: an audit of one whole run by canary clients, who take part by the toss of a coin.

After Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", 2023. Each of m canary clients takes
part with its update, or with zeros, as its own coin says. From all that was released the auditor guesses r of them. If
the run is (epsilon, delta)-DP, so many right guesses as there were are unlikely, by Theorem 5.2 there:

    P[right >= v] <= P[Bin(r, q) >= v] + 2 m delta max over i of P[v > Bin(r, q) >= v - i] / i,

q = e^epsilon/(1 + e^epsilon). The largest epsilon that this refutes is what was measured: a floor under the true one,
and never a proof of privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy.lab.binomial import masses
from secagg.privacy.lab.digits import Reals
from secagg.privacy.lab.faults import nothing
from secagg.privacy.lab.summing import RingSum
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan
from secagg.privacy.release import privatize

CONFIDENCE: Final = 0.95
_HALVINGS: Final = 50
_MOST: Final = 64.0


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return the largest probability of so many right guesses that (epsilon, delta)-DP allows.

    Args:
        canaries: m, at least `guesses`.
        guesses: r, at least 1.
        right: v, 0 .. r.
        epsilon: at least 0.
        delta: 0 <= delta < 1.

    Raises:
        ParameterError: numbers outside their range.
    """
    if not 1 <= guesses <= canaries or not 0 <= right <= guesses:
        raise ParameterError(f"{right} right of {guesses} guesses about {canaries} canaries; give v <= r <= m")
    if not 0.0 <= epsilon < math.inf or not 0.0 <= delta < 1.0:
        raise ParameterError(f"epsilon={epsilon!r}, delta={delta!r}; give epsilon from 0 on and 0 <= delta < 1")
    of_right = masses(guesses, 1.0 / (1.0 + math.exp(-epsilon)))
    below = np.cumsum(of_right[:right][::-1])
    worst = float((below / np.arange(1, right + 1)).max()) if right else 0.0
    return min(1.0, math.fsum(of_right[right:]) + 2.0 * canaries * delta * worst)


def epsilon_floor(canaries: int, guesses: int, right: int, delta: float, confidence: float = CONFIDENCE) -> float:
    """Return the largest epsilon that so many right guesses refute with this confidence; 0 when they refute none.

    Raises:
        ParameterError: numbers outside their range.
    """
    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"confidence={confidence!r}; give a probability between 0 and 1")
    error = 1.0 - confidence
    low, high = 0.0, _MOST
    if p_value(canaries, guesses, right, 0.0, delta) > error:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if p_value(canaries, guesses, right, middle, delta) <= error:
            low = middle
        else:
            high = middle
    return low


def right_guesses(scores: Reals, coins: NDArray[np.bool_], guesses: int) -> int:
    """Return how many guesses are right: half of them "in" for the highest scores, half "out" for the lowest.

    Args:
        scores: float64, (canaries,).
        coins: who took part, bool, (canaries,).
        guesses: even, and fixed before the run.

    Raises:
        ParameterError: no even number from 2 to the number of canaries.
    """
    if guesses % 2 or not 2 <= guesses <= len(scores):
        raise ParameterError(f"{guesses} guesses about {len(scores)} canaries; give an even number from 2 to that")
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    return int(coins[order[-half:]].sum() + (~coins[order[:half]]).sum())


@dataclass(frozen=True, slots=True)
class OneRun:
    """What one run with canaries showed.

    Attributes:
        canaries: clients.
        guesses: fixed before the run.
        right: of them.
        claimed: epsilon of the plan over all rounds.
        measured: epsilon that the guesses refute, at 95 %.
        delta: beside both.
    """

    canaries: int
    guesses: int
    right: int
    claimed: float
    measured: float
    delta: float


def one_run(
    plan: Plan,
    guesses: int,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    randomness: RandomSource | None = None,
) -> OneRun:
    """Let every honest client of a plan be a canary through all of its rounds, and guess who took part.

    Args:
        plan: in which clients add shares of noise, with neighbours "zero", of one array, without rotation; its honest
            clients are the canaries.
        guesses: even, at most as many as canaries.
        confidence: of what is measured.
        seed: of updates and coins.
        randomness: of the noise; the operating system's generator when None.

    Raises:
        ParameterError: a plan or a number of guesses that this audit is not for.
    """
    fitting = plan.noise is Noise.CLIENTS and plan.neighbours is Neighbours.ZERO
    if not fitting or plan.rotation or plan.extras or len(plan.arrays) != 1:
        raise ParameterError(
            "canaries take a plan in which clients add shares and neighbours are 'zero', of one array, without "
            "rotation, weights and adaptive clip; choose one"
        )
    name, shape = plan.arrays[0]
    coins = np.random.default_rng((seed, plan.honest)).random(plan.honest) < 0.5
    zero, scores = nothing(plan), np.zeros(plan.honest)
    for _ in range(plan.rounds):
        total = RingSum(plan, plan.clients)
        for canary, coin in enumerate(coins):
            # Twice the clip: the update that goes out is as long as the clip allows.
            update = {name: 2.0 * plan.clip * _direction(plan, seed, canary).reshape(shape)} if coin else zero
            total.add(privatize(plan, update, randomness=randomness).arrays)
        (released,) = total.vectors().values()
        scores += [float(_direction(plan, seed, canary) @ released.ravel()) for canary in range(plan.honest)]
    right = right_guesses(scores, coins, guesses)
    measured = epsilon_floor(plan.honest, guesses, right, plan.delta, confidence)
    return OneRun(plan.honest, guesses, right, plan.epsilon, measured, plan.delta)


def _direction(plan: Plan, seed: int, canary: int) -> Reals:
    """A canary's own unit vector: random signs."""
    signs = np.random.default_rng((seed, canary, plan.length)).choice([-1.0, 1.0], plan.length)
    return np.asarray(signs / math.sqrt(plan.length))
