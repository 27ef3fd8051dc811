"""What a client expects of the vectors of a session, read from a file of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import secagg

_KINDS: Final = {"fixed_point": secagg.FixedPoint, "integers": secagg.Integers}


def expected_vectors(path: Path) -> Mapping[str, secagg.FixedPoint | secagg.Integers]:
    """Read one table for each vector, with the keys of `[sessions.vectors.NAME]` in server.toml.

    Raises:
        ParameterError: the file cannot be read, or a table is no specification.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror}; give the path of a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise secagg.ParameterError(f"{path} is no TOML: {error}; correct the file") from error
    if not tables:
        raise secagg.ParameterError(f"{path} names no vector; write one table for each, such as [update]")
    return {name: _specification(f"{path}: [{name}]", table) for name, table in tables.items()}


def _specification(where: str, table: object) -> secagg.FixedPoint | secagg.Integers:
    if not isinstance(table, dict) or table.get("kind") not in tuple(_KINDS):
        raise secagg.ParameterError(f'{where} is no vector; write a table with kind = "fixed_point" or "integers"')
    given = {key: value for key, value in table.items() if key != "kind"}
    if table["kind"] == "fixed_point":
        given = {"bits": 16, **given}
    kind: Any = _KINDS[table["kind"]]
    try:
        specification: secagg.FixedPoint | secagg.Integers = kind(**given)
    except TypeError:
        raise secagg.ParameterError(
            f"{where} lacks a key or has one too many; give shape and clip, or shape, low and high, as server.toml does"
        ) from None
    except secagg.ParameterError as error:
        raise secagg.ParameterError(f"{where}: {error}") from error
    return specification
