"""The code in the pages: every block between fences, and commands among the words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from docs.making.repository import DOCS, Repository

_FENCE: Final = re.compile(r"^( *)(`{3,})(\w*)[^\n`]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_SPAN: Final = re.compile(r"`(secagg [^`\n]+)`")
_CONTINUED: Final = re.compile(r"\\\n\s*")


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
    """Command lines of secagg in a page, with the line where they are: lines of blocks, and code among words."""
    for block in blocks(page, text):
        code = _CONTINUED.sub(lambda found: " " * len(found.group()), block.text)
        offset = 0
        for line in code.splitlines(keepends=True):
            if line.lstrip("$ ").startswith("secagg ") and block.language in ("", "sh"):
                yield block.line + block.text.count("\n", 0, offset), line.strip().lstrip("$ ")
            offset += len(line)
    prose = _FENCE.sub(lambda found: "\n" * found.group().count("\n"), text)
    for found in _SPAN.finditer(prose):
        yield prose.count("\n", 0, found.start()) + 1, found.group(1)
