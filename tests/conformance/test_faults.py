"""Every fault that is planted into the reference is caught by the case that the table of faults names."""

from __future__ import annotations

import sys

import pytest

from protocol_specs.testee.catalogue import TABLE, Players, read_table, render
from protocol_specs.testee.faults import FAULTS
from protocol_specs.testee.planting import Fault, edited
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance import driving
from secagg.conformance.results import Verdict
from secagg.conformance.runner import Selection, run
from secagg.conformance.vectors import find_vectors, load_vectors

ROWS = read_table()


@pytest.fixture(scope="module")
def players() -> Players:
    return Players()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_caught_by_the_case_of_its_row(name: str, players: Players) -> None:
    assert name in ROWS, "a fault without a row: python -m protocol_specs.testee.catalogue"
    case = players.cases[ROWS[name]]
    assert not set(case.requirements).isdisjoint(FAULTS[name].breaks)
    with players.faulty(name) as testee:
        assert players.catches(case, testee)


def test_the_cases_of_the_table_pass_without_a_fault(players: Players) -> None:
    report = run(
        driving.InProcessTestee(ReferenceTestee().handle),  # type: ignore[arg-type] # its stubs are the same messages
        load_vectors(find_vectors(None)),
        Selection(only=tuple(sorted({case for case in ROWS.values() if "long-stream" not in case}))),
    )
    assert [result.case for result in report.results if result.verdict.bad] == []


def test_a_crash_is_the_result_of_its_case() -> None:
    command = [sys.executable, "-m", "protocol_specs.testee", "--fault", "crash"]
    testee = driving.ProcessTestee(command, 60)
    try:
        report = run(testee, load_vectors(find_vectors(None)), Selection(only=("client-a08-*-unknown-*",)))
    finally:
        testee.close()
    assert {result.verdict for result in report.results} >= {Verdict.CRASHED}
    assert not report.passed


def test_the_table_is_what_the_faults_say() -> None:
    assert render(ROWS) == TABLE.read_text(encoding="utf-8")
    assert ROWS.keys() == FAULTS.keys()


def test_there_are_enough_faults_and_each_says_what_it_is() -> None:
    assert len(FAULTS) > 250
    assert len({fault.mistake for fault in FAULTS.values()}) == len(FAULTS)


def test_an_edit_whose_text_is_gone_is_no_fault() -> None:
    fault: Fault = edited("nothing", "R01", ReferenceTestee, "handle", "no such text", "")
    with pytest.raises(LookupError, match="no such text"), fault.planted():
        pass
