"""What releases cost: exact steps of Skellam noise, its shares, sums of losses."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.privacy import accounting, gaussian
from secagg.privacy.accounting import Loss
from tests.privacy.oracles import (
    all_steps,
    exact_delta,
    exact_step,
    published_epsilon,
    published_rdp,
    rounded_norm,
    shifted_delta,
    skellam_log_mass,
)

CLOSE = 1e-9


@pytest.mark.parametrize(("mu", "expected"), [(1, 1.243092), (4, 1.049678), (25, 1.006816), (400, 1.000417228)])
def test_the_factor_of_skellam_noise(mu: int, expected: float) -> None:
    digits = len(str(expected)) - 2
    assert round(accounting.skellam_factor(16 * mu), digits) == expected


@pytest.mark.parametrize("mu", [1 / 16, 0.25, 1, 4, 25, 400, 1023, 1024, 1025, 10**4, 10**6, 10**9])
def test_the_factor_is_its_60_digits_rounded_up(mu: float) -> None:
    found = accounting.skellam_factor(round(16 * mu))
    exact = exact_step(mu) * mpmath.sqrt(mu)
    assert exact <= found <= exact * (1 + mpmath.mpf(1e-10))
    assert mu < 1 or found <= (1 + 1 / (6 * mu) + 1 / (4 * mu * mu)) * (1 + 1e-14)


@pytest.mark.parametrize("mu", [1, 2, 4, 10, 25, 100, 400, 1000, 2500, 10**4])
def test_no_step_is_larger_than_the_one_in_the_middle(mu: int) -> None:
    steps = all_steps(mu)
    assert len(steps) > 26 * math.sqrt(mu) + 100
    assert steps.argmax() == 0
    assert np.all(np.diff(steps) <= 1e-9 * steps[0])
    assert accounting.skellam_factor(16 * mu) == pytest.approx(math.sqrt(mu) * steps.max(), rel=CLOSE)


@pytest.mark.parametrize("mu", [1, 4, 25, 100])
@pytest.mark.parametrize("shift", [(1,), (2,), (5,), (1, 1), (3, 4), (2, 1)])
def test_no_test_of_small_sums_beats_the_claim(mu: int, shift: tuple[int, ...]) -> None:
    half = np.exp(skellam_log_mass(mu, int(12 * math.sqrt(mu)) + 60))
    masses = np.concatenate([half[:0:-1], half])
    m = math.sqrt(accounting.skellam_loss(sum(step * step for step in shift), 16 * mu, 1))
    for epsilon in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0):
        assert shifted_delta(masses, shift, epsilon) <= gaussian.delta(epsilon, m) * (1 + 1e-9) + 1e-13


@pytest.mark.parametrize(
    ("l1", "l2", "mu", "order", "expected"),
    [(100, 10, 400, 2, 0.25140625), (100, 10, 400, 16, 2.00578125), (64, 8, 1000, 32, 1.025104)],
)
def test_the_published_bound_is_the_published_one(l1: float, l2: float, mu: float, order: int, expected: float) -> None:
    assert published_rdp(l1, l2, mu, order) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize(
    ("scale", "sigma", "entries", "rounds", "delta", "ours", "theirs", "digits"),
    [
        (100, 4.0, 1024, 1, 1e-5, 0.94509, 1.0328734192, 5),
        (100, 4.0, 1024, 10, 1e-5, 3.41179, 3.7066746937, 5),
        (5000, 1.0, 2**20, 1, 1e-6, 4.9163, 5.2545, 4),
        (5000, 1.0, 2**20, 100, 1e-6, 97.5, 113.5, 1),
    ],
)
def test_the_claim_is_below_the_published_bound(
    scale: int, sigma: float, entries: int, rounds: int, delta: float, ours: float, theirs: float, digits: int
) -> None:
    squared, mu = rounded_norm(scale, entries), round((scale * sigma) ** 2)
    published = published_epsilon(squared, entries, mu, rounds, delta)
    m2 = accounting.skellam_loss(math.ceil(squared), 16 * mu, 1)
    claimed = Loss(rounds * m2).epsilon(delta)
    assert published == pytest.approx(theirs, rel=CLOSE, abs=0 if theirs > 1 and digits == 5 else 0.5 * 10**-digits)
    assert claimed == pytest.approx(ours, abs=10**-digits)
    assert claimed < published


def test_the_norm_that_the_published_accounting_takes() -> None:
    assert math.sqrt(rounded_norm(100, 1024)) == pytest.approx(101.843016452, rel=CLOSE)


@pytest.mark.parametrize(
    ("bound", "m", "rounds", "honest", "expected", "off"),
    [
        (13_113_482, 0.83785875709, 50, 75, 199_253_117, 2),
        (20_198, 1.66603059785, 15, 14, 124_747, 0),
        (1_392_889, 0.21373627188, 100, 850, 57_393_289, 2),
    ],
)
def test_the_variance_of_a_share(bound: int, m: float, rounds: int, honest: int, expected: int, off: int) -> None:
    assert abs(accounting.share_variance16(bound, m / math.sqrt(rounds), honest) - expected) <= off


@given(bound=st.integers(1, 2**45), m=st.floats(0.01, 10), honest=st.integers(1, 10_000))
def test_a_share_has_the_least_variance_that_does(bound: int, m: float, honest: int) -> None:
    variance16 = accounting.share_variance16(bound, m, honest)
    assert accounting.skellam_loss(bound, variance16, honest) <= Fraction(m) ** 2
    assert variance16 == 1 or accounting.skellam_loss(bound, variance16 - 1, honest) > Fraction(m) ** 2
    assert variance16 == 1 or exact_step((variance16 - 1) * honest / 16) ** 2 * bound > mpmath.mpf(m) ** 2 * (1 - 1e-9)
    assert exact_step(variance16 * honest / 16) ** 2 * bound <= mpmath.mpf(m) ** 2


@given(bound=st.integers(1, 2**40), variance16=st.integers(1, 2**40), honest=st.integers(1, 1000))
def test_more_noise_and_smaller_updates_cost_less(bound: int, variance16: int, honest: int) -> None:
    cost = accounting.skellam_loss(bound, variance16, honest)
    assert accounting.skellam_loss(bound + 1, variance16, honest) >= cost
    assert accounting.skellam_loss(bound, variance16 + 1, honest) <= cost
    assert accounting.skellam_loss(bound, variance16, honest + 1) <= cost
    if variance16 * honest >= 16:
        assert cost >= accounting.rounded_gaussian_loss(bound, variance16 * honest) * (1 - 1e-12)


@given(bound=st.integers(1, 2**60), variance16=st.integers(1, 2**40))
def test_the_loss_of_the_rounded_gaussian_is_rounded_up(bound: int, variance16: int) -> None:
    exact = Fraction(16 * bound, variance16)
    assert exact < Fraction(accounting.rounded_gaussian_loss(bound, variance16)) <= exact * Fraction(1 + 2.0**-50)


positive = st.floats(0, 1e6, allow_subnormal=False)


@given(one=positive, other=positive, eta=positive, more=positive)
def test_sums_of_losses_are_rounded_up(one: float, other: float, eta: float, more: float) -> None:
    total = Loss(one, eta) + Loss(other, more)
    assert Fraction(total.m2) >= Fraction(one) + Fraction(other)
    assert Fraction(total.eta) >= Fraction(eta) + Fraction(more)
    assert Fraction(total.m) ** 2 >= Fraction(total.m2)
    assert Loss(one, eta) + Loss() == Loss(one, eta)


@given(m=st.floats(0.01, 8), power=st.floats(3, 9), share=st.floats(1e-12, 1e-2))
def test_slack_counts_against_delta(m: float, power: float, share: float) -> None:
    delta = 10**-power
    loss = Loss(m * m, delta * share)
    found = loss.epsilon(delta)
    assert found >= Loss(m * m).epsilon(delta)
    if math.isinf(found):
        for guess in np.linspace(0, 2 * gaussian.epsilon(delta, m) + 1, 200):
            assert gaussian.delta(guess, m) + (1 + math.exp(guess)) * loss.eta > delta * (1 - 1e-9)
    else:
        assert exact_delta(found, m) + (1 + mpmath.exp(found)) * loss.eta <= delta


def test_a_claim_that_hardly_holds_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just below the least delta that this m and slack have: the way to no epsilon is as long as one likes."""
    loss, solved = Loss(0.64, 2.0**-40), 0
    solve = gaussian.epsilon

    def counted(delta: float, m: float) -> float:
        nonlocal solved
        solved += 1
        assert solved <= 101
        return solve(delta, m)

    monkeypatch.setattr(gaussian, "epsilon", counted)
    assert loss.epsilon(2.0917952312528722e-10 * (1 - 1e-7)) == math.inf


