"""Every public name says what it takes, gives and raises; each rule of that check is broken here once."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import griffe
import pytest

from docs.making import mentions, public
from docs.making.docstrings import Check, findings


@pytest.fixture(scope="module")
def library() -> griffe.Module:
    """The library's sources, read once."""
    return public.load()


def test_every_public_docstring_is_complete(library: griffe.Module) -> None:
    assert findings(library) == []


def test_public_names_are_found_wherever_they_are(library: griffe.Module) -> None:
    names = dict(public.public(library))
    assert len(names) > 300
    assert names["secagg.simulate"].path == "secagg.session.simulation.simulate"
    assert names["secagg.hosting.Progress"].path == "secagg.protocol.events.Progress"
    assert "secagg.transport.http.participate" not in names  # met under gRPC first
    assert "secagg.transport.http.participate" in dict(public.everywhere(library))
    assert {"secagg.identity.keys.load_identity", "secagg.store.sqlite.SqliteStore"} <= names.keys()


def test_every_package_with_a_list_of_names_is_public(library: griffe.Module) -> None:
    todo, listed = [library], set()
    while todo:
        module = todo.pop()
        todo += [member for member in module.modules.values() if not member.is_alias]
        if module.exports is not None and module.filepath.name == "__init__.py":  # type: ignore[union-attr]
            listed.add(module.path)
    assert {*listed, "secagg"} == public.PACKAGES.keys()


def test_documents_tell_of_public_names_only(library: griffe.Module) -> None:
    assert list(mentions.strangers(library)) == []


def test_names_in_prose_and_imports_are_seen(library: griffe.Module, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "`secagg.simulate`, secagg.wire.codec.encode(), `secagg.toml`, ../secagg.rules.yml\n"
        "from secagg.hosting import (\n    SessionHost,\n    Keeper,\n)\n"
        "from secagg.store.memory import MemoryStore, sha256  # two\n",
        encoding="utf-8",
    )
    found = list(mentions.strangers(library, tmp_path))
    assert found == [
        "README.md: secagg.hosting.Keeper",
        "README.md: secagg.store.memory.sha256",
        "README.md: secagg.wire.codec.encode",
    ]


HEAD = '''
"""Something (Specification §1)."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

class WrongError(Exception):
    """Something is wrong."""

def _helper(x: int) -> None:
    if x < 0:
        raise WrongError
'''


def said_of(tmp_path: Path, source: str, *, head: str = HEAD) -> list[str]:
    """What the check finds in the last definition of a module of a sourced room."""
    root = tmp_path / str(len(list(tmp_path.iterdir())))  # what was read of a path is kept
    room = root / "secagg" / "robust"
    room.mkdir(parents=True)
    for package in (root / "secagg", room):
        (package / "__init__.py").touch()
    (room / "made.py").write_text(f"{head}\n{dedent(source)}\n", encoding="utf-8")
    library = public.load(root)
    module = library["robust.made"]
    *_, target = (member for member in module.members.values() if not member.is_alias)
    return list(Check(library, {target.path}).of(target))


def function(docstring: str, signature: str = "f(x: int) -> None", body: str = "pass") -> str:
    """A function of a fake module."""
    inside = f'"""{dedent(docstring).strip()}\n"""\n{dedent(body)}'
    return f"def {signature}:\n{indent(inside, '    ')}"


