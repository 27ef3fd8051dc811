"""One client's side of one session, sans I/O: bytes in, bytes out (Specification §7.1).

The host moves the bytes, keeps the time and stores snapshots. Knows nothing of sockets, clocks or files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.encoding.session_vector import EncodedInput, encode_input
from secagg.errors import (
    AbortReason,
    DecodeError,
    InternalError,
    LocalProtocolError,
    ParameterError,
    ParticipationRefusedError,
    PeerMisbehaved,
    RemoteProtocolError,
    SessionAbortedError,
    Violation,
)
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, SessionParameters, check_client_id
from secagg.parameters.arguments import require_kind
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.client import receive
from secagg.protocol.client_states import (
    AwaitingAdvertiseKeys,
    AwaitingMaskedInput,
    AwaitingShareKeys,
    AwaitingUnmasking,
    ClientAborted,
    ClientContext,
    ClientState,
    Offered,
    client_context,
    wipe,
)
from secagg.protocol.messages import Abort, SessionOffer
from secagg.protocol.roster import Roster, require_cohort, session_roster
from secagg.protocol.transitions import ClientPhase
from secagg.session.input_limits import InputLimits, limits_of
from secagg.session.ledger import AnswerLedger, MemoryLedger
from secagg.session.participation import ParticipationLedger, ParticipationLimits
from secagg.session.reuse import InputReuse
from secagg.session.single_use import SingleUse
from secagg.session.snapshots import dump_client, load_client
from secagg.wire.codec import decode_offer, decode_server_message, encode
from secagg.wire.limits import check_length, offer_limit, server_message_limit

_BEFORE_INPUT = (ClientPhase.ADVERTISE_KEYS, ClientPhase.SHARE_KEYS, ClientPhase.MASKED_INPUT)
_INTERRUPTED = ClientAborted(AbortReason.INTERNAL_ERROR, "an unexpected exception ended an earlier call")


class ClientSession(SingleUse):
    """A single-use client session.

    Args:
        offer: the server's offer, as bytes or decoded.
        client_id: who this session is of: 0 .. 2^64 - 1, one of the offered cohort.
        identity: this client's signing key; needed in the active model.
        roster: client id to 32-byte Ed25519 key, from a directory the server does not control; active model. An empty
            one names nobody: every offer is refused.
        policy: this client's floor under the offer; the default refuses cohorts under 3 and thresholds under 2.
        randomness: source of all keys; the operating system's unless a test says otherwise.
        ledger: remembers answers, so that a session which was resumed twice cannot answer twice; needed for
            :meth:`snapshot`.
        participations: remembers what this client's input went into, beyond this session; needed for
            `sums_per_context` and `minimum_cohort_change` of the policy.
        reuse: which other sessions are given the same input, so that it goes into one sum that is opened
            (Specification §6.9); needs a ledger that outlives them. None for an input that no other session is given.
        executor: who makes masks; the answers do not depend on it.

    Raises:
        DecodeError: the offer is no offer.
        PeerMisbehaved: the offer is under the policy's floor; no key was made.
        ParticipationRefusedError: the offer is beyond the policy's limits on sums of one context, or the input's shares
            were shown in another session; no key was made.
        ParameterError: identity and roster do not fit, limits without `participations`, or `reuse` without a ledger.
    """

    def __init__(
        self,
        offer: SessionOffer | bytes | bytearray | memoryview,
        client_id: ClientId,
        *,
        identity: IdentityKey | None = None,
        roster: Roster | None = None,
        policy: ClientPolicy | None = None,
        randomness: RandomSource | None = None,
        ledger: AnswerLedger | None = None,
        participations: ParticipationLedger | None = None,
        reuse: InputReuse | None = None,
        executor: Executor = INLINE,
    ) -> None:
        client = check_client_id(client_id)
        _check_collaborators(identity, policy, randomness, ledger)
        chosen = ClientPolicy() if policy is None else policy
        offered = _decoded(offer, chosen)
        keys = session_roster(offered.parameters, roster)
        self._randomness = randomness or SystemRandomSource()
        self._ledger = ledger
        signs = identity is not None or roster is not None
        state = Offered(client, chosen, identity, keys, signs, executor)
        try:
            self._state: ClientState = receive(state, offered, self._randomness).state
        except PeerMisbehaved as error:
            if roster is None and error.violation is Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER:
                raise ParameterError(
                    "the offer is of an active session, and this client was given no roster to check keys with; pass "
                    "identity=IdentityKey and roster={client: public key}"
                ) from None
            raise
        self._context = _context_of(self._state)
        _check_ledger(self._context, ledger)
        self._limit = server_message_limit(self._context.parameters)
        self._input: EncodedInput | None = None
        self._repeat: tuple[bytes, bytes | None] | None = None
        self._moved = False
        sums = ParticipationLimits(chosen.sums_per_context, chosen.minimum_cohort_change)
        context = self._context
        self._limits = limits_of(client, context.parameters, context.session, sums, participations, reuse, ledger)

    @property
    def client_id(self) -> ClientId:
        """Who this session is of."""
        return self._context.client

    @property
    def parameters(self) -> SessionParameters:
        """The parameters of the accepted offer."""
        return self._context.parameters

    @property
    def phase(self) -> ClientPhase:
        """What the session waits for."""
        return self._state.phase

    @property
    def abort_reason(self) -> AbortReason | None:
        """Why the session was aborted, or None."""
        return self._state.reason if isinstance(self._state, ClientAborted) else None

    def set_input(
        self, arrays: Mapping[str, NDArray[Any]], weight: int | None = None, *, strict: bool = False
    ) -> EncodedInput:
        """Quantize this client's vectors, before the server asks for them; may be called again until then.

        The bounds are the server's, and whether a client leaves shows: so values and weights beyond them are moved to
        the bound, NaN counts as 0, and what this returns says how much of it there was (Specification §4.2, §10).

        Args:
            arrays: one array for each vector of the session, any float or integer dtype, of the exact shape.
            weight: this client's weight (its example count), 0 .. max_weight; it travels masked. Needed in a session
                with weights, and left out in one without. Whoever has no examples takes part with weight 0.
            strict: refuse an input that would be changed. A client that leaves for it tells the server that its input
                is outside of bounds which the server chose; pin them with `ClientPolicy(vectors=, max_weight=)`.

        Returns:
            The encoded input, with a report of what was changed. Its words are masked and packed in place later.

        Raises:
            ParameterError: wrong names, dtypes or shapes, a weight that is missing or that the session does not have;
                with `strict` values or weights beyond their bounds, or NaN. The session is as before.
            LocalProtocolError: the input was sent already.
            SessionAbortedError: the session has ended.
        """
        self._require_open()
        if not isinstance(self._state, AwaitingAdvertiseKeys | AwaitingShareKeys | AwaitingMaskedInput):
            raise LocalProtocolError(f"the input was sent already; the session waits for {self.phase.name}")
        self._input = encode_input(self._context.layout, arrays, weight, randomness=self._randomness, strict=strict)
        return self._input

    def receive(self, message: bytes | bytearray | memoryview) -> bytes | None:
        """Handle one message of the server and return the answer to send back, if there is one.

        The same request again gives the same answer again.

        Args:
            message: the bytes that the server sent for this client.

        Raises:
            RemoteProtocolError: the server misbehaved; the session is ABORTED and its secrets are wiped.
            LocalProtocolError: the input is missing, or `message` is not bytes; the session is as before.
            SessionAbortedError: the session has ended, or another copy of it answered this request differently.
            ParticipationRefusedError: this input went into other sums of this context since the offer, or a later
                session was offered that is given the same input; the session is ABORTED.
        """
        if not isinstance(message, bytes | bytearray | memoryview):
            raise LocalProtocolError(f"a message is bytes, not {type(message).__name__}; pass what the server sent")
        if isinstance(self._state, ClientAborted):
            raise SessionAbortedError(f"this session was aborted: {self._state.detail}", self._state.reason)
        data = bytes(message)
        fingerprint = hashlib.sha256(data).digest()
        if self._repeat is not None and self._repeat[0] == fingerprint:
            return self._repeat[1]
        state, self._state = self._state, _INTERRUPTED
        if isinstance(state, AwaitingMaskedInput) and self._input is not None:
            state = replace(state, input=self._input)
        try:
            answer = self._advance(state, data)
        except (LocalProtocolError, SessionAbortedError):
            # Words of an input that may be masked by now are none for a second answer: a host's own ledger raised this.
            masking = isinstance(state, AwaitingMaskedInput) and state.input is not None
            if self._state is _INTERRUPTED and not masking:
                self._state = state
            raise
        except DecodeError as error:
            self._end(state, AbortReason.PEER_SENT_MALFORMED_MESSAGE, error)
            raise
        except RemoteProtocolError as error:
            self._end(state, AbortReason.PEER_MISBEHAVED, error)
            raise
        finally:
            if self._state is _INTERRUPTED:
                self._end(state, AbortReason.INTERNAL_ERROR, _INTERRUPTED.detail)
        self._repeat = None if self.phase is ClientPhase.ABORTED else (fingerprint, answer)
        return answer

    def _advance(self, state: ClientState, data: bytes) -> bytes | None:
        """Decode, handle, encode and claim; sets the next state last, once nothing can fail any more."""
        try:
            check_length(data, self._limit)
            message = decode_server_message(data)
        except DecodeError:
            if state.phase is ClientPhase.COMPLETED:
                raise SessionAbortedError("this session is completed; start a new one for the next sum") from None
            raise
        step = receive(state, message, self._randomness)
        answer = None if step.outbound is None else encode(step.outbound)
        if answer is not None:
            self._claim(state, step.state, answer)
        if step.state.phase not in _BEFORE_INPUT:
            self._input = None
        self._state = step.state
        return answer

    def abort(self) -> bytes:
        """Leave the session; returns the notice to send to the server, if it can still be reached.

        Raises:
            SessionAbortedError: the session has ended already.
        """
        self._require_open()
        self._end(self._state, AbortReason.ABORTED_BY_CALLER, "this client left")
        return encode(Abort(self._context.session, AbortReason.ABORTED_BY_CALLER))

    def abort_notice(self) -> bytes | None:
        """The message that tells the server about an abort, so that it need not wait.

        None while the session lives, and when it lives on in a snapshot.
        """
        reason = self.abort_reason
        return None if reason is None or self._moved else encode(Abort(self._context.session, reason))

    def snapshot(self) -> SecretBytes:
        """Freeze the session into bytes and end this object; the bytes are secret material.

        Store the snapshot before you send the answer that :meth:`receive` returned: a process that dies in
        between is then a client that dropped out, and never one that answers twice.

        Raises:
            LocalProtocolError: the session has no ledger.
            SessionAbortedError: the session has ended.
        """
        self._require_open()
        if self._ledger is None:
            raise LocalProtocolError("a session without a ledger has no snapshots; pass ledger= when you make it")
        frozen = dump_client(self._state, self._context, self._limits.frozen, self._input, self._repeat)
        self._end(self._state, AbortReason.ABORTED_BY_CALLER, "this session lives on in its snapshot")
        self._moved = True
        return frozen

    @classmethod
    def resume(
        cls,
        snapshot: SecretBytes,
        *,
        ledger: AnswerLedger,
        identity: IdentityKey | None = None,
        roster: Roster | None = None,
        randomness: RandomSource | None = None,
        participations: ParticipationLedger | None = None,
        executor: Executor = INLINE,
    ) -> ClientSession:
        """Go on from a snapshot (Specification §9).

        The ledgers must be those that the frozen session used, and must not be rolled back with the snapshot.

        Args:
            snapshot: what `snapshot` returned.

        Raises:
            DecodeError: the bytes are no snapshot of a client.
            ParameterError: identity and roster do not fit, or a ledger is missing.
        """
        if ledger is None:
            raise ParameterError("a snapshot is resumed with the ledger of the frozen session; pass ledger=")
        _check_collaborators(identity, None, randomness, ledger)
        loaded = load_client(snapshot)
        keys = session_roster(loaded.parameters, roster)
        require_cohort(loaded.parameters, keys)
        session = cls.__new__(cls)
        session._randomness = randomness or SystemRandomSource()
        session._ledger = ledger
        session._context = client_context(loaded.client, loaded.parameters, identity, keys, executor)
        _check_ledger(session._context, ledger)
        session._limit = server_message_limit(loaded.parameters)
        session._state = loaded.state(session._context)
        session._input = loaded.input
        session._repeat = loaded.repeat
        session._moved = False
        client, digest = loaded.client, session._context.session
        session._limits = InputLimits(client, loaded.parameters, digest, loaded.limits, participations, ledger)
        return session

    def _claim(self, state: ClientState, following: ClientState, answer: bytes) -> None:
        try:
            # Who complains gives no input, and nothing that counts.
            if isinstance(state, AwaitingMaskedInput) and following.phase is not ClientPhase.DISCLOSURE:
                self._limits.require_input(state.mask_key.public)
            elif isinstance(state, AwaitingUnmasking):
                self._limits.require_shares()
        except ParticipationRefusedError as error:
            self._end(state, AbortReason.ABORTED_BY_CALLER, error)
            raise
        if self._ledger is None:
            return
        phase, digest = state.phase, hashlib.sha256(answer).digest()
        if not self._ledger.record(self._context.session, self.client_id, phase.value, digest):
            detail = f"another copy of this session answered {phase.name} before, with other content"
            self._end(state, AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT, detail)
            raise SessionAbortedError(
                f"{detail}; a snapshot may be resumed once", AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
            )

    def _require_open(self) -> None:
        if self.phase in (ClientPhase.COMPLETED, ClientPhase.ABORTED):
            raise SessionAbortedError(f"this session is {self.phase.value}", self.abort_reason)

    def _end(self, state: ClientState, reason: AbortReason, detail: object) -> None:
        wipe(state)
        if self._input is not None:
            self._input.words.fill(0)
        self._state = ClientAborted(reason, str(detail))
        self._input = None
        self._repeat = None


def _check_collaborators(identity: object, policy: object, randomness: object, ledger: object) -> None:
    if identity is not None:
        require_kind("identity", identity, IdentityKey, "an IdentityKey, or None")
    if policy is not None:
        require_kind("policy", policy, ClientPolicy, "a ClientPolicy(...), or None")
    for name, value, method in (("randomness", randomness, "secret"), ("ledger", ledger, "record")):
        if value is not None and not callable(getattr(value, method, None)):
            raise ParameterError(
                f"{name} is of type {type(value).__name__}, which has no method {method}; give one that has"
            )


def _check_ledger(context: ClientContext, ledger: AnswerLedger | None) -> None:
    """In a chosen graph a client that forgets its answers draws again, and the server takes the draw that it likes."""
    if not context.chosen:
        return
    what = "the offer is of a chosen graph (experimental), in which a client must never answer one session twice; pass"
    if ledger is None:
        raise ParameterError(f"{what} a durable ledger=, such as a secagg.store.answers.DirectoryLedger")
    if isinstance(ledger, MemoryLedger) and not ledger.ends_with_process:
        raise ParameterError(
            f"{what} a durable ledger= instead of a MemoryLedger, or MemoryLedger(ends_with_process=True) if no other "
            "process will ever play this client"
        )


def _decoded(offer: SessionOffer | bytes | bytearray | memoryview, policy: ClientPolicy) -> SessionOffer:
    if isinstance(offer, SessionOffer):
        return offer
    if not isinstance(offer, bytes | bytearray | memoryview):
        raise ParameterError(f"an offer is bytes or a SessionOffer, not {type(offer).__name__}; pass server.offer")
    try:
        check_length(offer, offer_limit(policy.maximum_cohort))
        return decode_offer(bytes(offer))
    except ParameterError as error:
        raise PeerMisbehaved(Violation.OFFER_PARAMETERS_INVALID, f"the offer is impossible: {error}") from error


def _context_of(state: ClientState) -> ClientContext:
    if isinstance(state, Offered | ClientAborted):
        raise InternalError("an offer that was not refused was not accepted")
    return state.context