def test_too_much_slack_leaves_no_claim() -> None:
    assert Loss(1.0, 0.1).epsilon(1e-6) == math.inf
    assert Loss(1e6, 1e-30).epsilon(1e-6) == math.inf


@given(
    rounds=st.integers(1, 10**6),
    clients=st.integers(1, 10**6),
    entries=st.integers(1, 2**32),
    bits=st.none() | st.integers(1, 100),
)
def test_slack_is_rounded_up(rounds: int, clients: int, entries: int, bits: int | None) -> None:
    exact = Fraction(rounds * clients * entries, 2**99) + (Fraction(rounds, 2**bits) if bits else 0)
    assert exact < Fraction(accounting.slack(rounds, clients, entries, bits)) <= exact * Fraction(1 + 2.0**-50)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Loss(-1.0), "m2=-1.0 of a loss; give a finite number from 0 on"),
        (lambda: Loss(1.0, math.nan), "eta=nan of a loss; give a finite number from 0 on"),
        (lambda: Loss(1.0).epsilon(0.0), "delta=0.0; give a probability with 1e-200 <= delta < 1"),
        (lambda: accounting.skellam_loss(0, 16, 1), "bound=0; give a whole number from 1 on"),
        (lambda: accounting.skellam_loss(1, 1.5, 1), "variance16=1.5; give a whole number from 1 on"),  # type: ignore[arg-type]
        (lambda: accounting.skellam_factor(0), "variance16=0; give a whole number from 1 on"),
        (lambda: accounting.share_variance16(1, 0.0, 1), "m_round=0.0; give a number above 0"),
        (lambda: accounting.share_variance16(1, 1.0, 0), "honest=0; give a whole number from 1 on"),
        (lambda: accounting.slack(0, 1, 1, None), "rounds=0; give a whole number from 1 on"),
        (lambda: accounting.slack(1, 1, 1, 0), "security_bits=0; give a whole number from 1 on"),
    ],
)
def test_numbers_outside_their_range_are_refused(call, sentence) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError) as refused:
        call()
    assert str(refused.value) == sentence
