"""The reference of server.toml, from the classes that read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.making.markdown import escaped, terms
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.server_settings import FixedPointSettings, IntegersSettings
from secagg.cli.service.setting_errors import NESTED, PREFIX
from secagg.cli.service.wanted import wanted

_HEAD: Final = f"""# Configuration

Every key of `server.toml`, which `secagg serve --config` reads, and which `secagg serve --check` tries; a key that is
not here is refused. A `session.toml` for `secagg session create` has `[rounds]` and `[[sessions]]` of it.
How the tables go together: [Operating a server](../operations.md#the-server).

A value comes from the environment, else from the file, else it is the default. The variable is `{PREFIX}`, the table,
two underscores and the key, in capitals; lists and tables in it are JSON. Relative paths are those of the file's
directory.

"""
_VECTORS: Final = ((FixedPointSettings, "fixed_point"), (IntegersSettings, "integers"))


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table as the file writes its name, and the class that reads it; tables before those in them."""
    yield from _below(ServerConfig, ())
    for model, kind in _VECTORS:
        yield f'[sessions.vectors.NAME], kind = "{kind}"', model


def _below(model: type[BaseModel], place: tuple[str, ...]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        inner = (*place, name)
        for kind in (field.annotation, *get_args(field.annotation)):
            # Rounds of one session are the keys of [rounds].
            if isinstance(kind, type) and issubclass(kind, BaseModel) and inner != ("sessions", "rounds"):
                dotted = ".".join(inner)
                yield (f"[[{dotted}]]" if get_origin(field.annotation) is list else f"[{dotted}]"), kind
                yield from _below(kind, inner)


def default_of(field: FieldInfo) -> str:
    """A key's default in Markdown: "required" and "none" are words."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default in ({}, ""):
        return "none"
    return f"`{_written(default)}`"


def _written(default: Any) -> str:
    if isinstance(default, list | tuple):
        return str(list(default))
    return str(default).lower() if isinstance(default, bool) else str(getattr(default, "value", default))


def configuration_page() -> str:
    """Return the page in Markdown."""
    return _HEAD + "".join(_section(name, model) for name, model in tables())


def _section(name: str, model: type[BaseModel]) -> str:
    keys = []
    for key, field in model.model_fields.items():
        if key == "kind":
            continue
        default = default_of(field)
        facts = [escaped(wanted(field)), default if default == "required" else f"default {default}"]
        if variable := _variable(name, key):
            facts.append(f"`{variable}`")
        keys.append((key, f"{escaped(field.description or '')}\n\n    {' · '.join(facts)}\n    {{: .facts }}"))
    about = (model.__doc__ or "").partition("\n")[0]
    return f"## `{name}`\n\n{about}\n\n{terms(keys)}"


def _variable(table: str, key: str) -> str:
    """The variable of one key; none of those in lists, which the environment has as a whole."""
    return "" if table.startswith("[[") or "sessions" in table else f"{PREFIX}{table.strip('[]')}{NESTED}{key}".upper()
