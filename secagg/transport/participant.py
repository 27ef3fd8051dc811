"""One client's session with its input and, when it has one, its state on disk: requests in, answers out. Blocks.

Called from one worker thread at a time. Must not know connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from numpy.typing import NDArray

from secagg.crypto.key_schedule import session_digest
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.encoding.quantization import QuantizationReport
from secagg.errors import AbortReason, RemoteProtocolError, SecAggError, SessionAbortedError
from secagg.executor import Executor
from secagg.parameters import ClientId, SessionParameters, TopologyKind
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.roster import Roster
from secagg.protocol.transitions import AFTER_COMPLAINT, CLIENT_TRANSITIONS, ClientPhase
from secagg.session.client import ClientSession
from secagg.session.ledger import AnswerLedger, MemoryLedger
from secagg.session.reuse import InputReuse
from secagg.store.participations import ParticipationFile
from secagg.transport.remembered import AnswersByName
from secagg.transport.state import ParticipantState

Inputs = Mapping[str, NDArray[Any]] | Callable[[SessionParameters], Mapping[str, NDArray[Any]]]
"""One array for each vector of the session, or a function that makes them once the offer was accepted."""


class GivenOnce:
    """Inputs that are asked for once, also where a session is followed by another one.

    Args:
        inputs: of the client.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def __call__(self, parameters: SessionParameters) -> Mapping[str, NDArray[Any]]:
        """Return the inputs for the first session, whose they stay in those that follow."""
        if callable(self._inputs):
            self._inputs = self._inputs(parameters)
        return self._inputs


_BEFORE_INPUT: Final = (ClientPhase.ADVERTISE_KEYS, ClientPhase.SHARE_KEYS, ClientPhase.MASKED_INPUT)
_OVER: Final = (ClientPhase.COMPLETED, ClientPhase.ABORTED)


