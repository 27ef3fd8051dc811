"""The one-run audit: the figures that the paper prints, and a run of canaries that finds no more than was promised."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.privacy import Plan
from secagg.privacy.lab.canaries import epsilon_floor, one_run, p_value, right_guesses
from secagg.testing.randomness import DeterministicRandomSource


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "printed"),  # Steinke, Nasr and Jagielski 2023
    [
        (100, 100, 75, 0.0, 0.702),
        (100, 100, 75, 1e-4, 0.699),
        (1000, 100, 75, 1e-4, 0.673),
        (10**5, 1510, 1439, 1e-5, 2.675),
    ],
)
def test_printed_values(canaries: int, guesses: int, right: int, delta: float, printed: float) -> None:
    assert epsilon_floor(canaries, guesses, right, delta) == pytest.approx(printed, abs=1e-3)


def test_a_p_value() -> None:
    assert p_value(100, 100, 75, math.log(3), 0.0) == pytest.approx(0.5535, abs=5e-5)
    assert p_value(100, 100, 0, 1.0, 0.0) == 1.0
    assert p_value(10, 10, 10, 0.0, 0.0) == pytest.approx(2.0**-10)


def test_a_coin_refutes_nothing() -> None:
    assert epsilon_floor(100, 100, 50, 1e-5) == 0.0


def test_guesses_are_the_highest_and_the_lowest_scores() -> None:
    scores, coins = np.array([5.0, -3.0, 4.0, 0.0]), np.array([True, False, True, True])
    assert right_guesses(scores, coins, 2) == 2
    assert right_guesses(scores, coins, 4) == 3


def canary_plan(epsilon: float, rounds: int = 1, **changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        "arrays": {"update": (1000,)},
        "clip": 0.3,
        "epsilon": epsilon,
        "delta": 1e-5,
        "rounds": rounds,
    }
    cohort = {"clients": 100, "minimum_contributors": 100, "max_corrupt": 0.0, "max_dropout": 0.0, "rotation": False}
    return Plan.choose(**(arguments | cohort | changes))


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_run_with_canaries_measures_something_and_no_more_than_was_promised(rounds: int) -> None:
    run = one_run(canary_plan(16.0, rounds), 24, randomness=DeterministicRandomSource(rounds))
    # Right with a probability above 0.95 each; all 24 would show 2.0.
    assert 0.5 < run.measured < run.claimed == 16.0
    assert run.right >= 17
    assert (run.canaries, run.guesses, run.delta) == (100, 24, 1e-5)


def test_much_noise_hides_the_canaries() -> None:
    assert one_run(canary_plan(0.05), 24, randomness=DeterministicRandomSource(3)).right < 23


@pytest.mark.parametrize(
    "changes", [{"noise": "each"}, {"neighbours": "replace"}, {"adaptive": True}, {"arrays": {"a": 1, "b": 1}}]
)
def test_plans_that_canaries_cannot_use(changes: dict[str, Any]) -> None:
    with pytest.raises(secagg.ParameterError, match="canaries take a plan"):
        one_run(canary_plan(4.0, **changes), 24)


@pytest.mark.parametrize("guesses", [0, 3, 6])
def test_numbers_of_guesses_that_are_none(guesses: int) -> None:
    with pytest.raises(secagg.ParameterError, match=f"{guesses} guesses about 4"):
        right_guesses(np.zeros(4), np.zeros(4, dtype=bool), guesses)


@pytest.mark.parametrize(
    ("epsilon", "delta", "right"), [(-1.0, 0.0, 5), (math.nan, 0.0, 5), (1.0, 1.0, 5), (1.0, 0.0, 11)]
)
def test_numbers_of_a_p_value_that_are_none(epsilon: float, delta: float, right: int) -> None:
    with pytest.raises(secagg.ParameterError):
        p_value(10, 10, right, epsilon, delta)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_no_confidence(confidence: float) -> None:
    with pytest.raises(secagg.ParameterError, match="confidence"):
        epsilon_floor(10, 10, 9, 0.0, confidence)