ENTRY = "\n\nArgs:\n    x: in bytes."


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("def f(x: int) -> None: ...", ": no docstring"),
        (function("Do it."), ": no entry for x"),
        (function("Do it.\n\nArgs:\n    x: a bound.\n    y: another."), ": an entry for y, which it does not take"),
        (
            function("Do it.\n\nArgs:\n    x, y: two.\n    x: a bound.", "f(x: int, y: int) -> None"),
            ": two entries for x",
        ),
        (function("Do it.\n\nArgs:\n    x: the X."), ": the entry of x only repeats it"),
        (function(f"The f.{ENTRY}"), ": the first sentence 'The f.' only repeats the name"),
        (function(f"Do it.{ENTRY}", "f(x: int) -> bool"), ": nothing says what is returned (bool)"),
        (
            function("Do it.\n\nReturns:\n    One or two: who knows.", "f() -> int"),
            ": what stands before the colon in Returns is read as a type: One or two",
        ),
        (function(f"Do it.{ENTRY}", body="raise WrongError"), ": raises WrongError, which it does not list"),
        (function(f"Do it.{ENTRY}", body="_helper(x)"), ": raises WrongError, which it does not list"),
        (
            function(f"Do it.{ENTRY}\n\nRaises:\n    Exception: anything.", body="_helper(x)"),
            ": raises WrongError, which it does not list",
        ),
        (
            'class C:\n    """A thing.\n\n    Raises:\n        WrongError: made so.\n    """\n'
            '    def m(self) -> None:\n        """Do it."""\n        raise WrongError',
            ".m: raises WrongError, which it does not list",
        ),
        (
            'class C:\n    """A thing, beside WrongError."""\n    def m(self) -> None:\n        """Do it."""\n'
            "        raise WrongError",
            ".m: raises WrongError, which it does not list",
        ),
        (
            function("Do it.\n\nRaises:\n    OddError: never.", "f() -> None"),
            ": raises OddError, which is no class here",
        ),
        (function("Do it.\n\nArgs:\n    x: float64.", "f(x: NDArray[np.float64]) -> None"), ": no shape of x"),
        (function("Do it.\n\nArgs:\n    x: (d,).", "f(x: NDArray[np.float64]) -> None"), ": no dtype of x"),
        (function("Return it, float64.", "f() -> NDArray[np.float64]"), ": no shape of what is returned"),
        (
            function("Do it.\n\nArgs:\n    timeout: at most.", "f(timeout: float) -> None"),
            ": the entry of timeout has no unit of time",
        ),
        (
            function("Do it.\n\nArgs:\n    size: at most.", "f(size: int) -> None"),
            ": the entry of size does not say of what it is the size",
        ),
        (function("Do it, see :func:`nowhere`.", "f() -> None"), ": the reference `nowhere` leads nowhere"),
        (
            function("Do `secagg.robust.nothing`.", "f() -> None"),
            ": the reference `secagg.robust.nothing` leads nowhere",
        ),
        ("CONSTANT = 1", ": no docstring beneath it"),
        ('class E(Enum):\n    """A choice."""\n    ONE = "one"', ".ONE: a member that is not described"),
        ('@dataclass\nclass D:\n    """Data."""\n    x: int', ": no entry for x"),
        (
            '@dataclass\nclass D:\n    """Data.\n\n    Attributes:\n        x: a bound.\n        y: none.\n    """\n'
            "    x: int",
            ": an entry for y, which it has not",
        ),
        (
            'class C:\n    """A thing."""\n    def __init__(self) -> None:\n        self.x = 1',
            ".x: no entry in Attributes",
        ),
        ('class C:\n    """A thing."""\n    def m(self) -> None: ...', ".m: no docstring"),
        ('class C:\n    """A thing."""\n    @property\n    def p(self) -> int: ...', ".p: no docstring"),
        (
            'class C:\n    """A thing.\n\n    Args:\n        z: none.\n    """',
            ": an entry for z, which neither it nor a method of it takes",
        ),
        (
            'class _Base:\n    def m(self) -> None: ...\n\nclass C(_Base):\n    """A thing."""',
            ".m: no docstring",
        ),
    ],
)
def test_what_a_docstring_lacks_is_found(tmp_path: Path, source: str, finding: str) -> None:
    assert said_of(tmp_path, source) == [finding]


def test_a_source_is_asked_for_where_something_is_computed(tmp_path: Path) -> None:
    without = HEAD.replace(" (Specification §1)", "")
    missing = [": no source: name the paper, or the section of the specification, here or in the module"]
    assert said_of(tmp_path, function(f"Do it.{ENTRY}"), head=without) == missing
    assert said_of(tmp_path, function(f"Do it (Bell et al. 2020).{ENTRY}"), head=without) == []
    assert said_of(tmp_path, 'class E(Enum):\n    """ONE or none."""\n    ONE = 1', head=without) == []


@pytest.mark.parametrize(
    "source",
    [
        function(f"Do it.{ENTRY}"),
        function(f"Say whether it is.{ENTRY}\n\nReturns:\n    True when it is.", "f(x: int) -> bool"),
        function(f"Do it.{ENTRY}\n\nRaises:\n    WrongError: x is below 0.", body="_helper(x)"),
        'class C:\n    """A thing. Every method raises WrongError when it fails."""\n    def m(self) -> None:\n'
        '        """Do it."""\n        raise WrongError',
        function(f"Do it.{ENTRY}", body="try:\n    _helper(x)\nexcept WrongError:\n    pass"),
        function("Return it, float64 (d,).", "f() -> NDArray[np.float64]"),
        function("Do it.\n\nArgs:\n    x, y: two bounds.", "f(x: int, y: int) -> None"),
        function("Do it; see `g`.").replace(
            "def f", 'def g(x: int) -> None:\n    """Do.\n\n    Args:\n        x: a bound.\n    """\n\n\ndef f'
        ),
        'class E(Enum):\n    """A choice."""\n    ONE = "one"\n    """Only this."""',
        'class C:\n    """A thing; made by `f`."""\n    def __init__(self, x: int) -> None: ...',
        "class P(Protocol):\n    def m(self, x: int) -> None:\n"
        '        """Do.\n\n        Args:\n            x: a bound.\n'
        '        """\n\nclass C:\n    """A `P`."""\n    def m(self, x: int) -> None:\n        """Do it well."""',
        'class C:\n    """A thing.\n\n    Args:\n        x: a bound.\n    """\n    def m(self, x: int) -> None:\n'
        '        """Do it."""',
    ],
)
def test_a_docstring_that_says_it_passes(tmp_path: Path, source: str) -> None:
    assert said_of(tmp_path, source) == []
