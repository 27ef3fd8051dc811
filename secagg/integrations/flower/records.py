"""What travels in Flower's messages between the server's part and the mod: records with names of their own.

An instruction is the content that a strategy would have sent in clear: arrays and configuration for the app. It
travels with the request for the masked input only; everything before is protocol messages. Knows records, and
nothing of sessions: what is inside a protocol message is opaque here.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from secagg.errors import DecodeError
from secagg.integrations.digests import digest_of_parts, text_bytes
from secagg.integrations.flower.plan import Plan

HEAD: Final = "secagg"
BODY: Final = "secagg.message"
PLAN: Final = "secagg.plan"
CELLS: Final = "secagg.cells"
CLEAR_METRICS: Final = "secagg.clear-metrics"
_OWN: Final = (HEAD, BODY, PLAN, CELLS)
TAG_BYTES: Final = 16
DIGEST_BYTES: Final = 32

_INSTRUCTION_LABEL: Final = b"secagg/flower/v1/instruction"
_RUN_CONFIG_LABEL: Final = b"secagg/flower/v1/run-config"
_CONTEXT_LABEL: Final = b"secagg/flower/v1/context"
_STYPE: Final = "secagg.bytes"
_MAX_ID: Final = 2**64 - 1
_Record: TypeAlias = ArrayRecord | ConfigRecord | MetricRecord


@dataclass(frozen=True, slots=True)
class Hello:
    """The server asks which client a node is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One protocol message for the mod.

    Attributes:
        tag: which session, by :func:`session_tag`: a late message of another one must not end this one.
        request: the server session's request, opaque here.
        offer: with the first request of a session, its offer.
        stage: the round's name, for people who read logs; nothing depends on it.
    """

    tag: bytes
    request: bytes
    offer: bytes | None
    stage: str


def session_tag(offer: bytes) -> bytes:
    """Return the name by which the messages of one session are told from another's."""
    return hashlib.sha256(offer).digest()[:TAG_BYTES]


def category(message: Message) -> str:
    """Return "train", "evaluate" or "query"."""
    return str(message.metadata.message_type).partition(".")[0]


def kind_of(message: Message) -> str:
    """Return by which of an app's functions a message is answered: "train" and "train.default" are one."""
    return str(message.metadata.message_type).removesuffix(".default")


def hello_content() -> RecordDict:
    """Make the content that asks a node which client it is."""
    return RecordDict({HEAD: ConfigRecord({"kind": "hello"})})


def request_content(
    asked: Asked, instruction: RecordDict | None, plan: Plan | None, cells: bytes | None = None
) -> RecordDict:
    """Make the content of one request; the instruction and its plan go with the request for the masked input.

    A plan under a privacy plan goes with the offer, too, and so does what is said of cells.
    """
    head = ConfigRecord({"kind": "request", "tag": asked.tag, "stage": asked.stage})
    if asked.offer is not None:
        head["offer"] = asked.offer
    content = RecordDict(dict(instruction) if instruction is not None else {})
    if plan is not None:
        content[PLAN] = plan.record()
    if cells is not None:
        content[CELLS] = ConfigRecord({"cells": cells})
    content[HEAD] = head
    content[BODY] = _packed(asked.request)
    return content


def read_request(content: RecordDict) -> Hello | Asked | None:
    """Read what the server asks of the mod; None when the message is not for it.

    Raises:
        DecodeError: it names the mod and has another form.
    """
    if HEAD not in content:
        return None
    head = content[HEAD]
    if not isinstance(head, ConfigRecord):
        raise DecodeError(f"the record {HEAD!r} is no ConfigRecord")
    kind = head.get("kind")
    if kind == "hello":
        return Hello()
    tag, offer, stage = head.get("tag"), head.get("offer"), head.get("stage")
    if kind != "request" or not isinstance(tag, bytes) or not isinstance(stage, str):
        raise DecodeError(f"the record {HEAD!r} is neither a hello nor a request of a session")
    if offer is not None and not isinstance(offer, bytes):
        raise DecodeError("the session's offer is no bytes")
    return Asked(tag, _unpacked(content), offer, stage)


def hello_reply(client: int, run_config: bytes) -> RecordDict:
    """Make the content by which a node says which client it is, and the digest of the run configuration that it got."""
    return RecordDict({HEAD: ConfigRecord({"client": client.to_bytes(8, "big"), "run-config": run_config})})


def read_hello_reply(content: RecordDict) -> tuple[int, bytes]:
    """Read which client a node says it is, and the digest of its run configuration.

    Raises:
        DecodeError: the reply is of another form, as from an app without the mod.
    """
    head = content.get(HEAD)
    said = (head.get("client"), head.get("run-config")) if isinstance(head, ConfigRecord) else ()
    match said:
        case (bytes(client), bytes(run_config)) if len(client) == 8 and len(run_config) == DIGEST_BYTES:
            return int.from_bytes(client, "big"), run_config
    raise DecodeError("the node's app answers without the mod; add mods=[secagg_mod()] to it")


