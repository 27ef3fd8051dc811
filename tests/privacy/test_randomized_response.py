"""Randomized response: whole numbers of coins, what they are worth, and estimates from counts."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.privacy import RandomizedResponse
from secagg.privacy.randomized_response import COINS
from secagg.testing.randomness import DeterministicRandomSource


class Coins:
    """A source of these coins, and of no more."""

    def __init__(self, *coins: int) -> None:
        self.left = list(coins)

    def secret(self, length: int) -> SecretBytes:
        """The next coin."""
        return SecretBytes(self.left.pop(0).to_bytes(length, "little"))


def exact(response: RandomizedResponse, answer: int, given: int) -> Fraction:
    """Probability that an answer becomes another, by what the module says of its coins."""
    kept = Fraction(response.keep, COINS)
    return kept * (answer == given) + (1 - kept) / response.options


@pytest.mark.parametrize("options", [2, 3, 5, 7, 65_536])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.0, 16.0])
def test_the_largest_part_is_kept_that_the_promise_allows(options: int, epsilon: float) -> None:
    response = RandomizedResponse.choose(options=options, epsilon=epsilon)
    ratio = exact(response, 0, 0) / exact(response, 1, 0)
    assert ratio <= Fraction(math.exp(epsilon) * (1 + 2.0**-50))
    assert math.log(ratio) <= response.epsilon <= epsilon
    more = RandomizedResponse(options, response.keep + 2)
    assert more.epsilon > epsilon
    assert float(exact(response, 0, 0)) == pytest.approx(response.told)


def test_coins_at_every_border_decide_as_they_are_said_to() -> None:
    response = RandomizedResponse(5, 1000)
    even = COINS - COINS % 5
    assert even != COINS
    assert response.randomize(3, randomness=Coins(999)) == 3
    for coin, given in ((0, 0), (4, 4), (7, 2), (even - 1, 4)):
        coins = Coins(1000, coin)
        assert response.randomize(3, randomness=coins) == given
        assert coins.left == []
    coins = Coins(COINS - 1, even, COINS - 1, 6)
    assert response.randomize(3, randomness=coins) == 1
    assert coins.left == []


def test_answers_come_as_often_as_they_are_said_to() -> None:
    response, source = RandomizedResponse.choose(options=4, epsilon=1.0), DeterministicRandomSource(7)
    drawn = 20_000
    counts = np.bincount([response.randomize(2, randomness=source) for _ in range(drawn)], minlength=4)
    expected = np.array([float(exact(response, 2, given)) for given in range(4)]) * drawn
    # Of a fixed seed: 21.1 is the quantile of chi-square with 3 degrees at 1 - 1e-4.
    assert float(((counts - expected) ** 2 / expected).sum()) < 21.1
    estimate = response.estimate(counts)
    assert estimate.sum() == pytest.approx(drawn)
    assert abs(estimate[2] - drawn) < 5 * response.deviation(drawn, drawn)
    assert abs(estimate[0]) < 5 * response.deviation(drawn)


def test_expected_counts_give_what_was_answered() -> None:
    response, truth = RandomizedResponse.choose(options=3, epsilon=0.5), [10, 0, 20]
    counts = [sum(float(exact(response, a, given)) * n for a, n in enumerate(truth)) for given in range(3)]
    assert response.estimate(np.array(counts)) == pytest.approx(truth)


def test_the_deviation_is_that_of_the_exact_distribution() -> None:
    response = RandomizedResponse(2, COINS // 2)
    # Three answers, of which one is this option: the count's distribution written out.
    own, other = exact(response, 0, 0), exact(response, 1, 0)
    variance = own * (1 - own) + 2 * other * (1 - other)
    assert response.deviation(3, 1) == pytest.approx(math.sqrt(variance) * 2)


def test_without_a_source_the_systems_is_drawn_from() -> None:
    assert {RandomizedResponse(2, 1).randomize(0) for _ in range(200)} == {0, 1}


def test_what_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(ParameterError, match=r"options"):
        RandomizedResponse.choose(options=1, epsilon=1)
    with pytest.raises(ParameterError, match=r"keep"):
        RandomizedResponse(5, COINS)
    for epsilon in (0, -1.0, math.nan, math.inf, 17, "2"):
        with pytest.raises(ParameterError, match=r"epsilon=.* is no number above 0 and at most 16"):
            RandomizedResponse.choose(options=5, epsilon=epsilon)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"keeps no answer of 5 options"):
        RandomizedResponse.choose(options=5, epsilon=1e-10)
    response = RandomizedResponse(5, 1)
    for answer in (-1, 5, True, 1.0):
        with pytest.raises(ParameterError, match=r"none of 0 \.\. 4"):
            response.randomize(answer)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"shape \(4,\)"):
        response.estimate(np.zeros(4))
