"""Text of programs as Markdown."""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile(r"([\\*_{}\[\]<>#|!])")
UNSEARCHED: Final = "---\nsearch:\n  exclude: true\n---\n"


def escaped(text: str) -> str:
    """Return a text that means nothing in Markdown but for what stands in backticks."""
    parts = text.split("`")
    return "`".join(_SPECIAL.sub(r"\\\1", part) if place % 2 == 0 else part for place, part in enumerate(parts))


def terms(listed: list[tuple[str, str]]) -> str:
    """Return a list of terms and what they are: for narrow screens, which have no place for tables.

    Args:
        listed: terms as they are written in programs, and Markdown about them.
    """
    return "".join(f"`{term}`\n:   {about}\n\n" for term, about in listed)
