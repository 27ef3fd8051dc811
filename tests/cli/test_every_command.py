"""Every command, whichever there are: it has help, its options have help, and it takes --json, errors included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import typer

from secagg.cli.main import application
from tests.command import Run

WITHOUT_JSON: Final = {
    "bench run": "its --json takes a file, which gets the results",
    "poisoning run": "its --json takes a file, too",
    "conformance testee": "its standard output belongs to the runner, which speaks a protocol there",
}


def tree(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from tree(each, (*path, name))


ALL: Final = {" ".join(path): command for path, command in tree(typer.main.get_command(application()))}
COMMANDS: Final = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def flags(command: Any) -> set[str]:
    return {option for each in command.params if getattr(each, "is_flag", False) for option in each.opts}


def test_the_commands_were_found() -> None:
    assert {"params", "join", "roster show", "bench compare", "conformance run"} <= set(COMMANDS)
    assert set(WITHOUT_JSON) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json_or_says_why_not(name: str) -> None:
    assert ("--json" in flags(COMMANDS[name])) == (name not in WITHOUT_JSON)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(WITHOUT_JSON)))
def test_with_json_an_error_is_an_object_too(name: str, run: Run) -> None:
    # The fixture holds the object on standard output against the sentence.
    outcome = run(*name.split(), "--json", "--nonsense")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--nonsense" in outcome.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_all_that_it_takes_have_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert [each.name for each in command.params if not getattr(each, "help", None)] == []


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_every_group_has_its_help_by_one_letter_too(name: str, run: Run) -> None:
    short, long = run(*name.split(), "-h"), run(*name.split(), "--help")
    assert (short.code, short.err) == (0, "")
    assert short.out == long.out
    assert short.out.startswith(" ".join(["Usage: secagg", *name.split()]))
