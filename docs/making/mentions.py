"""Names of the library that users are told of in prose and in examples: each must be public, or it may go any day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

from docs.making import public

# For whoever changes the code, which names its insides; the last makes the page of `secagg demo --web`.
_INSIDE: Final = frozenset({"docs/architecture.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/survey/publish.py"})
# Files, and packages of other languages, that are called like modules.
_OTHERS: Final = re.compile(r"secagg\.(toml|head|pid|sqlite3|rules\.yml|(conformance|service)\.v1)\b")
_PATH: Final = re.compile(r"(?<![\w./@-])secagg(?:\.\w+)+")
_IMPORT: Final = re.compile(r"^ *from (secagg[\w.]*) import (?:\(([^)]*)\)|([^#\n]*))", re.MULTILINE)


def told(text: str) -> set[str]:
    """Whole names of the library in a text: `secagg.x.Name`, and what it imports from it."""
    found = {name for name in _PATH.findall(text) if not _OTHERS.match(name)}
    for module, several, one in _IMPORT.findall(text):
        names = (name.partition(" as ")[0].strip() for name in (several or one).split(","))
        found |= {f"{module}.{name}" for name in names if name}
    return found


def strangers(library: griffe.Module, root: Path = public.ROOT) -> Iterator[str]:
    """Names that documents and examples tell of and that are not public, each with its file."""
    places = {*public.PACKAGES, *public.MODULES}
    named = {"secagg.__version__"}  # beside the names that secagg loads late
    named |= {name for name, _ in public.everywhere(library)} | {target.path for _, target in public.public(library)}
    files = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.py")]
    for path in sorted(files):
        file = path.relative_to(root).as_posix()
        for name in sorted(told(path.read_text(encoding="utf-8")) if file not in _INSIDE else ()):
            parts = name.split(".")
            wholes = {".".join(parts[:length]) for length in range(2, len(parts) + 1)}
            is_place = any(each == name or each.startswith(f"{name}.") for each in places)
            if not is_place and named.isdisjoint(wholes) and public.UNREAD.isdisjoint(parts):
                yield f"{file}: {name}"
