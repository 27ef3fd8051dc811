"""Tutorials and their notebooks are a pair. `make docs` executes them; that of Flower runs where Flower is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest

from docs.making import notebooks

ROOT: Final = Path(__file__).resolve().parents[2]
NAMES: Final = notebooks.names()
MAX_PICTURE: Final = 60_000
MAX_TEXT: Final = 4_000
# A guard against hangs, far above what the slowest one takes on a busy machine.
TIME_LIMIT: Final = 1200


def run(*words: str) -> subprocess.CompletedProcess[str]:
    # In a process of its own: nbclient leaves sockets for the garbage collector, which warns.
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIME_LIMIT
    )


def outputs(name: str) -> list[Any]:
    return [output for cell in notebooks.read(name).cells for output in cell.get("outputs", [])]


def test_the_tutorials_are_these() -> None:
    assert NAMES == ["first_sum", "flower", "histogram", "survey", "under_attack"]
    assert sorted(path.stem for path in notebooks.TUTORIALS.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_made_of_its_source(name: str) -> None:
    made = notebooks.made_of(notebooks.source_of(name).read_text(encoding="utf-8"))
    committed = notebooks.read(name)
    nbformat.validate(committed)
    assert notebooks.cells_of(committed) == notebooks.cells_of(made)
    assert [cell.id for cell in committed.cells] == [cell.id for cell in made.cells]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_says_nothing_of_the_machine_that_made_it(name: str) -> None:
    committed = notebooks.read(name)
    assert committed.metadata == notebooks.made_of("").metadata
    text = notebooks.notebook_of(name).read_text(encoding="utf-8")
    assert str(Path.home()) not in text
    assert not re.search(r"\Wtmp/|site-packages|iopub|<dc:date>", text)
    assert {output.get("name") for output in outputs(name)} <= {"stdout", None}


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_small(name: str) -> None:
    for output in outputs(name):
        for kind, content in output.get("data", {}).items():
            assert len(content) <= (MAX_PICTURE if kind.startswith("image/") else MAX_TEXT), kind
        assert len(output.get("text", "")) <= MAX_TEXT


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_says_what_one_learns_and_needs_and_what_is_not_protected(name: str) -> None:
    cells = notebooks.read(name).cells
    prose = [re.sub(r"(?<=\S)\s(?=\S)", " ", cell.source) for cell in cells if cell.cell_type == "markdown"]
    assert re.match(r"# \S", prose[0])
    assert "you will have" in prose[0]
    assert "You need" in prose[0]
    assert re.search(r"\[[^]]+\]\(\.\./", prose[0]), "no link back"
    assert re.search(r"have not\s|not\W+protected|nothing here protects", prose[-1])


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    found = [
        link
        for cell in notebooks.read(name).cells
        if cell.cell_type == "markdown"
        for link in re.findall(r"\]\(([^)#]+)", cell.source)
    ]
    assert found
    assert [link for link in found if "://" not in link and not (notebooks.TUTORIALS / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_asserts_what_it_says(name: str) -> None:
    assert len(re.findall(r"^ *assert ", notebooks.source_of(name).read_text(encoding="utf-8"), re.MULTILINE)) >= 5


def notebook(source: str, *texts: str) -> nbformat.NotebookNode:
    """A notebook whose code cells have shown these texts."""
    made = notebooks.made_of(source)
    for cell, text in zip([cell for cell in made.cells if cell.cell_type == "code"], texts, strict=True):
        cell.outputs = [nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": text})]
    return made


def test_a_notebook_that_shows_something_else_is_not_current() -> None:
    source = "# %%\nprint(1)\n"
    assert notebooks.differences(notebook(source, "1\n"), notebook(source, "1\n")) == []
    (found,) = notebooks.differences(notebook(source, "1\n"), notebook(source, "2\n"))
    assert found.startswith("cell 0 shows")
    assert notebooks.differences(notebook(source, "1\n"), notebook("# %%\nprint(2)\n", "1\n")) == [
        "the cells are not those of the source"
    ]
    without = notebook(source, "1\n")
    without.cells[0].outputs = []
    assert len(notebooks.differences(without, notebook(source, "1\n"))) == 1


def test_of_a_cell_that_draws_all_but_the_numbers_is_compared() -> None:
    source = '# %% tags=["drawn"]\nprint(x)\n'
    old = notebook(source, "found  12 of [-3 0.5]\n")
    assert notebooks.differences(old, notebook(source, "found   9 of [0 1.25e-3]\n")) == []
    assert len(notebooks.differences(old, notebook(source, "lost   9 of [0 1.25e-3]\n"))) == 1


@pytest.mark.slow
def test_a_warning_ends_an_execution_and_logs_leave_no_trace() -> None:
    program = """
from docs.making import notebooks
shown = notebooks.executed(notebooks.made_of(SOURCE))
print([output.text for cell in shown.cells for output in cell.outputs])
"""
    quiet = "# %%\nimport sys\nprint('log', file=sys.stderr)\nfor part in (1, 2):\n    print(part, flush=True)\n"
    done = run("-c", program.replace("SOURCE", repr(quiet)))
    assert done.stdout == "['1\\n2\\n']\n", done.stderr
    done = run("-c", program.replace("SOURCE", repr("# %%\nimport warnings\nwarnings.warn('this is old')\n")))
    assert done.returncode == 1
    assert "UserWarning: this is old" in done.stderr
