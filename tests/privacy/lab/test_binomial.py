"""Clopper and Pearson's bounds against values of another implementation, and against coverage."""

from __future__ import annotations

import math

import pytest

import secagg
from secagg.privacy.lab.binomial import at_least, lower_bound, masses, upper_bound


@pytest.mark.parametrize(
    ("count", "trials", "error", "low", "high"),  # scipy.stats.beta.ppf
    [
        (0, 10, 0.01, 0.0, 0.36904265551980675),
        (3, 10, 0.025, 0.06673951117773447, 0.6524528500599973),
        (10, 10, 0.025, 0.6915028921812392, 1.0),
        (5000, 10_000, 0.0005, 0.4835022677280428, 0.5164977322719574),
        (9900, 10_000, 0.0005, 0.9862881740805136, 0.9929568603743488),
    ],
)
def test_bounds(count: int, trials: int, error: float, low: float, high: float) -> None:
    assert lower_bound(count, trials, error) == pytest.approx(low, rel=1e-9)
    assert upper_bound(count, trials, error) == pytest.approx(high, rel=1e-9)


def test_masses_add_up_and_are_those_of_coins() -> None:
    assert masses(10, 0.5) == pytest.approx([math.comb(10, k) / 1024 for k in range(11)])
    assert math.fsum(masses(100_000, 0.3)) == pytest.approx(1.0, rel=1e-8)
    assert at_least(10, 0.5, 8) == pytest.approx(56 / 1024)
    assert at_least(10, 0.5, 0) == at_least(10, 1.0, 10) == 1.0
    assert at_least(10, 0.5, 11) == at_least(10, 0.0, 1) == 0.0


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5])
def test_a_bound_fails_no_more_often_than_it_says(p: float) -> None:
    trials, error = 60, 0.05
    fails = sum(mass for k, mass in enumerate(masses(trials, p)) if lower_bound(k, trials, error) > p)
    assert fails <= error
    fails = sum(mass for k, mass in enumerate(masses(trials, p)) if upper_bound(k, trials, error) < p)
    assert fails <= error


@pytest.mark.parametrize(("count", "trials", "error"), [(-1, 10, 0.1), (11, 10, 0.1), (0, 0, 0.1), (1, 2, 0.0)])
def test_counts_that_are_none_are_refused(count: int, trials: int, error: float) -> None:
    with pytest.raises(secagg.ParameterError, match=f"{count} of {trials}"):
        lower_bound(count, trials, error)
