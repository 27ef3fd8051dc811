"""Every committed server script, played against the library. The reference wrote them: see `test_regenerated`."""

from __future__ import annotations

import pytest

from secagg.conformance import conformance_pb2 as pb
from tests.vectors.support import Json, cases_of, compare, difference, library

CASES = cases_of("scripts/server-*.json")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_server_does_what_its_script_says(case: Json) -> None:
    assert difference(case, library()) is None


def test_there_is_something_to_play() -> None:
    rules = {rule for case in CASES for rule in case["requirements"]}
    drops = {f"S{number:02}" for number in (1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 20, 40, 50, 51, 52)}
    ends = {"A01", "A02", "A03", "A04", "A05", "A06", "A10", "A13"}
    server = {
        "R05",
        "R07",
        "R10",
        "R13",
        "R17",
        "R19",
        "R23",
        "R25",
        "R28",
        "R29",
        "R31",
        "R41",
        "R48",
        "R54",
        "R55",
        "R56",
    }
    assert len(CASES) > 400
    assert drops | ends | server <= rules


def test_every_rule_that_a_case_expects_is_among_its_requirements() -> None:
    for case in CASES:
        rules = {drop["rule"] for step in case["steps"] for drop in step.get("expect", {}).get("dropped", ())}
        rules |= {step["expect"]["abort_reason"] for step in case["steps"] if "abort_reason" in step.get("expect", {})}
        assert rules - set(case["requirements"]) <= {"S01"} | set(END_AFTER_DROPS), case["id"]


END_AFTER_DROPS = ("A01", "A02", "A03", "A04", "A05")


def test_the_comparer_sees_every_difference() -> None:
    expect = {
        "status": "ACCEPTED",
        "phase": "COMPLETED",
        "result": {"vectors": [{"name": "v", "reals": [1.0]}], "contributors": ["1", "2"], "total_weight": "3"},
    }
    values = pb.Values(name="v", reals=[1.0 + 2.0**-31])
    outcome = pb.Outcome(status=pb.ACCEPTED, phase="COMPLETED")
    outcome.result.CopyFrom(pb.Result(vectors=[values], contributors=[1, 2], total_weight=3))
    assert compare(expect, outcome, {"v": 1.0}) == []
    assert compare(expect, outcome, {"v": 2.0**-10}) != []
    for changed in (
        pb.Outcome(status=pb.LATE),
        pb.Outcome(phase="ABORTED"),
        pb.Outcome(abort_reason="A05"),
        pb.Outcome(rule="S02"),
        pb.Outcome(requests=[pb.ClientMessage(client=1)]),
        pb.Outcome(dropped=[pb.Drop(client=1, rule="S01")]),
        pb.Outcome(inconsistent=[pb.OffPolynomial(holder=1, owner=2)]),
        pb.Outcome(result=pb.Result(contributors=[3])),
    ):
        other = pb.Outcome()
        other.CopyFrom(outcome)
        other.MergeFrom(changed)
        assert compare(expect, other, {"v": 1.0}) != [], changed