def answer_content(answer: bytes | None, clear_metrics: MetricRecord | None) -> RecordDict:
    """Make the content of an answer; it holds nothing of the app's own reply but metrics its node chose to show."""
    content = RecordDict({HEAD: ConfigRecord({"kind": "answer"})})
    if answer is not None:
        content[BODY] = _packed(answer)
    if clear_metrics:
        content[CLEAR_METRICS] = clear_metrics
    return content


def read_answer(content: RecordDict) -> tuple[bytes, MetricRecord | None]:
    """Read a client's protocol message and the metrics that it shows in clear.

    Raises:
        DecodeError: the reply is of another form.
    """
    metrics = content.get(CLEAR_METRICS)
    if metrics is not None and not isinstance(metrics, MetricRecord):
        raise DecodeError(f"the record {CLEAR_METRICS!r} is no MetricRecord")
    return _unpacked(content), metrics


def read_plan(content: RecordDict) -> Plan:
    """Read the plan that came with an instruction.

    Raises:
        DecodeError: there is none, or it is of another form.
    """
    record = content.get(PLAN)
    if not isinstance(record, ConfigRecord):
        raise DecodeError("the request for the masked input came without a plan of what is summed")
    return Plan.from_record(record)


def read_cells(content: RecordDict) -> bytes | None:
    """Read what the server says of cells; None when it says nothing.

    Raises:
        DecodeError: it is of another form.
    """
    if CELLS not in content:
        return None
    record = content[CELLS]
    cells = record.get("cells") if isinstance(record, ConfigRecord) else None
    if not isinstance(cells, bytes):
        raise DecodeError(f"the record {CELLS!r} holds no bytes")
    return cells


def instruction_of(content: RecordDict) -> RecordDict:
    """Return the content without the records of secagg: what the app is to see."""
    return RecordDict({name: record for name, record in content.items() if name not in _OWN})


def instruction_digest(run_id: int, message_type: str, group: str, plan: Plan, instruction: RecordDict) -> bytes:
    """Digest an instruction, as every client received it.

    Covers the run, the message's type and group, the plan and every entry of every record, each with its type and
    length, and in its place: an app may take arrays by their order, and a server chooses the order.
    """
    head = (_INSTRUCTION_LABEL, struct.pack(">Q", run_id & _MAX_ID), message_type.encode(), group.encode())
    return digest_of_parts((*head, *_record_parts(plan.record()), *_instruction_parts(instruction)))


def run_config_digest(run_config: Mapping[str, object]) -> bytes:
    """Digest a run configuration: settings that reach an app beside the instruction, and from the server too."""
    parts = (part for key in sorted(run_config) for part in (key.encode(), *_value_parts(run_config[key])))
    return digest_of_parts((_RUN_CONFIG_LABEL, *parts))


def session_context(instruction: bytes, run_config: bytes) -> bytes:
    """Return the context of a session, from the digests of all that the server tells an app.

    Every client computes it from what it received, so that clients who were sent different models, or different
    settings, are in different sessions.
    """
    return digest_of_parts((_CONTEXT_LABEL, instruction, run_config))


def _instruction_parts(instruction: RecordDict) -> Iterator[bytes]:
    yield struct.pack(">Q", len(instruction))
    for name in instruction:
        yield text_bytes(name)
        yield from _record_parts(instruction[name])


def _record_parts(record: _Record) -> Iterator[bytes]:
    yield type(record).__name__.encode()
    yield struct.pack(">Q", len(record))
    for key in record:
        yield text_bytes(key)
        yield from _value_parts(record[key])


def _value_parts(value: object) -> Iterator[bytes]:
    if isinstance(value, Array):
        yield from (
            text_bytes(value.dtype),
            text_bytes(value.stype),
            struct.pack(f">{len(value.shape)}Q", *value.shape),
        )
        yield value.data
    elif isinstance(value, list):
        yield b"list" + struct.pack(">Q", len(value))
        yield from _scalars(value)
    else:
        yield from _scalars((value,))


def _scalars(values: Iterable[object]) -> Iterator[bytes]:
    for value in values:
        yield type(value).__name__.encode()
        match value:
            case float():
                yield struct.pack(">d", value)
            case bytes():
                yield value
            case _:
                yield text_bytes(str(value))


def _packed(data: bytes) -> ArrayRecord:
    """Bytes as an array: Flower moves arrays in chunks, and other values whole."""
    return ArrayRecord({"bytes": Array("uint8", (len(data),), _STYPE, data)})


def _unpacked(content: RecordDict) -> bytes:
    record = content.get(BODY)
    array = record.get("bytes") if isinstance(record, ArrayRecord) else None
    if array is None or array.stype != _STYPE:
        raise DecodeError(f"the content has no record {BODY!r} with a message of the protocol")
    return bytes(array.data)
