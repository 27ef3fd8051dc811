"""What a client tells whoever watches it: every hook does nothing unless it is overridden.

Hooks are called on the event loop and must return at once. They get names, numbers and reasons, never a message, a
key or a vector.
"""

from __future__ import annotations

from secagg.parameters import SessionParameters
from secagg.protocol.transitions import ClientPhase


class ParticipationObserver:
    """Hooks of `participate`; subclass it and override what you need."""

    def logged_in(self) -> None:
        """The server accepted a login: the first, or another one after it forgot the last."""

    def offer_accepted(self, parameters: SessionParameters, resumed: ClientPhase | None) -> None:
        """The offer is within the policy; `resumed` is where an earlier process had left off, or None."""

    def input_encoded(self, vector: str, entries: int, clipped: int) -> None:
        """A vector of the input fits the offer, whose range cut `clipped` of its entries off."""

    def answered(self, phase: ClientPhase, size: int, outcome: str) -> None:
        """A request was answered with `size` bytes; `outcome` is "accepted", "repeated" or "late"."""

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        """A call failed and is made again after `seconds`."""
