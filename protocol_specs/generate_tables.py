"""Rewrites the generated parts of secagg-v1.md: state diagrams and tables, wire fields, worked examples, vector counts.

Run `python -m protocol_specs.generate_tables` in the root of the repository after a change of the transition tables,
of the .proto file, of the vectors or of anything that the examples show; tests/test_specification.py fails until that
is done. A block stands between `<!-- generated: NAME -->` and `<!-- end generated -->`; the last cell of each row of
the validation table says how many cases of which vector files cite its id. Must not know the text around these.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, get_args

from google.protobuf.descriptor import FieldDescriptor

from protocol_specs import worked_examples
from secagg.errors import Violation
from secagg.parameters import ThreatModel
from secagg.protocol.messages import ROUND_OF_MESSAGE, Abort, ClientMessage, ServerMessage, SessionOffer
from secagg.protocol.transitions import (
    AFTER_COMPLAINT,
    CLIENT_TRANSITIONS,
    ROUND_OF_SERVER_PHASE,
    ROUND_ORDER,
    SERVER_TRANSITIONS,
    ClientPhase,
    CloseRound,
    ServerPhase,
)
from secagg.wire import messages_pb2

SPECIFICATION: Final = Path(__file__).with_name("secagg-v1.md")
VECTORS: Final = Path(__file__).with_name("vectors")

_BLOCK: Final = re.compile(r"<!-- generated: (?P<name>[^>]+?) -->\n.*?<!-- end generated -->", re.DOTALL)
_VALIDATION_ROW: Final = re.compile(r"^(?P<head>\| (?P<id>[CSA]\d\d) \|(?:[^|]*\|){5})[^|]*\|$", re.MULTILINE)
_UNEXPECTED: Final = Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE.value
_CLIENT_EVENTS: Final[tuple[type[object], ...]] = (SessionOffer, *get_args(ServerMessage))
_SERVER_EVENTS: Final[tuple[type[object], ...]] = (*get_args(ClientMessage), CloseRound)
_SCALARS: Final = {
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
}


def client_table(model: ThreatModel) -> str:
    """The client's phase × event table: the next phase, or how the event is refused."""
    rows = []
    for phase, row in CLIENT_TRANSITIONS[model].items():
        ended = phase in (ClientPhase.COMPLETED, ClientPhase.ABORTED)
        refusal = "refused" if ended else _UNEXPECTED
        cells = [
            " or ".join(after.name for after in _client_followers(phase, row[event], event))
            if event in row
            else refusal
            for event in _CLIENT_EVENTS
        ]
        rows.append([phase.name, *cells])
    return _table(["phase", *(f"`{event.__name__}`" for event in _CLIENT_EVENTS)], rows)


def server_table(model: ThreatModel) -> str:
    """The server's phase × event table: the phases that may follow, or how the event is refused."""
    order = ROUND_ORDER[model]
    rows = []
    for phase, row in SERVER_TRANSITIONS[model].items():
        cells = []
        for event in _SERVER_EVENTS:
            if event in row:
                cells.append(" or ".join(following.name for following in _in_order(row[event])))
            elif phase not in ROUND_OF_SERVER_PHASE:
                cells.append("refused")
            else:
                belongs = ROUND_OF_MESSAGE[event]
                early = belongs not in order or order.index(belongs) > order.index(ROUND_OF_SERVER_PHASE[phase])
                cells.append("S03" if early else "late")
        rows.append([phase.name, *cells])
    return _table(["phase", *(f"`{event.__name__}`" for event in _SERVER_EVENTS)], rows)


def client_diagram(model: ThreatModel) -> str:
    """The client's machine as a Mermaid state diagram; the way to ABORTED is drawn once for all live phases."""
    lines = []
    for phase, row in CLIENT_TRANSITIONS[model].items():
        lines += [
            f"    {phase.name} --> {after.name}: {event.__name__}"
            for event, following in row.items()
            if event is not Abort
            for after in _client_followers(phase, following, event)
        ]
    return _diagram(ClientPhase.OFFERED.name, [ClientPhase.COMPLETED.name, ClientPhase.ABORTED.name], lines)


