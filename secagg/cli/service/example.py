"""A server.toml with every key, out of the classes of its settings: what `secagg serve --example` prints.

A few keys are set, which a server on a network needs; all others stand as comments with their defaults, or an example
where nothing holds unless set. Must not know how settings are read, nor what is done with them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from secagg.cli.service.wanted import wanted

_WIDTH: Final = 110
_HEAD: Final = """\
# Configuration of `secagg serve`, with every key. Edit what is set, then run `secagg serve --config FILE --check`.
# "#key = …" shows the default, or an example where a key has no default; take the # away to set it. Paths are those
# of this file's directory. SECAGG_LISTEN__ADDRESS in the environment takes the place of listen.address, and so on.
"""
_SET: Final = frozenset(
    {
        "listen.names",
        "listen.certificate",
        "listen.key",
        "identities.roster",
        "identities.authority",
        "identities.operators",
        "storage.directory",
        "sessions.name",
        "sessions.vectors.weights.kind",
        "sessions.vectors.weights.shape",
        "sessions.vectors.weights.clip",
    }
)
# A name for each kind of vector, in the order of the kinds.
_VECTORS: Final = ("weights", "counts")


def example(model: type[BaseModel]) -> str:
    """Return TOML in which every key of a configuration stands once, with what it is for and what it takes."""
    return "\n".join([_HEAD, *_tables(model.model_fields, "")])


def _tables(fields: Mapping[str, FieldInfo], path: str) -> Iterator[str]:
    """The tables below a table, each after its own keys, as TOML wants it."""
    for name, field in fields.items():
        place = f"{path}.{name}" if path else name
        for below, table, listed in _below(field, place):
            yield from _table(below, table, listed)


def _table(path: str, table: type[BaseModel], listed: bool) -> Iterator[str]:
    heading = f"[[{path}]]" if listed else f"[{path}]"
    off = "" if any(key.startswith(f"{path}.") for key in _SET) or _always(path) else "#"
    yield from _prose(str(table.__doc__).splitlines()[0])
    yield f"{off}{heading}"
    for name, field in table.model_fields.items():
        key = f"{path}.{name}"
        if any(_below(field, key)):
            continue
        yield from _prose(f"{field.description} ({wanted(field)})" if field.description else wanted(field))
        yield f"{'' if key in _SET else '#'}{name} = {_toml(_value(field))}"
    yield ""
    yield from _tables(table.model_fields, path)


def _always(path: str) -> bool:
    """Whether a table may stand without any key: those that every configuration has."""
    return "." not in path and path != "enrolments"


def _below(field: FieldInfo, path: str) -> list[tuple[str, type[BaseModel], bool]]:
    """The tables that a field stands for, with their places, and whether there may be many of them."""
    kind = field.annotation
    if get_origin(kind) is dict:
        entry = get_args(kind)[1]
        return [(f"{path}.{name}", each, False) for name, each in zip(_VECTORS, _models(entry), strict=True)]
    return [(path, each, get_origin(kind) is list) for each in _models(kind)]


def _models(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    parts = get_args(kind)[:1] if get_origin(kind) is Annotated else get_args(kind)
    return [model for part in parts if part is not NoneType for model in _models(part)]


def _value(field: FieldInfo) -> Any:
    """What stands beside a key: an example where there is one, which has keys without a default; else the default."""
    if field.examples:
        return field.examples[0]
    if field.is_required():
        return get_args(field.annotation)[0]  # the kind of a vector
    return field.get_default(call_default_factory=True)


def _toml(value: Any) -> str:
    """A value as TOML has it; these texts, numbers and lists are the same in JSON."""
    return json.dumps(value.value if isinstance(value, Enum) else value, ensure_ascii=False)


def _prose(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False))
