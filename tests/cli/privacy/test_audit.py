"""`secagg privacy audit`: nothing above the claim, and exit code 1 for a defect that is named."""

from __future__ import annotations

import json

import pytest

from tests.command import Run


def test_an_honest_mechanism_is_within_its_claim(run: Run) -> None:
    outcome = run("privacy", "audit", "--epsilon", "12", "--trials", "400", "--confidence", "0.999999", "--json")
    assert outcome.code == 0
    record = json.loads(outcome.out)
    assert record["exceeded"] == []
    assert 0.2 * record["claimed_m"] < record["measured_m"] < record["claimed_m"]
    assert (record["trials"], record["noise"], record["neighbours"], record["fault"]) == (400, "clients", "zero", None)
    assert {"update", "zero-sum", "random", "neighbours", "rounds"} <= set(record["projections"])


@pytest.mark.parametrize(
    ("fault", "projection", "epsilon", "trials"),
    [("replace-as-zero", "update", "16", "600"), ("reused-entries", "neighbours", "2", "200")],
)
def test_a_defect_is_named_and_ends_with_1(run: Run, fault: str, projection: str, epsilon: str, trials: str) -> None:
    outcome = run("privacy", "audit", "--fault", fault, "--epsilon", epsilon, "--trials", trials, "--json")
    assert outcome.code == 1
    record = json.loads(outcome.out)
    assert record["fault"] == fault
    assert projection in record["exceeded"]
    assert record["projections"][projection]["measured_m"] > record["projections"][projection]["claimed_m"]


def test_people_get_a_table_and_a_sentence(run: Run) -> None:
    outcome = run("privacy", "audit", "--trials", "200", "--noise", "each")
    assert outcome.code == 0
    assert "epsilon >=" in outcome.out
    assert "Nothing is above the claim" in outcome.out
    outcome = run("privacy", "audit", "--epsilon", "2", "--trials", "300", "--fault", "reused-rounds")
    assert outcome.code == 1
    assert "MORE THAN WAS PROMISED: the projection 'rounds' shows m of at least" in outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trials", "199"), "trials=199; give an even number from 200 on"),
        (("--epsilon", "0"), "epsilon=0.0"),
        (("--noise", "server"), "an audit takes a plan in which clients add noise"),
        (("--fault", "none"), "'none' is not one of"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, words: tuple[str, ...], said: str) -> None:
    outcome = run("privacy", "audit", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
