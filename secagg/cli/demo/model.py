"""The demo's classifier: softmax regression on 8 x 8 images, trained by stochastic gradient descent in NumPy.

Small enough that every weight is a pixel of a picture: row `c` of the weights is the template of digit `c`, and
so is row `c` of a client's update. Knows no clients and no sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.cli.demo.data import CLASSES, PIXELS, Examples
from secagg.cli.local.seeded import SeededNumbers


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A softmax regression; also the difference of two of them, an update.

    Attributes:
        weights: float64, (10, 64): a template for each digit.
        biases: float64, (10,).
    """

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]

    @classmethod
    def zeros(cls) -> Model:
        """Return the model that knows nothing, with which training starts."""
        return cls(np.zeros((CLASSES, PIXELS)), np.zeros(CLASSES))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Model:
        """Return the model whose arrays have these names; the opposite of :meth:`arrays`."""
        return cls(arrays["weights"], arrays["biases"])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays by name, as a session sums them."""
        return {"weights": self.weights, "biases": self.biases}

    def plus(self, other: Model, factor: float = 1.0) -> Model:
        """Return self + factor * other."""
        return Model(self.weights + factor * other.weights, self.biases + factor * other.biases)

    def largest_difference(self, other: Model) -> float:
        """Return the largest difference of a parameter."""
        difference = self.plus(other, -1.0)
        return float(max(np.abs(difference.weights).max(), np.abs(difference.biases).max()))

    def encode(self) -> bytes:
        """Return the parameters as bytes, to be hashed into a session's context."""
        return b"".join(array.astype("<f8").tobytes() for array in (self.weights, self.biases))


def probabilities(model: Model, images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each image's probability of each digit, (examples, 10)."""
    scores = images @ model.weights.T + model.biases
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def loss(model: Model, examples: Examples) -> float:
    """Return the mean cross entropy."""
    chosen = probabilities(model, examples.images)[np.arange(len(examples)), examples.labels]
    return float(-np.log(chosen).mean())


def gradient(model: Model, examples: Examples) -> Model:
    """Return the gradient of :func:`loss`."""
    excess = probabilities(model, examples.images)
    excess[np.arange(len(examples)), examples.labels] -= 1.0
    excess /= len(examples)
    return Model(excess.T @ examples.images, excess.sum(axis=0))


def accuracy(model: Model, examples: Examples) -> float:
    """Return the fraction of examples that are classified correctly."""
    scores = examples.images @ model.weights.T + model.biases
    return float((scores.argmax(axis=1) == examples.labels).mean())


def local_update(
    model: Model, examples: Examples, numbers: SeededNumbers, *, epochs: int, rate: float, batch: int
) -> Model:
    """Train on one client's examples and return how far the model moved.

    Args:
        model: the global model; unchanged.
        examples: the client's own.
        numbers: the order of the examples.
        epochs: passes over the examples.
        rate: learning rate.
        batch: examples in a step.
    """
    trained = model
    for _ in range(epochs):
        order = numbers.permutation(len(examples))
        for start in range(0, len(order), batch):
            step = gradient(trained, examples.take(order[start : start + batch]))
            trained = trained.plus(step, -rate)
    return trained.plus(model, -1.0)
