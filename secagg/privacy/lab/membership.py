"""NO SECURITY: who was in the training data? The likelihood ratio attack (LiRA, Carlini et al. 2022) on digits.

Shadow models are trained on random halves of the data. For each example the attacker has a normal distribution of the
model's confidence with and without it, and says "member" where the first is likelier. All models are trained together:
one product of matrices a step. With noise, each step is that of DP-SGD on the whole half: gradients of single examples
are clipped to norm 1 and Gaussian noise is added to their sum, for the examples' (epsilon, delta) over all steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.privacy import gaussian
from secagg.privacy.lab.digits import CLASSES, Digits, Reals

SHADOWS: Final = 32
TARGETS: Final = 8
STEPS: Final = 200
FALSE_POSITIVES: Final = 0.01
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Attacked:
    """What the attack achieves against the target models together.

    Attributes:
        auc: area under the curve of true over false positives; 0.5 is guessing.
        true_positives: rate at 1 % of false positives; 0.01 is guessing.
        accuracy: of the target models, on the half that they were not trained on.
        advantage_limit: what DP allows at most for true less false positives; 1 without noise.
    """

    auc: float
    true_positives: float
    accuracy: float
    advantage_limit: float


def attack(
    examples: Digits,
    *,
    epsilon: float | None = None,
    delta: float = 1e-5,
    shadows: int = SHADOWS,
    targets: int = TARGETS,
    steps: int = STEPS,
    rate: float = 2.0,
    seed: int = 0,
) -> Attacked:
    """Train shadow and target models on random halves of the examples, and attack the targets.

    Args:
        examples: some hundreds.
        epsilon: of an example over the whole training of one model; None trains without noise.
        delta: beside it.
        shadows: models that the attacker trains, at least 4.
        targets: models that are attacked.
        steps: of gradient descent.
        rate: of learning.
        seed: repeats halves and noise.

    Raises:
        ParameterError: too few shadows, targets or steps, or no privacy parameters.
    """
    if shadows < 4 or targets < 1 or steps < 1:
        raise ParameterError(f"shadows={shadows}, targets={targets}, steps={steps}; give at least 4, 1 and 1")
    m = None if epsilon is None else gaussian.calibrate(epsilon, delta)
    numbers = np.random.default_rng(seed)
    halves = numbers.random((shadows + targets, len(examples))) < 0.5
    images = np.hstack([examples.images, np.ones((len(examples), 1))])
    noise = 0.0 if m is None else math.sqrt(steps) / m
    weights = _train(images, examples.labels, halves, steps, rate, noise, numbers)
    scores = _probabilities(images, weights)
    right = scores[np.arange(len(examples)), :, examples.labels]
    confidence = np.log((right + _TINY) / (1.0 - right + _TINY)).T
    likelihood = _likelihood_ratios(confidence[:shadows], halves[:shadows], confidence[shadows:])
    attacked = halves[shadows:]
    guessed = (scores[:, shadows:].argmax(axis=2) == examples.labels[:, np.newaxis]).T
    return Attacked(
        auc=area(likelihood[attacked], likelihood[~attacked]),
        true_positives=rate_at(likelihood[attacked], likelihood[~attacked]),
        accuracy=float(guessed[~attacked].mean()),
        advantage_limit=1.0 if m is None else 2.0 * NormalDist().cdf(m / 2) - 1.0,
    )


def area(members: Reals, others: Reals) -> float:
    """Return how often a member's score is above another's, ties counted half."""
    both = np.sort(others)
    below = np.searchsorted(both, members, side="left")
    upto = np.searchsorted(both, members, side="right")
    return float((below + upto).mean() / 2 / len(others))


def rate_at(members: Reals, others: Reals, false_positives: float = FALSE_POSITIVES) -> float:
    """Return the share of members above the threshold that this share of others is above."""
    return float((members > np.quantile(others, 1.0 - false_positives)).mean())


def _likelihood_ratios(shadows: Reals, halves: NDArray[np.bool_], targets: Reals) -> Reals:
    """Log likelihood ratios of the targets' confidences, (targets, examples)."""
    count_in, count_out = np.maximum(halves.sum(axis=0), 1), np.maximum((~halves).sum(axis=0), 1)
    mean_in = np.where(halves, shadows, 0.0).sum(axis=0) / count_in
    mean_out = np.where(halves, 0.0, shadows).sum(axis=0) / count_out
    # Few shadows see one example: the spread is that of all examples together.
    spread_in = np.sqrt(((shadows - mean_in) ** 2)[halves].mean()) + _TINY
    spread_out = np.sqrt(((shadows - mean_out) ** 2)[~halves].mean()) + _TINY
    ins, outs = (targets - mean_in) / spread_in, (targets - mean_out) / spread_out
    return np.asarray((outs**2 - ins**2) / 2 + math.log(spread_out / spread_in))


def _probabilities(images: Reals, weights: Reals) -> Reals:
    """Probabilities of the classes, (examples, models, 10), of weights (inputs, models, 10)."""
    scores = (images @ weights.reshape(len(weights), -1)).reshape(len(images), -1, CLASSES)
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    return scores


def _train(
    images: Reals,
    labels: NDArray[np.int64],
    halves: NDArray[np.bool_],
    steps: int,
    rate: float,
    noise: float,
    numbers: np.random.Generator,
) -> Reals:
    """Train all models, each on its half; weights (inputs, models, 10)."""
    weights = np.zeros((images.shape[1], len(halves), CLASSES))
    lengths = np.linalg.norm(images, axis=1)[:, np.newaxis]
    wanted = np.eye(CLASSES)[labels][:, np.newaxis, :]
    members = halves.T[:, :, np.newaxis]
    for _ in range(steps):
        excess = _probabilities(images, weights) - wanted
        if noise:
            norms = np.linalg.norm(excess, axis=2) * lengths
            excess *= np.minimum(1.0, 1.0 / np.maximum(norms, _TINY))[:, :, np.newaxis]
        excess *= members
        total = (images.T @ excess.reshape(len(images), -1)).reshape(weights.shape)
        if noise:
            total += noise * numbers.standard_normal(total.shape)
        weights -= rate * total / (len(images) / 2)
    return weights
