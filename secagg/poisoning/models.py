"""NO SECURITY: the models that learn under attack, flat vectors of parameters, trained for all clients at once.

One network with a hidden layer of rectified units, or with none (softmax regression); cross-entropy, plain minibatch
gradient descent. Rows of a matrix of parameters are clients, so that a step of all clients is a few array operations.
float32: a run's figures are not better for more, and take half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secagg.poisoning.tasks import Examples, Singles, Task, Whole


@dataclass(frozen=True, slots=True)
class Learning:
    """How a client trains in one round.

    Attributes:
        epochs: passes over its examples.
        batch: examples of a step.
        rate: length of a step.
    """

    epochs: int = 2
    batch: int = 20
    rate: float = 0.5


@dataclass(frozen=True, slots=True)
class Network:
    """The shape of a model.

    Attributes:
        inputs: features.
        hidden: rectified units; 0 for softmax regression.
        classes: labels.
    """

    inputs: int
    hidden: int
    classes: int

    @property
    def length(self) -> int:
        """Parameters, flat: weights and biases of the first layer, then of the second."""
        if not self.hidden:
            return (self.inputs + 1) * self.classes
        return (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.classes

    def initial(self, seed: int) -> Singles:
        """Return a model to begin with, (length,): Gaussian weights of variance 2 / inputs of the layer, biases 0."""
        numbers = np.random.default_rng(seed)
        model: Singles = np.zeros((1, self.length), dtype=np.float32)
        if self.hidden:
            for weights, _ in self._layers(model):
                weights[:] = numbers.normal(0.0, np.sqrt(2.0 / weights.shape[1]), weights.shape)
        return np.ravel(model)

    def scores(self, models: Singles, inputs: Singles) -> Singles:
        """Return the unnormalized logarithms of the classes' probabilities, (models, examples, classes).

        Args:
            models: (models, length).
            inputs: (models, examples, inputs), or (examples, inputs) for all of them.
        """
        values = inputs
        layers = self._layers(models)
        with np.errstate(over="ignore", invalid="ignore"):
            for at, (weights, biases) in enumerate(layers):
                values = np.matmul(values, weights) + biases[:, None, :]
                if at + 1 < len(layers):
                    np.maximum(values, 0, out=values)
        return values

    def accuracy(self, models: Singles, examples: Examples) -> NDArray[np.float64]:
        """Return the fraction of right answers of each model, (models,)."""
        right = self.scores(models, examples.inputs).argmax(axis=-1) == examples.labels
        return np.asarray(right.mean(axis=-1))

    def train(self, start: Singles, examples: Examples, learning: Learning, numbers: np.random.Generator) -> Singles:
        """Return what every client's training makes of its model, (clients, length).

        Args:
            start: (clients, length), or one model for all.
            examples: (clients, examples, ...).
            learning: epochs, batch and rate; a last batch that is not full is left out.
            numbers: of the order, the same for all clients.
        """
        clients, count, _ = examples.inputs.shape
        models = np.array(np.broadcast_to(start, (clients, self.length)), dtype=np.float32)
        layers = self._layers(models)
        batch = min(learning.batch, count)
        # A model that an attack has blown up may overflow; it is at chance then, which is what its row says.
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(learning.epochs):
                order = numbers.permutation(count)
                # Moved once, so that each batch is a slice.
                inputs, labels = examples.inputs[:, order], examples.labels[:, order]
                for at in range(0, count - batch + 1, batch):
                    _step(layers, inputs[:, at : at + batch], labels[:, at : at + batch], learning.rate)
        return np.nan_to_num(models, copy=False, posinf=0.0, neginf=0.0)

    def _layers(self, models: Singles) -> list[tuple[Singles, Singles]]:
        """Weights (models, in, out) and biases (models, out) as views."""
        sizes = (self.inputs, self.hidden, self.classes) if self.hidden else (self.inputs, self.classes)
        layers, at = [], 0
        for into, out in pairwise(sizes):
            weights = models[:, at : at + into * out].reshape(len(models), into, out)
            at += into * out
            layers.append((weights, models[:, at : at + out]))
            at += out
        return layers


def network_of(task: Task) -> Network:
    """Return the model that a task is learned with: 64-32-10 for digits, softmax regression for breast_cancer."""
    return Network(task.features, 32 if task.name == "digits" else 0, task.classes)


def _step(layers: list[tuple[Singles, Singles]], inputs: Singles, labels: Whole, rate: float) -> None:
    """One step of gradient descent of each model on its own batch, in place."""
    reached = [inputs]
    for at, (weights, biases) in enumerate(layers):
        values = np.matmul(reached[-1], weights)
        values += biases[:, None, :]
        if at + 1 < len(layers):
            np.maximum(values, 0, out=values)
        reached.append(values)
    error = reached.pop()
    error -= error.max(axis=-1, keepdims=True)
    np.exp(error, out=error)
    error /= error.sum(axis=-1, keepdims=True)
    at_label = labels[..., None]
    np.put_along_axis(error, at_label, np.take_along_axis(error, at_label, -1) - 1, -1)
    error *= rate / labels.shape[-1]
    for weights, biases in reversed(layers):
        below = reached.pop()
        if reached:
            passed = np.matmul(error, weights.transpose(0, 2, 1))
            passed *= below > 0
        weights -= np.matmul(below.transpose(0, 2, 1), error)
        biases -= error.sum(axis=1)
        if reached:
            error = passed
