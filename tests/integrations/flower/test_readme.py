"""The start for Flower in README.md runs as it stands, with an app of the reader's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict

from tests.integrations.flower.support import MODEL, RUN_ID, FakeGrid, model

README: Final = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
(PROGRAM,) = (block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "flwr" in block)


def test_the_start_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(message: Message, context: Context) -> Message:
        arrays = {key: Array(array.numpy() + 0.25) for key, array in message.content.array_records["arrays"].items()}
        metrics = MetricRecord({"num-examples": 10})
        return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)

    mine: Any = ModuleType("my_app")
    mine.first_model, mine.train = model, train
    monkeypatch.setitem(sys.modules, "my_app", mine)
    names: dict[str, Any] = {}
    exec(compile(PROGRAM, "README.md", "exec"), names)  # noqa: S102 - our own page, which is what is tested
    grid = FakeGrid(dict.fromkeys(range(101, 106), names["client"]))
    names["server"](grid, Context(RUN_ID, 1, {}, RecordDict(), {}))
    assert grid.replies
    assert all("arrays" not in reply.content for _, reply in grid.replies)
    last = [message for _, message in grid.sent if "arrays" in message.content][-1].content.array_records["arrays"]
    for key, start in MODEL.items():  # the third round's model has two rounds' steps
        np.testing.assert_allclose(last[key].numpy(), np.asarray(start) + 0.5, atol=1e-3)
