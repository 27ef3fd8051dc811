"""NO SECURITY: an audit of the mechanism: whether sums with and without one client differ more than was promised.

Sums of the least number of honest clients are made with the real `privatize`, in the ring of the session's fields, once
with an update that is far too long and once with its neighbour (zeros, or its negative). A projection makes a score of
each; a threshold is chosen on one half of the trials and certified on the other by Clopper and Pearson, and

    m >= Φ^-1(1 - false positives) - Φ^-1(false negatives)

is what was measured: a floor under the m of the mechanism, as it is m-GDP by proof. It must stay below the claim. Noise
of the right variance that is not independent hides from a projection on the update; hence several:

- update: on the update itself;
- zero-sum: on the update less its mean, which noise common to all entries cannot hide;
- neighbours: on the differences of neighbouring entries;
- halves: on the difference between the first and the second half of the vector;
- random: on a random half of the entries;
- learned: on the direction in which the first half of the trials differs most, noise considered (Fisher);
- rounds: on the update, over the difference of two rounds, in which it has opposite signs; the claim is that of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy import gaussian
from secagg.privacy.lab.binomial import upper_bound
from secagg.privacy.lab.digits import Reals
from secagg.privacy.lab.faults import Client, Fault, Update, client, nothing
from secagg.privacy.lab.summing import RingSum
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan

ENTRIES: Final = 64
CLIENTS: Final = 4
FLOOR: Final = 2
LEAST_TRIALS: Final = 200
CONFIDENCE: Final = 0.999
TOO_LONG: Final = 2.0
_THRESHOLDS: Final = 199
_NORMAL: Final = NormalDist()

OnTrial = Callable[[int, int], None]
"""Called with (trials done, trials)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one projection shows.

    Attributes:
        projection: its name.
        rounds: releases that it looks at.
        claimed_m: of so many rounds.
        m: at least, with the audit's confidence for all projections together.
        claimed_epsilon: the claim at the plan's delta.
        epsilon: that of m.
    """

    projection: str
    rounds: int
    claimed_m: float
    m: float
    claimed_epsilon: float
    epsilon: float

    @property
    def exceeded(self) -> bool:
        """Whether more was seen than was promised."""
        return self.m > self.claimed_m


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit showed.

    Attributes:
        trials: sums with, and as many without.
        honest: clients whose noise is in a sum.
        entries: of a client's integers.
        delta: of the plan.
        confidence: that no measured m is above the true one.
        fault: that was planted.
        measured: by projection.
    """

    trials: int
    honest: int
    entries: int
    delta: float
    confidence: float
    fault: Fault | None
    measured: tuple[Measured, ...]

    @property
    def exceeded(self) -> tuple[Measured, ...]:
        """The projections that show more than was promised; none for an honest mechanism."""
        return tuple(each for each in self.measured if each.exceeded)

    @property
    def best(self) -> Measured:
        """The projection of one round that shows most."""
        return max((each for each in self.measured if each.rounds == 1), key=lambda each: each.m)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "trials": self.trials,
            "honest": self.honest,
            "entries": self.entries,
            "delta": self.delta,
            "confidence": self.confidence,
            "fault": None if self.fault is None else self.fault.value,
            "claimed_m": self.best.claimed_m,
            "measured_m": self.best.m,
            "claimed_epsilon": self.best.claimed_epsilon,
            "measured_epsilon": _finite(self.best.epsilon),
            "exceeded": [each.projection for each in self.exceeded],
            "projections": {
                each.projection: {
                    "rounds": each.rounds,
                    "claimed_m": each.claimed_m,
                    "measured_m": each.m,
                    "claimed_epsilon": each.claimed_epsilon,
                    "measured_epsilon": _finite(each.epsilon),
                    "exceeded": each.exceeded,
                }
                for each in self.measured
            },
        }


def audit_plan(
    epsilon: float, delta: float, *, noise: Noise | str = Noise.CLIENTS, neighbours: Neighbours | str | None = None
) -> Plan:
    """Return a small plan for audits: 64 entries, a floor of 2 of 4 clients, one round.

    Raises:
        ParameterError: no plan has these.
    """
    return Plan.choose(
        arrays={"update": (ENTRIES,)},
        clip=1.0,
        epsilon=epsilon,
        delta=delta,
        clients=CLIENTS,
        minimum_contributors=FLOOR,
        max_corrupt=0.0,
        noise=noise,
        neighbours=neighbours,
        rotation=False,
    )


