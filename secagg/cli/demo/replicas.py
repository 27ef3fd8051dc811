"""One of several server processes of a demonstration: its ports, its log, and what its log says of leases.

Must not know who starts it and why.
"""

from __future__ import annotations

import json
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Replica:
    """One server process.

    Attributes:
        number: from 1 on.
        port: where it serves.
        health: the port where it says whether it is ready.
        directory: gets its log.
        process: None before it was started.
    """

    number: int
    port: int
    health: int
    directory: Path
    process: Process | None = None

    @property
    def log(self) -> Path:
        """Where it logs, in JSON lines."""
        return self.directory / f"log-{self.number}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What is its own in a configuration that all share."""
        return {
            "SECAGG_LISTEN__ADDRESS": f"127.0.0.1:{self.port}",
            "SECAGG_HEALTH__HTTP": f"127.0.0.1:{self.health}",
            "SECAGG_LOGS__FILE": str(self.log),
        }

    def epoch(self, session: str) -> int:
        """Of the last lease that it took on a session; 0 for none."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        leases = [json.loads(line) for line in whole.splitlines() if '"lease taken"' in line]
        return max((lease["epoch"] for lease in leases if lease["session"] == session), default=0)
