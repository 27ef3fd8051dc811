"""NO SECURITY: reading a picture from an update (Zhu et al. 2019; Zhao et al. 2020), in closed form.

For a dense layer on the input, dW = x e^T and db = e, e being the gradient by the layer's outputs: each column of the
weights' gradient over its bias's gradient is x itself. In softmax regression on one example, the only negative entry of
e is at the label. Of a sum the same quotient is a mixture. What counts is the identification rate: how often the
picture that is read is nearest to the right one of all; any two digits look alike to a mean square error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secagg.errors import ParameterError
from secagg.privacy.lab.digits import Digits, Reals
from secagg.privacy.lab.models import Layer, Model, gradient


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


def update_of_one(model: Model, digits: Digits, client: int, clip: float) -> Model:
    """Return the clipped gradient of a client that has one picture."""
    return gradient(model, digits.take(np.array([client]))).clipped(clip)
