"""The forms of messages, and the digest that binds a session to what its clients were sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from secagg.errors import DecodeError
from secagg.integrations.flower import records
from secagg.integrations.flower.plan import Plan
from tests.integrations.flower.support import as_server, carried

PLAN = Plan("arrays", ("w", "b"), ("loss",), "num-examples", difference=True)


def instruction() -> RecordDict:
    return RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.arange(6.0).reshape(2, 3)), "b": Array(np.zeros(3))}),
            "config": ConfigRecord(
                {"lr": 0.1, "steps": 3, "flag": True, "name": "sgd", "key": b"\x01\x02", "sizes": [1, 2], "none": []}
            ),
            "metrics": MetricRecord({"before": 0.5}),
        }
    )


def digest(content: RecordDict, plan: Plan = PLAN, run_id: int = 1, kind: str = "train", group: str = "1") -> bytes:
    return records.instruction_digest(run_id, kind, group, plan, content)


def set_config(key: str, value: Any) -> Callable[[RecordDict], None]:
    return lambda content: content.config_records["config"].__setitem__(key, value)  # type: ignore[arg-type]


def set_array(key: str, value: np.ndarray) -> Callable[[RecordDict], None]:  # type: ignore[type-arg]
    return lambda content: content.array_records["arrays"].__setitem__(key, Array(value))


CHANGES: list[Callable[[RecordDict], object]] = [
    set_config("lr", 0.2),
    set_config("steps", 3.0),
    set_config("flag", 1),
    set_config("name", b"sgd"),
    set_config("key", b"\x01\x03"),
    set_config("sizes", [1, 2, 3]),
    set_config("sizes", [12]),
    set_config("none", 0),
    set_config("more", 1),
    lambda content: content.config_records["config"].pop("steps"),
    lambda content: content.pop("metrics"),
    lambda content: content.__setitem__("metrics", ConfigRecord({"before": 0.5})),
    lambda content: content.__setitem__("other", ConfigRecord()),
    set_array("w", np.arange(6.0).reshape(3, 2)),
    set_array("w", np.arange(6).reshape(2, 3)),
    set_array("w", np.arange(6.0).reshape(2, 3) + 1e-9),
    set_array("c", np.zeros(3)),
    lambda content: content.array_records["arrays"].pop("b"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_digest_covers_everything(change: Callable[[RecordDict], object]) -> None:
    content = instruction()
    before = digest(content)
    change(content)
    assert digest(content) != before


def test_a_digest_covers_run_kind_and_plan() -> None:
    content = instruction()
    others = [
        digest(content, run_id=2),
        digest(content, kind="train.other"),
        digest(content, group="2"),
        digest(content, replace(PLAN, metrics=())),
        digest(content, replace(PLAN, weight=None)),
        digest(content, replace(PLAN, arrays=None)),
        digest(content, replace(PLAN, selected=("w",))),
        digest(content, replace(PLAN, difference=False)),
    ]
    assert len({digest(content), *others}) == len(others) + 1


def test_a_digest_survives_the_journey() -> None:
    as_server()
    content = instruction()
    arrived = carried(Message(content, 7, "train")).content
    assert digest(arrived) == digest(content)


def test_a_digest_covers_the_order_in_which_an_app_finds_arrays() -> None:
    content, turned = instruction(), instruction()
    turned["arrays"] = ArrayRecord(dict(reversed(list(content.array_records["arrays"].items()))))
    assert digest(turned) != digest(content)
    assert digest(RecordDict(dict(reversed(list(content.items()))))) != digest(content)


def test_a_context_covers_the_run_configuration_in_any_order() -> None:
    configs: list[dict[str, Any]] = [{}, {"lr": 0.1}, {"lr": 0.2}, {"lr": "0.1"}, {"lr": 1}, {"lr": True}, {"l": 0.1}]
    contexts = {records.session_context(bytes(32), records.run_config_digest(config)) for config in configs}
    assert len(contexts) == len(configs)
    assert records.run_config_digest({"a": 1, "b": 2}) == records.run_config_digest({"b": 2, "a": 1})


def test_a_request_survives_the_journey() -> None:
    as_server()
    asked = records.Asked(b"t" * 16, b"request", b"offer", "share_keys")
    arrived = carried(Message(records.request_content(asked, instruction(), PLAN), 7, "train")).content
    assert records.read_request(arrived) == asked
    assert records.read_plan(arrived) == PLAN
    assert digest(records.instruction_of(arrived)) == digest(instruction())


def test_an_answer_survives_the_journey() -> None:
    as_server()
    content = records.answer_content(b"\x00answer", MetricRecord({"loss": 0.5}))
    answer, shown = records.read_answer(carried(Message(content, 7, "train")).content)
    assert answer == b"\x00answer"
    assert shown == {"loss": 0.5}
    said = (2**64 - 1, b"d" * 32)
    assert records.read_hello_reply(records.hello_reply(*said)) == said


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"secagg": ConfigRecord()}),
        RecordDict({"secagg": ArrayRecord()}),
        RecordDict({"secagg": ConfigRecord({"client": 3})}),
        RecordDict({"secagg": ConfigRecord({"client": b"12345678"})}),
        RecordDict({"secagg": ConfigRecord({"client": b"123456789", "run-config": bytes(32)})}),
        RecordDict({"secagg": ConfigRecord({"client": b"12345678", "run-config": bytes(31)})}),
    ],
)
def test_replies_to_a_hello_that_are_none(content: RecordDict) -> None:
    with pytest.raises(DecodeError, match="answers without the mod"):
        records.read_hello_reply(content)


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"secagg.message": ConfigRecord()}),
        RecordDict({"secagg.message": ArrayRecord()}),
        RecordDict({"secagg.message": ArrayRecord({"bytes": Array(np.zeros(3, dtype=np.uint8))})}),
    ],
)
def test_answers_that_are_none(content: RecordDict) -> None:
    with pytest.raises(DecodeError):
        records.read_answer(content)


def test_metrics_in_clear_that_are_none() -> None:
    content = records.answer_content(b"", None)
    content["secagg.clear-metrics"] = ConfigRecord()
    with pytest.raises(DecodeError, match="is no MetricRecord"):
        records.read_answer(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": ["a", "b"]},
        {"weight": ["a", "b"]},
        {"metrics": [1]},
        {"metrics": ["loss", "loss"]},
        {"metrics": "loss"},
        {"selected": "w"},
        {"difference": 1},
        {"more": 1},
    ],
)
def test_plans_that_are_none(changes: dict[str, Any]) -> None:
    record = ConfigRecord({**PLAN.record(), **changes})  # type: ignore[arg-type]
    with pytest.raises(DecodeError):
        Plan.from_record(record)
    with pytest.raises(DecodeError, match="without a plan"):
        records.read_plan(RecordDict())


@pytest.mark.parametrize("plan", [PLAN, Plan(None, (), (), None, difference=False)])
def test_a_plan_is_what_its_record_says(plan: Plan) -> None:
    assert Plan.from_record(plan.record()) == plan


def test_a_digest_covers_what_the_bytes_of_an_array_mean() -> None:
    """NumPy's own form repeats type and shape inside the data; others need not."""
    forms = [("uint8", (4,), "raw"), ("uint8", (2, 2), "raw"), ("int8", (4,), "raw"), ("uint8", (4,), "other")]
    records_of = [RecordDict({"arrays": ArrayRecord({"w": Array(*form, b"1234")})}) for form in forms]
    assert len({digest(content) for content in records_of}) == len(forms)
