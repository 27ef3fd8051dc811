"""The reference of commands, from the help that they print."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import typer

from docs.making.markdown import escaped, terms
from secagg.cli.main import application

_TITLES: Final = {
    "local": "Try and plan",
    "demo": "Demonstrations",
    "keys": "Keys and rosters",
    "service": "The service",
    "privacy": "Differential privacy",
    "tools": "Checks and measurements",
}
_HEAD: Final = """# Commands

What `--help` prints of each. Exit codes: 0 for a result, 1 for a session that ended without one, a conformance run that
failed or an audit that found more than was promised, 2 for bad input, 130 for an interrupt. With `--json`, where a
command has it, standard output is exactly one JSON object, with `error` where something is wrong.

"""


def commands() -> Iterator[tuple[str, Any, Any]]:
    """The room of every command in secagg.cli, the command, and a context for it."""
    root: Any = typer.main.get_command(application())
    yield from _leaves(root, root.context_class(root, info_name="secagg"))


def _leaves(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        inner = each.context_class(each, info_name=name, parent=context)
        if hasattr(each, "commands"):
            yield from _leaves(each, inner)
        else:
            yield each.callback.__module__.split(".")[2], each, inner


def commands_page() -> str:
    """Return the page in Markdown."""
    sections: dict[str, list[str]] = {room: [] for room in _TITLES}
    for room, command, context in commands():
        sections[room].append(_section(command, context))
    pages = [_HEAD]
    for room, title in _TITLES.items():
        about = (import_module(f"secagg.cli.{room}").__doc__ or "").strip()
        pages += [f"## {title}\n\n{escaped(about)}\n\n", *sections[room]]
    return "".join(pages)


def _section(command: Any, context: Any) -> str:
    path = context.command_path
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    about = "\n\n".join(escaped(" ".join(part.split())) for part in (command.help or "").split("\n\n"))
    records = [each for each in (param.get_help_record(context) for param in command.get_params(context)) if each]
    listed = [(term, escaped(text) or "…") for term, text in records if term != "--help"]
    return f"### `{path}` {{: #{path.replace(' ', '-')} }}\n\n{about}\n\n```text\n{usage}\n```\n\n{terms(listed)}"
