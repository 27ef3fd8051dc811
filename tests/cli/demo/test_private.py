"""`secagg demo --privacy`, end to end with 20 clients and two rounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secagg.cli.demo.private import plan_of


def test_two_rounds_as_json(run: Any) -> None:
    outcome = run("demo", "--privacy", "epsilon=8,clip=0.5", "--rounds", "2", "--clients", "20", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record["statement"]["epsilon"] == 8
    assert record["statement"]["clients"] == 20
    assert [(each["left"], each["contributors"]) for each in record["rounds"]] == [(4, 16), (4, 16)]
    assert record["budget"]["draws"] == 2
    assert record["budget"]["epsilon"] <= 8.001
    mean = sum(each["accuracy"] for each in record["rounds"]) / 2
    assert record["distributed_accuracy"] == pytest.approx(mean)
    # Two rounds without noise learn something; what noise leaves of it with 20 clients is not much.
    assert record["accuracy_without_noise"] > 0.3
    assert 0 <= record["central_accuracy"] <= 1


def test_text_has_the_statement_and_a_budget(run: Any) -> None:
    outcome = run("demo", "--privacy", "epsilon=20", "--rounds", "1", "--clients", "20")
    assert (outcome.code, outcome.err) == (0, "")
    assert "over 1 round: epsilon = 20 at delta = 1e-05" in outcome.out
    assert "round 1/1: 4 left, 16 in the sum" in outcome.out
    assert "1 draws of noise have spent epsilon = " in outcome.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--privacy", "8"], "'8' is not understood; give epsilon=8"),
        (["--privacy", "epsilon=lots"], "'epsilon=lots' is not understood"),
        (["--privacy", "sigma=1"], "'sigma=1' is not understood"),
        (["--privacy", "epsilon=0"], "epsilon=0.0 is not above 0"),
        (["--privacy", "epsilon=8", "--network"], "two demos; give one of them"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Any, words: list[str], sentence: str) -> None:
    outcome = run("demo", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert sentence in outcome.err


def test_what_is_not_said_has_a_default() -> None:
    plan = plan_of("epsilon=4", 100, 15)
    assert (plan.epsilon, plan.delta, plan.clip, plan.clients, plan.floor, plan.rounds) == (4.0, 1e-5, 1.0, 100, 80, 15)
