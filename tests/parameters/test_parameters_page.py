"""docs/how_to/parameters.md: its program runs, its tables are the calculator's, and each of its errors is provoked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from secagg import FixedPoint, Integers, ParameterError, SessionParameters
from secagg.encoding.layout import Layout
from tests.command import run as run

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "how_to" / "parameters.md").read_text(encoding="utf-8")
VECTORS: Final = {"v": Integers(0, 10, length=4)}


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert lines
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_program_runs_as_it_stands() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("complete 34 15\n")
    assert "15 of 50 clients may leave, whoever they are" in done.stdout


def test_the_commands_of_the_page_answer(run: Any) -> None:
    commands = re.findall(r"^secagg (params .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    assert all(run(*command.split()).code == 0 for command in commands)


@pytest.mark.parametrize("row", table("By situation"), ids=lambda row: row[0])
def test_a_situation_is_what_the_calculator_chooses(row: list[str]) -> None:
    _, clients, model, corrupt, dropout, *said = row
    chosen = SessionParameters.choose(
        clients=int(clients),
        vectors=VECTORS,
        threat_model=model,
        max_corrupt=float(corrupt),
        max_dropout=float(dropout),
    )
    graph = chosen.topology
    assert said == [graph.kind.value, str(graph.degree), str(chosen.threshold), str(chosen.may_leave)]


def test_of_five_clients_one_leaves_or_two_are_corrupt() -> None:
    def borne(corrupt: float, dropout: float) -> bool:
        try:
            SessionParameters.choose(
                clients=5, vectors=VECTORS, threat_model="active", max_corrupt=corrupt, max_dropout=dropout
            )
        except ParameterError:
            return False
        return True

    one, two, three = 0.2, 0.4, 0.6
    assert borne(0.0, one)
    assert borne(two, 0.0)
    assert not any((borne(0.0, two), borne(three, 0.0), borne(one, one)))
    assert "of five clients one may leave\n*or* two be corrupt, and not even one of each" in PAGE


@pytest.mark.parametrize("row", table("Vectors and weights"), ids=" ".join)
def test_an_entry_travels_with_the_bits_of_the_table(row: list[str]) -> None:
    bits, clients, weight, travels = map(int, row)
    spec = FixedPoint(length=1 << 16, clip=1.0, bits=bits, aggregate="mean" if weight > 1 else "sum")
    assert Layout.build({"v": spec}.items(), clients, weight).packed_bytes * 8 // spec.size == travels


def sparse(**settings: Any) -> dict[str, Any]:
    return {"clients": 101, "topology": "sparse", **settings}


ERRORS: Final[list[dict[str, Any]]] = [
    {"clients": 1},
    {"clients": [3, 3, 4]},
    {"clients": ["site-a", "site-b"]},
    {"vectors": [FixedPoint(length=4, clip=1.0)]},
    {"vectors": {}},
    {"max_dropout": 10},
    {"threat_model": "honest"},
    {"clients": 5, "threat_model": "active", "max_corrupt": 0.2, "max_dropout": 0.2},
    sparse(max_corrupt=0.5, max_dropout=0.5),
    {"clients": 70_000, "topology": "complete"},
    {"topology": "sparse", "threat_model": "active"},
    {"clients": 1000, "topology": "chosen"},
    {"clients": 1000, "topology": "chosen", "threat_model": "active", "suite": 0x0101},
    {"topology": "complete", "threshold": 1},
    {"topology": "complete", "degree": 5},
    sparse(degree=4),
    sparse(degree=18),
    sparse(degree=7),
    {"topology": "complete", "threshold": 20},
    {"minimum_contributors": 1},
    {"vectors": {"v": FixedPoint(length=4, clip=1.0, bits=32, aggregate="mean")}, "max_weight": 1 << 40},
    {"vectors": {"v": Integers(-(2**60), 1 - 2**60, length=4)}},
    {"max_weight": 1 << 62},
    {"max_weight": 10},
    {"context": bytes(70_000)},
    {"suite": 3},
]


def test_there_is_a_case_for_every_error() -> None:
    assert len(table("What an error means")) == len(ERRORS)


@pytest.mark.parametrize(("row", "settings"), [*zip(table("What an error means"), ERRORS, strict=False)])
def test_each_error_of_the_page_is_what_one_gets(row: list[str], settings: dict[str, Any]) -> None:
    choose: Callable[..., SessionParameters] = SessionParameters.choose
    words = ".*".join(re.escape(part) for part in row[0].strip("`").split("…"))
    with pytest.raises(ParameterError, match=words):
        choose(**{"clients": 20, "vectors": VECTORS, **settings})
