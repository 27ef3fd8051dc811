"""Says in one sentence which setting is wrong, what it is, and what to give: where it came from is said first.

Must not know how settings are read, nor what is done with them.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsError

from secagg.cli.service.server_settings import FixedPointSettings, IntegersSettings
from secagg.cli.service.wanted import number, wanted, wanted_entry

PREFIX: Final = "SECAGG_"
NESTED: Final = "__"
_KINDS: Final[Mapping[str, type[BaseModel]]] = {"fixed_point": FixedPointSettings, "integers": IntegersSettings}
_WRONG: Final[Mapping[str, str]] = {
    "greater_than": "it is not above {gt}",
    "greater_than_equal": "it is below {ge}",
    "less_than": "it is not below {lt}",
    "less_than_equal": "it is above {le}",
    "literal_error": "it is none of the choices",
    "enum": "it is none of the choices",
    "too_short": "it has fewer than {min_length} entries",
    "value_error": "{error}",
    "union_tag_invalid": "it is of no kind among {expected_tags}",
}
_A_VECTOR: Final = (
    "a table with kind = 'fixed_point' with shape and clip, or kind = 'integers' with shape, low and high"
)

Place = tuple[int | str, ...]


def complaint(error: ValidationError, file: object, model: type[BaseModel]) -> str:
    """Say what is wrong first, and how much more there is.

    Args:
        error: what was found.
        file: where settings stand that no environment has.
        model: the whole of it.
    """
    first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    return f"{_source(first, model) or file}: {_said(first, model)}{more}"


def with_sources(sentence: str) -> str:
    """Return a sentence with what is said of the keys in it whose values come from the environment."""
    named = [
        f"{key} is from {name} in the environment"
        for key, name in sorted((".".join(place), name) for place, name in _variables().items())
        if re.search(rf"\b{re.escape(key)}\b", sentence)
    ]
    return f"{sentence} ({', '.join(named)})" if named else sentence


def not_json(error: SettingsError) -> str:
    """Say which variable of the environment should be JSON and is none; its value may hold a password."""
    text = getattr(error.__cause__, "doc", None)
    found = [name for name in sorted(_variables().values()) if os.environ[name] == text]
    name = found[0] if found else "a variable"
    return f"{name} in the environment is no JSON; give a table or list as JSON"


def _said(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place, kind = _place(detail["loc"]), detail["type"]
    key = ".".join(map(str, place))
    value = _shown(detail["input"])
    if kind == "extra_forbidden":
        return _unknown(key, value, place, _fields_at(model, detail["loc"][:-1]))
    field = _field_at(model, detail["loc"])
    entry = isinstance(detail["loc"][-1], int)
    give = "a value of the right kind" if field is None else wanted_entry(field) if entry else wanted(field)
    if kind == "missing":
        return f"{key} is missing; give {give}"
    if len(place) == 4 and place[2] == "vectors":
        give = _A_VECTOR
    if kind == "union_tag_not_found":
        return f"{key} = {value} has no kind; give {give}"
    known = _WRONG.get(kind)
    wrong = (
        detail["msg"].replace("Input should be", "it is not")
        if known is None
        else known.format(**_readable(detail["ctx"]))
    )
    return f"{key} = {value}: {wrong.rstrip('.')}; give {give}"


def _readable(context: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: number(value) if isinstance(value, int | float) else value for name, value in context.items()}


def _unknown(key: str, value: str, place: Place, known: Mapping[str, FieldInfo]) -> str:
    near = difflib.get_close_matches(str(place[-1]), known, 1)
    if near:
        return f"{key} = {value} is no key of the configuration; correct it to {near[0]!r}"
    if len(place) == 1 and len(known) == 2:
        return (
            f"{key} is no table of a session's file, which has [[sessions]] and may have [rounds]; take it out, or "
            "give another file with --config"
        )
    where = f"[{'.'.join(str(part) for part in place[:-1])}] has" if len(place) > 1 else "the tables are"
    return f"{key} = {value} is no key of the configuration; take it out: {where} {', '.join(known)}"


def _place(location: Place) -> Place:
    """A location without the kinds of vectors, which are no keys."""
    return tuple(part for part in location if part not in _KINDS)


def _fields_at(model: type[BaseModel], location: Place) -> Mapping[str, FieldInfo]:
    """The keys of a table."""
    fields: Mapping[str, FieldInfo] = model.model_fields
    for part in location:
        if part in _KINDS and part not in fields:
            fields = _KINDS[str(part)].model_fields
        elif part in fields:
            fields = _table_of(fields[str(part)]) or fields
    return fields


def _field_at(model: type[BaseModel], location: Place) -> FieldInfo | None:
    for end in range(len(location), 0, -1):
        fields = _fields_at(model, location[: end - 1])
        if location[end - 1] in fields:
            return fields[str(location[end - 1])]
    return None


def _table_of(field: FieldInfo) -> Mapping[str, FieldInfo] | None:
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind.model_fields
    return None


def _source(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """The variable of the environment that what is wrong came from, if it came from one."""
    if not issubclass(model, BaseSettings):
        return ""
    place = _place(detail["loc"])
    place = place[:-1] if detail["type"] == "missing" else place
    variables = _variables()
    for end in range(len(place), 0, -1):
        name = variables.get(tuple(map(str, place[:end])))
        if name is not None and _holds(os.environ[name], place[end:]):
            return f"{name} in the environment"
    return ""


def _variables() -> Mapping[tuple[str, ...], str]:
    """The names of variables of the environment that set something, by the place of what they set."""
    names = [name for name in os.environ if name.upper().startswith(PREFIX)]
    return {tuple(name[len(PREFIX) :].lower().split(NESTED)): name for name in names}


def _holds(text: str, rest: Place) -> bool:
    """Whether JSON has something at a place in it."""
    if not rest:
        return True
    try:
        value: Any = json.loads(text)
        for part in rest:
            value = value[part]
    except (ValueError, LookupError, TypeError):
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
