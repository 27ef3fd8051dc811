"""Who may still change a session: kept beside it, so that a message without effect costs no entry in the log.

Follows the session by what each entry did, live and in a replay alike. An honest client needs one entry in a round;
a bound on entries for each client and round keeps the log of any session finite. Knows no stores and no clocks.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from secagg.hosting.errors import QuotaExceededError
from secagg.hosting.replica import ENDED, REPEATED, Applied, View
from secagg.hosting.replies import Departure, Receipt, ReceiptKind
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.messages import Round

# Its answer, one that differs from it and has the client dropped, and one that turns out to be of another round.
ENTRIES_PER_ROUND: Final = 3
_SETTLED: Final = (Round.CONSISTENCY_CHECK, Round.UNMASKING)  # the contributors are known already


class RoundBook:
    """Who is asked, who answered with what, and who is gone.

    Attributes:
        live: clients of the open round that were not dropped.
        pending: of these, those who have not answered.
        gone: why each client was dropped.
        dropped: how many were dropped for which reason.
        entries: entries of the log.

    Args:
        parameters: of the session.
        view: the session as it is new.
    """

    def __init__(self, parameters: SessionParameters, view: View) -> None:
        self._parameters = parameters
        self._round = view.round
        self._answers: dict[ClientId, bytes] = {}
        self._earlier: dict[ClientId, frozenset[bytes]] = {}
        self._logged: Counter[ClientId] = Counter()
        self.live: set[ClientId] = set(view.pending)
        self.pending: set[ClientId] = set(view.pending)
        self.gone: dict[ClientId, Departure] = {}
        self.dropped: Counter[Departure] = Counter()
        self.entries = 0

    @property
    def answered(self) -> int:
        """How many live clients have answered."""
        return len(self.live) - len(self.pending)

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """The answer to a message that would change nothing; None when the session has to see it.

        Args:
            client: who sent it.
            digest: SHA-256 of the message.
        """
        if client in self.gone:
            return Receipt(ReceiptKind.LATE, self.gone[client])
        if self._answers.get(client) == digest or digest in self._earlier.get(client, ()):
            return REPEATED
        return None if client in self.live else ENDED

    def require_entry(self, client: ClientId) -> None:
        """Demand that the log still has room for a client in this round.

        Raises:
            QuotaExceededError: it sent too many different messages.
        """
        if self._logged[client] >= ENTRIES_PER_ROUND:
            raise QuotaExceededError(
                f"client {client} sent {ENTRIES_PER_ROUND} different messages in one round; an honest client sends one"
            )

    def note(self, applied: Applied, view: View | None) -> None:
        """Follow the session.

        Args:
            applied: what an entry did.
            view: the session after it, where the entry may have ended a round; otherwise None.
        """
        self.entries += 1
        for event, reason in applied.departures():
            self.live.discard(event.client)
            self.pending.discard(event.client)
            self.gone[event.client] = reason
            self.dropped[reason] += 1
        client = applied.entry.client
        if client is not None and applied.digest:
            self._logged[client] += 1
            if applied.receipt.kind is ReceiptKind.ACCEPTED and applied.receipt.reason is None:
                self._answers[client] = applied.digest
                self.pending.discard(client)
        if view is not None and view.round is not self._round:
            self._turn(view)

    def skip(self) -> None:
        """Count an entry of the log that the session does not see."""
        self.entries += 1

    def doomed(self) -> bool:
        """Whether the session can no longer release a sum, whoever answers from now on.

        Rebuilding one client's secret takes `threshold` others; a sum takes `minimum_contributors`, and an input that
        was added counts whatever its client does later. In a sparse graph a neighbourhood may be lost before this.
        """
        if self._round in (None, Round.DISCLOSURE):  # then no sum is waited for, but who is to blame
            return False
        few = len(self.live) <= self._parameters.threshold
        if self._round in _SETTLED:
            return few
        contributors = self.live
        if self._round is Round.MASKED_INPUT:
            contributors = self.live | self._answers.keys()
        return few or len(contributors) < self._parameters.minimum_contributors

    def _turn(self, view: View) -> None:
        for client, digest in self._answers.items():
            self._earlier[client] = self._earlier.get(client, frozenset()) | {digest}
        self._answers.clear()
        self._logged.clear()
        self._round = view.round
        self.live = set(view.pending)
        self.pending = set(view.pending)
