"""Plays server scripts against a testee, and compares as protocol_specs/vectors/README.md says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from secagg import FixedPoint, SecAggError, SessionParameters
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json, to_json

Json = dict[str, Any]

VECTORS: Final = Path(__file__).parents[2] / "protocol_specs" / "vectors"


class Testee(Protocol):
    """What is played against; both testees have their own, equal, message classes."""

    def handle(self, call: Any) -> Any: ...


def cases_of(pattern: str) -> list[Json]:
    """All committed cases of the files of a pattern."""
    return [case for path in sorted(VECTORS.glob(pattern)) for case in json.loads(path.read_text("utf-8"))["cases"]]


def differences(case: Json, testee: Testee, messages: Any = pb) -> Iterator[str]:
    """What the testee does otherwise; ends with the first step that differs. `messages` is the testee's module."""
    create = from_json(messages.CreateServer, case["create"])
    outcome = testee.handle(messages.Call(create_server=create)).outcome
    scales = scales_of(case["create"].get("parameters", ""))
    handle, snapshots = outcome.handle, dict[str, bytes]()
    found = compare(case["expect"], outcome, scales)
    number = 0
    for step in case["steps"]:
        if found:
            break
        number += 1
        if "snapshot" in step:
            frozen = testee.handle(messages.Call(snapshot=messages.Snapshot(handle=handle)))
            snapshots[step["snapshot"]] = frozen.frozen.snapshot
            continue
        if "restore" in step:
            fields = dict(step["restore"])
            fields["snapshot"] = snapshots[fields["snapshot"]].hex()
            outcome = testee.handle(messages.Call(restore=from_json(messages.Restore, fields))).outcome
            handle = outcome.handle
        else:
            call = from_json(messages.Step, step["step"])
            call.handle = handle
            outcome = testee.handle(messages.Call(step=call)).outcome
        found = compare(step["expect"], outcome, scales)
    yield from (f"step {number}: {line}" for line in found)


def scales_of(parameters: str) -> Mapping[str, float]:
    """The clip of every FixedPoint vector, for the tolerance of sums; empty for parameters that are none."""
    try:
        decoded = SessionParameters.decode(bytes.fromhex(parameters))
    except SecAggError:
        return {}
    return {name: spec.clip for name, spec in decoded.vectors if isinstance(spec, FixedPoint)}


def compare(expect: Json, outcome: Any, scales: Mapping[str, float]) -> list[str]:
    """Every field of an outcome that is not as expected."""
    expect, found = dict(expect), to_json(outcome)
    found.pop("handle", None)
    rules, rule = expect.pop("rules", None), found.pop("rule", None)
    lines = []
    if (rules is None and rule is not None) or (rules is not None and rule not in rules):
        lines.append(f"rule {rule}, not one of {rules}")
    results = expect.pop("result", None), found.pop("result", None)
    if not same_result(*results, scales):
        lines.append(f"result {results[1]}, not {results[0]}")
    names = sorted({*expect, *found})
    return lines + [
        f"{name} {found.get(name)}, not {expect.get(name)}" for name in names if expect.get(name) != found.get(name)
    ]


def same_result(expect: Json | None, found: Json | None, scales: Mapping[str, float]) -> bool:
    """Compare as `conformance.md`, "Sums": fixed-point entries within 2^-30 of clip and contributors."""
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
        if any(abs(x - y) > allowed for x, y in zip(a, b, strict=True)):
            return False
    return True
