"""How often one input of a client goes into sums that are opened, whatever framework carries them.

A server that claims that a session came to nothing, and makes another one without some client, would have two sums
whose difference is that client's input. So each session of an input ends once in the client's ledger: it has shown
its shares, or it is in a later session. Not both; and after it has shown shares it is in no other one, unless its owner
allows that (Specification §6.9, R57). Sessions are of one input when their contexts are equal. Must not know
frameworks.
"""

from __future__ import annotations

import hashlib
from typing import Final

import secagg
from secagg.errors import ParticipationRefusedError

_INPUT: Final = b"secagg/integrations/v1 input\0"
_LEFT: Final = hashlib.sha256(b"secagg/integrations/v1 left for a later session").digest()
_SHOWN: Final = hashlib.sha256(b"secagg/integrations/v1 shares shown").digest()
_MOST_SESSIONS: Final = 1 << 10


class SessionsOfInput:
    """The sessions of one input that one client was offered, as its ledger remembers them.

    Args:
        ledger: a record that is never rolled back; what is remembered holds as long as it does.
        client: the client.
        context: of the sessions.
    """

    def __init__(self, ledger: secagg.AnswerLedger, client: int, context: bytes) -> None:
        self._ledger = ledger
        self._client = client
        self._input = hashlib.sha256(_INPUT + context).digest()

    def enter(self, offer: bytes, repeats: int | None) -> None:
        """Let the client into a session; it shows no shares in the ones before it any more.

        Args:
            offer: bytes that name the session, the same whenever this is asked.
            repeats: how many sums may be opened with this input after the first; None where each is over the same
                clients or none, as a cell's are.

        Raises:
            ParticipationRefusedError: it has shown its shares in as many sessions of this input as it may.
        """
        shown, session = 0, hashlib.sha256(offer).digest()
        for number in range(_MOST_SESSIONS):
            if self._ledger.record(self._input, self._client, f"input {number}", session):
                return
            shown += not self._ledger.record(self._input, self._client, f"end of input {number}", _LEFT)
            if repeats is not None and shown > repeats:
                raise ParticipationRefusedError(
                    f"this client has helped to open {shown} of the sums that its input for this instruction is in, "
                    "and another one over nearly the same clients would give it away; send the next instruction, or "
                    "have its owner allow repeated sums"
                )
        raise ParticipationRefusedError(f"this client was in {_MOST_SESSIONS} sessions for this instruction already")

    def show_shares(self, offer: bytes) -> None:
        """Decide that the client's shares leave, before they do.

        Raises:
            ParticipationRefusedError: it was let into a later session of this input.
        """
        session = hashlib.sha256(offer).digest()
        for number in range(_MOST_SESSIONS):
            if self._ledger.record(self._input, self._client, f"input {number}", session):
                if self._ledger.record(self._input, self._client, f"end of input {number}", _SHOWN):
                    return
                break
        raise ParticipationRefusedError(
            "this client is in a later session of the same instruction, and helps to open none of those before it"
        )
