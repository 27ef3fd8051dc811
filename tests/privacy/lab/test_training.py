"""Digits under a plan: shares of noise cost what noise of the server costs, local noise costs the model."""

from __future__ import annotations

import pytest

import secagg
from secagg.privacy.lab.digits import Digits, load_digits
from secagg.privacy.lab.training import Federation, digits_plan, learn, row_of, tasks
from secagg.privacy.mechanism import Noise
from secagg.testing.randomness import DeterministicRandomSource


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def federation(digits: Digits) -> Federation:
    return Federation.of(digits)


def test_everybody_has_digits_of_their_own(federation: Federation) -> None:
    assert len(federation.clients) == 100
    assert {len(client) for client in federation.clients} == {14, 15}
    assert sum(len(client) for client in federation.clients) + len(federation.test) == 1797


def test_three_rounds_with_shares_and_dropouts(federation: Federation) -> None:
    plain = learn(federation, None, rounds=3)
    private = learn(
        federation,
        digits_plan(8.0, 1e-5, 1.0, Noise.CLIENTS, rounds=3),
        rounds=3,
        dropouts=20,
        randomness=DeterministicRandomSource(1),
    )
    assert len(plain) == len(private) == 3
    assert plain[-1] > 0.8
    assert private[-1] > 0.6


def test_the_server_s_noise_and_everybody_s(federation: Federation) -> None:
    central = learn(
        federation,
        digits_plan(8.0, 1e-5, 1.0, Noise.SERVER, rounds=2),
        rounds=2,
        randomness=DeterministicRandomSource(1),
    )[-1]
    local = learn(
        federation, digits_plan(1.0, 1e-5, 1.0, Noise.EACH, rounds=2), rounds=2, randomness=DeterministicRandomSource(1)
    )[-1]
    assert central > 0.6
    assert local < 0.45


@pytest.mark.slow
def test_the_accuracies_of_the_design(digits: Digits) -> None:
    """None .892; epsilon 8: central .886, distributed .893, with 20 dropouts .885, local .18; each +-.02."""
    rows = [row_of(task, digits, clips=(1.0,), seeds=2) for task in tasks((8.0,))]
    none, central, shares, dropouts, local = rows
    assert none.noise is None
    assert none.accuracy > 0.87
    assert (central.noise, shares.noise, local.noise) == (Noise.SERVER, Noise.CLIENTS, Noise.EACH)
    assert central.accuracy > 0.84
    assert shares.accuracy > central.accuracy - 0.03
    assert dropouts.dropouts == 20
    assert dropouts.accuracy > central.accuracy - 0.05
    assert local.accuracy < 0.4


def test_more_dropouts_than_the_floor_allows_are_refused(federation: Federation) -> None:
    plan = digits_plan(8.0, 1e-5, 1.0, Noise.CLIENTS, rounds=1)
    with pytest.raises(secagg.ParameterError, match="21 dropouts leave 79 clients, and a sum needs 80"):
        learn(federation, plan, rounds=1, dropouts=21)
    with pytest.raises(secagg.ParameterError, match="-1 dropouts"):
        learn(federation, plan, rounds=1, dropouts=-1)


@pytest.mark.parametrize("rounds", [0, 2])
def test_more_rounds_than_the_plan_has_are_refused(federation: Federation, rounds: int) -> None:
    with pytest.raises(secagg.ParameterError, match=f"rounds={rounds}"):
        learn(federation, digits_plan(8.0, 1e-5, 1.0, Noise.CLIENTS, rounds=1), rounds=rounds)


def test_more_clients_than_examples_are_refused(digits: Digits) -> None:
    with pytest.raises(secagg.ParameterError, match="1500 clients for 1437 examples"):
        Federation.of(digits, 1500)
