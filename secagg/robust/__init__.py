"""Liars in the cohort: clients in cells, a session for each cell, and what a server may do with the cells' sums.

A client that lies spoils the sum of its own cell and no other. A room of its own: `import secagg` does not load it, and
nothing that a session does depends on it. What all parties must agree on is in `protocol_specs/robust-v1.md`.
"""

from secagg.robust.partition import Partition, round_context

__all__ = ["Partition", "round_context"]
