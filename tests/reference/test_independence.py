"""The reference is a second implementation, not a second face of the first."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from protocol_specs import reference

MODULES = sorted(Path(reference.__file__).parent.glob("*.py"))
ALLOWED = {"cryptography", "kyber_py", "nacl", "pyaegis", "protocol_specs"} | (
    set(sys.stdlib_module_names) - {"importlib", "random"}
)


def imported(source: str) -> set[str]:
    """Every module that a source imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_nothing_of_the_library(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    foreign = {name for name in imported(source) if name.split(".")[0] not in ALLOWED}
    siblings = {name for name in imported(source) if name.startswith("protocol_specs")}

    assert foreign == set()
    assert {name for name in siblings if not name.startswith("protocol_specs.reference")} == set()
    assert "__import__" not in source
    assert len(source.splitlines()) <= 430


def test_the_check_sees_imports() -> None:
    source = "import numpy as np\ndef f():\n    from secagg.crypto import field\nfrom . import wire\n"
    assert imported(source) == {"numpy", "secagg.crypto", "."}
    assert len(MODULES) > 15


def test_only_the_mask_prg_knows_pyaegis() -> None:
    assert [m.stem for m in MODULES if "pyaegis" in imported(m.read_text(encoding="utf-8"))] == ["prg"]
