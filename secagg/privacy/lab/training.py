"""NO SECURITY: federated averaging on digits under a plan, to see what privacy costs in accuracy.

Updates are clipped, rounded, given noise and summed by the library's own code, in whole numbers as in a session; only
the masks are missing, which cancel. Who adds the noise is the plan's matter: shares of clients, all of it by each, or
the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

import numpy as np

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy.lab.digits import CLASSES, PIXELS, Digits, Reals, Whole
from secagg.privacy.lab.models import Layer, Model, accuracy, probabilities_of, softmax_regression
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
    model, curve, everybody = softmax_regression(), [], _Examples.of(federation.clients)
    for _ in range(rounds):
        staying = np.sort(numbers.permutation(len(federation.clients))[:stay])
        weights, biases = everybody.updates(model.layers[0], staying)
        if plan is None:
            model = model.plus(Model((Layer(weights.mean(axis=0), biases.mean(axis=0)),)))
        else:
            arrays = (Model((Layer(*update),)).arrays() for update in zip(weights, biases, strict=True))
            model = model.plus(model.of(release(plan, plan.clients, arrays, randomness).mean))
        curve.append(accuracy(model, federation.test))
    return tuple(curve)


@dataclass(frozen=True, slots=True, eq=False)
class _Examples:
    """All clients' examples side by side, so that a step of everybody's training is one product.

    Attributes:
        images: (clients, most examples of one, 64), zeros where a client has fewer.
        wanted: (clients, most, 10), one at the label.
        shares: (clients, most, 1), one over the client's number of examples, and 0 where it has none.
    """

    images: Reals
    wanted: Reals
    shares: Reals

    @classmethod
    def of(cls, clients: tuple[Digits, ...]) -> _Examples:
        shape = len(clients), max(map(len, clients))
        images, wanted, shares = (np.zeros((*shape, last)) for last in (PIXELS, CLASSES, 1))
        for number, mine in enumerate(clients):
            images[number, : len(mine)] = mine.images
            wanted[number, np.arange(len(mine)), mine.labels] = 1.0
            shares[number, : len(mine)] = 1.0 / len(mine)
        return cls(images, wanted, shares)

    def updates(self, layer: Layer, who: Whole) -> tuple[Reals, Reals]:
        """What gradient descent from a softmax regression changes, weights (who, 64, 10) and biases (who, 10)."""
        images, wanted, shares = self.images[who], self.wanted[who], self.shares[who]
        weights, biases = (np.repeat(array[np.newaxis], len(who), axis=0) for array in (layer.weights, layer.biases))
        for _ in range(STEPS):
            excess = (probabilities_of(images @ weights + biases[:, np.newaxis]) - wanted) * shares
            weights -= RATE * (images.transpose(0, 2, 1) @ excess)
            biases -= RATE * excess.sum(axis=1)
        return weights - layer.weights, biases - layer.biases


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracy under one plan.

    Attributes:
        noise: who adds it; None for nobody.
        epsilon: of the plan; None without one.
        dropouts: clients that left in each round.
        clip: the best of those that were tried; None without a plan.
        accuracy: after the last round, mean over the seeds.
        spread: standard deviation over the seeds; 0 for one.
    """

    noise: Noise | None
    epsilon: float | None
    dropouts: int
    clip: float | None
    accuracy: float
    spread: float


@dataclass(frozen=True, slots=True)
class Task:
    """One row to find: who adds noise, for which epsilon, and how many leave in each round."""

    noise: Noise | None
    epsilon: float | None
    dropouts: int = 0


def tasks(epsilons: tuple[float, ...], clients: int = CLIENTS) -> tuple[Task, ...]:
    """Return the rows of a table: no noise, then for each epsilon each model, and shares with a fifth gone, too."""
    ways = ((Noise.SERVER, 0), (Noise.CLIENTS, 0), (Noise.CLIENTS, clients // 5), (Noise.EACH, 0))
    return (Task(None, None), *(Task(noise, epsilon, gone) for epsilon in epsilons for noise, gone in ways))


def row_of(
    task: Task,
    digits: Digits,
    *,
    delta: float = 1e-5,
    clips: tuple[float, ...] = CLIPS,
    seeds: int = 3,
    clients: int = CLIENTS,
    rounds: int = ROUNDS,
) -> Row:
    """Return one row, with the best of the clips, as an operator would have found it on other data.

    The search for the clip is in no epsilon.
    """
    federations = [Federation.of(digits, clients, seed=seed) for seed in range(seeds)]
    plans: list[Plan | None] = [None]
    if task.noise is not None and task.epsilon is not None:
        plans = [digits_plan(task.epsilon, delta, clip, task.noise, clients=clients, rounds=rounds) for clip in clips]
    found: list[tuple[float, float, float | None]] = []
    for plan in plans:
        last = [
            learn(each, plan, rounds=rounds, dropouts=task.dropouts, seed=seed)[-1]
            for seed, each in enumerate(federations)
        ]
        spread = stdev(last) if len(last) > 1 else 0.0
        found.append((fmean(last), spread, None if plan is None else plan.clip))
    accuracy_, spread, clip = max(found, key=lambda each: each[0])
    return Row(task.noise, task.epsilon, task.dropouts, clip, accuracy_, spread)
