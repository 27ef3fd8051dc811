"""Types of command-line options. Must not know what the commands do with them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Optional

import secagg

MaybeFloat = Optional[float]  # noqa: UP045 - typer 0.12.0 knows no `float | None`
"""A number, or nothing given."""

MaybeInt = Optional[int]  # noqa: UP045 - typer 0.12.0 knows no `int | None`
"""A whole number, or nothing given."""

MaybePath = Optional[Path]  # noqa: UP045
"""A path, or nothing given."""

MaybeText = Optional[str]  # noqa: UP045
"""A text, or nothing given."""

Words = Optional[list[str]]  # noqa: UP045
"""An option that may be repeated."""


Paths = Optional[list[Path]]  # noqa: UP045
"""A path that may be given more than once."""


class TopologyChoice(StrEnum):
    """A masking graph, or leave the choice to the calculator (Specification §2.5)."""

    AUTO = "auto"
    COMPLETE = "complete"
    SPARSE = "sparse"
    CHOSEN = "chosen"

    @property
    def kind(self) -> secagg.TopologyKind | None:
        """The graph, or None to let the calculator choose; the experimental one is never its choice."""
        return None if self is TopologyChoice.AUTO else secagg.TopologyKind(self.value)
