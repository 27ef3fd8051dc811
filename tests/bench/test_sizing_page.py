"""docs/how_to/sizing.md: its first table is what `secagg params --cost` computes, and its commands are ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from secagg.bench.estimate import estimate
from secagg.bench.rates import CONSERVATIVE
from secagg.cli.output import readable_bytes
from secagg.parameters.graph_choice import choose_graph

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "how_to" / "sizing.md").read_text(encoding="utf-8")
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("\n## At a glance\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("|")
][2:]


def seconds(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.0f} s"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:3]))
def test_a_line_is_what_is_computed(row: list[str]) -> None:
    clients, model, entries, *said = row
    graph = choose_graph(int(clients), 0.1, 0.1, model)
    cost = estimate(
        clients=int(clients),
        degree=graph.degree,
        threshold=graph.threshold,
        length=int(entries),
        bits=16,
        dropout=0.1,
        active=model == "active",
        suite=1,
        rates=CONSERVATIVE,
    )
    client, server = cost["client"], cost["server"]
    assert said == [
        str(graph.degree),
        readable_bytes(client["sent_bytes"]),
        seconds(client["cpu_ms"]),
        readable_bytes(server["received_bytes"]),
        seconds(server["cpu_ms"]),
    ]


def test_the_table_has_both_models() -> None:
    assert {row[1] for row in ROWS} == {"active", "semi-honest"}


def test_its_commands_take_these_options(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    commands = re.findall(r"^secagg (params|simulate|bench run primitives) (.*)$", PAGE, re.MULTILINE)
    assert {name for name, _ in commands} == {"params", "simulate", "bench run primitives"}
    for name, words in commands:
        known = set(re.findall(r"--[a-z-]+", run(*name.split()[:2], "--help").out))
        assert set(re.findall(r"--[a-z-]+", words)) <= known
