"""A client's budget: every draw is counted before it leaves, and none beyond the limit."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import math
import os
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import BudgetExceededError, LocalProtocolError, ParameterError
from secagg.privacy import budget, budget_file, gaussian, limits
from secagg.privacy.accounting import Loss
from secagg.privacy.budget import Budget, MemoryBudget
from secagg.privacy.budget_file import FileBudget
from secagg.privacy.limits import Limit, Observer, after, shown, total_of
from secagg.privacy.mechanism import Neighbours, Noise
from tests.privacy.priced import PARAMETERS, Price, drawn


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Budget:
    """A budget of epsilon 1 at 1e-5: m = 0.268..., so m^2 0.0718...: seven rounds of 0.01."""
    if request.param == "memory":
        return MemoryBudget(1.0, 1e-5, client=3, data_set="visits")
    return FileBudget.begin(tmp_path / "budget", 1.0, 1e-5, client=3, data_set="visits")


SEVEN = Price(rounds=7)


def test_what_fits_is_handed_out_and_what_does_not_is_named(kept: Budget) -> None:
    for number in range(7):
        arrays = kept.spend(SEVEN, drawn(number), PARAMETERS)
        assert arrays["v"].tolist() == [number, 0]
    with pytest.raises(BudgetExceededError) as caught:
        kept.spend(Price(rounds=1, name="another"), drawn(7), PARAMETERS)
    text = str(caught.value)
    assert "client 3 on 'visits' has spent epsilon=0.98" in text
    assert "of 1 at delta=1e-05 (m^2 0.070001)" in text
    assert "1 rounds of this plan cost m^2 0.01" in text
    assert "what remains is m^2 0.0018" in text
    assert "enough for 0" in text
    assert kept.report().draws == 7
    assert len(SEVEN.checked) % 7 == 0


def test_a_session_that_does_not_fit_the_plan_costs_nothing(kept: Budget) -> None:
    class Unfit(Price):
        def check(self, parameters: Any) -> None:
            raise ParameterError("the session does not fit the plan")

    with pytest.raises(ParameterError, match="does not fit"):
        kept.spend(Unfit(), drawn(0), PARAMETERS)
    assert kept.report().draws == 0


def test_the_first_draw_of_a_plan_needs_room_for_all_its_rounds(kept: Budget) -> None:
    eight = Price(rounds=8)
    for refused in (lambda: kept.check(eight), lambda: kept.spend(eight, drawn(0), PARAMETERS)):
        with pytest.raises(BudgetExceededError, match=r"8 rounds of this plan cost .* enough for 7"):
            refused()
    assert kept.report().draws == 0
    assert kept.rounds_left(eight) == 7
    kept.check(SEVEN)
    kept.spend(SEVEN, drawn(0), PARAMETERS)
    kept.check(SEVEN)  # the six rounds that it has left
    kept.spend(Price(rounds=1, name="between"), drawn(1), PARAMETERS)
    with pytest.raises(BudgetExceededError, match="6 rounds of this plan"):
        kept.check(SEVEN)
    for number in range(2, 7):
        kept.spend(SEVEN, drawn(number), PARAMETERS)  # each later one needs room for itself
    with pytest.raises(BudgetExceededError, match="1 rounds of this plan"):
        kept.spend(SEVEN, drawn(7), PARAMETERS)


def test_a_plan_has_no_more_rounds_than_its_statement_says(kept: Budget) -> None:
    twice = Price(rounds=2)
    kept.spend(twice, drawn(0), PARAMETERS)
    kept.spend(twice, drawn(1), PARAMETERS)
    with pytest.raises(BudgetExceededError, match=r"for 2 rounds .* drawn 2 times.* enough for 5 more"):
        kept.spend(twice, drawn(2), PARAMETERS)
    with pytest.raises(BudgetExceededError, match="drawn 2 times"):
        kept.check(twice)


def test_a_draw_is_handed_out_once_whatever_the_session(kept: Budget) -> None:
    kept.spend(SEVEN, drawn(1), PARAMETERS)
    for parameters in (PARAMETERS, PARAMETERS.renew()):
        with pytest.raises(LocalProtocolError, match="handed out before"):
            kept.spend(SEVEN, drawn(1), parameters)
    with pytest.raises(LocalProtocolError):
        kept.spend(Price(name="another"), drawn(1), PARAMETERS)
    assert kept.report().draws == 1


def test_the_same_session_with_another_draw_costs_again(kept: Budget) -> None:
    kept.spend(SEVEN, drawn(1), PARAMETERS)
    kept.spend(SEVEN, drawn(2), PARAMETERS)
    assert kept.report().m2 >= 0.02


def test_slack_is_summed_and_judged(kept: Budget) -> None:
    """(1 + e^epsilon) eta counts against delta: rounds whose noise alone would be cheap still end."""
    plan = Price(m2=1e-6, eta=1e-6, rounds=1)
    # So little is lost that it is (0.01, 1e-5)-DP, where the slack of four counts 4 (1 + e^0.01) times.
    assert kept.rounds_left(plan) == 4 < kept.rounds_left(replace(plan, eta=0.0))
    for number in range(4):
        kept.spend(replace(plan, name=f"plan {number}"), drawn(number), PARAMETERS)
    report = kept.report()
    assert 4e-6 <= report.eta <= 4e-6 * (1 + 2**-51)
    with pytest.raises(BudgetExceededError):
        kept.spend(replace(plan, name="plan 4"), drawn(4), PARAMETERS)
    assert report.left_m2 == 0.0


def test_neighbours_that_differ_by_anything_cost_four_times_as_much(kept: Budget) -> None:
    strict = MemoryBudget(1.0, 1e-5, neighbours="replace")
    assert kept.rounds_left(Price(neighbours=Neighbours.REPLACE)) == kept.rounds_left(Price()) == 7
    assert strict.rounds_left(Price(neighbours=Neighbours.REPLACE)) == 7
    assert strict.rounds_left(Price()) == 1
    strict.spend(Price(rounds=1), drawn(0), PARAMETERS)
    assert strict.report().m2 == 0.04


def test_noise_of_the_server_is_no_protection_from_it(kept: Budget) -> None:
    central = Price(noise=Noise.SERVER)
    for refused in (lambda: kept.check(central), lambda: kept.spend(central, drawn(0), PARAMETERS)):
        with pytest.raises(ParameterError, match="observer='public'"):
            refused()
    trusting = MemoryBudget(1.0, 1e-5, observer="public")
    trusting.spend(replace(central, rounds=7), drawn(0), PARAMETERS)
    assert trusting.report().draws == 1
    assert "against who sees what is published" in str(trusting.report())


def test_a_report_says_what_is_spent_and_changes_nothing(kept: Budget) -> None:
    kept.spend(SEVEN, drawn(0), PARAMETERS)
    report = kept.report()
    assert report == kept.report()
    assert (report.client, report.data_set, report.draws) == (3, "visits", 1)
    assert report.epsilon == gaussian.epsilon(1e-5, Loss(0.01).m)
    assert report.m2 + report.left_m2 <= gaussian.calibrate(1.0, 1e-5) ** 2
    assert report.m2 + report.left_m2 == pytest.approx(gaussian.calibrate(1.0, 1e-5) ** 2, rel=1e-9)
    data = json.loads(json.dumps(report.to_json()))
    assert data["limit"] == {"epsilon": 1.0, "delta": 1e-5, "neighbours": "zero", "observer": "server"}
    assert data["text"] == str(report)
    assert "Client 3 on 'visits': 1 draws of noise have spent epsilon = 0.3" in str(report)


@pytest.mark.parametrize("m2", [math.nan, -1.0, -0.0, 0.0, math.inf, -math.inf])
def test_what_costs_nothing_or_less_is_no_plan(kept: Budget, m2: float) -> None:
    class Odd(Price):
        @property
        def loss(self) -> Any:
            class NoLoss:
                pass

            loss = NoLoss()
            vars(loss).update(m2=m2, eta=0.0)
            return loss

    with pytest.raises(ParameterError):
        kept.spend(Odd(), drawn(0), PARAMETERS)
    assert kept.report().draws == 0


def test_a_price_beyond_all_floats_is_refused_and_not_an_overflow(kept: Budget) -> None:
    with pytest.raises(BudgetExceededError):
        kept.spend(Price(m2=1.7e308, rounds=2**30), drawn(0), PARAMETERS)
    assert kept.rounds_left(Price(m2=1.7e308)) == 0


@pytest.mark.parametrize("draw", [b"", bytes(15), bytes(17), "0" * 16, None])
def test_a_draw_has_a_name(kept: Budget, draw: Any) -> None:
    with pytest.raises(ParameterError, match="16 bytes"):
        kept.spend(SEVEN, replace(drawn(0), draw=draw), PARAMETERS)
    with pytest.raises(ParameterError, match="privatize"):
        kept.spend(SEVEN, {"v": np.zeros(2)}, PARAMETERS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": 0}, {"epsilon": -1.0}, {"epsilon": math.nan}, {"epsilon": 101}, {"epsilon": "4"},
        {"delta": 0}, {"delta": 1}, {"delta": math.nan}, {"delta": True}, {"client": -1}, {"client": 1.5},
        {"data_set": "x" * 129}, {"data_set": 7}, {"data_set": "\ud800"}, {"delta": 1e-300},
        {"neighbours": "some"}, {"observer": "nobody"}, {"observer": None},
    ],
)  # fmt: skip
def test_a_limit_out_of_range_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    values: dict[str, Any] = {"epsilon": 1.0, "delta": 1e-5} | wrong
    with pytest.raises(ParameterError):
        MemoryBudget(**values)
    with pytest.raises(ParameterError):
        FileBudget.begin(tmp_path / "budget", **values)
    assert not (tmp_path / "budget").exists()


def test_members_of_a_limit_are_members() -> None:
    with pytest.raises(ParameterError, match="Observer"):
        Limit(1.0, 1e-5, Neighbours.ZERO, "server")  # type: ignore[arg-type]
    assert Limit.of(1, 1e-5, "replace", "public") == Limit(1.0, 1e-5, Neighbours.REPLACE, Observer.PUBLIC)


def test_a_budget_in_memory_has_no_copies() -> None:
    kept = MemoryBudget(1.0, 1e-5)
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied"):
            take(kept)


def test_a_budget_in_memory_is_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = MemoryBudget(1.0, 1e-5)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LocalProtocolError, match="FileBudget"):
        kept.spend(SEVEN, drawn(0), PARAMETERS)
    monkeypatch.undo()
    assert kept.report().draws == 0


@pytest.mark.parametrize("module", [budget, budget_file, limits])
def test_no_clock_has_a_part_in_it(module: Any) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
    }
    assert imported & {"time", "datetime", "sched", "random", "secrets"} == set()


positive = st.floats(min_value=1e-12, max_value=1e6)


@given(
    spent=st.lists(st.builds(Loss, positive, st.floats(0, 1e-20)), max_size=20),
    cost=positive,
    rounds=st.integers(1, 99),
)
def test_sums_are_exact_and_rounded_up_once(spent: list[Loss], cost: float, rounds: int) -> None:
    total = total_of(spent)
    exact = sum((Fraction(loss.m2) for loss in spent), Fraction(0))
    assert exact <= Fraction(total.m2) <= exact * (1 + Fraction(1, 2**52))
    assert total == total_of(reversed(spent))
    more = after(total, Loss(cost), rounds)
    exact = Fraction(total.m2) + rounds * Fraction(cost)
    assert exact <= Fraction(more.m2) <= exact * (1 + Fraction(1, 2**52))


@given(epsilon=st.floats(0.1, 20), log_delta=st.floats(-12, -2), rounds=st.integers(1, 300), part=st.floats(0.5, 1))
def test_the_rounds_left_are_the_most_that_hold(epsilon: float, log_delta: float, rounds: int, part: float) -> None:
    limit = Limit(epsilon, 10**log_delta)
    allowed = gaussian.calibrate(limit.epsilon, limit.delta) ** 2
    cost, spent = Loss(allowed / rounds * part), Loss(allowed * (1 - part))
    left = limit.rounds_left(spent, cost)
    assert not limit.holds(after(spent, cost, left + 1))
    if left:
        assert limit.holds(after(spent, cost, left))
    assert abs(left - rounds) <= 1
    assert limit.left_m2(spent) <= allowed - spent.m2


def test_figures_are_shown_rounded_up() -> None:
    assert shown(0.123451) == "0.12346"
    assert shown(4.0) == "4"
    assert shown(1e-7) == "1e-7"
    assert shown(math.inf) == "infinity"
    assert shown(0.999999) == "1"
    assert shown(29.9999) == "30"
    assert shown(12345678.0) == "1.2346e+7"
