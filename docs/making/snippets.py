"""The code in the pages: every block between fences, and commands among the words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from docs.making.repository import DOCS, Repository

_FENCE: Final = re.compile(r"^( *)(`{3,})(\w*)[^\n`]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_CONTINUED: Final = re.compile(r"\\\n\s*")
# Where a command begins: the line, what a shell has before one, and variables, `$ ` or a program that starts another.
_BEFORE: Final = r"(?:^|(?<=[;&|({])|\b(?:do|then|else))[ \t]*(?:\$ |\w+=\S+ +|[\w.$/-]+/bin/|[a-z-]+-instrument +)*"
_COMMAND: Final = re.compile(rf"{_BEFORE}(secagg [^\n;&|]+)", re.MULTILINE)
_MAKE: Final = re.compile(rf"{_BEFORE}make((?: +[\w.=/'\"-]+)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """Code between fences.

    Attributes:
        page: path of its page from the root.
        line: of the page, where the code begins.
        language: after the fence; "" for none.
        text: the code, without the indentation of the fence.
    """

    page: str
    line: int
    language: str
    text: str


def pages(repository: Repository) -> dict[str, str]:
    """The text of every page in Markdown that the site takes from the repository, by its path."""
    paths = [path for path in repository.files if path.startswith(DOCS) and path.endswith(".md")]
    return {path: (repository.root / path).read_text(encoding="utf-8") for path in sorted([*paths, *repository.pages])}


def blocks(page: str, text: str) -> Iterator[Block]:
    """The blocks of a page."""
    for found in _FENCE.finditer(text):
        indent, _, language, code = found.groups()
        bare = "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, found.start()) + 2, language, bare)


def commands(page: str, text: str) -> Iterator[tuple[int, str]]:
    """Command lines of secagg in a page, with the line where they are: in blocks, and code among words."""
    for line, found in _matches(_COMMAND, page, text):
        yield line, found.group(1).strip()


def targets(page: str, text: str) -> Iterator[tuple[int, str]]:
    """What a page has `make` make, with the line where it says so."""
    for line, found in _matches(_MAKE, page, text):
        words = takewhile(lambda word: word[0].isalpha() and "=" not in word, found.group(1).split())
        yield from ((line, word) for word in words)


def _matches(pattern: re.Pattern[str], page: str, text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Where a pattern is in what a shell could be given; lines that go on, and wrapped words, are one line."""
    prose = _FENCE.sub(lambda found: "\n" * found.group().count("\n"), text)
    shown = [
        (block.line, block.text, _CONTINUED.sub(lambda found: " " * len(found.group()), block.text))
        for block in blocks(page, text)
        if block.language in ("", "sh")
    ]
    shown += [
        (prose.count("\n", 0, span.start()) + 1, span.group(1), span.group(1).replace("\n", " "))
        for span in _SPAN.finditer(prose)
    ]
    for line, code, whole in shown:
        for found in pattern.finditer(whole):
            yield line + code.count("\n", 0, found.start(1)), found
