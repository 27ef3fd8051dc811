"""Says on standard error how far a client is and what it waits for, and counts what it sent.

Whoever sees no terminal, such as a log, has the same lines, but of those about waiting one in a while; a
log that cannot be written ends no client.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

import secagg
from secagg.cli.output import readable_bytes, shown
from secagg.transport.grpc import ParticipationObserver

_SELDOM_SECONDS: Final = 30.0


class Watcher(ParticipationObserver):
    """Follows a client.

    Args:
        stream: where to say it; on a terminal each line, elsewhere one in 30 s of those about waiting.
        now: seconds that only grow.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._sent_bytes = 0
        self._stream = stream
        self._pause = 0.0 if stream.isatty() else _SELDOM_SECONDS
        self._now = now
        self._said: dict[str, float] = {}

    def begins(self, server: str, session: str | None) -> None:
        """Say who is asked for what."""
        self._show(f"asking {server} for {'sessions' if session is None else f'session {session}'}")

    def offer_accepted(self, parameters: secagg.SessionParameters, resumed: secagg.ClientPhase | None) -> None:
        """Say what is joined."""
        where = "" if resumed is None else f", going on at {resumed.value}"
        model = parameters.threat_model.value
        self._show(f"joined a session of {parameters.clients} clients, {model}{where}; waiting for the others")

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Count and show an answer."""
        self._sent_bytes += size
        self._show(f"{phase.value.replace('_', ' ')}: {readable_bytes(size)} {outcome}")

    def restarted(self, successor: str) -> None:
        """Say where the client goes on."""
        self._show(f"the session ended because of others; going on in session {successor}")

    def waiting(self, what: str, seconds: float) -> None:
        """Say what for, and for how long by now."""
        self._show_seldom("waiting", f"waiting for {what}, for {seconds:.0f} s by now")

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        """Say why it takes longer."""
        self._show_seldom("retrying", f"{call} failed ({reason}); again in {seconds:.1f} s")

    def take_bytes(self) -> int:
        """Return the bytes of all answers since the last call."""
        taken, self._sent_bytes = self._sent_bytes, 0
        return taken

    def _show_seldom(self, kind: str, line: str) -> None:
        now = self._now()
        if kind not in self._said or now - self._said[kind] >= self._pause:
            self._said[kind] = now
            self._show(line)

    def _show(self, line: str) -> None:
        # Whoever reads it may have gone, or the log's disk be full: no reason to leave a session.
        with suppress(OSError):
            self._stream.write(f"{shown(line)}\n")
            self._stream.flush()
