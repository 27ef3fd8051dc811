"""The code of the section on cells in docs/flower.md runs as it stands, but for what is the reader's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, RecordDict

from tests.integrations.flower.support import MODEL, RUN_ID, cohort, model

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "flower.md"
SECTION: Final = PAGE.read_text(encoding="utf-8").partition("## Liars among the nodes: cells")[2].partition("\n## ")[0]
BLOCKS: Final = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)


def test_the_section_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    group = cohort(20, active=False, differences=lambda client: -0.3 if client == 7 else 0.1)
    read: list[ArrayRecord] = []

    def right_answers(arrays: ArrayRecord) -> float:
        read.append(arrays)
        return float(np.clip(1 - np.abs(1 - arrays["bias"].numpy()).mean(), 0, 1))

    names: dict[str, Any] = {"first_model": model, "right_answers": right_answers}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page, which is what is tested
    names["app"](group.grid, Context(RUN_ID, 1, {}, RecordDict(), {}))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("(")] == ["(0, 1, 2, 3) {} {}"] * 3
    # Another run of these nodes: what they remember of the first is Flower's context of that run.
    other = cohort(20, active=False, differences=lambda client: -0.3 if client == 7 else 0.1)
    names["strategy"].start(grid=other.grid, initial_arrays=model(), num_rounds=3)
    assert {key: array.numpy().shape for key, array in read[0].items()} == {k: a.shape for k, a in MODEL.items()}
    assert len(names["strategy"].cell_outcomes[0].verdict.kept) == 3
