"""What is wrong with a command line, in one sentence: with the value, and with the command that was meant.

Must not know which commands there are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import typer

_UNKNOWN: Final = re.compile(r"No such (?P<what>command|option):? '?(?P<word>[^\s']+)'?")
_MANY: Final = 3


def complaint(error: Exception, words: Sequence[str]) -> str:
    """Say what is wrong with the words, which value it is, and where it is said what they mean.

    Args:
        error: of typer, which vendors click or imports it, by its version; so its fields are asked for by name.
        words: after `secagg`.
    """
    describe = getattr(error, "format_message", None)
    sentence = str(describe() if callable(describe) else error).rstrip(".")
    options = getattr(getattr(error, "param", None), "opts", ())
    given = [value for word, value in pairwise(words) if word in options]
    given += [
        value for word in words for option, equals, value in [word.partition("=")] if equals and option in options
    ]
    path = getattr(getattr(error, "ctx", None), "command_path", "secagg")
    value = f" (it is {given[-1]!r:.80})" if given and type(error) is typer.BadParameter else ""
    unknown = _UNKNOWN.match(sentence)
    if unknown is None:
        return f"{sentence}{value}; see `{path} --help`"
    near = _nearest(unknown, getattr(getattr(error, "ctx", None), "command", None), path)
    meant = f"; did you mean {near}? See" if near else "; see"
    return f"{unknown.group()}{meant} `{path} --help`"


def _nearest(unknown: re.Match[str], command: object, path: str) -> str:
    """The command or option that somebody may have meant; nothing where none is near."""
    word = unknown["word"]
    if unknown["what"] == "option":
        known = [option for each in getattr(command, "params", ()) for option in each.opts]
        return next(iter(difflib.get_close_matches(word, known, 1)), "")
    below = dict(_commands(command))
    # One that begins so, then one that is spelled almost so, then one that is called so in a group.
    begun = [name for name in below if name.startswith(word) and " " not in name]
    spelled = difflib.get_close_matches(word, [name for name in below if " " not in name], 1)
    deeper = [name for name, last in below.items() if last == word]
    return " or ".join(f"`{path} {name}`" for name in (begun or spelled or deeper)[:_MANY])


def _commands(group: object, before: str = "") -> Iterator[tuple[str, str]]:
    """What follows the name of a group for each command in it, and the last word of that."""
    for name, command in getattr(group, "commands", {}).items():
        yield f"{before}{name}", name
        yield from _commands(command, f"{before}{name} ")
