"""Gradients against differences, and digits that are learned."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import secagg
from secagg.privacy.lab.digits import Digits, load_digits
from secagg.privacy.lab.models import Model, accuracy, gradient, hidden_layer, probabilities, softmax_regression, train


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def loss(model: Model, examples: Digits) -> float:
    return float(-np.log(probabilities(model, examples.images)[np.arange(len(examples)), examples.labels]).mean())


def test_there_are_1797_digits_from_white_to_black(digits: Digits) -> None:
    assert digits.images.shape == (1797, 64)
    assert digits.images.min() == 0.0
    assert digits.images.max() == 1.0
    assert set(digits.labels.tolist()) == set(range(10))


def test_a_split_loses_and_repeats_nobody(digits: Digits) -> None:
    rest, test = digits.split(360, 1)
    assert (len(rest), len(test)) == (1437, 360)
    both = np.vstack([rest.images, test.images])
    assert np.array_equal(np.sort(both.sum(axis=1)), np.sort(digits.images.sum(axis=1)))


@pytest.mark.parametrize("model", [softmax_regression(0.2, 1), hidden_layer(7, 0.3, 2)], ids=["softmax", "hidden"])
def test_a_gradient_is_that_of_the_loss(model: Model, digits: Digits) -> None:
    some = digits.take(np.arange(20))
    exact = gradient(model, some).arrays()
    numbers = np.random.default_rng(3)
    for name, array in model.arrays().items():
        for at in numbers.integers(0, array.size, 5):
            nudge = np.zeros(array.size)
            nudge[at] = 1e-6
            arrays = model.arrays()
            up = loss(model.of(arrays | {name: array + nudge.reshape(array.shape)}), some)
            down = loss(model.of(arrays | {name: array - nudge.reshape(array.shape)}), some)
            assert (up - down) / 2e-6 == pytest.approx(exact[name].ravel()[at], abs=1e-7)


@pytest.mark.parametrize("model", [softmax_regression(), hidden_layer(16)], ids=["softmax", "hidden"])
def test_digits_are_learned(model: Model, digits: Digits) -> None:
    rest, test = digits.split(360, 1)
    assert accuracy(train(model, rest, steps=150, rate=0.5), test) > 0.85


def test_a_clipped_model_has_the_norm_of_the_clip_and_its_direction() -> None:
    model = hidden_layer(5, 1.0, 1)
    clipped = model.clipped(0.5)
    assert clipped.norm == pytest.approx(0.5)
    assert np.allclose(clipped.layers[1].weights * model.norm / 0.5, model.layers[1].weights)
    assert model.clipped(1e9).plus(model, -1.0).norm == 0.0
    assert softmax_regression().clipped(1.0).norm == 0.0


def test_without_scikit_learn_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(secagg.MissingExtraError, match=r"pip install 'secagg\[demo\]'"):
        load_digits()
