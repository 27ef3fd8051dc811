"""A docstring in its sections, as griffe reads Google's style, and what griffe has to say about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import griffe

# As mkdocs.yml has them for the reference: one value is returned, without a name.
OPTIONS: Final[dict[str, Any]] = {
    "returns_multiple_items": False,
    "returns_named_value": False,
    "warn_missing_types": False,
    "warn_unknown_params": False,  # the check says it itself, of classes and attributes, too
}


@dataclass(frozen=True)
class Sections:
    """What one docstring says.

    Attributes:
        summary: its first paragraph.
        whole: all of it.
        parameters: entries of `Args`, by name.
        attributes: entries of `Attributes`, by name.
        returns: text of `Returns` or `Yields`.
        raises: names of `Raises`, as they are written.
        warnings: what griffe finds wrong.
    """

    summary: str = ""
    whole: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    raises: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def over(self, base: Sections) -> Sections:
        """These sections, and those of an overridden method where these have none."""
        return Sections(
            self.summary,
            self.whole if self.returns or not base.returns else f"{self.whole}\n{base.returns}",
            {**base.parameters, **self.parameters},
            {**base.attributes, **self.attributes},
            self.returns or base.returns,
            [*base.raises, *self.raises],
            self.warnings,
        )


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _named(entries: Sequence[griffe.DocstringNamedElement]) -> dict[str, str]:
    """Text by name; an entry may have several, as in `tls, insecure: as for `participate``."""
    return {name.lstrip("*"): each.description for each in entries for name in each.name.split(", ")}


@cache
def sections_of(target: griffe.Object) -> Sections:
    """Parse the docstring of an object; nothing is in those of one that has none. Kept, since much is asked again."""
    if target.docstring is None:
        return Sections()
    heard, log = _Heard(), logging.getLogger("griffe")
    quiet, log.propagate = log.propagate, False
    log.addHandler(heard)
    try:
        parsed = griffe.parse_google(target.docstring, **OPTIONS)
    finally:
        log.removeHandler(heard)
        log.propagate = quiet
    made = Sections(
        whole=target.docstring.value,
        summary=target.docstring.value.partition("\n\n")[0].strip(),
        warnings=[line.partition(": ")[2] for line in heard.lines],
    )
    for section in parsed:
        if isinstance(section, griffe.DocstringSectionParameters):
            made.parameters.update(_named(section.value))
            names = [name for each in section.value for name in each.name.split(", ")]
            made.warnings.extend(f"two entries for {name}" for name in dict.fromkeys(names) if names.count(name) > 1)
        elif isinstance(section, griffe.DocstringSectionAttributes):
            made.attributes.update(_named(section.value))
        elif isinstance(section, griffe.DocstringSectionRaises):
            made.raises.extend(str(each.annotation) for each in section.value)
        elif isinstance(section, griffe.DocstringSectionReturns | griffe.DocstringSectionYields):
            made = replace(made, returns=" ".join(each.description for each in section.value))
            given = getattr(target, "returns", None)
            for each in section.value:
                if isinstance(section, griffe.DocstringSectionReturns) and str(each.annotation) != str(given):
                    made.warnings.append(
                        f"what stands before the colon in Returns is read as a type: {each.annotation}"
                    )
    return made
