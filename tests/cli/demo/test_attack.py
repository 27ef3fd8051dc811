"""`secagg demo --attack`, end to end with 20 clients and three rounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secagg.cli.demo.liars import DEFENCES, Scenario, learn

SMALL = ("demo", "--clients", "20", "--rounds", "3")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.of("sign-flip", "siren", 20, None, 3, 1)


def accuracies(record: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(each["who"], each["setting"]): each["accuracy"] for each in record["trainings"]}


def test_sign_flippers_as_json(run: Any) -> None:
    outcome = run(*SMALL, "--attack", "sign-flip", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    # Cells for a fifth of 20 clients there are none; for a tenth there are.
    assert (record["defence"], record["liars"], record["choice"]["cells"]) == ("siren", 2, 4)
    found = accuracies(record)
    assert len(found) == 6
    assert found["nobody", "one session"] > 0.6
    assert found["liars", "one session"] < found["liars", "cells"] - 0.2
    # One client of 20 owns the sum of one session, and of cells one.
    assert found["words", "one session"] < 0.2
    assert found["words", "cells"] > 0.6
    words = record["trainings"][-1]["cells"]
    (dirty,) = [cell for cell in words if cell["liars"]]
    assert (dirty["liars"], dirty["rejected"]) == (1, [1, 2, 3])
    assert dirty["penalty"] >= 1
    assert sum(cell["clients"] for cell in words) == 20
    assert record["penalty_limit"] == 1
    assert all(len(each["curve"]) == 3 for each in record["trainings"])


def test_text_is_one_screen_with_who_was_left_out_and_why(run: Any) -> None:
    outcome = run(*SMALL, "--attack", "label-flip", "--defence", "median")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert len(lines) <= 40
    (row,) = [line for line in lines if "1 lies about its words" in line]
    assert [cell.strip()[-1] for cell in row.split("│")[2:4]] == ["%", "%"]
    assert "20 clients learn digits in 3 rounds of real sessions: all in one session, or in 4 cells" in outcome.out
    assert "in cells the mean of its cell" in outcome.out
    assert "backdoor that is good on clean data passes" in outcome.out


def test_without_an_attack_nobody_is_said_to_lie(run: Any) -> None:
    outcome = run(*SMALL, "--attack", "none", "--defence", "none")
    assert (outcome.code, outcome.err) == (0, "")
    assert "nobody lies" in outcome.out
    assert "no cell was left out as a whole" in outcome.out
    assert "its words" not in outcome.out
    assert "penalty" not in outcome.out


def test_a_defence_may_have_underscores_as_rules_do() -> None:
    assert Scenario.of("none", "multi_krum", 50, None, 1, 1) == Scenario.of("none", "multi-krum", 50, None, 1, 1)


def test_a_seed_repeats_a_training(scenario: Scenario) -> None:
    first, second = ([each.curve for each in learn(scenario, "liars", cells=True)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("defence", DEFENCES)
def test_every_defence_has_cells_and_a_judge(defence: str) -> None:
    scenario = Scenario.of("sign-flip", defence, 50, None, 1, 1)
    assert scenario.liars >= 1
    (learned,) = learn(scenario, "words", cells=True)
    assert sum(cell.liars for cell in learned.cells) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--attack", "flip"], "--attack flip is unknown; take one of none, sign-flip, label-flip"),
        (["--attack", "none", "--defence", "bulyan"], "--defence bulyan is unknown; take one of siren"),
        (["--defence", "siren"], "add --attack sign-flip"),
        (["--malicious", "0.1"], "add --attack sign-flip"),
        (["--attack", "none", "--network"], "--attack and --network are two demos; give one of them"),
        (["--attack", "none", "--privacy", "epsilon=8"], "--attack and --privacy are two demos"),
        (["--defence", "siren", "--network"], "--attack and --network are two demos"),
        (["--attack", "none", "--rounds", "0"], "--rounds 0 is below 1"),
        (["--attack", "none", "--clients", "19"], "--clients 19 is outside 20 .. 100"),
        (["--attack", "none", "--seed", "-1"], "--seed -1 is outside 0 .. 2^64-1"),
        (["--attack", "sign-flip", "--malicious", "0.01"], "--malicious 0.01 of 50 clients is nobody"),
        (["--attack", "sign-flip", "--malicious", "0.3"], "15 malicious of 50 clients leave no cell size of 5 or more"),
        (
            ["--attack", "sign-flip", "--clients", "20", "--malicious", "0.2"],
            "; for this demo take a smaller --malicious, or --clients 100\n",
        ),
        (
            ["--attack", "sign-flip", "--clients", "20", "--malicious", "0.3"],
            "; for this demo take a smaller --malicious\n",
        ),
        (["--attack", "sign-flip", "--malicious", "2"], "--malicious is 2.0, outside [0, 1): give a fraction"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Any, words: list[str], sentence: str) -> None:
    outcome = run("demo", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert sentence in outcome.err
