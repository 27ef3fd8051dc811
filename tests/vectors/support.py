"""Plays scripts of the vectors against a testee, and compares outcomes as their README says.

Must not know the runner's own comparer, which is checked with the same vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from protocol_specs.testee import conformance_pb2 as reference_pb
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg import FixedPoint, SecAggError, SessionParameters
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json, to_json
from secagg.conformance.library_testee import LibraryTestee

Json = dict[str, Any]
Testee = Callable[[pb.Call], pb.Reply]

VECTORS: Final = Path(__file__).parents[2] / "protocol_specs" / "vectors"


def cases_of(pattern: str) -> list[Json]:
    """All committed cases of the files of a pattern, in the order of the files' names."""
    return [case for path in sorted(VECTORS.glob(pattern)) for case in json.loads(path.read_text("utf-8"))["cases"]]


def library() -> Testee:
    return LibraryTestee().handle


def reference() -> Testee:
    """The reference has message classes of its own, of the same bytes."""
    testee = ReferenceTestee()
    return lambda call: pb.Reply.FromString(
        testee.handle(reference_pb.Call.FromString(call.SerializeToString())).SerializeToString()
    )


def difference(case: Json, testee: Testee) -> str | None:
    """Play one script; says at which step the testee did otherwise, and what, or None."""
    if case["role"] == "client":
        call, scales = pb.Call(create_client=from_json(pb.CreateClient, case["create"])), dict[str, float]()
    else:
        call = pb.Call(create_server=from_json(pb.CreateServer, case["create"]))
        scales = scales_of(case["create"].get("parameters", ""))
    outcome = ask(testee, call).outcome
    current, handles = outcome.handle, [outcome.handle]
    snapshots: dict[str, bytes] = {}
    found = compare(case["expect"], outcome, scales, created=True)
    for number, step in enumerate(case["steps"], 1):
        if found:
            break
        if "snapshot" in step:
            frozen = ask(testee, pb.Call(snapshot=pb.Snapshot(handle=current)))
            if frozen.WhichOneof("reply") != "frozen":
                return f"step {number}: no snapshot, but {frozen}"
            snapshots[step["snapshot"]] = frozen.frozen.snapshot
            continue
        if "beside" in step:
            outcome = ask(testee, pb.Call(create_client=from_json(pb.CreateClient, step["beside"]))).outcome
            handles.append(outcome.handle)
        elif "restore" in step:
            fields = step["restore"] | {"snapshot": snapshots[step["restore"]["snapshot"]].hex()}
            outcome = ask(testee, pb.Call(restore=from_json(pb.Restore, fields))).outcome
            current = outcome.handle
            handles.append(current)
        else:
            event = from_json(pb.Step, step["step"])
            event.handle = current
            outcome = ask(testee, pb.Call(step=event)).outcome
        found = [f"step {number}: {line}" for line in compare(step["expect"], outcome, scales)]
    for used in handles:
        ask(testee, pb.Call(free=pb.Free(handle=used)))
    return "; ".join(found) or None


def ask(testee: Testee, call: pb.Call) -> pb.Reply:
    reply = testee(call)
    assert reply.WhichOneof("reply") != "unsupported", reply.unsupported
    return reply


def scales_of(parameters: str) -> dict[str, float]:
    """The clip of every FixedPoint vector, for the tolerance of sums; empty for parameters that are none."""
    try:
        decoded = SessionParameters.decode(bytes.fromhex(parameters))
    except SecAggError:
        return {}
    return {name: spec.clip for name, spec in decoded.vectors if isinstance(spec, FixedPoint)}


def compare(expect: Json, outcome: pb.Outcome, scales: Mapping[str, float], created: bool = False) -> list[str]:
    """Every field of an outcome that is not as expected.

    A refusal by one of several rules names its own abort reason, and a client need not send a notice of it.
    """
    expect, found = dict(expect), to_json(outcome)
    found.pop("handle", None)
    rules, rule = expect.pop("rules", None), found.pop("rule", None)
    lines = []
    if (rules is None and rule is not None) or (rules is not None and rule not in rules):
        lines.append(f"rule {rule}, not one of {rules}")
    if expect["status"] == "REFUSED" and expect.get("phase") == "ABORTED" and rule is not None:
        expect["abort_reason"] = "A07" if rule.startswith("C") else rule
    told, notice = expect.pop("notice", None), found.pop("notice", None)
    if notice not in (None, told) and not created and len(rules or ()) < 2:
        lines.append(f"notice {notice}, not {told}")
    results = expect.pop("result", None), found.pop("result", None)
    if not same_result(*results, scales):
        lines.append(f"result {results[1]}, not {results[0]}")
    names = sorted({*expect, *found})
    return lines + [
        f"{name} {found.get(name)}, not {expect.get(name)}" for name in names if expect.get(name) != found.get(name)
    ]


def same_result(expect: Json | None, found: Json | None, scales: Mapping[str, float]) -> bool:
    """Compare as `conformance.md`, "Sums": fixed-point entries but 0 within 2^-30 of clip and contributors."""
    if expect is None or found is None:
        return expect is found
    if {**expect, "vectors": None} != {**found, "vectors": None}:
        return False
    if len(expect["vectors"]) != len(found["vectors"]):
        return False
    for mine, other in zip(expect["vectors"], found["vectors"], strict=True):
        allowed = 2.0**-30 * scales.get(mine["name"], 0.0) * len(expect["contributors"])
        a, b = mine.get("reals", []), other.get("reals", [])
        if {**mine, "reals": None} != {**other, "reals": None} or len(a) != len(b):
            return False
        if any(abs(x - y) > (allowed if x else 0.0) for x, y in zip(a, b, strict=True)):
            return False
    return True
