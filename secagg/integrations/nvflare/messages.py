"""What travels in the tasks and results of NVFLARE: questions to a site, and its answers, strictly read.

One entry of a Shareable holds everything of secagg's; nothing else of a task reaches a session or a learner, and
nothing else leaves a site. Must not know sessions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply

from secagg.errors import DecodeError
from secagg.integrations.nvflare.instruction import Instruction, Plan

TASK: Final = "secagg"
"""The name of the task, by which a job routes it to the executor."""

ENTRY: Final = "secagg"
_MAX_ID: Final = 2**64 - 1
_MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Hello:
    """Asks a site which client it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a session, for one site.

    Attributes:
        tag: which session, see :func:`session_tag`.
        stage: the protocol's round, for people.
        request: the protocol's message.
        offer: comes with the first request.
        instruction: comes with the request for the masked input, as does the plan.
        plan: what is summed.
        privacy: bytes of the privacy plan, with the offer of a session under one.
        cells: what is said of cells, with the offer of a cell's session.
    """

    tag: bytes
    stage: str
    request: bytes
    offer: bytes | None = None
    instruction: Instruction | None = None
    plan: Plan | None = None
    privacy: bytes | None = None
    cells: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A protocol message of a site."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A site left, or its answer is none."""

    reason: str


def session_tag(offer: bytes) -> bytes:
    """Return the short name of a session, before anybody has computed its digest."""
    return hashlib.sha256(offer).digest()


def hello_task() -> Shareable:
    """Make the question which client a site is."""
    return Shareable({ENTRY: {"kind": "hello"}})


def request_task(asked: Asked) -> Shareable:
    """Make the task that carries one message to one site."""
    entry: dict[str, Any] = {"kind": "request", "tag": asked.tag, "stage": asked.stage, "request": asked.request}
    beside = {"offer": asked.offer, "privacy": asked.privacy, "cells": asked.cells}
    entry.update({key: value for key, value in beside.items() if value is not None})
    if asked.instruction is not None and asked.plan is not None:
        entry["instruction"] = asked.instruction.fields()
        entry["plan"] = asked.plan.fields()
    return Shareable({ENTRY: entry})


def read_task(task: Shareable) -> Hello | Asked:
    """Read what a site is asked.

    Raises:
        DecodeError: it is no question of this integration.
    """
    entry = task.get(ENTRY)
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if kind == "hello":
        return Hello()
    if kind != "request":
        raise DecodeError("this site answers under secure aggregation only, and the task is none of it")
    tag, stage, request = (entry.get(key) for key in ("tag", "stage", "request"))
    if not isinstance(tag, bytes) or not isinstance(stage, str) or not isinstance(request, bytes):
        raise DecodeError("the task has no message of the protocol")
    offer, privacy, cells = (_bytes_or_none(entry, key) for key in ("offer", "privacy", "cells"))
    if ("instruction" in entry) != ("plan" in entry):
        raise DecodeError("the task has one of instruction and plan without the other")
    if "plan" not in entry:
        return Asked(tag, stage, request, offer, privacy=privacy, cells=cells)
    plan, instruction = Plan.from_fields(entry["plan"]), Instruction.from_fields(entry["instruction"])
    if plan.difference and not set(plan.names) <= set(instruction.dxo.data):
        raise DecodeError("the plan has differences from arrays that the instruction does not have")
    return Asked(tag, stage, request, offer, instruction, plan, privacy, cells)


def hello_reply(client: int) -> Shareable:
    """Make a site's word on which client it is."""
    return Shareable({ENTRY: {"kind": "hello", "client": client}})


def read_hello_reply(reply: Shareable) -> int:
    """Read which client a site says it is.

    Raises:
        DecodeError: the reply is of another form, or a refusal.
    """
    entry = _entry(reply)
    client = entry.get("client")
    if entry.get("kind") != "hello" or type(client) is not int or not 0 <= client <= _MAX_ID:
        raise DecodeError(_reason_of(reply, entry))
    return client


def answer_reply(message: bytes | None) -> Shareable:
    """Make the result that carries a site's protocol message, if there is one."""
    return Shareable({ENTRY: {"kind": "answer", "message": message or b""}})


def refusal_reply(reason: str) -> Shareable:
    """Make the result of a site that leaves; what it says goes to the server in clear."""
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply[ENTRY] = {"kind": "refusal", "reason": reason}
    return reply


def read_reply(reply: Shareable) -> Answer | Refusal:
    """Read a site's result; whatever is not an answer is a refusal."""
    entry = _entry(reply)
    message = entry.get("message")
    if reply.get_return_code() == ReturnCode.OK and entry.get("kind") == "answer" and isinstance(message, bytes):
        return Answer(message)
    return Refusal(_reason_of(reply, entry))


def _bytes_or_none(entry: dict[str, Any], key: str) -> bytes | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, bytes):
        raise DecodeError(f"what the task has as {key} is no bytes")
    return value


def _entry(reply: Shareable) -> dict[str, Any]:
    entry = reply.get(ENTRY)
    return entry if isinstance(entry, dict) else {}


def _reason_of(reply: Shareable, entry: dict[str, Any]) -> str:
    reason = entry.get("reason")
    if isinstance(reason, str):
        return reason[:_MAX_REASON]
    code = reply.get_return_code()
    if code == ReturnCode.OK:
        return f"the site's executor for the task {TASK!r} is not SecAggExecutor; put it into the job"
    return f"the site returned {str(code)[:_MAX_REASON]}"
