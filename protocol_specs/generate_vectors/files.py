"""The one layout of a vector file, and how files are written.

What fits into a line stands in one; else every member has its own. Lists whose order means nothing are sorted.
Must not know what the documents are about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

_WIDTH: Final = 120
_UNORDERED: Final = frozenset({"flags", "requirements"})


def render(document: Mapping[str, Any]) -> str:
    """The text of a file. Keys keep their order, but for the flags that a file explains.

    Raises:
        ValueError: a float that is no number: JSON has none.
    """
    return _render(_sorted(dict(document)), 0, 0) + "\n"


def write(directory: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write documents to their relative paths below a directory; folders are made, other files stay."""
    for name, document in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render(document).encode("utf-8"))


def _sorted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        names = sorted(value) if key in _UNORDERED else list(value)
        return {name: _sorted(value[name], name) for name in names}
    if isinstance(value, list):
        items = [_sorted(item) for item in value]
        return sorted(items) if key in _UNORDERED and all(isinstance(item, str) for item in items) else items
    return value


def _render(value: Any, depth: int, before: int) -> str:
    """`before` columns of the line are taken by the key."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or depth + before + len(flat) < _WIDTH:
        return flat
    inner, indent = depth + 1, "\n" + " " * (depth + 1)
    if isinstance(value, list):
        if all(isinstance(item, int | float | str) for item in value):
            return (
                "["
                + indent
                + _filled([json.dumps(item, ensure_ascii=False) for item in value], indent)
                + _close(depth, "]")
            )
        return "[" + indent + ("," + indent).join(_render(item, inner, 0) for item in value) + _close(depth, "]")
    names = [json.dumps(name, ensure_ascii=False) + ": " for name in value]
    members = [name + _render(item, inner, len(name)) for name, item in zip(names, value.values(), strict=True)]
    return "{" + indent + ("," + indent).join(members) + _close(depth, "}")


def _filled(items: list[str], indent: str) -> str:
    """Numbers and short texts, as many in a line as fit."""
    lines = [items[0]]
    for item in items[1:]:
        if len(indent) + len(lines[-1]) + len(item) + 2 < _WIDTH:
            lines[-1] += ", " + item
        else:
            lines.append(item)
    return ("," + indent).join(lines)


def _close(depth: int, bracket: str) -> str:
    return "\n" + " " * depth + bracket
