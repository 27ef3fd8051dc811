"""The code of docs/flower.md runs as it stands, but for what is the reader's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from tests.integrations.flower.support import MODEL, RUN_ID, FakeGrid, cohort, model

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "flower.md"
BEFORE, _, AFTER = PAGE.read_text(encoding="utf-8").partition("## Liars among the nodes: cells")
CELLS, _, REST = AFTER.partition("\n## ")
BODY: Final = np.arange(6, dtype=np.float32)
HEAD: Final = np.zeros(3, np.float32)


def programs(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def execute(program: str, names: dict[str, Any]) -> None:
    exec(compile(program, str(PAGE), "exec"), names)  # noqa: S102 - our own page, which is what is tested


def first_model() -> ArrayRecord:
    return ArrayRecord({"body.weight": Array(BODY), "head.weight": Array(HEAD)})


def trained(message: Message) -> Message:
    arrays = {name: Array(array.numpy() + 0.25) for name, array in message.content.array_records["arrays"].items()}
    metrics = MetricRecord({"num-examples": 10, "loss": 0.5})
    return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)


def last_model(grid: FakeGrid) -> ArrayRecord:
    return [message for _, message in grid.sent if "arrays" in message.content][-1].content.array_records["arrays"]


def test_the_programs_before_cells_run_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    node, server, head, privacy = programs(BEFORE)
    names: dict[str, Any] = {"first_model": first_model, "trained": trained}
    execute(node, names)
    nodes: ClientApp = names["app"]
    execute(server, names)
    grid = FakeGrid(dict.fromkeys(range(101, 106), nodes))
    names["app"](grid, Context(RUN_ID, 1, {}, RecordDict(), {}))
    np.testing.assert_allclose(last_model(grid)["head.weight"].numpy(), HEAD + 4 * 0.25, atol=1e-3)

    execute(head, names)
    names["app"].train()(names["train"])
    grid = FakeGrid(dict.fromkeys(range(101, 106), names["app"]))
    names["strategy"].start(grid=grid, initial_arrays=first_model(), num_rounds=3)
    np.testing.assert_allclose(last_model(grid)["head.weight"].numpy(), HEAD + 2 * 0.25, atol=1e-3)
    np.testing.assert_array_equal(last_model(grid)["body.weight"].numpy(), BODY)

    budget = {"secagg-privacy-epsilon": 8.0, "secagg-privacy-delta": 1e-5}
    cohort_of_100 = dict.fromkeys(range(1, 101), nodes)
    names["grid"] = FakeGrid(cohort_of_100, node_configs=dict.fromkeys(cohort_of_100, budget))
    assert "num_rounds=12" in privacy
    execute(privacy.replace("num_rounds=12", "num_rounds=1"), names)
    (outcome,) = names["strategy"].outcomes
    assert str(outcome.plan.statement) in capsys.readouterr().out


def test_all_programs_of_the_page_are_run() -> None:
    assert programs(REST) == []


def test_the_section_on_cells_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    group = cohort(20, active=False, differences=lambda client: -0.3 if client == 7 else 0.1)
    read: list[ArrayRecord] = []

    def right_answers(arrays: ArrayRecord) -> float:
        read.append(arrays)
        return float(np.clip(1 - np.abs(1 - arrays["bias"].numpy()).mean(), 0, 1))

    names: dict[str, Any] = {"first_model": model, "right_answers": right_answers}
    for program in programs(CELLS):
        execute(program, names)
    names["app"](group.grid, Context(RUN_ID, 1, {}, RecordDict(), {}))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("(")] == ["(0, 1, 2, 3) {} {}"] * 3
    # Another run of these nodes: what they remember of the first is Flower's context of that run.
    other = cohort(20, active=False, differences=lambda client: -0.3 if client == 7 else 0.1)
    names["strategy"].start(grid=other.grid, initial_arrays=model(), num_rounds=3)
    assert {key: array.numpy().shape for key, array in read[0].items()} == {k: a.shape for k, a in MODEL.items()}
    assert len(names["strategy"].cell_outcomes[0].verdict.kept) == 3
