"""What an update shows of a picture, and what a sum hides."""

from __future__ import annotations

import numpy as np
import pytest

import secagg
from secagg.privacy.lab.digits import Digits, load_digits
from secagg.privacy.lab.inversion import (
    Gallery,
    identification,
    identification_by_insider,
    inferred_label,
    read_picture,
    update_of_one,
)
from secagg.privacy.lab.models import Layer, gradient, hidden_layer, softmax_regression
from secagg.privacy.lab.training import digits_plan
from secagg.testing.randomness import DeterministicRandomSource

MODEL = softmax_regression(0.05, 3)


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def test_one_update_is_the_picture_and_its_label_clipped_or_not(digits: Digits) -> None:
    for client in range(0, 100, 7):
        for clip in (1e9, 0.1):
            first = update_of_one(MODEL, digits, client, clip).layers[0]
            assert inferred_label(first) == digits.labels[client]
            assert np.allclose(read_picture(first), digits.images[client], atol=1e-9)


def test_a_hidden_layer_shows_the_picture_as_well(digits: Digits) -> None:
    first = gradient(hidden_layer(32, seed=1), digits.take(np.array([11]))).layers[0]
    assert np.allclose(read_picture(first), digits.images[11], atol=1e-9)


def test_an_update_of_zeros_shows_nothing() -> None:
    assert not read_picture(Layer(np.zeros((64, 10)), np.zeros(10))).any()


def test_sums_hide_the_picture_as_they_grow(digits: Digits) -> None:
    """Of 1797: 100, 93, 31, 9 and 0.5 % for one client and sums of 2, 10, 20 and 100."""
    rates = {n: identification(MODEL, digits, n, 60, clip=1.0, seed=1).rate for n in (1, 2, 10, 100)}
    assert rates[1] == 1.0
    assert rates[2] > 0.75
    assert 0.1 < rates[10] < 0.6
    assert rates[100] < 0.06


def test_a_server_that_knows_all_others_finds_nobody_in_noise(digits: Digits) -> None:
    """Design: 0 of 200 at epsilon 8, and 100 % without noise."""
    plan = digits_plan(8.0, 1e-5, 1.0, "clients", rounds=1)
    found = identification_by_insider(MODEL, digits, plan, 10, seed=1, randomness=DeterministicRandomSource(1))
    assert (found.cohort, found.tries) == (75, 10)
    assert found.right <= 1
    local = digits_plan(8.0, 1e-5, 1.0, "each", rounds=1)
    assert identification_by_insider(MODEL, digits, local, 1, seed=1).cohort == 1
    with pytest.raises(secagg.ParameterError, match="tries=0"):
        identification_by_insider(MODEL, digits, plan, 0, seed=1)


def test_the_gallery_names_its_own_pictures(digits: Digits) -> None:
    gallery = Gallery(digits.images)
    assert [gallery.nearest(digits.images[at]) for at in range(50)] == list(range(50))


@pytest.mark.parametrize(("cohort", "tries"), [(0, 1), (1798, 1), (2, 0)])
def test_an_empty_attack_is_refused(digits: Digits, cohort: int, tries: int) -> None:
    with pytest.raises(secagg.ParameterError, match=f"cohort={cohort}, tries={tries}"):
        identification(MODEL, digits, cohort, tries, clip=1.0, seed=1)