def audit(
    plan: Plan,
    trials: int,
    *,
    fault: Fault | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    randomness: RandomSource | None = None,
    on_trial: OnTrial | None = None,
) -> Audit:
    """Measure what the sums of a plan tell about one client.

    Args:
        plan: in which clients add noise, without rotation and extra vectors; small, as each trial takes
            `honest` draws of all its entries and the trials are kept.
        trials: sums with the update, and as many without; an even number from 200 on.
        fault: a defect to plant in all clients.
        confidence: that no measured m is above the true one, over all projections.
        seed: of the update and of the random projection.
        randomness: of the noise; the operating system's generator when None.
        on_trial: told how far it is.

    Raises:
        ParameterError: a plan, a number of trials or a confidence that this audit is not for.
    """
    if plan.noise is Noise.SERVER or plan.rotation or plan.extras:
        raise ParameterError(
            "an audit takes a plan in which clients add noise, without rotation, weights and adaptive clip; choose one"
        )
    if trials < LEAST_TRIALS or trials % 2:
        raise ParameterError(f"trials={trials}; give an even number from {LEAST_TRIALS} on")
    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"confidence={confidence!r}; give a probability between 0 and 1, such as {CONFIDENCE}")
    numbers = np.random.default_rng(seed)
    # All entries unlike each other in size and sign, so that each correlation of noise lets some of them through.
    direction = numbers.uniform(0.5, 1.5, plan.length) * numbers.choice([-1.0, 1.0], plan.length)
    pointing = direction / np.linalg.norm(direction)
    with_, without = _sums(
        plan, pointing, trials, [client(plan, fault, randomness) for _ in range(_draws(plan) + 1)], on_trial
    )
    half = trials // 2
    projections = _projections(pointing, numbers) | {"learned": _learned(with_[:half], without[:half])}
    scores = {name: (with_ @ along, without @ along) for name, along in projections.items()}
    error = (1.0 - confidence) / (len(scores) + 1)
    measured = [_measured(plan, name, 1, pair, error) for name, pair in scores.items()]
    across = tuple(_paired(values) for values in scores["update"])
    measured.append(_measured(plan, "rounds", 2, (across[0], across[1]), error))
    return Audit(trials, _draws(plan), plan.length, plan.delta, confidence, fault, tuple(measured))


def measured_m(with_: Reals, without: Reals, error: float) -> float:
    """Return an m that the mechanism has at least, except with probability `error`; at least 0.

    Args:
        with_: scores with the client; higher than the others, if they differ.
        without: scores without it.
        error: divided among both bounds.
    """
    chosen, certified = len(with_) // 2, len(without) // 2
    threshold = _best_threshold(with_[:chosen], without[:certified])
    ours, others = with_[chosen:], without[certified:]
    false_positives = upper_bound(int((others > threshold).sum()), len(others), error / 2)
    false_negatives = upper_bound(int((ours <= threshold).sum()), len(ours), error / 2)
    if false_positives + false_negatives >= 1.0:
        return 0.0
    return _NORMAL.inv_cdf(1.0 - false_positives) - _NORMAL.inv_cdf(false_negatives)


def _sums(
    plan: Plan, pointing: Reals, trials: int, clients: list[Client], on_trial: OnTrial | None
) -> tuple[Reals, Reals]:
    """Sums with and without the client, times the sign that its update has in the round, (trials, entries) each."""
    ours, others = clients[:2], clients[2:]
    zero = nothing(plan)
    updates = tuple(_shaped(plan, sign * TOO_LONG * plan.clip * pointing) for sign in (1.0, -1.0))
    totals = RingSum(plan, plan.clients), RingSum(plan, plan.clients)
    sums = np.empty((2, trials, plan.total))
    for number in range(trials):
        sign = number % 2
        neighbour = zero if plan.neighbours is Neighbours.ZERO else updates[1 - sign]
        for total in totals:
            total.clear()
        for each in others:
            # In both sums: what is certified about either of them does not need the two to be independent.
            sent = each(zero, number)
            for total in totals:
                total.add(sent)
        for world, update in enumerate((updates[sign], neighbour)):
            totals[world].add(ours[world](update, number))
            sums[world, number] = np.concatenate([vector.ravel() for vector in totals[world].vectors().values()])
        sums[:, number] *= -1.0 if sign else 1.0
        if on_trial is not None:
            on_trial(number + 1, trials)
    return sums[0], sums[1]


