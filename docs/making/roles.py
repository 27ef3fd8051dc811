"""Docstrings have Sphinx's roles, as :meth:`receive`; on pages the names stand as code."""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_ROLE: Final = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):`~?([^`]+)`")


def without_roles(text: str) -> str:
    """Return a docstring's text with names in backticks alone."""
    return _ROLE.sub(r"`\1`", text)


class Roles(griffe.Extension):
    """Takes roles out of the docstrings of all that is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = without_roles(obj.docstring.value)
