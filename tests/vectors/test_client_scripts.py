"""Every committed client script, played against the library. The reference wrote them: see `test_regenerated`."""

from __future__ import annotations

import pytest

from secagg.conformance import conformance_pb2 as pb
from tests.vectors.support import Json, cases_of, compare, difference, library

CASES = cases_of("scripts/client-*.json")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_client_does_what_its_script_says(case: Json) -> None:
    assert difference(case, library()) is None


def test_there_are_scripts() -> None:
    assert CASES
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_the_comparer_sees_other_rules_reasons_and_notices() -> None:
    expect = {"status": "REFUSED", "phase": "ABORTED", "rules": ["C24", "C26"], "abort_reason": "A07"}
    outcome = pb.Outcome(status=pb.REFUSED, phase="ABORTED", rule="C26", abort_reason="A07", notice=b"any")
    assert compare(expect, outcome, {}) == []
    assert compare(expect | {"rules": ["C26"]}, outcome, {}) == ["notice 616e79, not None"]
    assert compare(expect | {"rules": ["C26"], "notice": "616e79"}, outcome, {}) == []
    for changed in (pb.Outcome(rule="C25"), pb.Outcome(abort_reason="A08"), pb.Outcome(answer=b"1")):
        other = pb.Outcome()
        other.CopyFrom(outcome)
        other.MergeFrom(changed)
        assert compare(expect, other, {}) != [], changed
