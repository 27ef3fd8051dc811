"""Which blocks of pages have their figures from runs of their own: each run leaves those of the others."""

from __future__ import annotations

from typing import Final

OWN_RUNS: Final = ("network", "service", "failover", "many", "cluster")
