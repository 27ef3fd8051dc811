"""`secagg params --cells`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secagg import robust

ASKED = ("params", "--cells", "--clients", "53", "--malicious", "0.05", "--rule", "median", "--max-dropout", "0.02")


def test_json_is_the_answer_of_choose_size_with_the_sessions_of_its_cells(run: Any) -> None:
    outcome = run(*ASKED, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    expected = robust.choose_size(53, 0.05, 0.1, "median")
    for name in ("size", "cells", "bears", "probability", "exposure", "explanation"):
        assert record[name] == getattr(expected, name)
    cells = robust.Partition.draw(53, size=record["size"], seed=bytes(32)).cells
    assert {each["clients"]: each["cells"] for each in record["sessions"]} == {
        size: sum(len(cell) == size for cell in cells) for size in map(len, cells)
    }
    for each in record["sessions"]:
        size = each["clients"]
        assert (each["topology"], each["degree"], each["threshold"]) == ("complete", size - 1, size - 1)
        assert each["minimum_contributors"] == size
        assert each["survival"] == pytest.approx(0.98**size)


def test_text_says_the_same(run: Any) -> None:
    record = json.loads(run(*ASKED, "--json").out)
    outcome = run(*ASKED)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"size={record['size']}" in outcome.out
    assert record["explanation"] in outcome.out
    assert f"median, bears up to {record['bears']} spoiled cells of {record['cells']}" in outcome.out
    for each in record["sessions"]:
        assert f"cells of {each['clients']} clients" in outcome.out
        assert f"a sum in {each['survival']:.1%} of rounds, if 0.02 leave" in outcome.out


def test_a_probability_is_never_shown_better_than_it_is(run: Any) -> None:
    words = ("params", "--cells", "--clients", "50", "--malicious", "0.2", "--rule", "root_check")
    probability = json.loads(run(*words, "--json").out)["probability"]
    (line,) = [line for line in run(*words).out.splitlines() if "no more are spoiled" in line]
    assert probability - 1e-6 < float(line.split()[-2]) <= probability < 1


def test_a_rule_may_have_hyphens_as_in_the_demo(run: Any) -> None:
    words = ("params", "--cells", "--clients", "50", "--malicious", "0.05", "--json", "--rule")
    outcome = run(*words, "multi-krum")
    assert outcome.code == 0
    assert outcome.out == run(*words, "multi_krum").out


def test_one_cell_of_all(run: Any) -> None:
    outcome = run("params", "--cells", "--clients", "6", "--malicious", "0", "--rule", "root_check")
    assert "puts 6 clients into 1 cell, each a session" in outcome.out


def test_no_size_at_all_says_why_and_what_to_do(run: Any) -> None:
    outcome = run("params", "--clients", "50", "--cells", "--malicious", "0.2", "--rule", "median")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "10 malicious of 50 clients leave no cell size of 5 or more" in outcome.err
    assert "root_check" in outcome.err


def test_the_active_model_has_a_higher_floor_unless_one_is_given(run: Any) -> None:
    words = ("params", "--cells", "--clients", "50", "--malicious", "0.1", "--rule", "fltrust", "--json")
    floors = {
        json.loads(run(*words, *more).out)["floor"] for more in (("--threat-model", "active"), ("--max-corrupt", "0.2"))
    }
    assert floors == {robust.default_floor(0.2)}
    assert json.loads(run(*words).out)["floor"] == robust.default_floor()
    assert json.loads(run(*words, "--floor", "6").out)["floor"] == 6
    assert json.loads(run(*words, "--failure", "0.01").out)["failure"] == 0.01


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cells"], "which fraction of the clients may lie and which rule"),
        (["--cells", "--rule", "median"], "give both, such as --malicious 0.1 --rule root_check"),
        (["--cells", "--malicious", "0.1", "--rule", "best"], "rule='best' is unknown; take one of"),
        (["--cells", "--malicious", "1.5", "--rule", "median"], r"--malicious is 1.5, outside [0, 1)"),
        ([*ASKED[1:], "--topology", "sparse"], "--topology has no meaning with --cells"),
        ([*ASKED[1:], "--security-bits", "40"], "--security-bits has no meaning with --cells"),
        ([*ASKED[1:], "--cost"], "--cost has no meaning with --cells"),
        ([*ASKED[1:], "--max-dropout", "1"], "--max-dropout is 1.0, outside [0, 1)"),
        ([*ASKED[1:], "--max-corrupt", "2"], "--max-corrupt is 2.0, outside [0, 1)"),
        ([*ASKED[1:], "--malicious", "0.01"], "--malicious 0.01 of 53 clients is nobody"),
        (["--rule", "median"], "--rule is about cells; add --cells, or leave it out"),
        (["--floor", "5"], "--floor is about cells"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(run: Any, words: list[str], sentence: str) -> None:
    outcome = run("params", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert sentence in outcome.err
