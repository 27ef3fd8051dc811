"""The glossary names nothing of ours that is not there, and its links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import secagg
from secagg.privacy import Plan
from tests.docs.test_errors_page import slugs

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
TEXT = GLOSSARY.read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(secagg(?:\.\w+)+)`", TEXT)))
FOREIGN = ("secagg.integrations.flower", "secagg.integrations.nvflare")


def exists(name: str) -> bool:
    """Whether a public name, or a field or method of a public class, is there."""
    for package in FOREIGN:
        if name.startswith(f"{package}."):
            return in_source(package, name.removeprefix(f"{package}.").split("."))
    words = name.split(".")
    for length in range(len(words), 0, -1):
        path = ".".join(words[:length])
        try:
            found: object = importlib.import_module(path)
        except ModuleNotFoundError:
            continue
        return reached(found, words[length:])
    return False


def reached(found: object, words: list[str]) -> bool:
    for word in words:
        fields = getattr(found, "__dataclass_fields__", {})
        if not hasattr(found, word):
            return word in fields and word == words[-1]
        found = getattr(found, word)
    return not any(word.startswith("_") for word in words)


def in_source(package: str, words: list[str]) -> bool:
    """The same by the text of a package whose framework may not be installed: a public name of it, and a field."""
    directory = ROOT / package.replace(".", "/")
    public = re.findall(r'^    "(\w+)",$', (directory / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if words[0] not in public:
        return False
    if len(words) == 1:
        return True
    classes = [
        node
        for path in directory.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == words[0]
    ]
    fields = {ast.unparse(each.target) for node in classes for each in node.body if isinstance(each, ast.AnnAssign)}
    return len(words) == 2 and words[1] in fields


@pytest.mark.parametrize("name", NAMES)
def test_each_name_of_ours_exists(name: str) -> None:
    assert exists(name)


def test_enough_names_are_looked_at_and_a_wrong_one_is_found() -> None:
    assert len(NAMES) > 50
    wrong = (
        "secagg.Nothing",
        "secagg.Topology.size",
        "secagg.integrations.flower.SecAggConfig.num_shares",
        "secagg.nowhere.X",
    )
    assert [name for name in wrong if exists(name)] == []


@pytest.mark.parametrize(
    ("function", "spelled"),
    [(secagg.SessionParameters.choose, "secagg.SessionParameters.choose"), (Plan.choose, "secagg.privacy.Plan.choose")],
)
def test_arguments_that_it_names_exist(function: object, spelled: str) -> None:
    assert callable(function)
    rows = re.findall(rf"\|[^|]*?((?:`\w+`(?:, )?)+) of `{re.escape(spelled)}`", TEXT)
    named = {argument for row in rows for argument in re.findall(r"`(\w+)`", row)}
    assert len(named) > 2
    assert named <= set(inspect.signature(function).parameters)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(targets) > 40
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (GLOSSARY.parent / path).resolve() if path else GLOSSARY
        assert file.is_file(), target
        assert not anchor or anchor in slugs(file.read_text(encoding="utf-8")), target
