"""The list of all requirements, from the tables of §8 and §11 of the specification and those of the other documents.

Must not know which cases check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from protocol_specs.generate_vectors.files import Json

SPECIFICATION: Final = Path(__file__).parents[1] / "secagg-v1.md"
OTHERS: Final = (SPECIFICATION.with_name("privacy-v1.md"), SPECIFICATION.with_name("robust-v1.md"))

_VALIDATION: Final = ("id", "name", "role", "round", "rule")
_REQUIREMENTS: Final = ("id", "section", "role", "requirement", "observed")


class NoRequirementsError(Exception):
    """The specification lacks a table, or a table has other columns."""


def requirements_file(text: str | None = None) -> dict[str, Json]:
    """The file `requirements.json`, by its path below `vectors/`; `text` is all documents.

    Rows of §8 have the id, name and rule of the table; those of §11, which have no name, their text as both. `round` is
    empty for them. `observed` is `vectors`, `primitives` (vectors of single functions only), or `inspection: …` with
    the reason why nothing shows outside.
    """
    if text is None:
        text = "\n".join(path.read_text(encoding="utf-8") for path in (SPECIFICATION, *OTHERS))
    rows = [_of_validation(row) for row in _rows(text, _VALIDATION)]
    rows += [_of_requirements(row) for row in _rows(text, _REQUIREMENTS)]
    ids = [row["id"] for row in rows]
    if len(ids) != len(set(ids)):
        raise NoRequirementsError("an id has two rows")
    return {
        "requirements.json": {
            "protocol": "secagg/v1",
            "kind": "requirements",
            "comment": "Every requirement with an id: secagg-v1.md §8, §11, privacy-v1.md §11, robust-v1.md §8.",
            "requirements": rows,
        }
    }


def _of_validation(row: dict[str, str]) -> Json:
    shown = {name: row[name] for name in ("id", "name", "role", "round", "rule")}
    return shown | {"section": "§8", "observed": "vectors"}


def _of_requirements(row: dict[str, str]) -> Json:
    text = row["requirement"]
    named = {"id": row["id"], "name": text, "role": row["role"], "round": "", "rule": text}
    return named | {"section": row["section"], "observed": row["observed"]}


def _rows(text: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Rows of all tables whose first columns are these."""
    found = False
    inside = False
    for line in text.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|")) if line.startswith("|") else ()
        if not cells:
            inside = False
        elif cells[: len(columns)] == columns:
            inside = found = True
        elif inside and re.fullmatch(r"[A-Z]\d\d", cells[0]):
            yield dict(zip(columns, cells, strict=False))
        elif inside and set("".join(cells)) != {"-"}:
            raise NoRequirementsError(f"a row without an id: {line}")
    if not found:
        raise NoRequirementsError(f"no table with the columns {', '.join(columns)}")
