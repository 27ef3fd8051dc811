"""Who was in the training data: without noise more than guessing, with noise less than DP allows."""

from __future__ import annotations

import numpy as np
import pytest

import secagg
from secagg.privacy.lab.digits import load_digits
from secagg.privacy.lab.membership import area, attack, rate_at


def test_small_models_give_members_away_and_noise_takes_it_back() -> None:
    examples = load_digits().split(1647, 0)[0]
    assert len(examples) == 150
    plain = attack(examples, shadows=16, targets=4, steps=100)
    noisy = attack(examples, shadows=16, targets=4, steps=40, rate=1.0, epsilon=2.0)
    assert plain.auc > 0.7
    assert plain.true_positives > 0.05
    assert plain.accuracy > 0.85
    assert noisy.auc < 0.65
    # 600 scores: three standard deviations of their rates are some 0.1.
    assert noisy.true_positives - 0.01 <= noisy.advantage_limit + 0.1
    assert noisy.advantage_limit == pytest.approx(0.198, abs=1e-3)


@pytest.mark.slow
def test_digits_as_in_the_design() -> None:
    """AUC .73 and 16 % at 1 % without noise, .63 and 3.4 % at epsilon 8, .55 and 1.9 % at 2; accuracy .91/.81/.62."""
    examples = load_digits().split(1397, 0)[0]
    plain, weak, good = (
        attack(examples),
        attack(examples, epsilon=8.0, steps=60, rate=1.0),
        attack(examples, epsilon=2.0, steps=60, rate=1.0),
    )
    assert 0.68 < plain.auc < 0.78
    assert 0.58 < weak.auc < 0.68
    assert 0.5 < good.auc < 0.6
    assert plain.true_positives > 0.08 > weak.true_positives > 0.015
    assert plain.accuracy > weak.accuracy > good.accuracy > 0.5


def test_the_area_under_the_curve() -> None:
    assert area(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert area(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert area(np.array([0.0]), np.array([1.0])) == 0.0
    assert rate_at(np.array([5.0, 0.0]), np.arange(4.0), 0.01) == 0.5


@pytest.mark.parametrize(("shadows", "targets", "steps"), [(3, 1, 1), (4, 0, 1), (4, 1, 0)])
def test_too_little_is_refused(shadows: int, targets: int, steps: int) -> None:
    with pytest.raises(secagg.ParameterError, match=f"shadows={shadows}, targets={targets}, steps={steps}"):
        attack(load_digits(), shadows=shadows, targets=targets, steps=steps)
