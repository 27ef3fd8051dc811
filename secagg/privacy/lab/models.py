"""NO SECURITY: softmax regression and networks with one hidden layer, in NumPy: what clients train and servers attack.

A model is its layers; between two of them stands a rectifier, and the last one's outputs are the classes' scores. One
layer is softmax regression. A gradient and an update are models, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secagg.privacy.lab.digits import CLASSES, PIXELS, Digits, Reals


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One dense layer.

    Attributes:
        weights: float64, (inputs, outputs).
        biases: float64, (outputs,).
    """

    weights: Reals
    biases: Reals


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Dense layers, or the difference of two such models.

    Attributes:
        layers: one for softmax regression, two with a hidden layer.
    """

    layers: tuple[Layer, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays, for a plan."""
        return {name: array.shape for name, array in self.arrays().items()}

    def arrays(self) -> dict[str, Reals]:
        """Return the arrays by name, as a session sums them."""
        named = {}
        for number, layer in enumerate(self.layers, start=1):
            named[f"dense{number}/weights"] = layer.weights
            named[f"dense{number}/biases"] = layer.biases
        return named

    def of(self, arrays: Mapping[str, Reals]) -> Model:
        """Return the model of this form with these arrays; the opposite of :meth:`arrays`."""
        numbers = range(1, len(self.layers) + 1)
        return Model(tuple(Layer(arrays[f"dense{n}/weights"], arrays[f"dense{n}/biases"]) for n in numbers))

    def plus(self, other: Model, factor: float = 1.0) -> Model:
        """Return self + factor * other."""
        theirs = other.arrays()
        return self.of({name: array + factor * theirs[name] for name, array in self.arrays().items()})

    @property
    def norm(self) -> float:
        """L2 norm of all arrays together."""
        return float(np.sqrt(sum(float((array**2).sum()) for array in self.arrays().values())))

    def clipped(self, clip: float) -> Model:
        """Return the model, scaled down to the norm `clip` if it is longer; in float64, as nobody should send it."""
        scale = min(1.0, clip / self.norm) if self.norm else 1.0
        return self.of({name: array * scale for name, array in self.arrays().items()})


def softmax_regression(spread: float = 0.0, seed: int = 0) -> Model:
    """Return a softmax regression on digits with normal weights of this standard deviation, and biases 0."""
    weights = spread * np.random.default_rng(seed).standard_normal((PIXELS, CLASSES))
    return Model((Layer(weights, np.zeros(CLASSES)),))


def hidden_layer(units: int, spread: float = 0.1, seed: int = 0) -> Model:
    """Return a network on digits with one hidden layer of `units`, normal weights and biases 0."""
    numbers = np.random.default_rng(seed)
    first = Layer(spread * numbers.standard_normal((PIXELS, units)), np.zeros(units))
    return Model((first, Layer(spread * numbers.standard_normal((units, CLASSES)), np.zeros(CLASSES))))


def scores(model: Model, images: Reals) -> Reals:
    """Return the scores of the classes, (examples, 10)."""
    return _outputs(model, images)[-1]


def probabilities(model: Model, images: Reals) -> Reals:
    """Return each image's probability of each class, (examples, 10)."""
    return probabilities_of(scores(model, images))


def probabilities_of(values: Reals) -> Reals:
    """Return the softmax of scores, over the last axis."""
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def gradient(model: Model, examples: Digits) -> Model:
    """Return the gradient of the mean cross entropy over the examples."""
    outputs = _outputs(model, examples.images)
    excess = probabilities_of(outputs[-1])
    excess[np.arange(len(examples)), examples.labels] -= 1.0
    excess /= len(examples)
    layers: list[Layer] = []
    for number in range(len(model.layers) - 1, -1, -1):
        inputs = examples.images if number == 0 else np.maximum(outputs[number - 1], 0.0)
        layers.insert(0, Layer(inputs.T @ excess, excess.sum(axis=0)))
        if number:
            excess = (excess @ model.layers[number].weights.T) * (outputs[number - 1] > 0.0)
    return Model(tuple(layers))


def train(model: Model, examples: Digits, *, steps: int, rate: float) -> Model:
    """Return the model after so many steps of gradient descent on all examples."""
    for _ in range(steps):
        model = model.plus(gradient(model, examples), -rate)
    return model


def accuracy(model: Model, examples: Digits) -> float:
    """Return the fraction of examples that are classified correctly."""
    return float((scores(model, examples.images).argmax(axis=1) == examples.labels).mean())


def _outputs(model: Model, images: Reals) -> list[Reals]:
    """Outputs of every layer, before the rectifier."""
    outputs: list[Reals] = []
    inputs = images
    for layer in model.layers:
        outputs.append(inputs @ layer.weights + layer.biases)
        inputs = np.maximum(outputs[-1], 0.0)
    return outputs
