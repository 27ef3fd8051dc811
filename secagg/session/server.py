"""The server's side of one session, sans I/O: bytes in, bytes out (Specification §7.2).

The host moves the bytes, authenticates who sent them, and owns the deadlines: it calls :meth:`close_round`
when everybody answered or time is up. Knows nothing of sockets, clocks or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from secagg.crypto.fingerprints import Fingerprints
from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.encoding.layout import Layout
from secagg.errors import (
    AbortReason,
    DecodeError,
    DropReason,
    LocalProtocolError,
    ParameterError,
    SessionAbortedError,
)
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, SessionParameters, check_client_id
from secagg.parameters.arguments import require_kind
from secagg.protocol import server as machine
from secagg.protocol.context import Spool, in_memory, session_context
from secagg.protocol.events import Blame, Progress, ServerEvent
from secagg.protocol.messages import Round, SessionOffer
from secagg.protocol.results import SessionResult
from secagg.protocol.roster import Roster, require_cohort, session_roster
from secagg.protocol.server_setup import open_session
from secagg.protocol.server_states import ServerAborted, ServerCompleted, ServerState, ServerStep
from secagg.protocol.transitions import ROUND_OF_SERVER_PHASE, ServerPhase
from secagg.session.requests import EncodedRequests
from secagg.session.single_use import SingleUse
from secagg.session.snapshots import dump_server, load_server
from secagg.wire.codec import decode_client_message, encode_offer
from secagg.wire.limits import check_length, client_message_limit

_INTERRUPTED = ServerAborted(AbortReason.INTERNAL_ERROR, "an unexpected exception ended an earlier call")


def message_limit_of(parameters: SessionParameters) -> int:
    """The longest message, in bytes, that a client of such a session may send."""
    layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    return client_message_limit(parameters, layout.packed_bytes)


class ServerSession(SingleUse):
    """A single-use server session.

    Args:
        parameters: what is offered to the cohort.
        roster: client id to 32-byte Ed25519 key; needed in the active model.
        on_progress: told how far the last :meth:`close_round` is, which may take long, in its thread.
        executor: who adds inputs up and removes masks; the sum does not depend on it.
        spool: where a hybrid suite's ciphertexts wait, 1120 bytes for each two neighbours: memory, or a
            `secagg.store.spool.FileSpool` of this session alone.
        randomness: source of the key by which repeats are known; the operating system's unless a test says otherwise.
            Nothing that is sent or released depends on it.

    Raises:
        ParameterError: an active session with a client that the roster does not have.
    """

    def __init__(
        self,
        parameters: SessionParameters,
        *,
        roster: Roster | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        executor: Executor = INLINE,
        spool: Spool = in_memory,
        randomness: RandomSource | None = None,
    ) -> None:
        require_kind("parameters", parameters, SessionParameters, "SessionParameters, of SessionParameters.choose(...)")
        keys = _checked_roster(parameters, roster)
        context = session_context(parameters, keys, executor, spool)
        step = open_session(context)
        self._parameters = parameters
        self._limit = message_limit_of(parameters)
        self._state: ServerState = step.state
        self._events: list[ServerEvent] = []
        self._on_progress = on_progress
        self._fingerprints = Fingerprints.drawn(randomness or SystemRandomSource())
        self._requests: Mapping[ClientId, bytes] = EncodedRequests(step.outbound)

    @property
    def parameters(self) -> SessionParameters:
        """What was offered."""
        return self._parameters

    @property
    def offer(self) -> bytes:
        """The offer to send to every client of the cohort, before or together with the first request."""
        return encode_offer(SessionOffer(self._parameters))

    @property
    def message_limit(self) -> int:
        """The longest message, in bytes, that a client of this session may send."""
        return self._limit

    @property
    def requests(self) -> Mapping[ClientId, bytes]:
        """The open round's requests by client; after the end, abort notices or nothing.

        Each is encoded anew when it is asked for, since all of them may be far larger than what they are made from.
        """
        return self._requests

    @property
    def phase(self) -> ServerPhase:
        """What the session collects."""
        return self._state.phase

    @property
    def round(self) -> Round | None:
        """The open round, or None after the end."""
        return ROUND_OF_SERVER_PHASE.get(self.phase)

    @property
    def pending(self) -> frozenset[ClientId]:
        """Clients whose answer to the open round is still awaited."""
        if isinstance(self._state, ServerCompleted | ServerAborted):
            return frozenset()
        return self._state.turnout.pending

    @property
    def answered(self) -> frozenset[ClientId]:
        """Clients whose answer to the open round was accepted."""
        if isinstance(self._state, ServerCompleted | ServerAborted):
            return frozenset()
        return self._state.turnout.remaining

    @property
    def ready(self) -> bool:
        """Whether the open round waits for nobody: closing it now loses no client."""
        return self.round is not None and not self.pending

    @property
    def abort_reason(self) -> AbortReason | None:
        """Why the session was aborted, or None."""
        return self._state.reason if isinstance(self._state, ServerAborted) else None

    @property
    def blame(self) -> tuple[Blame, ...]:
        """Who made the session end, after complaints, ascending by client; empty otherwise."""
        return self._state.blame if isinstance(self._state, ServerAborted) else ()

    @property
    def result(self) -> SessionResult:
        """The released sum.

        Raises:
            LocalProtocolError: the session still runs.
            SessionAbortedError: the session ended without a sum; says why.
        """
        if isinstance(self._state, ServerCompleted):
            return self._state.result
        if isinstance(self._state, ServerAborted):
            reason = self._state.reason
            raise SessionAbortedError(f"there is no sum: {self._state.detail} [{reason.value} {reason.name}]", reason)
        phase = self.phase.value.replace("_", " ")
        raise LocalProtocolError(f"the session has no result yet, its phase is {phase!r}; close its rounds first")

    def receive(self, client_id: ClientId, message: bytes | bytearray | memoryview) -> tuple[ServerEvent, ...]:
        """Handle one client's message; whatever is wrong with it costs that client only.

        Args:
            client_id: who sent it, as the transport authenticated it.
            message: the bytes it sent. A masked input is read where it lies and must not change during the call;
                nothing of it is kept.

        Returns:
            What happened besides accepting it, such as a client dropped, a repeat, a late message.

        Raises:
            LocalProtocolError: a client outside the cohort; the session is as before.
            SessionAbortedError: the session has ended.
        """
        client = _member(client_id)
        if not isinstance(message, bytes | bytearray | memoryview):
            raise LocalProtocolError(f"a message is bytes, not {type(message).__name__}; pass what the client sent")
        machine.check_member(machine.collecting(self._state), client)
        data = _octets(message)
        try:
            check_length(data, self._limit)
            decoded = decode_client_message(data)
        except DecodeError as error:
            return self.drop(client, DropReason.MESSAGE_MALFORMED, f"client {client}: {error}")
        fingerprint = self._fingerprints.of(data)
        return self._run(lambda state: machine.receive(state, client, decoded, fingerprint))

    def drop(
        self, client_id: ClientId, reason: DropReason, detail: str = "dropped by the caller"
    ) -> tuple[ServerEvent, ...]:
        """Go on without a client, for instance because its connection is gone for good.

        Args:
            client_id: who is dropped; one that was dropped before changes nothing.
            reason: the rule that it broke, as events tell it.
            detail: one sentence for a person.

        Returns:
            A ClientDropped; a LateMessageRefused when it was dropped before.

        Raises:
            LocalProtocolError: a client outside the cohort, or no reason; the session is as before.
            SessionAbortedError: the session has ended.
        """
        client = _member(client_id)
        if not isinstance(reason, DropReason):
            raise LocalProtocolError(f"{reason!r:.80} is no DropReason; give one, such as DropReason.CLIENT_ABORTED")
        return self._run(lambda state: machine.drop(state, client, reason, detail))

    def close_round(self) -> Mapping[ClientId, bytes]:
        """End the open round: whoever has not answered is dropped.

        When too little is left the session is ABORTED, and the messages returned are notices of that. After the last
        round :attr:`result` is there. :meth:`take_events` tells who was dropped and why.

        Returns:
            The next round's requests by client.

        Raises:
            SessionAbortedError: the session has ended already.
        """
        self._events.extend(self._run(lambda state: machine.close_round(state, self._observe)))
        return self._requests

    def abort(self, detail: str = "aborted by the caller") -> Mapping[ClientId, bytes]:
        """End the session without a sum; returns the notices for the clients.

        Args:
            detail: why, in one sentence, for whoever asks for the result.

        Raises:
            SessionAbortedError: the session has ended already.
        """
        self._events.extend(self._run(lambda state: machine.abort(state, AbortReason.ABORTED_BY_CALLER, detail)))
        return self._requests

    def take_events(self) -> tuple[ServerEvent, ...]:
        """Return and forget the events of :meth:`close_round` and :meth:`abort`."""
        events, self._events = tuple(self._events), []
        return events

    def snapshot(self) -> SecretBytes:
        """Freeze the session into bytes, so that another process can go on; this object stays usable.

        Raises:
            SessionAbortedError: the session has ended.
        """
        return dump_server(machine.collecting(self._state), self._parameters, self._requests, self._fingerprints.key)

    @classmethod
    def resume(
        cls,
        snapshot: SecretBytes,
        *,
        roster: Roster | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        executor: Executor = INLINE,
    ) -> ServerSession:
        """Go on from a snapshot (Specification §9).

        Args:
            snapshot: what `snapshot` returned.

        Raises:
            DecodeError: the bytes are no snapshot of a server.
            ParameterError: the roster lacks a client.
        """
        loaded = load_server(snapshot)
        session = cls.__new__(cls)
        context = session_context(loaded.parameters, _checked_roster(loaded.parameters, roster), executor)
        session._parameters = loaded.parameters
        session._limit = message_limit_of(loaded.parameters)
        session._state = loaded.state(context)
        session._events = []
        session._on_progress = on_progress
        session._fingerprints = loaded.fingerprints
        session._requests = loaded.requests
        return session

    def _observe(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def _run(self, handler: Callable[[ServerState], ServerStep]) -> tuple[ServerEvent, ...]:
        state, self._state = self._state, _INTERRUPTED
        try:
            step = handler(state)
        except (LocalProtocolError, SessionAbortedError):
            self._state = state
            raise
        self._state = step.state
        if step.state.phase is not state.phase:
            self._requests = EncodedRequests(step.outbound)
        return step.events


def _checked_roster(parameters: SessionParameters, roster: Roster | None) -> Roster:
    keys = session_roster(parameters, roster)
    require_cohort(parameters, keys)
    return keys


def _member(client_id: ClientId) -> ClientId:
    try:
        return check_client_id(client_id)
    except ParameterError as error:
        raise LocalProtocolError(str(error)) from error


def _octets(message: bytes | bytearray | memoryview) -> memoryview:
    """The bytes of a message as a flat view, copied only where they do not lie in a row."""
    view = memoryview(message)
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
