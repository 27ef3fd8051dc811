"""docs/robustness.md: its program runs, its figures are those of the tool, and its tables those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from secagg.bench.blocks import fill
from secagg.errors import ParameterError
from secagg.poisoning.plots import PICTURES
from secagg.poisoning.results import read_results
from secagg.poisoning.tables import BLOCKS
from secagg.robust import choose_size

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
RESULTS = ROOT / "bench" / "results" / "poisoning.json"


def lines_of(first: str) -> list[list[str]]:
    """The lines of the table with this heading, without it."""
    table = PAGE[PAGE.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (table[0], *table[2:])]


def test_the_page_shows_what_the_tool_wrote() -> None:
    results = read_results(RESULTS)
    assert fill(PAGE, {name: partial(block, results) for name, block in BLOCKS.items()}) == PAGE
    assert set(re.findall(r"<!-- bench: (.*?) -->", PAGE)) == set(BLOCKS)
    assert not results.quick


def test_the_page_shows_every_picture_in_words_as_well() -> None:
    shown = dict(re.findall(r"!\[([^\]]{20,})\]\(img/(\w+)\.svg\)", PAGE))
    assert shown == {text: name for name, text in PICTURES.items()}
    assert all((ROOT / "docs" / "img" / f"{name}.{kind}").is_file() for name in PICTURES for kind in ("svg", "png"))


def test_the_program_runs_and_leaves_the_liars_cell_out() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    model, kept, rejected = re.fullmatch(r"\[(.*?)\] \((.*?)\) \{(.*)\}", done.stdout.strip().splitlines()[-1]).groups()  # type: ignore[union-attr]
    assert [float(entry) for entry in model.split()] == pytest.approx([0.1, 0.2, 0.0, 0.0], abs=1e-3)
    assert len(kept.split(",")) == 3
    assert rejected.count(":") == 1


def test_how_large_cells_may_be() -> None:
    heading, *lines = lines_of("rule, clients")
    parts = [float(cell.split()[0]) / 100 for cell in heading[1:]]
    assert len(lines) == 9
    for line in lines:
        rule, clients = line[0].split(", ")
        assert line[1:] == [largest(rule, int(clients), part) for part in parts], line[0]


def largest(rule: str, clients: int, part: float) -> str:
    try:
        return str(choose_size(clients, part, 0.1, rule).size)
    except ParameterError:
        return "–"


def test_how_often_a_cell_is_there() -> None:
    heading, *lines = lines_of("away, δ")
    sizes = [int(cell.partition("= ")[2]) for cell in heading[1:]]
    assert sizes == [5, 8, 10, 20]
    for away, *cells in lines:
        assert cells == [f"{(1 - float(away.split()[0]) / 100) ** size:.2f}" for size in sizes]
