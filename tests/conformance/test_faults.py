"""Every fault that is planted into the reference is caught by the runner, and named by a requirement that it breaks."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest

from protocol_specs.testee.faults import FAULTS
from secagg.conformance import driving
from secagg.conformance.results import Verdict
from secagg.conformance.runner import Selection, run
from secagg.conformance.vectors import Vectors, find_vectors, load_vectors

NARROWED = {"crash": ("client-a08-*-unknown-*",)}
"""Faults whose every case starts the process anew: a few cases are enough."""


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return load_vectors(find_vectors(None))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_caught_and_named(name: str, vectors: Vectors) -> None:
    fault = FAULTS[name]
    command = [sys.executable, "-m", "protocol_specs.testee", "--fault", name]
    selection = Selection(only=NARROWED.get(name, ()), requirements=fault.breaks)
    with closing(driving.ProcessTestee(command, 20)) as testee:
        report = run(testee, vectors, selection)

    named = {rule for result in report.results if result.verdict.bad for rule in result.requirements}
    assert named & set(fault.breaks)
    assert not report.passed
    if name == "crash":
        assert {result.verdict for result in report.results} >= {Verdict.CRASHED}


def test_there_are_enough_faults_and_each_says_what_it_is() -> None:
    assert len(FAULTS) > 70
    special = {name: fault for name, fault in FAULTS.items() if not name.startswith("skip-")}
    assert len(special) >= 15
    assert len({fault.mistake for fault in FAULTS.values()}) == len(FAULTS)
