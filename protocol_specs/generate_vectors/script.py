"""Writes scripts down: plays steps against the reference as a testee, and records what came as what is expected.

The writer says which rule a step must break; a step with another outcome than its writer meant ends the generation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from protocol_specs.testee import conformance_pb2 as pb
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance.form import to_json

Json = dict[str, Any]


class WrongScript(Exception):  # noqa: N818
    """The reference did something else than the script's writer meant."""


class Script:
    """One client or one server; methods add steps, `case` is the finished script."""

    def __init__(self, create: pb.CreateClient | pb.CreateServer, *, rules: Iterable[str] = ()) -> None:
        """`rules` are those of which one makes the testee refuse the creation."""
        self._testee = ReferenceTestee()
        self._steps: list[Json] = []
        self._snapshots: dict[str, bytes] = {}
        self.role = "client" if isinstance(create, pb.CreateClient) else "server"
        self._create = to_json(create)
        call = pb.Call(create_client=create) if isinstance(create, pb.CreateClient) else pb.Call(create_server=create)
        self.created = self._testee.handle(call).outcome
        self._handle = self.created.handle
        self._expect = _expected(self.created, rules)

    def step(self, status: str = "ACCEPTED", rules: Iterable[str] = (), **event: Any) -> pb.Outcome:
        """Add one event, such as `message=…`; returns its outcome, which must be of this status and these rules."""
        made = pb.Step(handle=self._handle, **event)
        outcome = self._testee.handle(pb.Call(step=made)).outcome
        if pb.Status.Name(outcome.status) != status:
            raise WrongScript(f"{pb.Status.Name(outcome.status)} {outcome.rule} instead of {status} {list(rules)}")
        written = to_json(made)
        written.pop("handle")
        self._steps.append({"step": _named(written), "expect": _expected(outcome, rules)})
        return outcome

    def refused(self, message: bytes, *rules: str) -> pb.Outcome:
        """Client: a message that breaks these rules, the first of them for the reference."""
        return self.step("REFUSED", rules, message=message)

    def dropped(self, client: int, message: bytes, *rules: str) -> pb.Outcome:
        """Server: a message that costs its client its place."""
        return self.step("DROPPED", rules, client_message=pb.ClientMessage(client=client, message=message))

    def receive(self, client: int, message: bytes, status: str = "ACCEPTED") -> pb.Outcome:
        """Server: a message of a client."""
        return self.step(status, client_message=pb.ClientMessage(client=client, message=message))

    def close_round(self, status: str = "ACCEPTED") -> pb.Outcome:
        """Server: the host closes the round."""
        return self.step(status, close_round=pb.CloseRound())

    def beside(self, create: pb.CreateClient, status: str = "ACCEPTED") -> None:
        """Client: another session is made beside this one, which the steps after it are still of."""
        outcome = self._testee.handle(pb.Call(create_client=create)).outcome
        if pb.Status.Name(outcome.status) != status:
            raise WrongScript(f"{pb.Status.Name(outcome.status)} {outcome.rule} instead of {status} beside")
        self._steps.append({"beside": to_json(create), "expect": _expected(outcome, ())})

    def snapshot(self, name: str) -> None:
        """Freeze the session under a name."""
        frozen = self._testee.handle(pb.Call(snapshot=pb.Snapshot(handle=self._handle)))
        if frozen.WhichOneof("reply") != "frozen":
            raise WrongScript(frozen.unsupported)
        self._snapshots[name] = frozen.frozen.snapshot
        self._steps.append({"snapshot": name})

    def restore(self, name: str, **fields: Any) -> None:
        """Go on from a snapshot; `fields` are those of `Restore`."""
        call = pb.Restore(snapshot=self._snapshots[name], server=self.role == "server", **fields)
        outcome = self._testee.handle(pb.Call(restore=call)).outcome
        self._handle = outcome.handle
        self._steps.append({"restore": to_json(call) | {"snapshot": name}, "expect": _expected(outcome, ())})

    def case(
        self,
        id_: str,
        comment: str,
        requirements: Iterable[str],
        flags: Iterable[str],
        needs: Mapping[str, Any] | None = None,
    ) -> Json:
        """The finished case."""
        case: Json = {"id": id_, "comment": comment, "requirements": sorted(requirements), "flags": sorted(flags)}
        if needs:
            case["needs"] = dict(needs)
        return case | {"role": self.role, "create": self._create, "expect": self._expect, "steps": self._steps}


def _named(value: Any) -> Any:
    """The same JSON, NaN and infinity under the names that they have in vectors."""
    if isinstance(value, dict):
        return {name: _named(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_named(item) for item in value]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _expected(outcome: pb.Outcome, rules: Iterable[str]) -> Json:
    allowed = list(rules)
    if (outcome.rule or allowed) and outcome.rule not in allowed:
        raise WrongScript(f"{pb.Status.Name(outcome.status)} {outcome.rule} instead of {allowed}")
    expected = to_json(outcome)
    expected.pop("handle", None)
    if expected.pop("rule", None) is not None:
        expected["rules"] = allowed
        if outcome.status == pb.REFUSED:
            expected.pop("abort_reason", None)
            if len(allowed) > 1:
                expected.pop("notice", None)
    return expected
