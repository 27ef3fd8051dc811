"""A server that writes the model reads pictures through a perfect sum; clipping does not stop it."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from secagg.privacy import Plan
from secagg.privacy.lab.digits import Digits, load_digits
from secagg.privacy.lab.imprint import (
    clients_updates,
    malicious_model,
    pictures_between_levels,
    recovered,
    resembled,
)
from secagg.privacy.lab.models import Model
from secagg.privacy.lab.summing import release
from secagg.testing.randomness import DeterministicRandomSource


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def model(digits: Digits) -> Model:
    return malicious_model(digits.images)


def attacked(model: Model, digits: Digits, clients: int, batch: int, clip: float | None) -> tuple[float, float]:
    """Shares of the pictures that a perfect sum shows exactly, and nearly."""
    chosen = np.random.default_rng(1).choice(len(digits), clients * batch, replace=False)
    holdings = [digits.take(mine) for mine in chosen.reshape(clients, batch)]
    total = reduce(Model.plus, clients_updates(model, holdings, clip))
    found = pictures_between_levels(total.layers[0])
    return recovered(found, digits.images[chosen]), resembled(found, digits.images[chosen])


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize(
    ("clients", "batch", "least", "most"),
    [(10, 16, 0.15, 0.5), (100, 1, 0.3, 0.7), (100, 10, 0.0, 0.05)],  # 32 %, 45 % and 1 % in the design's run
)
def test_a_perfect_sum_gives_pictures_away(
    model: Model, digits: Digits, clients: int, batch: int, least: float, most: float, clip: float | None
) -> None:
    exact, near = attacked(model, digits, clients, batch, clip)
    assert least <= exact <= most
    assert near >= exact


def test_the_model_looks_like_any_other_to_a_client(model: Model, digits: Digits) -> None:
    update = clients_updates(model, [digits.take(np.arange(10))])[0]
    assert update.shapes == {
        "dense1/weights": (64, 512),
        "dense1/biases": (512,),
        "dense2/weights": (512, 10),
        "dense2/biases": (10,),
    }
    assert all(np.isfinite(array).all() for array in update.arrays().values())


def test_noise_of_a_plan_leaves_nothing(model: Model, digits: Digits) -> None:
    """Epsilon 8: what clipping alone left, 40 % in the design's run, is 0."""
    batches = np.arange(160).reshape(10, 16)
    updates = clients_updates(model, [digits.take(batch) for batch in batches])
    plan = Plan.choose(
        arrays=model.shapes, clip=0.2, epsilon=8.0, delta=1e-5, clients=10, max_corrupt=0.0, rotation=False
    )
    sent = [update.arrays() for update in updates]
    mean = release(plan, plan.clients, sent, DeterministicRandomSource(1)).mean
    found = pictures_between_levels(model.of(mean).layers[0])
    assert recovered(found, digits.images[:160]) == 0.0
    assert resembled(found, digits.images[:160]) == 0.0
    assert recovered(found[:0], digits.images) == resembled(found[:0], digits.images) == 0.0
