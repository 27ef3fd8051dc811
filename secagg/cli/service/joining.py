"""Shows on a terminal how far a client is, and counts what it sent. Nothing is shown in a pipe."""

from __future__ import annotations

from typing import TextIO

import secagg
from secagg.cli.output import readable_bytes, shown
from secagg.transport.grpc import ParticipationObserver


class Watcher(ParticipationObserver):
    """Follows one participation.

    Args:
        terminal: where to show it, or None.

    Attributes:
        sent_bytes: bytes of all answers.
    """

    def __init__(self, terminal: TextIO | None) -> None:
        self.sent_bytes = 0
        self._terminal = terminal

    def offer_accepted(self, parameters: secagg.SessionParameters, resumed: secagg.ClientPhase | None) -> None:
        """Say what is joined."""
        where = "" if resumed is None else f", going on at {resumed.value}"
        self._show(f"joined a session of {parameters.clients} clients, {parameters.threat_model.value}{where}")

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Count and show an answer."""
        self.sent_bytes += size
        self._show(f"{phase.value.replace('_', ' ')}: {readable_bytes(size)} {outcome}")

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        """Say why it takes longer."""
        self._show(f"{call} failed ({reason}); again in {seconds:.1f} s")

    def _show(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.write(f"{shown(line)}\n")
