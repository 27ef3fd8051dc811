"""Values of command-line options that more than one command takes."""

from __future__ import annotations

from enum import StrEnum

import secagg


class TopologyChoice(StrEnum):
    """A masking graph, or leave the choice to the calculator (Specification §2.5)."""

    AUTO = "auto"
    COMPLETE = "complete"
    SPARSE = "sparse"

    @property
    def kind(self) -> secagg.TopologyKind | None:
        """The graph, or None to let the calculator choose."""
        return None if self is TopologyChoice.AUTO else secagg.TopologyKind(self.value)
