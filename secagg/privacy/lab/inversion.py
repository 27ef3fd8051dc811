"""NO SECURITY: reading a picture from an update (Zhu et al. 2019; Zhao et al. 2020), in closed form.

For a dense layer on the input, dW = x e^T and db = e, e being the gradient by the layer's outputs: each column of the
weights' gradient over its bias's gradient is x itself. In softmax regression on one example, the only negative entry of
e is at the label. Of a sum the same quotient is a mixture. What counts is the identification rate: how often the
picture that is read is nearest to the right one of all; any two digits look alike to a mean square error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy.lab.digits import Digits, Reals
from secagg.privacy.lab.faults import nothing
from secagg.privacy.lab.models import Layer, Model, gradient
from secagg.privacy.lab.summing import release
from secagg.privacy.plan import Plan


def inferred_label(first: Layer) -> int:
    """Return the label of the one example that a gradient of softmax regression is of: the most negative bias."""
    return int(first.biases.argmin())


def read_picture(first: Layer, unit: int | None = None) -> Reals:
    """Return the input that a gradient of the first layer shows, float64, (inputs,).

    Args:
        first: weights (inputs, outputs) and biases (outputs,) of a gradient, or of a sum of gradients.
        unit: the output to read it from; that with the largest gradient of its bias, unless given. For softmax
            regression an attacker who looks for a class takes its unit.

    A layer whose bias has no gradient there shows nothing: zeros.
    """
    at = int(np.abs(first.biases).argmax()) if unit is None else unit
    divisor = first.biases[at]
    return np.asarray(first.weights[:, at] / divisor) if divisor else np.zeros(len(first.weights))


class Gallery:
    """All pictures that the attacker chooses among.

    Args:
        images: float64, (pictures, pixels).
    """

    def __init__(self, images: Reals) -> None:
        self._mean = images.mean(axis=0)
        centred = images - self._mean
        self._units = centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def nearest(self, picture: Reals) -> int:
        """Return the number of the picture that correlates best."""
        return int((self._units @ (picture - self._mean)).argmax())


@dataclass(frozen=True, slots=True)
class Identified:
    """How often the right picture was picked.

    Attributes:
        cohort: how many updates the sum is of.
        tries: sums that were attacked.
        right: how often the victim's picture was picked of all.
    """

    cohort: int
    tries: int
    right: int

    @property
    def rate(self) -> float:
        """The identification rate, 0 to 1."""
        return self.right / self.tries


def identification(model: Model, digits: Digits, cohort: int, tries: int, *, clip: float, seed: int) -> Identified:
    """Attack sums of exact, clipped updates of one example each; the attacker knows the victim's label.

    Args:
        model: the global model, a softmax regression.
        digits: everybody's pictures, and the gallery.
        cohort: clients in a sum, at most as many as pictures.
        tries: sums.
        clip: largest norm of one update.
        seed: of victims and cohorts.

    Raises:
        ParameterError: a cohort that is empty or larger than the gallery.
    """
    if not 1 <= cohort <= len(digits) or tries < 1:
        raise ParameterError(
            f"cohort={cohort}, tries={tries}; give at least 1 of each, and at most {len(digits)} clients"
        )
    gallery, numbers, right = Gallery(digits.images), np.random.default_rng(seed), 0
    for _ in range(tries):
        clients = numbers.choice(len(digits), cohort, replace=False)
        total = update_of_one(model, digits, int(clients[0]), clip)
        for other in clients[1:]:
            total = total.plus(update_of_one(model, digits, int(other), clip))
        victim = int(clients[0])
        right += gallery.nearest(read_picture(total.layers[0], int(digits.labels[victim]))) == victim
    return Identified(cohort, tries, right)


def identification_by_insider(
    model: Model, digits: Digits, plan: Plan, tries: int, *, seed: int, randomness: RandomSource | None = None
) -> Identified:
    """Attack sums under a plan, knowing every update but the victim's, and the victim's label.

    Without noise such an attacker always finds the picture: it subtracts what it knows. Here what it knows is zero, the
    victim's is the only update, and noise is that of the plan's least sum.

    Args:
        model: the global model, a softmax regression.
        digits: the gallery.
        plan: for the model's arrays, without rotation.
        tries: sums, at least 1.
        seed: of victims.
        randomness: of the noise; the operating system's generator when None.

    Raises:
        ParameterError: arrays that are not the plan's, or no tries.
    """
    if tries < 1:
        raise ParameterError(f"tries={tries}; give at least 1")
    gallery, right = Gallery(digits.images), 0
    for victim in np.random.default_rng(seed).choice(len(digits), tries).tolist():
        first = seen_by_insider(model, digits, plan, victim, randomness).layers[0]
        right += gallery.nearest(read_picture(first, int(digits.labels[victim]))) == victim
    return Identified(plan.honest, tries, right)


def seen_by_insider(
    model: Model, digits: Digits, plan: Plan, victim: int, randomness: RandomSource | None = None
) -> Model:
    """Return what is left of a noisy mean when every update but the victim's is taken off, as a gradient."""
    known = [nothing(plan)] * (plan.honest - 1)
    updates = [update_of_one(model, digits, victim, plan.clip).arrays(), *known]
    return model.of(release(plan, plan.clients, updates, randomness).mean)


def update_of_one(model: Model, digits: Digits, client: int, clip: float) -> Model:
    """Return the clipped gradient of a client that has one picture."""
    return gradient(model, digits.take(np.array([client]))).clipped(clip)
