"""NO SECURITY: federated averaging on digits under a plan, to see what privacy costs in accuracy.

Updates are clipped, rounded, given noise and summed by the library's own code, in whole numbers as in a session; only
the masks are missing, which cancel. Who adds the noise is the plan's matter: shares of clients, all of it by each, or
the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy.lab.digits import Digits
from secagg.privacy.lab.models import accuracy, softmax_regression, train
from secagg.privacy.lab.summing import release
from secagg.privacy.mechanism import Noise
from secagg.privacy.plan import Plan

CLIENTS: Final = 100
ROUNDS: Final = 15
TESTS: Final = 360
CLIPS: Final = (0.3, 1.0, 3.0)
CORRUPT: Final = 0.05
FLOOR: Final = 0.8
STEPS: Final = 10
RATE: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Federation:
    """Digits, dealt out evenly; images have norm 1.

    Attributes:
        clients: each one's examples.
        test: examples that nobody trains on.
    """

    clients: tuple[Digits, ...]
    test: Digits

    @classmethod
    def of(cls, digits: Digits, clients: int = CLIENTS, tests: int = TESTS, seed: int = 0) -> Federation:
        """Deal digits out.

        Raises:
            ParameterError: more clients than examples.
        """
        norms = np.linalg.norm(digits.images, axis=1, keepdims=True)
        rest, test = Digits(digits.images / norms, digits.labels).split(tests, seed)
        if not 1 <= clients <= len(rest):
            raise ParameterError(f"{clients} clients for {len(rest)} examples; give from 1 to that many")
        return cls(tuple(rest.take(part) for part in np.array_split(np.arange(len(rest)), clients)), test)


def digits_plan(
    epsilon: float, delta: float, clip: float, noise: Noise | str, *, clients: int = CLIENTS, rounds: int = ROUNDS
) -> Plan:
    """Return a plan for softmax regression on digits: a floor of 80 %, and 5 % of the clients corrupt.

    Raises:
        ParameterError: no plan has these.
    """
    return Plan.choose(
        arrays=softmax_regression().shapes,
        clip=clip,
        epsilon=epsilon,
        delta=delta,
        rounds=rounds,
        clients=clients,
        minimum_contributors=max(2, round(FLOOR * clients)),
        max_corrupt=CORRUPT,
        noise=noise,
        rotation=False,
    )


def learn(
    federation: Federation,
    plan: Plan | None,
    *,
    rounds: int = ROUNDS,
    dropouts: int = 0,
    seed: int = 0,
    randomness: RandomSource | None = None,
) -> tuple[float, ...]:
    """Train softmax regression by federated averaging and return its accuracy on the test examples after each round.

    Args:
        federation: who trains on what.
        plan: of the updates; None averages them as they are.
        rounds: at most the plan's.
        dropouts: clients that leave in each round; no more than the plan's floor allows.
        seed: of who leaves.
        randomness: of the noise; the operating system's generator when None.

    Raises:
        ParameterError: rounds or dropouts that the plan does not cover.
    """
    stay = len(federation.clients) - dropouts
    least = 1 if plan is None else plan.floor
    if dropouts < 0 or stay < least:
        raise ParameterError(f"{dropouts} dropouts leave {stay} clients, and a sum needs {least}; let fewer leave")
    if rounds < 1 or (plan is not None and rounds > plan.rounds):
        raise ParameterError(f"rounds={rounds}; give at least 1, and at most those of the plan")
    numbers = np.random.default_rng(seed)
    model, curve = softmax_regression(), []
    for _ in range(rounds):
        staying = numbers.permutation(len(federation.clients))[:stay]
        updates = (
            train(model, federation.clients[client], steps=STEPS, rate=RATE).plus(model, -1.0) for client in staying
        )
        if plan is None:
            mean = next(updates)
            for update in updates:
                mean = mean.plus(update)
            model = model.plus(mean, 1.0 / stay)
        else:
            arrays = (update.arrays() for update in updates)
            model = model.plus(model.of(release(plan, plan.clients, arrays, randomness).mean))
        curve.append(accuracy(model, federation.test))
    return tuple(curve)


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracy under one plan.

    Attributes:
        noise: who adds it; None for nobody.
        epsilon: of the plan; None without one.
        dropouts: clients that left in each round.
        clip: the best of those that were tried; None without a plan.
        accuracy: after the last round, mean over the seeds.
    """

    noise: Noise | None
    epsilon: float | None
    dropouts: int
    clip: float | None
    accuracy: float


def accuracy_table(
    digits: Digits,
    epsilons: tuple[float, ...] = (8.0, 4.0, 1.0),
    *,
    delta: float = 1e-5,
    clips: tuple[float, ...] = CLIPS,
    seeds: int = 3,
    clients: int = CLIENTS,
    rounds: int = ROUNDS,
) -> list[Row]:
    """Return what each way of adding noise costs: none, by the server, shares with and without dropouts, and by each.

    Each row has the best of the clips, as an operator would have found on other data; that search is in no epsilon.
    """
    federations = [Federation.of(digits, clients, seed=seed) for seed in range(seeds)]

    def mean(plan: Plan | None, dropouts: int) -> float:
        last = [
            learn(each, plan, rounds=rounds, dropouts=dropouts, seed=seed)[-1] for seed, each in enumerate(federations)
        ]
        return sum(last) / len(last)

    rows = [Row(None, None, 0, None, mean(None, 0))]
    few = clients // 5
    for epsilon in epsilons:
        for noise, dropouts in ((Noise.SERVER, 0), (Noise.CLIENTS, 0), (Noise.CLIENTS, few), (Noise.EACH, 0)):
            tried = [
                (mean(digits_plan(epsilon, delta, clip, noise, clients=clients, rounds=rounds), dropouts), clip)
                for clip in clips
            ]
            best, clip = max(tried)
            rows.append(Row(noise, epsilon, dropouts, clip, best))
    return rows
