"""What one client remembers of its answers: under the name of a session, and where it matters, beyond names.

Must not know sessions or connections.
"""

from __future__ import annotations

from typing import Final

from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.protocol.transitions import ClientPhase
from secagg.store.answers import DirectoryLedger
from secagg.store.base import StoreError
from secagg.store.durable import sync_directory
from secagg.transport.state import ParticipantState

_OF_A_SESSION: Final = frozenset(phase.value for phase in ClientPhase)


class AnswersByName:
    """The ledger of one client of one session's name, and where it matters, beyond names.

    The state on disk is found by the name that the server gives a session. What an input went into is remembered for
    all names (Specification §6.9). In a chosen graph (experimental) a client must not draw again for an offer that
    comes under another name: its first answer is claimed for all names, too.

    Args:
        state: of this session's name.
        client: which client.
    """

    def __init__(self, state: ParticipantState, client: ClientId) -> None:
        self._state = state
        self._client = client
        self.whatever_its_name = False

    def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
        """Claim an answer; False when this phase was answered before with another one.

        Raises:
            StoreError: what is kept beyond names cannot be written, or does not hold what was written.
        """
        if phase not in _OF_A_SESSION:
            # A directory for each input: in those of others nothing has to be looked for.
            return self._record_in(("inputs", session.hex()), session, phase, answer)
        if self.whatever_its_name and phase == ClientPhase.ADVERTISE_KEYS.value:
            first = self._record_in(("offers",), session, phase, answer)
            return first and self._state.record(session, client, phase, answer)
        return self._state.record(session, client, phase, answer)

    def _record_in(self, names: tuple[str, ...], session: bytes, phase: str, answer: bytes) -> bool:
        path = self._state.path.parent
        try:
            for name in (f"{self._client}.{names[0]}", *names[1:]):
                path /= name
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                # A crash of the machine that took the directory would take every claim in it, too.
                sync_directory(path.parent)
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {error.strerror}; give another state directory") from error
        try:
            return DirectoryLedger(path).record(session, self._client, phase, answer)
        except ParameterError as error:
            raise StoreError(f"{error}; give another state directory") from error
