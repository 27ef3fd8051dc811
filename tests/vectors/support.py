"""Plays client scripts of the vectors against a testee, and compares outcomes as their README says.

Must not know the runner's own comparer, which is checked with the same vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json, to_json

Json = dict[str, Any]
Handle = Callable[[bytes], bytes]
"""A testee: the bytes of a `Call`, answered with those of a `Reply`."""

VECTORS: Final = Path(__file__).parents[2] / "protocol_specs" / "vectors"


def documents(pattern: str) -> Iterator[Json]:
    """The committed files of this pattern below `vectors/`, in the order of their names."""
    for path in sorted(VECTORS.glob(pattern)):
        yield json.loads(path.read_text("utf-8"))


def play_client(case: Mapping[str, Any], handle: Handle) -> None:
    """Play one client case; raises `AssertionError` at the first outcome that is another than the case says."""
    made = _ask(handle, pb.Call(create_client=from_json(pb.CreateClient, case["create"]))).outcome
    _compare(f"{case['id']} create", case["expect"], made, created=True)
    current, handles = made.handle, [made.handle]
    snapshots: dict[str, bytes] = {}
    for number, step in enumerate(case["steps"], 1):
        where = f"{case['id']} step {number}"
        if "snapshot" in step:
            reply = _ask(handle, pb.Call(snapshot=pb.Snapshot(handle=current)))
            assert reply.WhichOneof("reply") == "frozen", f"{where}: {reply}"
            snapshots[step["snapshot"]] = reply.frozen.snapshot
            continue
        if "restore" in step:
            fields = step["restore"] | {"snapshot": snapshots[step["restore"]["snapshot"]].hex()}
            outcome = _ask(handle, pb.Call(restore=from_json(pb.Restore, fields))).outcome
            current = outcome.handle
            handles.append(current)
        else:
            event = from_json(pb.Step, step["step"])
            event.handle = current
            outcome = _ask(handle, pb.Call(step=event)).outcome
        _compare(where, step["expect"], outcome)
    for used in handles:
        _ask(handle, pb.Call(free=pb.Free(handle=used)))


def _ask(handle: Handle, call: pb.Call) -> pb.Reply:
    reply = pb.Reply.FromString(handle(call.SerializeToString()))
    assert reply.WhichOneof("reply") != "unsupported", reply.unsupported
    return reply


def _compare(where: str, expect: Mapping[str, Any], outcome: pb.Outcome, created: bool = False) -> None:
    found, wanted = to_json(outcome), dict(expect)
    found.pop("handle", None)
    rules, rule = wanted.pop("rules", []), found.pop("rule", "")
    notice = found.pop("notice", None)
    told = wanted.pop("notice", None)
    assert (rule in rules) if rules else not rule, f"{where}: {found} {rule} instead of {wanted} {rules}"
    if wanted["status"] == "REFUSED" and not created:
        wanted["abort_reason"] = "A07" if rule.startswith("C") else rule
    assert found == wanted, f"{where}: {found} {rule} instead of {wanted} {rules}"
    assert notice in (None, told) or len(rules) > 1 or created, f"{where}: it would send {notice} instead of {told}"
