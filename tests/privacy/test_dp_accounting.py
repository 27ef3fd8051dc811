"""The accounting against dp-accounting, Google's: exactly for normal noise, between bounds for Skellam."""

from __future__ import annotations

import math

import dp_accounting
import pytest
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

from secagg.privacy import accounting, gaussian
from secagg.privacy.accounting import Loss
from tests.privacy.oracles import RDP_ORDERS, published_rdp, skellam_log_mass

DELTA = 1e-5


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9])
def test_normal_noise_is_theirs(epsilon: float, delta: float) -> None:
    sigma = dp_accounting.get_sigma_gaussian(epsilon, delta)
    assert gaussian.sigma(epsilon, delta, 1.0) == pytest.approx(sigma, rel=1e-6)
    assert gaussian.epsilon(delta, 1 / sigma) == pytest.approx(epsilon, rel=1e-6)
    assert dp_accounting.get_epsilon_gaussian(sigma, delta) == pytest.approx(epsilon, rel=1e-6)


def loss_distribution(mu: int, shift: int, interval: float, pessimistic: bool) -> object:
    """Their privacy loss distribution of Sk(mu) and itself moved."""
    reach = int(14 * math.sqrt(mu)) + 60
    logs = skellam_log_mass(mu, reach + shift)
    here = {k: float(logs[abs(k)]) for k in range(-reach, reach + 1)}
    there = {k: float(logs[abs(k - shift)]) for k in range(-reach, reach + 1)}
    return privacy_loss_distribution.from_two_probability_mass_functions(
        here, there, value_discretization_interval=interval, pessimistic_estimate=pessimistic
    )


@pytest.mark.parametrize(
    ("mu", "shift", "entries"),
    [
        (100, 1, 25),
        (400, 1, 100),
        (100, 5, 1),
        (400, 10, 1),
        (400, 20, 1),
        (2500, 50, 1),
        (4, 1, 9),
        (25, 1, 25),
        (25, 5, 1),
        (1, 1, 4),
    ],
)
def test_the_claim_lies_between_what_is_possible_and_the_published_bound(mu: int, shift: int, entries: int) -> None:
    claim = Loss(accounting.skellam_loss(entries * shift**2, 16 * mu, 1)).epsilon(DELTA)
    found = []
    for pessimistic in (False, True):
        distribution = loss_distribution(mu, shift, 1e-4 if entries > 1 else 1e-3, pessimistic)
        composed = distribution.self_compose(entries)  # type: ignore[attr-defined]
        found.append(composed.get_epsilon_for_delta(DELTA))
    optimistic, upper = found
    assert 0 < optimistic <= claim
    # One entry that moves by half a standard deviation of ten steps has few distinct losses: 2 % better than normal.
    if mu >= 100:
        assert claim <= (1.01 if entries > 1 or mu >= 400 else 1.025) * upper
    l1, l2 = entries * shift, math.sqrt(entries) * shift
    published = [published_rdp(l1, l2, mu, order) for order in RDP_ORDERS]
    assert claim <= compute_epsilon(RDP_ORDERS, published, DELTA)[0]


def test_a_hundred_entries_that_move_by_one() -> None:
    claim = Loss(accounting.skellam_loss(100, 16 * 400, 1)).epsilon(DELTA)
    lower, upper = (
        loss_distribution(400, 1, 1e-5, pessimistic).self_compose(100).get_epsilon_for_delta(DELTA)  # type: ignore[attr-defined]
        for pessimistic in (False, True)
    )
    assert lower == pytest.approx(1.99249, abs=1e-5)
    assert upper == pytest.approx(1.99349, abs=1e-5)
    assert claim == pytest.approx(1.99402, abs=1e-5)
