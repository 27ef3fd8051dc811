"""Local noise without a session."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secagg import privacy
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource


def test_noise_is_that_of_the_gaussian_mechanism_for_twice_the_clip() -> None:
    arrays = {"a": np.zeros((60, 100)), "b": np.zeros(()), "c": np.zeros((0,))}
    noisy = privacy.add_gaussian(arrays, clip=3.0, epsilon=4, delta=1e-5, randomness=DeterministicRandomSource(1))
    assert {name: array.shape for name, array in noisy.items()} == {"a": (60, 100), "b": (), "c": (0,)}
    assert noisy["a"].dtype == np.float64
    # 2.1623237 clips by the analytic Gaussian mechanism, and what the grid costs.
    sigma = 3.0 * 2.16232370
    assert 1 - 5 / math.sqrt(12_000) < float(noisy["a"].std()) / sigma < (1 + 5 / math.sqrt(12_000)) * 1.011


def test_values_lie_on_a_grid() -> None:
    noisy = privacy.add_gaussian({"a": np.full(500, 1e-3)}, clip=1.0, epsilon=2, delta=1e-5)["a"]
    plan = privacy.Plan.choose(
        arrays={"a": 500}, clip=1.0, epsilon=2, delta=1e-5, clients=2, max_corrupt=0.0, noise="each", rotation=False
    )
    steps = noisy * plan.grid
    assert np.abs(steps - np.rint(steps)).max() < 1e-9


def test_rounds_compose() -> None:
    one, many = (
        privacy.add_gaussian(
            {"a": np.zeros(20_000)}, clip=1.0, epsilon=4, delta=1e-5, rounds=r, randomness=DeterministicRandomSource(1)
        )
        for r in (1, 16)
    )
    assert float(many["a"].std() / one["a"].std()) == pytest.approx(4, rel=0.05)


def test_what_is_not_finite_is_zero_and_no_error() -> None:
    noisy = privacy.add_gaussian({"a": np.array([math.nan] * 9)}, clip=1.0, epsilon=40, delta=0.01)
    assert np.isfinite(noisy["a"]).all()


def test_parameters_outside_their_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="epsilon=0"):
        privacy.add_gaussian({"a": np.zeros(3)}, clip=1.0, epsilon=0, delta=1e-5)
    with pytest.raises(ParameterError, match="array 'a' is complex128"):
        privacy.add_gaussian({"a": np.zeros(3, complex)}, clip=1.0, epsilon=1, delta=1e-5)