class Participant:
    """What `participate` plays; the arguments are those of `participate` and `ClientSession`.

    `answers` is remembered where there is no state, for as long as this process lives.

    Attributes:
        client: who takes part.
        parameters: what was offered.
        resumed: where an earlier process left off, or None.
        reports: of each vector, what was moved into the session's bounds; empty when an earlier process has sent the
            input.
        weight_clipped: whether the weight was.

    Raises:
        DecodeError: the offer is no offer.
        PeerMisbehaved: the offer is under the policy's floor; no key was made.
        RemoteProtocolError: an earlier process took part in another session under this name.
        ParameterError: identity, roster or inputs do not fit.
        ParticipationRefusedError: the session is beyond the policy's limits on sums, or the input's shares were shown
            in another session.
        StoreError: the state cannot be used.
    """

    def __init__(
        self,
        offer: bytes,
        client: ClientId,
        *,
        inputs: Inputs,
        weight: int | None,
        strict: bool,
        identity: IdentityKey | None,
        roster: Roster | None,
        policy: ClientPolicy | None,
        state: ParticipantState | None,
        answers: MemoryLedger,
        reuse: InputReuse,
        participations: ParticipationFile | None,
        executor: Executor,
    ) -> None:
        self.client = client
        self._weight = weight
        self._strict = strict
        self._identity = identity
        self._roster = roster
        self._state = state
        by_name = None if state is None else AnswersByName(state, client)
        self._ledger: AnswerLedger = by_name or answers
        self._participations = participations
        self._executor = executor
        self._notice: bytes | None = None
        self._overtaken = False
        self._arrays: Mapping[str, NDArray[Any]] | None = None
        self.reports: tuple[QuantizationReport, ...] = ()
        self.weight_clipped = False
        make = partial(
            ClientSession,
            offer,
            client,
            identity=identity,
            roster=roster,
            policy=policy,
            ledger=self._ledger,
            participations=participations,
            reuse=reuse,
            executor=executor,
        )
        session: ClientSession = make()
        self.parameters = session.parameters
        if by_name is not None:
            by_name.whatever_its_name = self.parameters.topology.kind is TopologyKind.CHOSEN
        self.resumed: ClientPhase | None = None
        earlier = None if state is None else self._resume(state)
        if earlier is None or earlier.phase in _BEFORE_INPUT:
            self._arrays = inputs(self.parameters) if callable(inputs) else inputs
            # Checks the input before anybody hears of this client.
            encoded = session.set_input(self._arrays, weight, strict=strict)
            self.reports, self.weight_clipped = encoded.reports, encoded.weight_clipped
        if state is not None:
            # Snapshots before the masked input hold none: it is set when it is asked for.
            session.abort()
            session = earlier or make()
        self._session = session
        self._complained = session.phase is ClientPhase.DISCLOSURE

    @property
    def phase(self) -> ClientPhase:
        """What the session waits for."""
        return self._session.phase

    @property
    def contributed(self) -> bool:
        """Whether the masked input was made, by this process or by an earlier one."""
        if self._complained:
            return False
        return self._recorded(ClientPhase.MASKED_INPUT) or self.phase not in (*_BEFORE_INPUT, ClientPhase.ABORTED)

    @property
    def notice(self) -> bytes | None:
        """What tells the server that this client will not answer any more, or None."""
        # Another process of this client goes on; the server must not hear that it left.
        if self._overtaken:
            return None
        return self._notice or self._session.abort_notice()

    def answer(self, request: bytes) -> tuple[ClientPhase, bytes] | None:
        """Answer a request; with a state on disk the answer is claimed there before this returns.

        Returns:
            What the session waited for when it met this request first, perhaps in an earlier process, and the answer.

        Raises:
            RemoteProtocolError: the server misbehaved.
            SessionAbortedError: another process of this client answered the request with other content, or an earlier
                one that this process has not met.
            ParameterError: an input that was changed since it was checked.
            StoreError: the state cannot be written; the answer must not be sent.
        """
        if self._state is not None and self.phase is ClientPhase.MASKED_INPUT and self._arrays is not None:
            self._set_input(self._arrays)
        waited_for = self.phase
        try:
            answer = self._session.receive(request)
            if self._state is not None and self._state.unsaved:
                self._freeze(self._state)
        except SessionAbortedError as error:
            self._overtaken = error.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
            raise
        except RemoteProtocolError as error:
            # The server goes on from what the other process answered: it has broken no rule.
            self._overtaken = self._recorded(waited_for)
            if not self._overtaken:
                raise
            raise _overtaken(self.client) from error
        self._complained = self._complained or self.phase is ClientPhase.DISCLOSURE
        if self.phase not in _BEFORE_INPUT:
            self._arrays = None
        if answer is None:
            return None
        # A repeated request leaves the session where it is: its answer belongs to the phase before.
        return (self._before(waited_for) if self.phase is waited_for else waited_for), answer

    def erase(self) -> None:
        """Forget the secrets: the session has ended for this client, or goes on in another process, with its state."""
        if self._state is not None and not self._overtaken:
            self._state.erase()
        if self.phase not in _OVER:
            self._session.abort()
        self._arrays = None

    def _recorded(self, phase: ClientPhase) -> bool:
        """Whether some process of this client has answered in a phase, as far as the state knows."""
        session = session_digest(self.parameters.encode())
        return self._state is not None and self._state.answered(session, self.client, phase.value)

    def _before(self, phase: ClientPhase) -> ClientPhase:
        table = CLIENT_TRANSITIONS[self.parameters.threat_model]
        earlier = (each for each, row in table.items() if phase in (*row.values(), AFTER_COMPLAINT.get(each)))
        return max(earlier, key=list(table).index)

    def _set_input(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        try:
            self._session.set_input(arrays, self._weight, strict=self._strict)
        except SecAggError:
            self._notice = self._session.abort()
            raise

    def _resume(self, state: ParticipantState) -> ClientSession | None:
        state.bind(session_digest(self.parameters.encode()))
        frozen = state.snapshot()
        if frozen is None:
            return None
        session = self._thaw(state, frozen)
        self.resumed = session.phase
        return session

    def _thaw(self, state: ParticipantState, frozen: SecretBytes) -> ClientSession:
        session = ClientSession.resume(
            frozen,
            ledger=self._ledger,
            identity=self._identity,
            roster=self._roster,
            participations=self._participations,
            executor=self._executor,
        )
        frozen.wipe()
        return session

    def _freeze(self, state: ParticipantState) -> None:
        frozen = None if self.phase in _OVER else self._session.snapshot()
        if not state.save(frozen):
            raise _overtaken(self.client)
        if frozen is not None:
            self._session = self._thaw(state, frozen)


def _overtaken(client: ClientId) -> SessionAbortedError:
    return SessionAbortedError(
        f"another process answered as client {client}; let it go on", AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    )
