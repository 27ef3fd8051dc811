"""Writes tables between two marks of a page, so that no figure of a page is typed by hand.

A block stands between `<!-- bench: NAME -->` and `<!-- end of bench -->`. Writing the same report
twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from secagg.bench.rows import Report
from secagg.bench.tables import BLOCKS
from secagg.errors import ParameterError

_BLOCK: Final = re.compile(r"<!-- bench: (?P<name>[a-z]+) -->\n(?:.*?\n)??<!-- end of bench -->", re.DOTALL)


def fill_blocks(
    text: str,
    report: Report,
    blocks: Mapping[str, Callable[[Report], str]] = BLOCKS,
    others: Collection[str] = (),
) -> str:
    """Return a page with the content of its blocks written anew, but for those of others.

    Raises:
        ParameterError: a page without a block, or a block of a name that no table has.
    """
    return fill(text, {name: partial(table, report) for name, table in blocks.items()}, others)


def fill(text: str, contents: Mapping[str, Callable[[], str]], others: Collection[str] = ()) -> str:
    """Return a page with the blocks of these names written anew; see :func:`fill_blocks`."""

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if name in others and name not in contents:
            return found[0]
        if name not in contents:
            raise ParameterError(f"no table is called {name!r}; a block may be one of {', '.join(contents)}")
        return f"<!-- bench: {name} -->\n{contents[name]()}\n<!-- end of bench -->"

    written, count = _BLOCK.subn(made, text)
    if not count:
        raise ParameterError(
            f"the page has no block; put the lines `<!-- bench: {next(iter(contents))} -->` and "
            "`<!-- end of bench -->` where the table belongs"
        )
    return written


def write_into(
    page: Path,
    report: Report,
    blocks: Mapping[str, Callable[[Report], str]] = BLOCKS,
    others: Collection[str] = (),
) -> bool:
    """Fill the blocks of a file, but for those of others; returns whether that changed it.

    Raises:
        ParameterError: no such file, or see :func:`fill_blocks`.
    """
    return rewrite(page, partial(fill_blocks, report=report, blocks=blocks, others=others))


def rewrite(page: Path, change: Callable[[str], str]) -> bool:
    """Change the text of a file; returns whether that changed it.

    Raises:
        ParameterError: no such file, or what `change` raises.
    """
    try:
        before = page.read_text(encoding="utf-8")
        after = change(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"{page} cannot be written: {error.strerror}") from error
    return after != before
