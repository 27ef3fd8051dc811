"""What a client tells whoever watches it: every hook does nothing unless it is overridden.

Hooks are called on the event loop and must return at once. They get names, numbers and reasons, never a message, a
key or a vector.
"""

from __future__ import annotations

from secagg.encoding.quantization import QuantizationReport
from secagg.parameters import SessionParameters
from secagg.protocol.transitions import ClientPhase


class ParticipationObserver:
    """Hooks of `participate`; subclass it and override what you need.

    Args:
        parameters: what was accepted.
        resumed: where an earlier process had left off, or None.
        reports: of each vector, what was moved into the session's bounds.
        weight_clipped: whether the weight was.
        phase: what the client waited for.
        size: bytes of the answer.
        outcome: "accepted", "repeated" or "late".
        successor: name of the session that follows.
        what: what is waited for: "other clients", or "a session".
        call: its name, as in the .proto file.
        reason: why it failed, in words.
        seconds: until it is made again; of waiting how long it has lasted.
    """

    def logged_in(self) -> None:
        """The server accepted a login: the first, or another one after it forgot the last."""

    def offer_accepted(self, parameters: SessionParameters, resumed: ClientPhase | None) -> None:
        """The offer is within the policy; `resumed` is where an earlier process had left off, or None."""

    def input_encoded(self, reports: tuple[QuantizationReport, ...], weight_clipped: bool) -> None:
        """The input is ready: what was moved into the session's bounds, of each vector, and whether the weight was."""

    def answered(self, phase: ClientPhase, size: int, outcome: str) -> None:
        """A request was answered with `size` bytes; `outcome` is "accepted", "repeated" or "late"."""

    def restarted(self, successor: str) -> None:
        """The session ended because of others, and this client goes on with its input in the one that follows."""

    def waiting(self, what: str, seconds: float) -> None:
        """The server was asked and has no news yet, for `seconds` by now; it is asked again."""

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        """A call failed and is made again after `seconds`."""
