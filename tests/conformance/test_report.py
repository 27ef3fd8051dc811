"""Reports: what people, programs and build servers are told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from secagg import ParameterError
from secagg.conformance.report import check_junit, json_report, text_report, write_junit
from secagg.conformance.results import CaseResult, Report, Requirement, Verdict, coverage_of

ROWS = (
    Requirement("C26", "ADVERTISEMENT_SIGNATURE_INVALID", "client", "§8", "Signed.", "vectors"),
    Requirement("S02", "MESSAGE_MALFORMED", "server", "§8", "Encoded.", "vectors"),
    Requirement("R01", "Random.", "both", "§1", "Random.", "inspection: it does not show"),
    Requirement("R52", "In order.", "both", "§6", "In order.", "vectors"),
    Requirement("R53", "Again.", "client", "§7.1", "Again.", "vectors"),
)
PASSED = CaseResult("fine", ("R52",), Verdict.PASSED, seconds=0.25)
FAILED = CaseResult("lenient", ("C26", "R52"), Verdict.FAILED, "step 2 (message): expected REFUSED by C26", ("C26",))
CRASHED = CaseResult("fragile", ("S02",), Verdict.CRASHED, "step 1: the testee crashed: exit code 3", (), "one\ntwo")
SKIPPED = CaseResult("too-much", ("S02",), Verdict.SKIPPED, "the testee has no suite 0x0002")


def report_of(*results: CaseResult, filtered: bool = False) -> Report:
    roles = ("client", "server")
    rows = {row.id: row for row in ROWS}
    return Report("other 2.1", roles, results, rows, coverage_of(results, ROWS, roles), filtered)


def test_a_text_names_failures_rules_and_coverage() -> None:
    text = text_report(report_of(PASSED, FAILED, CRASHED, SKIPPED))
    assert text == (
        "other 2.1: client and server\n"
        "\n"
        "passed       1\n"
        "failed       1\n"
        "crashed      1\n"
        "skipped      1\n"
        "\n"
        "lenient: failed (C26 ADVERTISEMENT_SIGNATURE_INVALID, R52)\n"
        "    step 2 (message): expected REFUSED by C26\n"
        "fragile: crashed (S02 MESSAGE_MALFORMED)\n"
        "    step 1: the testee crashed: exit code 3\n"
        "    | one\n"
        "    | two\n"
        "\n"
        "3 of 4 requirements covered; "
        "broken: C26 ADVERTISEMENT_SIGNATURE_INVALID, S02 MESSAGE_MALFORMED\n"
        "touched by a failed case, and kept in others: R52\n"
        "uncovered: R53\n"
        "FAILED: 2 of 4 cases came out otherwise than expected.\n"
    )


def test_a_text_without_failures_is_short() -> None:
    everything = CaseResult("all", ("C26", "S02", "R52", "R53"), Verdict.PASSED)
    assert text_report(report_of(everything)).endswith("4 of 4 requirements covered; broken: none\nPassed.\n")
    assert text_report(report_of(PASSED)).endswith(
        "FAILED: 3 requirements were not covered by any case that was played.\n"
    )
    filtered = text_report(report_of(PASSED, filtered=True))
    assert filtered.endswith(
        "1 of 4 requirements covered; broken: none\nPassed, as far as the cases that were chosen can tell.\n"
    )


def test_known_failures_and_unexpected_passes_are_told_apart() -> None:
    text = text_report(report_of(replace(FAILED, known=True), replace(PASSED, known=True)))
    assert "lenient: known failure (C26" in text
    assert "fine: unexpected pass (R52)\n    the case passes, and stands in the list of known failures" in text
    assert "failed       1  (1 known)" in text
    assert "FAILED: 1 of 2 cases" in text


def test_the_json_object_has_what_its_documentation_says() -> None:
    record = json.loads(json.dumps(json_report(report_of(PASSED, FAILED, SKIPPED)), allow_nan=False))
    assert set(record) == {"testee", "roles", "passed", "filtered", "counts", "cases", "coverage"}
    assert record["counts"] == {"passed": 1, "failed": 1, "crashed": 0, "hung": 0, "skipped": 1}
    assert record["cases"][1] == {
        "case": "lenient",
        "verdict": "failed",
        "requirements": ["C26", "R52"],
        "missed": ["C26"],
        "detail": "step 2 (message): expected REFUSED by C26",
        "stderr": "",
        "seconds": 0.0,
        "known": False,
    }
    assert record["coverage"] == {
        "covered": ["C26", "R52"],
        "broken": ["C26"],
        "touched": ["R52"],
        "uncovered": ["S02", "R53"],
    }
    assert (record["passed"], record["filtered"]) == (False, False)


def test_junit_has_a_test_case_for_each_case(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    known = replace(FAILED, case="known", known=True)
    write_junit(report_of(PASSED, FAILED, CRASHED, SKIPPED, known, replace(PASSED, case="passes", known=True)), path)
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == (
        "secagg conformance of other 2.1",
        6,
        2,
        1,
        2,
    )
    results = {case.name: case.result for case in suite}
    assert results["fine"] == []
    assert isinstance(results["lenient"][0], Failure)
    assert results["lenient"][0].message == "step 2 (message): expected REFUSED by C26"
    assert isinstance(results["fragile"][0], Error)
    assert isinstance(results["too-much"][0], Skipped)
    assert isinstance(results["known"][0], Skipped)
    assert isinstance(results["passes"][0], Failure)
    assert '<property name="broken" value="C26 S02"/>' in path.read_text(encoding="utf-8")
    assert '<property name="touched" value="R52"/>' in path.read_text(encoding="utf-8")
    assert next(case.system_err for case in suite if case.name == "fragile") == "one\ntwo"


def test_a_run_in_which_nothing_was_played_fails() -> None:
    for filtered in (True, False):
        report = report_of(SKIPPED, filtered=filtered)
        assert not report.passed
        assert text_report(report).endswith(
            "FAILED: no case was played; see why they were skipped, or choose others.\n"
        )


def test_a_junit_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"the JUnit file .* cannot be written"):
        write_junit(report_of(PASSED), tmp_path / "missing" / "report.xml")


def test_without_junitparser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "junitparser", None)
    with pytest.raises(ParameterError, match=r"pip install 'secagg\[conformance\]'"):
        check_junit()
