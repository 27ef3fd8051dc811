"""Who makes and who checks `vectors/primitives/`: a generator without the library, and a test for every file and id."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from protocol_specs.generate_vectors import primitives, requirements
from protocol_specs.generate_vectors.files import render
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic
from tests.vectors.support_primitives import MODULES, PRIMITIVES, run

SOURCES = [
    *sorted(Path(primitives.__file__).parent.glob("*.py")),
    Path(requirements.__file__),
    Path(requirements.__file__).with_name("files.py"),
]


def imported(source: str) -> set[str]:
    """Every module that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_generator_knows_nothing_of_the_library_nor_of_chance(path: Path) -> None:
    names = imported(path.read_text(encoding="utf-8"))
    roots = {name.split(".")[0] for name in names}
    assert roots & {"secagg", "tests", "numpy", "random", "secrets", "os", "time", "datetime", "uuid"} == set()
    assert {name for name in names if name.startswith(".")} == set()


def test_every_file_has_a_module_that_checks_it() -> None:
    assert {path.stem for path in PRIMITIVES.glob("*.json")} == set(MODULES)
    folder = Path(__file__).parent
    assert all((folder / f"test_primitives_{module}.py").is_file() for module in MODULES.values())


def test_a_function_without_a_check_fails() -> None:
    with pytest.raises(AssertionError, match="nothing checks"):
        run({}, "packing", {"function": "pack"})


def test_a_topic_refuses_what_its_writer_did_not_mean() -> None:
    topic = Topic("packing", "Words.", {"Odd": "Odd."})
    topic.add("one", "pack", {}, output={}, comment="One.")
    with pytest.raises(Inconsistent, match="packing-one"):
        topic.add("one", "pack", {}, output={}, comment="The same id.")
    with pytest.raises(Inconsistent, match="packing-two"):
        topic.add("two", "pack", {}, comment="Neither an output nor a refusal.")
    with pytest.raises(Inconsistent, match="Odd"):
        topic.document()


def test_one_layout_for_all_files() -> None:
    document = {
        "kind": "made",
        "flags": {"B": "b", "A": "a"},
        "cases": [{"requirements": ["R02", "R01"], "long": ["x" * 50, "y" * 50, "z" * 50], "deep": {"n": [1.5, -0.0]}}],
    }
    assert render(document) == "\n".join(
        [
            "{",
            ' "kind": "made",',
            ' "flags": {"A": "a", "B": "b"},',
            ' "cases": [',
            "  {",
            '   "requirements": ["R01", "R02"],',
            '   "long": [',
            f'    "{"x" * 50}", "{"y" * 50}",',
            f'    "{"z" * 50}"',
            "   ],",
            '   "deep": {"n": [1.5, -0.0]}',
            "  }",
            " ]",
            "}",
            "",
        ]
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        render({"x": float("nan")})


def test_requirements_are_the_rows_of_both_tables() -> None:
    (document,) = requirements.requirements_file().values()
    rows = {row["id"]: row for row in document["requirements"]}
    assert {"C01", "C62", "S52", "A13", "R01", "R56"} <= set(rows)
    assert rows["C01"]["name"] == "OFFER_PARAMETERS_INVALID"
    assert rows["S20"]["round"] == "ShareKeys"
    assert rows["R01"]["observed"].startswith("inspection: ")
    assert rows["R13"] == {
        "id": "R13",
        "name": "Signatures are verified by the strict rules, without cofactor.",
        "role": "both",
        "round": "",
        "rule": "Signatures are verified by the strict rules, without cofactor.",
        "section": "§3.5",
        "observed": "vectors",
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("| id | section | role |", "| id | part | role |", "no table"),
        ("| R02 |", "| R01 |", "two rows"),
        ("| R02 |", "| r2 |", "without an id"),
    ],
)
def test_tables_that_cannot_be_read(old: str, new: str, problem: str) -> None:
    text = requirements.SPECIFICATION.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(requirements.NoRequirementsError, match=problem):
        requirements.requirements_file(text.replace(old, new))
