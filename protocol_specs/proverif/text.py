"""From parts of a model to its text: what is left out, what comes in its place, and the two honest clients.

A part is ProVerif with four kinds of marks:

- a line that ends with `(* C26 *)` is a check, or an assumption, that goes when C26 is left out;
- `(* without C26: LINE *)` is a line that comes when C26 is left out;
- `(* in a: LINE *)` is a line of client a alone, `(* in b: LINE *)` one of client b; it may have a mark of its own;
- in a part of a client, `$me` and `$peer` stand for the two honest clients, in either order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from string import Template
from typing import Final

PARTS: Final = Path(__file__).with_name("parts")

_OF_ONE: Final = re.compile(r"^(?P<indent>\s*)\(\* in (?P<client>[ab]): (?P<line>.*) \*\)$")
_COMES: Final = re.compile(r"^(?P<indent>\s*)\(\* without (?P<name>[^:*]+): (?P<line>.*) \*\)$")
_GOES: Final = re.compile(r"^.*\S\s+\(\* (?P<name>[^:*]+) \*\)$")

# Client a has the smaller id, so that a adds the mask of the pair and b subtracts it.
_ROLES: Final = ({"me": "a", "peer": "b", "sign": "plus"}, {"me": "b", "peer": "a", "sign": "minus"})


def names_in(part: str) -> frozenset[str]:
    """Return the names of all that can be left out of a part, such as C26."""
    lines = [line for text in for_both("\n".join(_lines(part))) for line in text.split("\n")]
    found = (_COMES.match(line) or _GOES.match(line) for line in lines)
    return frozenset(match["name"] for match in found if match)


def assemble(parts: Collection[str], without: Collection[str]) -> str:
    """Return the text of a model.

    Args:
        parts: names of files, in order; those that begin with `client` stand together, and come once for each client.
        without: names of what is left out.

    Raises:
        ValueError: if a name stands in none of the parts.

    """
    known = frozenset[str]().union(*map(names_in, parts))
    if unknown := sorted(set(without) - known):
        raise ValueError(f"{', '.join(unknown)} cannot be left out of {', '.join(parts)}; name one of {sorted(known)}")
    texts = {part: "\n".join(_lines(part)) for part in parts}
    clients = [part for part in parts if part.startswith("client")]
    both = for_both("\n".join(texts.pop(part) for part in clients))
    if clients:
        texts[clients[0]] = "\n\n".join(both)
    whole = "\n\n".join(texts[part] for part in parts if part in texts)
    return "\n".join(_shaped(whole.split("\n"), without)) + "\n"


def for_both(text: str) -> tuple[str, str]:
    """Return a text as it is for client a, and as it is for client b."""
    first, second = (Template("\n".join(_of_one(text, role["me"]))).substitute(role) for role in _ROLES)
    return first, second


def _lines(part: str) -> list[str]:
    return (PARTS / part).read_text(encoding="utf-8").rstrip("\n").split("\n")


def _shaped(lines: list[str], without: Collection[str]) -> Iterator[str]:
    for line in lines:
        comes, goes = _COMES.match(line), _GOES.match(line)
        if comes:
            if comes["name"] in without:
                yield comes["indent"] + comes["line"]
        elif not (goes and goes["name"] in without):
            yield line


def _of_one(text: str, client: str) -> Iterator[str]:
    for line in text.split("\n"):
        mine = _OF_ONE.match(line)
        if not mine:
            yield line
        elif mine["client"] == client:
            yield mine["indent"] + mine["line"]
