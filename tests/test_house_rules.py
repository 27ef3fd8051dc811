"""Rules of the house that a linter does not know: size, honesty of checks, nothing of anybody's workplace."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import secagg

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = Path(secagg.__file__).parent
MODULES: Final = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
}
MAX_LINES: Final = 600

TEXT_SUFFIXES: Final = frozenset(
    {".py", ".pyi", ".md", ".toml", ".proto", ".json", ".yml", ".yaml", ".txt", ".cfg", ".sh", ".html", ".svg"}
)
TEXT_NAMES: Final = frozenset({"Makefile", "LICENSE", "run", ".gitignore"})
NOT_OURS: Final = frozenset({"build", "dist", "node_modules", "site"})


def text_files() -> Iterator[Path]:
    """Every text file of the project, without what tools leave behind."""
    todo = [ROOT]
    while todo:
        for path in sorted(todo.pop().iterdir()):
            hidden = path.name.startswith(".") and path.name not in (".ci", ".github", ".gitignore")
            if hidden or path.name in NOT_OURS or path.name == "__pycache__":
                continue
            if path.is_dir():
                todo.append(path)
            elif path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES:
                yield path


@cache
def tree_of(source: str) -> ast.Module:
    """A source is parsed once."""
    return ast.parse(source)


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Every node of a source."""
    return tuple(ast.walk(tree_of(source)))


def asserts(source: str) -> list[int]:
    """Lines with an `assert`: they vanish under -O and are no check of input."""
    return [node.lineno for node in nodes_of(source) if isinstance(node, ast.Assert)]


def broad_handlers(source: str) -> list[int]:
    """Lines with an `except` that catches everything, our own defects included."""
    wrong = []
    for node in nodes_of(source):
        caught: list[ast.expr] = []
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                wrong.append(node.lineno)
            else:
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = node.args
        wrong += [kind.lineno for kind in caught if ast.unparse(kind) in ("Exception", "BaseException")]
    return wrong


def weak_randomness(source: str) -> list[int]:
    """Lines that import or use Python's or NumPy's generators."""
    wrong = []
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node).replace("np.", "numpy.", 1)]
        else:
            continue
        if any(re.match(r"(random|numpy\.random)(\.|$)", name) for name in names):
            wrong.append(node.lineno)
    return wrong


def prints(source: str) -> list[int]:
    """Lines that print: a library is silent."""
    return [
        node.lineno
        for node in nodes_of(source)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    ]


