"""A lying ServerApp asks one question by parameters and plan, and reads whether a node answers: it learns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

import secagg
from secagg.integrations.contribution import with_report
from secagg.integrations.flower import Node, records, secagg_mod
from secagg.integrations.flower.plan import Plan
from tests.integrations.flower.support import RUN_ID, FakeGrid

COHORT: Final = (1, 2, 3)
ZEROS: Final = np.zeros(2, dtype=np.float32)
MEAN: Final = secagg.FixedPoint(2, clip=1.0, aggregate="mean")
NUMBER: Final = secagg.FixedPoint(1, clip=1.0)
WEIGHED: Final = Plan("arrays", ("w",), (), "n", True)
METRIC: Final = Plan(None, (), ("m",), None, False)
ARRAYS: Final = Plan("arrays", ("w",), (), None, True)
VALUES: Final = Plan("arrays", ("w",), (), None, False)


def app_of(client: int, array: NDArray[Any], metrics: Mapping[str, float]) -> ClientApp:
    app = ClientApp(mods=[secagg_mod(Node(client), weight="n", metrics=("m",))])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        content: dict[str, Any] = {"arrays": ArrayRecord({"w": Array(array)}), "metrics": MetricRecord(dict(metrics))}
        return Message(RecordDict(content), reply_to=message)

    return app


def told(plan: Plan, vectors: Mapping[str, Any], base: NDArray[Any], apps: Mapping[int, ClientApp]) -> set[str]:
    """Play until the input is due, or until all nodes refuse; returns the different things that nodes said last."""
    grid = FakeGrid({100 + client: app for client, app in apps.items()})
    instruction = RecordDict({"arrays": ArrayRecord({"w": Array(base)}), "config": ConfigRecord({"lr": 0.1})})
    digest = records.instruction_digest(RUN_ID, "train", "1", plan, instruction)
    server = secagg.ServerSession(
        secagg.SessionParameters.choose(
            clients=COHORT,
            vectors=with_report(dict(vectors)),
            max_weight=1 if plan.weight is None else 10,
            context=records.session_context(digest, records.run_config_digest({})),
            topology="complete",
        )
    )
    requests, offer = dict(server.requests), server.offer
    while server.round is not None:
        stage = server.round
        due = stage is secagg.Round.MASKED_INPUT
        replies = {}
        for client, request in requests.items():
            first = offer if stage is secagg.Round.ADVERTISE_KEYS else None
            asked = records.Asked(records.session_tag(offer), request, first, stage.value)
            content = records.request_content(asked, instruction if due else None, plan if due else None)
            replies[client] = grid.ask(100 + client, Message(content, 100 + client, "train", group_id="1"))
        said = {str(reply.error.reason) if reply.has_error() else "answered" for reply in replies.values()}
        if due or said != {"answered"}:
            return said
        for client, reply in replies.items():
            server.receive(client, records.read_answer(reply.content)[0])
        requests = dict(server.close_round())
    raise AssertionError("the session has no such round")


@pytest.mark.parametrize("numbers", [(5, 10**400, -1.0), (1, float("nan"), 0), (0.5, float("inf"), -(10**400))])
def test_no_number_of_an_app_decides_whether_a_node_answers(numbers: tuple[float, ...]) -> None:
    summed = {c: app_of(c, ZEROS, {"m": value}) for c, value in zip(COHORT, numbers, strict=True)}
    assert told(METRIC, {"metrics/0": NUMBER, "metrics/reported": NUMBER}, ZEROS, summed) == {"answered"}
    weighed = {c: app_of(c, ZEROS, {"n": value}) for c, value in zip(COHORT, numbers, strict=True)}
    assert told(WEIGHED, {"arrays/w": MEAN}, ZEROS, weighed) == {"answered"}


@pytest.mark.parametrize("base", [0.0, float("inf"), float("nan"), -3e38])
@pytest.mark.parametrize("plan", [ARRAYS, VALUES], ids=["difference", "values"])
def test_no_value_of_an_array_decides_whether_a_node_answers(plan: Plan, base: float) -> None:
    values = (float("inf"), float("nan"), 3e38)
    apps = {c: app_of(c, np.full(2, value, np.float32), {}) for c, value in zip(COHORT, values, strict=True)}
    assert told(plan, {"arrays/w": MEAN}, np.full(2, base, np.float32), apps) == {"answered"}


def test_bounds_of_whole_numbers_are_refused_by_all_nodes_alike_before_they_compute() -> None:
    apps = {c: app_of(c, np.array([seen, 0]), {}) for c, seen in zip(COHORT, (5, 50, 7), strict=True)}
    (said,) = told(VALUES, {"arrays/w": secagg.Integers(0, 9, 2)}, np.zeros(2, dtype=np.int64), apps)
    assert "C14" in said


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x04\x00{(((", b"\x80\x04"])
def test_bytes_that_are_no_array_do_not_decide_whether_a_node_answers(data: bytes) -> None:
    """NumPy raises many things about them, EOFError and BadZipFile too; empty ones come of an empty partition."""
    apps = {c: app_of(c, ZEROS, {}) for c in COHORT}
    apps[2] = ClientApp(mods=[secagg_mod(Node(2))])

    @apps[2].train()
    def train(message: Message, context: Context) -> Message:
        arrays = ArrayRecord({"w": Array("float32", (2,), "numpy.ndarray", data)})
        return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({})}), reply_to=message)

    assert told(ARRAYS, {"arrays/w": MEAN}, ZEROS, apps) == {"answered"}


def test_a_difference_that_no_float_holds_is_limited_like_any_other() -> None:
    apps = {c: app_of(c, np.full(2, value), {}) for c, value in zip(COHORT, (1.7e308, 0.0, -1.7e308), strict=True)}
    assert told(ARRAYS, {"arrays/w": MEAN}, np.full(2, -1.7e308), apps) == {"answered"}
