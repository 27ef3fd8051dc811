"""What a setting takes, in words that follow "give": out of its type and bounds, so that no bound is said that is none.

The same words are in messages about a wrong value and in the reference of the documentation site. Must not know which
settings there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_TYPES: Final = {bool: "true or false", Path: "a path", str: "a text"}
_NUMBERS: Final = {int: "a whole number", float: "a number"}
_MANY: Final = 1 << 32
_Bounds: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class Words:
    """In the annotation of a type that others check: what it takes.

    Attributes:
        text: such as "host:port".
    """

    text: str


def wanted(field: FieldInfo) -> str:
    """Return what a field takes."""
    return _wanted(field.annotation, field.metadata)


def wanted_entry(field: FieldInfo) -> str:
    """Return what each entry of a list takes; of another field, what it takes itself."""
    entries = get_args(field.annotation) if get_origin(field.annotation) is list else ()
    return _wanted(entries[0], ()) if entries else wanted(field)


def _wanted(kind: Any, metadata: Iterable[Any]) -> str:
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        metadata = [*metadata, *more]
    bounds: _Bounds = {}
    for each in metadata:
        if isinstance(each, Words):
            return each.text
        for bound in each.metadata if isinstance(each, FieldInfo) else (each,):
            bounds |= {name: getattr(bound, name) for name in ("gt", "ge", "lt", "le") if hasattr(bound, name)}
    if kind in _NUMBERS:
        return _NUMBERS[kind] + _range(bounds)
    if kind in _TYPES:
        return _TYPES[kind]
    if get_origin(kind) is Literal:
        return alternatives([repr(each) for each in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return alternatives([repr(each.value) for each in kind])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "a table"
    parts = [each for each in get_args(kind) if each is not NoneType]
    if get_origin(kind) is list:
        return f"a list, each entry {_wanted(parts[0], ())}"
    if get_origin(kind) is dict:
        return "a table for each name"
    return alternatives([_wanted(each, ()) for each in parts])


def alternatives(texts: list[str]) -> str:
    """Return texts as a choice: "a, b or c"."""
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _range(bounds: _Bounds) -> str:
    low = f" from {number(bounds['ge'])}" if "ge" in bounds else ""
    low = f" above {number(bounds['gt'])}" if "gt" in bounds else low
    if "le" in bounds:
        return f"{low} to {number(bounds['le'])}" if "ge" in bounds else f"{low}, at most {number(bounds['le'])}"
    return f"{low} to below {number(bounds['lt'])}" if "lt" in bounds else low


def number(value: float) -> str:
    """Return a bound as people read it: a large power of two as such."""
    if isinstance(value, int) and value > _MANY and value.bit_count() == 1:
        return f"2^{value.bit_length() - 1}"
    return f"{value:.0f}" if value == int(value) else f"{value:g}"
