"""The table of README.md, from the catalogue and the record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from protocol_specs.proverif.catalogue import CHANGES, LEMMAS
from protocol_specs.proverif.lemmas import Lemma, Model
from protocol_specs.proverif.running import load

PAGE: Final = Path(__file__).with_name("README.md")

_BLOCK: Final = re.compile(r"(?<=<!-- generated: lemmas -->\n).*?(?=<!-- end generated -->)", re.DOTALL)


def render(page: str) -> str:
    """Return the page with its table made anew."""
    return _BLOCK.sub("\n".join(_table()).replace("\\", "\\\\") + "\n", page)


def _table() -> Iterator[str]:
    record = load()
    yield "| lemma | what it says | ProVerif | false without |"
    yield "| --- | --- | --- | --- |"
    for lemma in LEMMAS:
        said = record.results[lemma.name].verdicts.values()
        verdict = "reached" if lemma.reachable else ", ".join(sorted({each.value for each in said}))
        yield f"| `{lemma.name}` | {lemma.says} | {verdict} | {'; '.join(_controls(lemma))} |"


def _controls(lemma: Lemma) -> Iterator[str]:
    for control in lemma.controls:
        yield f"{Model(lemma, control).control}: {CHANGES[control]}"
