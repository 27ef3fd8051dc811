"""Rows of a run, and files of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secagg.errors import ParameterError
from secagg.poisoning.results import AttackRow, LeakRow, Results, read_results, write_results

ATTACK = AttackRow("digits", "iid", 50, 0.2, "sign flip", "cell", "median", "cells", 5, 0, 3, 0.1, None, (0.1, 0.1), 6)
LEAK = LeakRow(5, "regrouped every round", 0.0, 25, 50, 0.99, 0.98, 1, 0)
RESULTS = Results("1", "2026-01-02", True, {"cores": 2}, (ATTACK,), leak=(LEAK,))


def test_results_survive_their_file(tmp_path: Path) -> None:
    write_results(RESULTS, tmp_path / "deep" / "results.json")
    assert read_results(tmp_path / "deep" / "results.json") == RESULTS


def test_the_file_has_the_names_of_the_rows(tmp_path: Path) -> None:
    write_results(RESULTS, tmp_path / "results.json")
    data = json.loads((tmp_path / "results.json").read_text())
    assert set(data) == {"format", "secagg", "date", "quick", "machine", "suites"}
    assert set(data["suites"]) == {"attacks", "siren", "sessions", "privacy", "leak"}
    (leak,) = data["suites"]["leak"]
    assert leak["discipline"] == "regrouped every round"


WHOLE = '{"format": 1, "secagg": "", "date": "", "quick": true, "machine": {}, "suites": %s}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "format 1"),
        ('{"format": 1}', "format 1"),
        (WHOLE.replace("1", "2", 1) % "{}", "format 1"),
        (WHOLE % "{}", "damaged"),
        (WHOLE % '{"attacks": [{}], "siren": [], "sessions": [], "privacy": [], "leak": []}', "damaged"),
        (WHOLE % '{"attacks": [], "siren": [], "sessions": [], "privacy": [], "leak": [{"speed": 1}]}', "damaged"),
        (WHOLE % '{"attacks": [3], "siren": [], "sessions": [], "privacy": [], "leak": []}', "damaged"),
    ],
)
def test_a_file_that_holds_no_results_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ParameterError, match=words):
        read_results(file)


def test_a_file_that_is_not_there_and_one_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"nothing\.json cannot be read"):
        read_results(tmp_path / "nothing.json")
    with pytest.raises(ParameterError, match="cannot be written"):
        write_results(RESULTS, tmp_path)
