"""The audit measures no more than was promised of the real mechanism, much of it, and more of each defect."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.privacy import Neighbours, Noise, Plan
from secagg.privacy.lab.audit import Audit, audit, audit_plan, measured_m
from secagg.privacy.lab.faults import Fault, client, nothing
from secagg.testing.randomness import DeterministicRandomSource

EPSILON, DELTA = 12.0, 1e-5  # so much that a thousand sums tell a lot


@cache
def audited(fault: Fault | None = None, trials: int = 1000, epsilon: float = EPSILON, noise: str = "clients") -> Audit:
    neighbours = Neighbours.REPLACE if noise == "each" or fault is Fault.REPLACE_AS_ZERO else Neighbours.ZERO
    plan = audit_plan(epsilon, DELTA, noise=noise, neighbours=neighbours)
    return audit(plan, trials, fault=fault, randomness=DeterministicRandomSource(1))


@pytest.fixture(scope="module")
def honest() -> Audit:
    return audited()


def test_the_real_mechanism_tells_no_more_than_was_promised_and_much_of_it(honest: Audit) -> None:
    assert honest.exceeded == ()
    assert 0.6 * honest.best.claimed_m < honest.best.m < honest.best.claimed_m
    assert honest.best.claimed_epsilon == pytest.approx(EPSILON, rel=1e-3)


def test_every_projection_of_the_update_shows_its_part(honest: Audit) -> None:
    shown = {each.projection: each.m / each.claimed_m for each in honest.measured}
    assert set(shown) == {"update", "zero-sum", "neighbours", "halves", "random", "learned", "rounds"}
    # By construction some 1, 1, 0.7, 0.7, 0.7, 1 and 1.
    assert min(shown.values()) > 0.3
    assert min(shown["update"], shown["zero-sum"], shown["learned"], shown["rounds"]) > 0.5
    assert [each.rounds for each in honest.measured] == [1] * 6 + [2]
    assert honest.measured[-1].claimed_m == pytest.approx(math.sqrt(2) * honest.measured[0].claimed_m)


def test_local_noise_keeps_its_promise_about_any_two_updates() -> None:
    found = audited(trials=600, noise="each")
    assert found.exceeded == ()
    assert found.honest == 1
    assert found.best.m > 0.5 * found.best.claimed_m


SEEN_BY = {
    Fault.HALF_NOISE: "update",
    Fault.FORGOTTEN_FLOOR: "update",
    Fault.NO_CLIP: "update",
    Fault.REPLACE_AS_ZERO: "update",
    Fault.REUSED_ENTRIES: "neighbours",
    Fault.REUSED_ROUNDS: "rounds",
}


# A defect of variance is seen sooner where sums tell much; one of correlation is where the claim is small.
TRIALS = {Fault.HALF_NOISE: 1400, Fault.FORGOTTEN_FLOOR: 1400, Fault.NO_CLIP: 400, Fault.REPLACE_AS_ZERO: 400}
CORRELATED = (Fault.REUSED_ENTRIES, Fault.REUSED_ROUNDS)


def faulty(fault: Fault) -> Audit:
    return audited(fault, 400, 4.0) if fault in CORRELATED else audited(fault, TRIALS[fault])


@pytest.mark.parametrize("fault", Fault)
def test_every_defect_shows_more_than_was_promised(fault: Fault) -> None:
    found = faulty(fault)
    assert SEEN_BY[fault] in {each.projection for each in found.exceeded}
    assert found.to_json()["exceeded"] == [each.projection for each in found.exceeded]


@pytest.mark.parametrize("fault", CORRELATED)
def test_correlated_noise_hides_from_a_projection_on_the_update(fault: Fault) -> None:
    shown = {each.projection: each for each in faulty(fault).measured}
    assert not shown["update"].exceeded


@pytest.mark.slow
def test_a_long_audit_of_epsilon_4() -> None:
    found = audited(trials=8_000, epsilon=4.0)
    assert found.exceeded == ()
    assert found.best.m >= 0.75 * found.best.claimed_m


def test_an_audit_as_data(honest: Audit) -> None:
    record = json.loads(json.dumps(honest.to_json(), allow_nan=False))
    assert record["measured_epsilon"] < record["claimed_epsilon"]
    assert (record["trials"], record["honest"], record["entries"]) == (1000, 2, 64)
    assert record["fault"] is None
    assert record["projections"]["rounds"]["rounds"] == 2


def test_what_is_measured_of_normal_scores_is_below_the_truth_and_near() -> None:
    numbers = np.random.default_rng(5)
    for m in (0.5, 1.0, 2.0):
        without, with_ = numbers.standard_normal(20_000), m + numbers.standard_normal(20_000)
        assert m - 0.35 < measured_m(with_, without, 1e-3) < m
    assert measured_m(without, without, 1e-3) < 0.05
    assert measured_m(without, with_, 1e-3) == 0.0


def test_scores_without_any_spread_show_as_much_as_so_many_trials_can() -> None:
    shown = measured_m(np.ones(2000), np.zeros(2000), 1e-3)
    assert shown == pytest.approx(4.86, abs=0.05)


@pytest.mark.parametrize("trials", [0, 199, 201, 198])
def test_numbers_of_trials_that_are_none(trials: int) -> None:
    with pytest.raises(secagg.ParameterError, match=f"trials={trials}; give an even number from 200 on"):
        audit(audit_plan(4.0, DELTA), trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, math.nan])
def test_no_confidence(confidence: float) -> None:
    with pytest.raises(secagg.ParameterError, match="confidence"):
        audit(audit_plan(4.0, DELTA), 200, confidence=confidence)


@pytest.mark.parametrize("changes", [{"noise": "server"}, {"adaptive": True}, {"weights": 3}, {"rotation": True}])
def test_plans_that_are_not_audited(changes: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "arrays": {"update": 64},
        "clip": 1.0,
        "epsilon": 4.0,
        "delta": 1e-5,
        "clients": 4,
        "max_corrupt": 0.0,
    }
    plan = Plan.choose(**(arguments | changes))
    with pytest.raises(secagg.ParameterError, match="an audit takes a plan"):
        audit(plan, 200)


def test_faults_that_a_plan_cannot_have() -> None:
    with pytest.raises(secagg.ParameterError, match="needs 'replace'"):
        client(audit_plan(4.0, DELTA), Fault.REPLACE_AS_ZERO)
    with pytest.raises(secagg.ParameterError, match="needs a floor below the cohort"):
        client(audit_plan(4.0, DELTA, noise=Noise.EACH), Fault.FORGOTTEN_FLOOR)


def test_a_client_without_a_fault_sends_what_privatize_returns() -> None:
    plan = audit_plan(4.0, DELTA)
    update = {"update": np.linspace(-1, 1, 64)}
    sent = client(plan, None, DeterministicRandomSource(7))(update, 0)
    assert np.array_equal(
        sent["update"], plan.privatize(update, randomness=DeterministicRandomSource(7)).arrays["update"]
    )


def test_reused_noise_is_reused() -> None:
    plan = audit_plan(4.0, DELTA)
    entries = client(plan, Fault.REUSED_ENTRIES)(nothing(plan), 0)["update"]
    assert np.array_equal(entries[0::2], entries[1::2])
    rounds = client(plan, Fault.REUSED_ROUNDS)
    first, second, third = (rounds(nothing(plan), number)["update"].copy() for number in range(3))
    assert np.array_equal(first, second)
    assert not np.array_equal(second, third)
