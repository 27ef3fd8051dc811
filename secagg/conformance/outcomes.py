"""Compares an outcome with the expected one, field by field (protocol_specs/vectors/README.md, "Scripts").

Also puts outcomes into words. Must not know where the expectation comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json
from secagg.conformance.spans import first_difference
from secagg.conformance.sums import result_difference
from secagg.errors import AbortReason, DropReason, Violation
from secagg.parameters import SessionParameters
from secagg.wire.messages_pb2 import Envelope

Json = Any

RULES: Final[dict[str, str]] = {row.value: row.name for table in (Violation, DropReason, AbortReason) for row in table}
"""Every id of Specification §8 with its name."""

# What `Expected` adds to the fields of an outcome.
_RULES: Final = "rules"


def abort_reason_of(rule: str) -> str:
    """Return the abort reason with which a client ends that found this rule broken."""
    return "A07" if rule.startswith("C") else rule


def outcome_difference(expected: Mapping[str, Json], got: pb.Outcome, parameters: bytes) -> str | None:
    """Say how an outcome is another than the expected one; None when they agree.

    Args:
        expected: the `expect` of a script's step, as JSON.
        got: what came.
        parameters: encoded parameters of the session, for the precision of its sums.
    """
    wanted = from_json(pb.Outcome, {name: value for name, value in expected.items() if name != _RULES})
    rules = expected.get(_RULES, [wanted.rule] if wanted.rule else [])
    if got.status != wanted.status or (got.rule not in rules if rules else got.rule):
        return f"expected {_status(wanted.status, rules)}, and {told(got)} came"
    if got.phase != wanted.phase:
        return f"expected phase {wanted.phase or 'none'} after it, and {got.phase or 'none'} came"
    reason = (
        abort_reason_of(got.rule) if got.status == pb.REFUSED and wanted.phase == "ABORTED" else wanted.abort_reason
    )
    if got.abort_reason != reason:
        return f"expected the abort reason {reason or 'none'}, and {got.abort_reason or 'none'} came"
    return (
        _bytes_difference("answer", wanted, got)
        or _bytes_difference("offer", wanted, got)
        or notice_difference(wanted, got)
        or messages_difference("request", by_client(wanted.requests), by_client(got.requests))
        or _rows_difference("dropped clients", _drops(wanted), _drops(got))
        or _rows_difference("inconsistent shares", _off(wanted), _off(got))
        or _rows_difference("blamed clients", _blamed(wanted), _blamed(got))
        or _result_difference(wanted, got, parameters)
    )


def notice_difference(wanted: pb.Outcome, got: pb.Outcome) -> str | None:
    """Compare what a client sends about its abort; it may send nothing."""
    if not got.HasField("notice") or (wanted.HasField("notice") and wanted.notice == got.notice):
        return None
    envelope = Envelope()
    try:
        envelope.ParseFromString(got.notice)
    except ProtobufDecodeError:
        return "the notice is no message"
    reason = abort_reason_of(got.rule) if got.rule else got.abort_reason
    if envelope.WhichOneof("body") != "abort" or not reason or envelope.abort.reason != reason:
        return f"the notice is not an Abort with the reason {reason or 'of an abort'}"
    if wanted.HasField("notice"):
        return f"the notice differs from the expected one at {first_difference(wanted.notice, got.notice)}"
    return None


def messages_difference(word: str, expected: Mapping[int, bytes], got: Mapping[int, bytes]) -> str | None:
    """Say which client's message differs, and where."""
    missing, surplus = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    if missing:
        return f"there is no {word} for client {missing[0]}"
    if surplus:
        return f"there is a {word} for client {surplus[0]}, who gets none"
    for client, message in expected.items():
        if got[client] != message:
            return f"the {word} for client {client} differs at {first_difference(message, got[client])}"
    if list(expected) != list(got):
        return f"the {word}s are not ascending by client"
    return None


def by_client(messages: Iterable[pb.ClientMessage]) -> dict[int, bytes]:
    """Return messages by client, in their order."""
    return {each.client: each.message for each in messages}


def told(outcome: pb.Outcome) -> str:
    """Put an outcome into a few words."""
    answer = f" with an answer of {len(outcome.answer)} bytes" if outcome.HasField("answer") else ""
    return _status(outcome.status, [outcome.rule] if outcome.rule else []) + answer


def named(rule: str) -> str:
    """Return a rule with its name: "C26 ADVERTISEMENT_SIGNATURE_INVALID"."""
    return f"{rule} {RULES[rule]}" if rule in RULES else rule


def alternatives(rules: Collection[str]) -> str:
    """Return rules as a choice: "C24 or C26"."""
    listed = sorted(rules)
    return ", ".join(listed[:-1]) + (" or " if len(listed) > 1 else "") + listed[-1] if listed else "no rule"


def _status(status: int, rules: Collection[str]) -> str:
    known = pb.Status.values()
    name = pb.Status.Name(pb.Status.ValueType(status)) if status in known else f"the unknown status {status}"
    return f"{name} by {alternatives(rules)}" if rules else name


def _bytes_difference(field: str, wanted: pb.Outcome, got: pb.Outcome) -> str | None:
    if wanted.HasField(field) != got.HasField(field):
        has = "no" if wanted.HasField(field) else "an"
        return f"{has} {field} came where {'one' if has == 'no' else 'none'} is expected"
    ours, theirs = getattr(wanted, field), getattr(got, field)
    return None if ours == theirs else f"the {field} differs from the expected one at {first_difference(ours, theirs)}"


def _drops(outcome: pb.Outcome) -> list[str]:
    return [f"{drop.client} by {drop.rule}" for drop in outcome.dropped]


def _off(outcome: pb.Outcome) -> list[str]:
    return [f"{each.holder} of {each.owner} {each.rule}" for each in outcome.inconsistent]


def _blamed(outcome: pb.Outcome) -> list[str]:
    """Who, why, and with which evidence: its bytes are the same wherever they are made."""

    def shown(evidence: bytes) -> str:
        return f"evidence {hashlib.sha256(evidence).hexdigest()[:16]} of {len(evidence)} bytes"

    return [
        f"{each.client} by {each.rule} with {shown(each.evidence) if each.HasField('evidence') else 'no evidence'}"
        for each in outcome.blame
    ]


def _rows_difference(word: str, expected: list[str], got: list[str]) -> str | None:
    if expected == got:
        return None
    return f"{word}: {', '.join(got) or 'none'} instead of {', '.join(expected) or 'none'}"


def _result_difference(wanted: pb.Outcome, got: pb.Outcome, parameters: bytes) -> str | None:
    if wanted.HasField("result") != got.HasField("result"):
        return "a result came where none is expected" if got.HasField("result") else "no result came"
    if not wanted.HasField("result"):
        return None
    difference = result_difference(SessionParameters.decode(parameters), wanted.result, got.result)
    return f"the result has {difference}" if difference else None
