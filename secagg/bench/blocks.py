"""Writes tables between two marks of a page, so that no figure of a page is typed by hand.

A block stands between `<!-- bench: NAME -->` and `<!-- end of bench -->`. Writing the same report
twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from secagg.bench.rows import Report
from secagg.bench.tables import BLOCKS
from secagg.errors import ParameterError

_BLOCK: Final = re.compile(r"<!-- bench: (?P<name>[a-z]+) -->\n(?:.*?\n)??<!-- end of bench -->", re.DOTALL)


def fill_blocks(text: str, report: Report, blocks: Mapping[str, Callable[[Report], str]] = BLOCKS) -> str:
    """Return a page with the content of its blocks written anew.

    Raises:
        ParameterError: a page without a block, or a block of a name that no table has.
    """

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in blocks:
            raise ParameterError(f"no table is called {name!r}; a block may be one of {', '.join(blocks)}")
        return f"<!-- bench: {name} -->\n{blocks[name](report)}\n<!-- end of bench -->"

    written, count = _BLOCK.subn(made, text)
    if not count:
        raise ParameterError(
            "the page has no block; put the lines `<!-- bench: summary -->` and `<!-- end of bench -->` where the "
            "table belongs"
        )
    return written


def write_into(page: Path, report: Report, blocks: Mapping[str, Callable[[Report], str]] = BLOCKS) -> bool:
    """Fill the blocks of a file; returns whether that changed it.

    Raises:
        ParameterError: no such file, or see :func:`fill_blocks`.
    """
    try:
        before = page.read_text(encoding="utf-8")
        after = fill_blocks(before, report, blocks)
        if after != before:
            page.write_text(after, encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"{page} cannot be written: {error.strerror}") from error
    return after != before
