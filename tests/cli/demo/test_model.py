"""Softmax regression: its gradient against differences of its loss, and learning."""

from __future__ import annotations

import numpy as np
import pytest

from secagg.cli.demo.data import Examples
from secagg.cli.demo.model import Model, accuracy, gradient, local_update, loss, probabilities
from secagg.cli.local.seeded import SeededNumbers
from secagg.testing.randomness import DeterministicRandomSource


def numbers() -> SeededNumbers:
    return SeededNumbers(DeterministicRandomSource(1))


def examples(count: int = 30) -> Examples:
    """Images whose brightest pixel tells the label."""
    images = numbers().fork("images").uniform(64 * count).reshape(count, 64) / 2
    label = np.arange(count, dtype=np.int64) % 10
    images[np.arange(count), label] = 1.0
    return Examples(images, label)


def model() -> Model:
    drawn = numbers().fork("model").normal(650)
    return Model(drawn[:640].reshape(10, 64), drawn[640:])


def test_probabilities_add_up_to_1_even_for_huge_scores() -> None:
    huge = Model(model().weights * 1e4, model().biases)
    likely = probabilities(huge, examples().images)
    assert likely.shape == (30, 10)
    assert likely.sum(axis=1) == pytest.approx(np.ones(30))


@pytest.mark.parametrize("index", [(0, 0), (3, 17), (9, 63)])
def test_gradient_of_the_weights_is_the_slope_of_the_loss(index: tuple[int, int]) -> None:
    step = np.zeros((10, 64))
    step[index] = 1e-5
    nudge = Model(step, np.zeros(10))
    slope = (loss(model().plus(nudge), examples()) - loss(model().plus(nudge, -1.0), examples())) / 2e-5
    assert gradient(model(), examples()).weights[index] == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("index", [0, 5, 9])
def test_gradient_of_the_biases_is_the_slope_of_the_loss(index: int) -> None:
    step = np.zeros(10)
    step[index] = 1e-5
    nudge = Model(np.zeros((10, 64)), step)
    slope = (loss(model().plus(nudge), examples()) - loss(model().plus(nudge, -1.0), examples())) / 2e-5
    assert gradient(model(), examples()).biases[index] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_the_untrained_model_guesses() -> None:
    assert loss(Model.zeros(), examples()) == pytest.approx(np.log(10))
    assert accuracy(Model.zeros(), examples()) == pytest.approx(0.1)


def test_local_training_learns_and_leaves_the_global_model_alone() -> None:
    start = Model.zeros()
    update = local_update(start, examples(), numbers(), epochs=40, rate=0.5, batch=7)
    assert accuracy(start.plus(update), examples()) == 1.0
    assert np.count_nonzero(start.weights) + np.count_nonzero(start.biases) == 0


def test_one_step_is_the_negative_gradient() -> None:
    update = local_update(model(), examples(), numbers(), epochs=1, rate=0.25, batch=30)
    expected = gradient(model(), examples())
    assert update.weights == pytest.approx(-0.25 * expected.weights, abs=1e-12)
    assert update.biases == pytest.approx(-0.25 * expected.biases, abs=1e-12)


def test_the_largest_difference_sees_weights_and_biases() -> None:
    one, other = model(), model()
    other.weights[2, 3] += 0.5
    assert one.largest_difference(other) == pytest.approx(0.5)
    other.biases[1] -= 0.75
    assert one.largest_difference(other) == pytest.approx(0.75)


def test_arrays_and_bytes_hold_every_parameter() -> None:
    again = Model.of(model().arrays())
    assert again.encode() == model().encode()
    assert len(model().encode()) == 8 * 650
    assert again.plus(Model.zeros()).encode() != again.plus(gradient(model(), examples())).encode()
