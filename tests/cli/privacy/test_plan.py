"""`secagg privacy plan`: the statement and the numbers of a plan."""

from __future__ import annotations

import json

import pytest

from tests.command import Run

COHORT = ("privacy", "plan", "--clients", "100", "--minimum-contributors", "80", "--max-corrupt", "0.05")
PROMISE = ("--length", "1000000", "--epsilon", "4", "--delta", "1e-6", "--rounds", "50")


def test_the_plan_of_the_documentation(run: Run) -> None:
    outcome = run(*COHORT, *PROMISE, "--json")
    assert outcome.code == 0
    record = json.loads(outcome.out)
    statement, numbers = record["statement"], record["numbers"]
    assert statement["epsilon"] <= 4.0
    assert (statement["floor"], statement["corrupt"], statement["rounds"]) == (80, 5, 50)
    assert statement["m"] == pytest.approx(0.83785875709, rel=1e-6)
    assert statement["right_guesses"] == 67
    assert numbers["honest"] == 75
    assert numbers["width"] == 24
    assert numbers["m_round"] == pytest.approx(0.83785875709 / 50**0.5, rel=1e-6)
    assert numbers["reach"] == numbers["tail"] + int(numbers["bound"] ** 0.5)
    assert len(bytes.fromhex(record["digest"])) == 32


def test_people_get_sentences(run: Run) -> None:
    outcome = run("privacy", "plan", "--clients", "20", "--length", "650", "--epsilon", "8", "--delta", "1e-5")
    assert outcome.code == 0
    assert "epsilon = 8 at delta = 1e-05" in outcome.out
    assert "Not covered" in outcome.out
    assert "variance16" in outcome.out


def test_noise_of_each_client(run: Run) -> None:
    words = ("--clients", "20", "--length", "650", "--epsilon", "4", "--delta", "1e-5", "--noise", "each", "--json")
    record = json.loads(run("privacy", "plan", *words).out)
    assert record["statement"]["model"] == "each"
    assert record["statement"]["neighbours"] == "replace"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--neighbours", "one"), "--neighbours one is unknown; give zero or replace"),
        (("--minimum-contributors", "5"), "raise minimum_contributors"),
        (("--epsilon", "-1"), "epsilon=-1"),
        (("--length", "0"), "entries"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, words: tuple[str, ...], said: str) -> None:
    outcome = run(*COHORT, *PROMISE, *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
