"""How often one input of a client goes into sums that are opened, whatever carries its sessions (Specification §6.9).

A server that claims that a session came to nothing, and makes another one without some client, would have two sums
whose difference is that client's input. So each session of an input ends once in the client's ledger: its shares were
shown, or a later session of the input was entered. Not both; and after shares were shown the input goes into no other
session, unless its owner allows that (R57). Of a session that is offered again it goes into one run: the one whose mask
key is in the record. Which sessions are of one input is said by the host. Nothing here depends on what the input is.
Must not know messages.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from secagg.errors import ParameterError, ParticipationRefusedError
from secagg.parameters import ClientId
from secagg.parameters.arguments import as_whole, require_kind
from secagg.session.ledger import AnswerLedger

_INPUT: Final = b"secagg/v1 sessions of one input\0"
_LEFT: Final = hashlib.sha256(b"secagg/v1 left for a later session").digest()
_GIVEN: Final = b"secagg/v1 input given\0"
_SHOWN: Final = hashlib.sha256(b"secagg/v1 shares shown").digest()
_MOST_SESSIONS: Final = 1 << 10


@dataclass(frozen=True, slots=True)
class InputReuse:
    """Which sessions a client gives one and the same input, and how many of their sums it may help to open.

    Attributes:
        name: of the input; sessions of one client with the same ledger and name are given the same input. None takes
            the session's context, where that changes exactly when the input does.
        repeated_sums: in how many sessions of the input the client may show its shares after the first; each tells the
            difference from the others. None allows any number, where each is over the same clients or none.

    Raises:
        ParameterError: a name that is not bytes, or no number from 0 on.
    """

    name: bytes | None = None
    repeated_sums: int | None = 0

    def __post_init__(self) -> None:
        if self.name is not None:
            require_kind("name", self.name, bytes, "bytes, or None for the session's context")
        if self.repeated_sums is not None and (as_whole(self.repeated_sums) is None or self.repeated_sums < 0):
            raise ParameterError(
                f"repeated_sums={self.repeated_sums!r:.40} is no number of sums; give a whole number from 0 on, or "
                "None for any"
            )

    def digest(self, context: bytes) -> bytes:
        """The name under which a ledger has the input, in sessions of a context; 32 bytes.

        Args:
            context: that of the session, which stands for a name that was not given.
        """
        return hashlib.sha256(_INPUT + (context if self.name is None else self.name)).digest()


class SessionOfInput:
    """One of the sessions of one input, as the client's ledger has them, in the order in which they were entered.

    Args:
        ledger: a record that is never rolled back; what is remembered holds as long as it does.
        client: the client.
        input: 32 bytes, `InputReuse.digest`.
        session: 32-byte digest of the session.
    """

    def __init__(self, ledger: AnswerLedger, client: ClientId, input: bytes, session: bytes) -> None:  # noqa: A002
        self._input = input
        self._ledger = ledger
        self._client = client
        self._session = session
        self._number: int | None = None

    def enter(self, repeated_sums: int | None) -> None:
        """Enter the session, once; those that were entered before it get no input and no shares any more.

        Raises:
            ParticipationRefusedError: shares were shown in as many sessions of this input as may be.
        """
        shown = 0
        for number in range(_MOST_SESSIONS):
            if self._record(number, "entered", self._session):
                self._number = number
                return
            if self._record(number, "shown", _LEFT):
                self._record(number, "given", _LEFT)
            else:
                shown += 1
            if repeated_sums is not None and shown > repeated_sums:
                raise ParticipationRefusedError(
                    f"this client has helped to open {shown} of the sums that its input is in, and another one over "
                    "nearly the same clients would give it away; wait until it is asked for another input, or have its "
                    "owner allow repeated sums"
                )
        raise ParticipationRefusedError(f"this client's input was in {_MOST_SESSIONS} sessions already")

    def give(self, mask_public: bytes) -> None:
        """Decide that the masked input leaves, before it does, in the run of the session with this mask public key.

        Raises:
            ParticipationRefusedError: a later session of this input was entered, or another run of this one has it.
        """
        if self._record(self._own(), "given", _given(mask_public)):
            return
        if self._record(self._own(), "given", _LEFT):
            raise _later("gives it to none of those before it")
        raise ParticipationRefusedError(
            "this client gave its input in another run of the same session, which was offered again, and gives it once"
        )

    def show_shares(self) -> None:
        """Decide that shares leave, before they do.

        Raises:
            ParticipationRefusedError: a later session of this input was entered.
        """
        if not self._record(self._own(), "shown", _SHOWN):
            raise _later("helps to open none of those before it")

    def has_left(self, session: bytes, mask_public: bytes) -> bool:
        """Whether a run that this input was given to is of a session before this one, whose shares were not shown.

        They never will be: nobody has its sum by this client's help. Another run of the session may have been of
        another input, and its shares were shown as that one's record says.
        """
        return any(
            self._record(number, "entered", session)
            and self._record(number, "shown", _LEFT)
            and self._record(number, "given", _given(mask_public))
            for number in range(self._own())
        )

    def _own(self) -> int:
        """The number of this session; those below it are of other sessions, so that asking for them enters nothing."""
        if self._number is None:
            # What takes a number that nobody has keeps this session from entering by being asked for.
            taken = takewhile(lambda number: not self._record(number, "entered", _LEFT), range(_MOST_SESSIONS))
            self._number = next((number for number in taken if self._record(number, "entered", self._session)), None)
        if self._number is None:
            raise ParticipationRefusedError("this client's ledger does not have the session that goes on, or forgot it")
        return self._number

    def _record(self, number: int, what: str, digest: bytes) -> bool:
        return self._ledger.record(self._input, self._client, f"input {number} {what}", digest)


def _given(mask_public: bytes) -> bytes:
    return hashlib.sha256(_GIVEN + mask_public).digest()


def _later(consequence: str) -> ParticipationRefusedError:
    return ParticipationRefusedError(f"this client is in a later session of the same input, and {consequence}")
