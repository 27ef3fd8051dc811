"""The digest of an instruction: the same on both ends of the wire, and another for whatever differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind

import secagg
from secagg.errors import DecodeError
from secagg.integrations.nvflare import Instruction
from secagg.integrations.nvflare.instruction import Plan, instruction_digest
from secagg.integrations.nvflare.messages import ENTRY, Asked, read_task, request_task
from tests.integrations.nvflare.support import carried

PLAN = Plan(("w",), difference=True, weighted=False)
DATA: dict[str, Any] = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.float64(1.5),
    "empty": np.zeros((0, 4)),
    "flags": np.array([True, False]),
}
META: dict[str, Any] = {
    "rate": 0.1,
    "name": "x",
    "steps": 3,
    "bytes": b"\0",
    "none": None,
    "on": True,
    "list": [1, (2,)],
}


def told(data: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **options: Any) -> Instruction:
    return Instruction(DXO(DataKind.WEIGHTS, data=data or DATA, meta=META if meta is None else meta), **options)


def digest(instruction: Instruction, plan: Plan = PLAN, job: str = "job") -> bytes:
    return instruction_digest(job, instruction, plan)


def test_what_arrives_has_the_digest_of_what_was_sent() -> None:
    sent = told(headers={"round": 3})
    arrived = read_task(carried(request_task(Asked(b"tag", "masked_input", b"request", None, sent, PLAN))))
    assert isinstance(arrived, Asked)
    assert arrived.instruction is not None
    assert arrived.plan == PLAN
    assert digest(arrived.instruction) == digest(sent)


def test_the_layout_of_arrays_does_not_matter() -> None:
    turned = {name: np.array(value, order="F") for name, value in DATA.items()}
    assert digest(told(turned)) == digest(told())


def test_the_order_in_which_a_learner_finds_arrays_does() -> None:
    turned = {name: DATA[name] for name in reversed(DATA)}
    assert digest(told(turned)) != digest(told())


@pytest.mark.parametrize(
    "other",
    [
        digest(told({**DATA, "w": DATA["w"] + 1})),
        digest(told({**DATA, "w": DATA["w"].astype(np.float64)})),
        digest(told({**DATA, "w": DATA["w"].astype(">f4")})),
        digest(told({**DATA, "w": DATA["w"].reshape(3, 2)})),
        digest(told({**DATA, "empty": np.zeros((4, 0))})),
        digest(told({**DATA, "more": 0})),
        digest(told({("v" if name == "w" else name): value for name, value in DATA.items()})),
        digest(told(meta={})),
        digest(told(meta={**META, "rate": 1})),
        digest(told(meta={**META, "on": 1})),
        digest(told(meta={**META, "none": "None"})),
        digest(told(meta={**META, "name": b"x"})),
        digest(told(meta={**META, "list": [1, 2]})),
        digest(told(task="validate")),
        digest(told(headers={"round": 0})),
        digest(told(), Plan(("w",), difference=False, weighted=False)),
        digest(told(), Plan(("w",), difference=True, weighted=True)),
        digest(told(), Plan(("w", "b"), difference=True, weighted=False)),
        digest(told(), job="another job"),
        digest(Instruction(DXO(DataKind.WEIGHT_DIFF, data=DATA, meta=META))),
    ],
)
def test_whatever_differs_has_another_digest(other: bytes) -> None:
    assert other != digest(told())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.array(["a"]), "dtype <U1"),
        (np.array([object()]), "dtype object"),
        (object(), "a object, which cannot be digested"),
        ({1: 2}, "the key 1"),
    ],
)
def test_what_cannot_be_digested_is_named(value: object, sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        digest(told({"w": value}))


def test_nothing_is_followed_for_ever() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(secagg.ParameterError, match="nested deeper than 32"):
        digest(told({"w": nested}))


@pytest.mark.parametrize(
    "change",
    [
        {"plan": {"names": "w", "difference": True, "weighted": False}},
        {"plan": {"names": [3], "difference": True, "weighted": False}},
        {"plan": {"names": [], "difference": 1, "weighted": False}},
        {"plan": {"names": ["v"], "difference": True, "weighted": False}},
        {"plan": {"names": []}},
        {"instruction": {**told().fields(), "kind": "GIFT"}},
        {"instruction": {**told().fields(), "data": 3}},
        {"instruction": {**told().fields(), "task": 3}},
        {"instruction": {**told().fields(), "headers": None}},
        {"instruction": {**told().fields(), "more": 1}},
    ],
)
def test_a_malformed_instruction_or_plan(change: dict[str, Any]) -> None:
    task = request_task(Asked(b"tag", "masked_input", b"request", None, told(), PLAN))
    task[ENTRY].update(change)
    with pytest.raises(DecodeError):
        read_task(task)