def server_diagram(model: ThreatModel) -> str:
    """The server's machine as a Mermaid state diagram."""
    lines = []
    for phase, row in SERVER_TRANSITIONS[model].items():
        for event, followers in row.items():
            if event is not Abort:
                lines += [f"    {phase.name} --> {after.name}: {event.__name__}" for after in _in_order(followers)]
    return _diagram(ServerPhase.COLLECTING_KEYS.name, [ServerPhase.COMPLETED.name, ServerPhase.ABORTED.name], lines)


def wire_fields() -> str:
    """Every protobuf message with its fields, from the compiled descriptors."""
    rows = []
    for name, message in messages_pb2.DESCRIPTOR.message_types_by_name.items():
        fields = (f"{field.number} `{field.name}` {_kind(field)}" for field in message.fields)
        rows.append([f"`{name}`", "<br>".join(fields) or "no field"])
    return _table(["message", "number, name and type of each field"], rows)


def blocks() -> Mapping[str, Callable[[], str]]:
    """The name of every block and the function that makes its content."""
    made: dict[str, Callable[[], str]] = {"wire fields": wire_fields}
    for model in ThreatModel:
        made[f"client {model.value} diagram"] = partial(client_diagram, model)
        made[f"client {model.value} table"] = partial(client_table, model)
        made[f"server {model.value} diagram"] = partial(server_diagram, model)
        made[f"server {model.value} table"] = partial(server_table, model)
    made.update({f"example {name}": example for name, example in worked_examples.EXAMPLES.items()})
    return made


def cases_by_rule() -> Mapping[str, Counter[str]]:
    """For each requirement id the files of scripts and sessions whose cases cite it, and how many do."""
    found: dict[str, Counter[str]] = {}
    for path in sorted([*VECTORS.glob("scripts/*.json"), *VECTORS.glob("sessions/*.json")]):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            for rule in case["requirements"]:
                found.setdefault(rule, Counter())[path.relative_to(VECTORS).with_suffix("").as_posix()] += 1
    return found


def block_names(text: str) -> list[str]:
    """The names of the generated blocks of a text, in its order."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def render(text: str) -> str:
    """Return the text with every generated part made anew; raises KeyError for a block or rule without content."""
    made, cases = blocks(), cases_by_rule()

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- generated: {name} -->\n{made[name]()}\n<!-- end generated -->"

    def row(match: re.Match[str]) -> str:
        cited = ", ".join(f"`{file}` ({number})" for file, number in cases[match["id"]].items())
        return f"{match['head']} {cited} |"

    return _VALIDATION_ROW.sub(row, _BLOCK.sub(block, text))


def _client_followers(phase: ClientPhase, following: ClientPhase, event: type[object]) -> list[ClientPhase]:
    complaint = AFTER_COMPLAINT.get(phase)
    return [following, complaint] if complaint is not None and event is not Abort else [following]


def _kind(field: FieldDescriptor) -> str:
    kind = _SCALARS[field.type] if field.message_type is None else f"`{field.message_type.name}`"
    if field.containing_oneof is not None:
        return f"{kind} (one of `{field.containing_oneof.name}`)"
    return f"repeated {kind}" if field.is_repeated else kind


def _in_order(phases: Iterable[ServerPhase]) -> list[ServerPhase]:
    return sorted(phases, key=list(ServerPhase).index)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _diagram(first: str, terminal: Sequence[str], lines: Sequence[str]) -> str:
    ends = [f"    {phase} --> [*]" for phase in terminal]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, *ends, "```"])


if __name__ == "__main__":
    SPECIFICATION.write_text(render(SPECIFICATION.read_text(encoding="utf-8")), encoding="utf-8")
