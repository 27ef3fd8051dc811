"""Numbers that a seed repeats."""

from __future__ import annotations

import numpy as np
import pytest

import secagg
from secagg.cli.local.seeded import SeededNumbers, fresh_seed, spread
from secagg.cli.output import rounds_of
from secagg.testing.randomness import DeterministicRandomSource


def numbers(seed: int = 1) -> SeededNumbers:
    return SeededNumbers(DeterministicRandomSource(seed))


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    assert numbers(1).uniform(8).tolist() == numbers(1).uniform(8).tolist()
    assert numbers(1).uniform(8).tolist() != numbers(2).uniform(8).tolist()


def test_forks_do_not_depend_on_what_was_drawn() -> None:
    first, second = numbers(), numbers()
    first.uniform(3)
    assert first.fork("a").uniform(4).tolist() == second.fork("a").uniform(4).tolist()
    assert first.fork("a").uniform(4).tolist() != first.fork("b").uniform(4).tolist()


def test_uniform_numbers_fill_the_unit_interval() -> None:
    drawn = numbers().uniform(20_000)
    assert drawn.dtype == np.float64
    assert 0 <= drawn.min() < 0.001
    assert 0.999 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.01


def test_normal_numbers_have_mean_0_and_variance_1() -> None:
    drawn = numbers().normal(20_000)
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.var() - 1) < 0.05
    assert abs((np.abs(drawn) < 1).mean() - 0.6827) < 0.02


def test_a_permutation_holds_every_number_once() -> None:
    drawn = numbers().permutation(1000)
    assert sorted(drawn.tolist()) == list(range(1000))
    assert drawn.tolist() != list(range(1000))


@pytest.mark.parametrize("bound", [1.0, 0.1, 2.0**-20, 1e6])
def test_an_interval_is_filled_evenly_across_slices(bound: float) -> None:
    drawn = numbers().interval(150_000, bound)
    assert drawn.dtype == np.float32
    assert np.abs(drawn).max() <= np.float32(bound)
    assert abs(drawn.astype(np.float64).mean()) < 0.01 * bound
    assert [abs(np.abs(part).mean() / bound - 0.5) < 0.02 for part in np.split(drawn, 3)] == [True] * 3


def test_spread_deals_out_evenly() -> None:
    rounds = rounds_of(secagg.ThreatModel.ACTIVE)
    assert spread([7, 8, 9, 1, 2, 3, 4], rounds) == {
        rounds[0]: (7, 3),
        rounds[1]: (8, 4),
        rounds[2]: (9,),
        rounds[3]: (1,),
        rounds[4]: (2,),
    }


def test_a_fresh_seed_is_a_valid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    assert fresh_seed() == 2**32 - 1
