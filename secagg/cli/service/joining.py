"""Shows on a terminal how far a client is, and counts what it sent. Nothing is shown in a pipe."""

from __future__ import annotations

from typing import TextIO

import secagg
from secagg.cli.output import readable_bytes, shown
from secagg.transport.grpc import ParticipationObserver


class Watcher(ParticipationObserver):
    """Follows a client.

    Args:
        terminal: where to show it, or None.
    """

    def __init__(self, terminal: TextIO | None) -> None:
        self._sent_bytes = 0
        self._terminal = terminal

    def offer_accepted(self, parameters: secagg.SessionParameters, resumed: secagg.ClientPhase | None) -> None:
        """Say what is joined."""
        where = "" if resumed is None else f", going on at {resumed.value}"
        self._show(f"joined a session of {parameters.clients} clients, {parameters.threat_model.value}{where}")

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Count and show an answer."""
        self._sent_bytes += size
        self._show(f"{phase.value.replace('_', ' ')}: {readable_bytes(size)} {outcome}")

    def restarted(self, successor: str) -> None:
        """Say where the client goes on."""
        self._show(f"the session ended because of others; going on in session {successor}")

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        """Say why it takes longer."""
        self._show(f"{call} failed ({reason}); again in {seconds:.1f} s")

    def take_bytes(self) -> int:
        """Return the bytes of all answers since the last call."""
        taken, self._sent_bytes = self._sent_bytes, 0
        return taken

    def _show(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.write(f"{shown(line)}\n")