def dunder_all_is_sorted(source: str) -> bool:
    """Whether a module's `__all__`, if it has one, is sorted and without repeats."""
    for node in tree_of(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            return list(names) == sorted(set(names))
    return True


# Joined from halves, so that this file does not hold what it looks for. Only texts with one of the words are searched.
WORDS: Final = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
UNFINISHED: Final = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
PLACES_OF_OTHERS: Final = ("/wo" + "rk", "sha" + "red", "br" + "ief")
WORKPLACE: Final = re.compile(r"(?<![\w.~-])/wo" + r"rk\b|\bsha" + r"red/|\"sha" + r"red\"|/tmp/br" + r"ief")
READS_WYCHEPROOF: Final = "tests/crypto/test_wycheproof.py"


def findings(check: Callable[[str], list[int]], *exempt: str) -> list[str]:
    """`file:line` of everything a check finds in the library outside the exempt folders."""
    return [
        f"{name}:{line}"
        for name, source in MODULES.items()
        if not name.startswith(exempt or ("//",))
        for line in check(source)
    ]


def test_the_library_was_read() -> None:
    assert len(MODULES) > 40
    assert {"errors.py", "wire/codec.py", "protocol/client.py"} <= set(MODULES)


def test_a_module_is_one_idea_of_bearable_length() -> None:
    assert [name for name, source in MODULES.items() if len(source.splitlines()) > MAX_LINES] == []


def docstring_of(source: str) -> str:
    return ast.get_docstring(tree_of(source)) or ""


def says_what_it_is(source: str) -> bool:
    docstring = docstring_of(source)
    return len(docstring) >= 30 and docstring.splitlines()[0][-1] in ".:"


def test_a_module_says_what_it_is() -> None:
    assert [name for name, source in MODULES.items() if not says_what_it_is(source)] == []


PLACES: Final = ("crypto/", "encoding/", "masking/", "protocol/", "wire/", "client.py", "server.py", "snapshots.py")


def names_its_section(source: str) -> bool:
    return re.search(r"Specification §\d", docstring_of(source)) is not None


def test_a_module_of_the_protocol_names_its_section_of_the_specification() -> None:
    modules = {name: text for name, text in MODULES.items() if name.startswith(PLACES) and "__init__" not in name}
    assert len(modules) > 60
    assert [name for name, source in modules.items() if not names_its_section(source)] == []


def test_no_check_is_an_assert() -> None:
    assert findings(asserts) == []


def test_nothing_catches_everything() -> None:
    # What an application raises must not reach the server, whatever it is.
    assert findings(broad_handlers, "integrations/contribution.py") == []


def test_no_weak_generator_outside_testing_and_the_labs() -> None:
    # The suite's Poisson draws are what noise is timed against.
    assert findings(weak_randomness, "testing/", "privacy/lab/", "poisoning/", "bench/suites/privacy.py") == []


def test_the_library_is_silent() -> None:
    assert findings(prints, "cli/") == []


def test_lists_of_public_names_are_sorted() -> None:
    assert [name for name, source in MODULES.items() if not dunder_all_is_sorted(source)] == []


def mentions(pattern: re.Pattern[str], words: tuple[str, ...], *exempt: str) -> list[str]:
    """`file: text` of everything in the text files that a pattern finds, which always has one of the words in it."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in text_files()}
    return [
        f"{name}: {found.group()}"
        for name, text in texts.items()
        if name not in exempt and any(word in text for word in words)
        for found in pattern.finditer(text)
    ]


def test_nothing_is_left_unfinished() -> None:
    assert mentions(UNFINISHED, WORDS) == []


def test_the_project_does_not_know_where_it_was_made() -> None:
    assert mentions(WORKPLACE, PLACES_OF_OTHERS, READS_WYCHEPROOF) == []


def test_text_files_are_found_where_they_are() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in text_files()}
    assert {"pyproject.toml", "Makefile", "README.md", "protos/secagg/v1/messages.proto"} <= found
    assert {"secagg/__init__.py", "secagg/wire/messages_pb2.pyi", READS_WYCHEPROOF} <= found


@pytest.mark.parametrize("marker", ["browser", "cluster", "packages"])
def test_a_target_that_names_its_folders_names_all_that_have_tests_for_it(marker: str) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition(f"\ntest-{marker}:")[2].partition("\n\n")[0]
    named = [ROOT / "tests" / place for place in recipe.partition("addprefix tests/,")[2].partition(")")[0].split()]
    mark = f"pytest.mark.{marker}"
    marked = [path for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text(encoding="utf-8")]
    assert marked
    assert [path for path in marked if not any(path.is_relative_to(place) for place in named)] == []
    assert [place for place in named if not any(path.is_relative_to(place) for path in marked)] == []


def test_the_checks_catch_what_they_are_for() -> None:
    assert not says_what_it_is("x = 1")
    assert not says_what_it_is('"""A docstring that is long enough but has no end"""')
    assert not names_its_section('"""A module of the protocol that names nothing."""')
    assert asserts("x = 1\nassert x") == [2]
    assert broad_handlers("try:\n    pass\nexcept:\n    pass") == [3]
    assert broad_handlers("try:\n    pass\nexcept Exception:\n    pass") == [3]
    assert broad_handlers("try:\n    pass\nexcept (ValueError, BaseException) as e:\n    pass") == [3]
    assert broad_handlers("with contextlib.suppress(Exception):\n    pass") == [1]
    assert broad_handlers("try:\n    pass\nexcept (ValueError, KeyError):\n    pass") == []
    assert weak_randomness("import random") == [1]
    assert weak_randomness("import random as r, os") == [1]
    assert weak_randomness("from random import choice") == [1]
    assert weak_randomness("import numpy.random") == [1]
    assert weak_randomness("from numpy import random") == [1]
    assert weak_randomness("from numpy.random import default_rng") == [1]
    assert weak_randomness("import numpy as np\nnp.random.default_rng()") == [2, 2]
    assert weak_randomness("from secagg.crypto.randomness import RandomSource\nself.random = 1") == []
    assert prints("print('x')") == [1]
    assert prints("fingerprint('x')") == []
    assert not dunder_all_is_sorted("__all__ = ['b', 'a']")
    assert not dunder_all_is_sorted("__all__ = ['a', 'a']")
    assert dunder_all_is_sorted("__all__ = ['a', 'b']")
    assert UNFINISHED.search("# TO" + "DO: later") is not None
    assert UNFINISHED.search("a todo list") is None
    for text in ("/wo" + "rk/main", "see /wo" + "rk.", "../sha" + "red/design", "sha" + "red/reference"):
        assert WORKPLACE.search(text) is not None
    for text in ("frame/work", "~/work/secagg", "docs/work", "/worker", "shared memory", "a shared secret"):
        assert WORKPLACE.search(text) is None
