"""A report as text, as a JSON object, and as JUnit XML.

The JSON object has `testee` and `roles`; `passed`; `counts`, cases by verdict; `cases`, each with `case`, `verdict`,
`requirements`, `missed`, `detail`, `stderr`, `seconds` and `known`; and `coverage` with `covered`, `broken`, `touched`
and `uncovered`, ids of requirements, and with `not_applicable` where there are some: all their cases need what the
testee does not offer.
`filtered` says that cases were left out on purpose. Must not know how cases are played.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from secagg.conformance.results import CaseResult, Report, Verdict
from secagg.errors import MissingExtraError, ParameterError

_INSTALL: Final = "pip install 'secagg[conformance]'"


def text_report(report: Report) -> str:
    """Return the report for people: cases by verdict, every failure in two lines, then the coverage."""
    lines = [f"{report.testee}: {' and '.join(report.roles)}", "", *_table(report), ""]
    for result in report.results:
        if result.verdict.bad or result.unexpected:
            lines += [_headline(report, result), f"    {_detail(result)}"]
            lines += [f"    | {line}" for line in result.stderr.splitlines()]
    if any(result.verdict.bad or result.unexpected for result in report.results):
        lines.append("")
    lines += [*_coverage(report), _conclusion(report)]
    return "\n".join(lines) + "\n"


def json_report(report: Report) -> dict[str, object]:
    """Return the report as a JSON object with the members named above."""
    return {
        "testee": report.testee,
        "roles": list(report.roles),
        "passed": report.passed,
        "filtered": report.filtered,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "cases": [
            {
                "case": result.case,
                "verdict": result.verdict.value,
                "requirements": list(result.requirements),
                "missed": list(result.missed),
                "detail": _detail(result),
                "stderr": result.stderr,
                "seconds": round(result.seconds, 6),
                "known": result.known,
            }
            for result in report.results
        ],
        "coverage": {
            "covered": list(report.coverage.covered),
            "broken": list(report.coverage.broken),
            "touched": list(report.coverage.touched),
            "uncovered": list(report.coverage.uncovered),
            **_not_applicable(report),
        },
    }


def _not_applicable(report: Report) -> dict[str, list[str]]:
    ids = list(report.coverage.not_applicable)
    return {"not_applicable": ids} if ids else {}


def write_junit(report: Report, path: Path) -> None:
    """Write the report as JUnit XML, a test case for each case.

    Raises:
        ParameterError: junitparser is not installed, or the file cannot be written.
    """
    junit = _junitparser()
    suite = junit.TestSuite(f"secagg conformance of {report.testee}")
    for result in report.results:
        case = junit.TestCase(result.case, classname="secagg.conformance", time=round(result.seconds, 6))
        outcome = _junit_outcome(junit, result)
        if outcome is not None:
            case.result = [outcome]
        if result.stderr:
            case.system_err = result.stderr
        suite.add_testcase(case)
    suite.add_property("covered", " ".join(report.coverage.covered))
    suite.add_property("broken", " ".join(report.coverage.broken))
    suite.add_property("touched", " ".join(report.coverage.touched))
    suite.add_property("uncovered", " ".join(report.coverage.uncovered))
    xml = junit.JUnitXml()
    xml.add_testsuite(suite)
    try:
        xml.write(str(path), pretty=True)
    except OSError as error:
        raise ParameterError(f"the JUnit file {path} cannot be written: {error.strerror}") from error


def check_junit() -> None:
    """Hold that JUnit XML can be written, before a long run; raises ParameterError."""
    _junitparser()


def _junitparser() -> Any:
    try:
        import junitparser
    except ImportError as error:
        raise MissingExtraError(f"JUnit XML needs the conformance extra: {_INSTALL}") from error
    return junitparser


def _junit_outcome(junit: Any, result: CaseResult) -> Any:
    """Known failures are skipped there, so that they do not make a build fail."""
    if result.verdict is Verdict.SKIPPED:
        return junit.Skipped(result.detail)
    if result.unexpected:
        kind = junit.Error if result.verdict in (Verdict.CRASHED, Verdict.HUNG) else junit.Failure
        return kind(_detail(result), type_=result.verdict.value)
    return junit.Skipped(f"known failure: {result.detail}") if result.known and result.verdict.bad else None


def _table(report: Report) -> Iterator[str]:
    for verdict in Verdict:
        count = report.count(verdict)
        known = sum(result.known and result.verdict is verdict for result in report.results)
        note = f"  ({known} known)" if known else ""
        if count or verdict in (Verdict.PASSED, Verdict.FAILED):
            yield f"{verdict.value:8}{count:6}{note}"


def _headline(report: Report, result: CaseResult) -> str:
    word = "known failure" if result.known and result.verdict.bad else result.verdict.value
    word = "unexpected pass" if result.known and not result.verdict.bad else word
    return f"{result.case}: {word} ({', '.join(_named(report, id_) for id_ in result.requirements)})"


def _detail(result: CaseResult) -> str:
    if result.known and result.verdict is Verdict.PASSED:
        return "the case passes, and stands in the list of known failures; take it out there"
    return result.detail


def _coverage(report: Report) -> Iterator[str]:
    coverage = report.coverage
    counts = f"{len(coverage.covered)} of {coverage.counted} requirements covered"
    yield f"{counts}; broken: {_list(report, coverage.broken)}"
    if coverage.touched:
        yield f"touched by a failed case, and kept in others: {_list(report, coverage.touched)}"
    if coverage.uncovered and not report.filtered:
        yield f"uncovered: {_list(report, coverage.uncovered)}"
    if coverage.not_applicable:
        yield f"not applicable: {_list(report, coverage.not_applicable)}"


def _list(report: Report, ids: tuple[str, ...]) -> str:
    return ", ".join(_named(report, id_) for id_ in ids) or "none"


def _named(report: Report, id_: str) -> str:
    """An id with its name; the rows of §11 have none but their rule."""
    row = report.requirements.get(id_)
    return f"{id_} {row.name}" if row is not None and row.name not in ("", row.rule) else id_


def _conclusion(report: Report) -> str:
    unexpected = sum(result.unexpected for result in report.results)
    if unexpected:
        return f"FAILED: {unexpected} of {len(report.results)} cases came out otherwise than expected."
    if not report.played:
        return "FAILED: no case was played; see why they were skipped, or choose others."
    if not report.passed:
        return f"FAILED: {len(report.coverage.uncovered)} requirements were not covered by any case that was played."
    if report.filtered:
        return "Passed, as far as the cases that were chosen can tell."
    return "Passed."