def _draws(plan: Plan) -> int:
    """Clients whose noise is in a sum at least."""
    return plan.honest if plan.noise is Noise.CLIENTS else 1


def _shaped(plan: Plan, flat: Reals) -> Update:
    shaped, at = {}, 0
    for name, shape in plan.arrays:
        size = math.prod(shape)
        shaped[name] = flat[at : at + size].reshape(shape)
        at += size
    return shaped


def _projections(pointing: Reals, numbers: np.random.Generator) -> dict[str, Reals]:
    paired = pointing[: len(pointing) // 2 * 2].reshape(-1, 2)
    differences = (paired - paired[:, ::-1]) / 2
    halves = pointing[: len(pointing) // 2 * 2].reshape(2, -1)
    antisymmetric = (halves - halves[::-1]) / 2
    rest = np.zeros(len(pointing) % 2)
    return {
        "update": pointing,
        "zero-sum": pointing - pointing.mean(),
        "neighbours": np.concatenate([differences.ravel(), rest]),
        "halves": np.concatenate([antisymmetric.ravel(), rest]),
        "random": pointing * (numbers.random(len(pointing)) < 0.5),
    }


def _learned(with_: Reals, without: Reals) -> Reals:
    """The direction of Fisher's discriminant; noise that a combination of entries lacks makes it that combination."""
    covariance = np.atleast_2d(np.cov(without, rowvar=False))
    ridge = 1e-6 * np.trace(covariance) / len(covariance) + 1e-12
    difference = with_.mean(axis=0) - without.mean(axis=0)
    return np.asarray(np.linalg.solve(covariance + ridge * np.eye(len(covariance)), difference))


def _paired(scores: Reals) -> Reals:
    """Scores of two rounds together; each has its sign already, so that their sum is the difference of the sums."""
    return np.asarray(scores[0::2] + scores[1::2])


def _measured(plan: Plan, name: str, rounds: int, pair: tuple[Reals, Reals], error: float) -> Measured:
    claimed, seen = math.sqrt(rounds) * plan.m_round, measured_m(*pair, error)
    return Measured(
        name, rounds, claimed, seen, gaussian.epsilon(plan.delta, claimed), gaussian.epsilon(plan.delta, seen)
    )


def _best_threshold(with_: Reals, without: Reals) -> float:
    """The threshold that promises most, by Wilson's bounds, which are near to exact ones and quick."""
    candidates = np.quantile(np.concatenate([with_, without]), np.linspace(0.0, 1.0, _THRESHOLDS + 2)[1:-1])
    false_negatives = _wilson(np.searchsorted(np.sort(with_), candidates, side="right"), len(with_))
    false_positives = _wilson(len(without) - np.searchsorted(np.sort(without), candidates, side="right"), len(without))
    promised = [
        _NORMAL.inv_cdf(1.0 - positives) - _NORMAL.inv_cdf(negatives)
        for positives, negatives in zip(false_positives.tolist(), false_negatives.tolist(), strict=True)
    ]
    return float(candidates[int(np.argmax(promised))])


def _wilson(counts: NDArray[np.intp], trials: int, deviations: float = 3.3) -> Reals:
    """Upper bounds of probabilities, below 1."""
    p, square = counts / trials, deviations**2 / trials
    spread = np.sqrt(p * (1.0 - p) * square + square**2 / 4)
    return np.minimum((p + square / 2 + spread) / (1.0 + square), 1.0 - 1e-12)


def _finite(epsilon: float) -> float | None:
    return epsilon if math.isfinite(epsilon) else None
