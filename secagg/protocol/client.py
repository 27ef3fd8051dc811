"""The client's machine: which handler answers which message in which phase (Specification §7.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from secagg.crypto.randomness import RandomSource
from secagg.errors import AbortReason, InternalError, PeerMisbehaved, SessionAbortedError, Violation
from secagg.parameters import ThreatModel
from secagg.protocol.client_complaint import disclose
from secagg.protocol.client_input import mask_input
from secagg.protocol.client_setup import accept_offer, advertise_keys, share_keys
from secagg.protocol.client_states import ClientAborted, ClientState, ClientStep, Offered
from secagg.protocol.client_unmasking import reveal_shares
from secagg.protocol.consistency import confirm_contributors
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    ConsistencyCheckRequest,
    DisclosureRequest,
    MaskedInputCollectionRequest,
    ServerMessage,
    SessionOffer,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import AFTER_COMPLAINT, CLIENT_TRANSITIONS, ClientPhase

_HANDLERS: Final[Mapping[tuple[ClientPhase, type[object]], Callable[[Any, Any, RandomSource], ClientStep]]] = {
    (ClientPhase.OFFERED, SessionOffer): accept_offer,
    (ClientPhase.ADVERTISE_KEYS, AdvertiseKeysRequest): advertise_keys,
    (ClientPhase.SHARE_KEYS, ShareKeysRequest): share_keys,
    (ClientPhase.MASKED_INPUT, MaskedInputCollectionRequest): mask_input,
    (ClientPhase.DISCLOSURE, DisclosureRequest): disclose,
    (ClientPhase.CONSISTENCY_CHECK, ConsistencyCheckRequest): confirm_contributors,
    (ClientPhase.UNMASKING, UnmaskingRequest): reveal_shares,
}


def receive(state: ClientState, message: SessionOffer | ServerMessage, randomness: RandomSource) -> ClientStep:
    """Handle one message of the server: a pure function of its arguments.

    Raises:
        PeerMisbehaved: the message breaks a rule of the validation table.
        SessionAbortedError: the session has ended.
        LocalProtocolError: the caller owes an input; the state may be used again.
    """
    if isinstance(state, ClientAborted):
        raise SessionAbortedError(f"this session was aborted: {state.detail}", state.reason)
    if isinstance(state, Offered):
        if not isinstance(message, SessionOffer):
            raise _unexpected(state, message)
        return _checked(ThreatModel.SEMI_HONEST, state, message, accept_offer(state, message, randomness))
    if isinstance(message, SessionOffer):
        raise _unexpected(state, message)
    ours = message.session == state.context.session
    if state.phase is ClientPhase.COMPLETED:
        if ours and isinstance(message, UnmaskingRequest):
            raise PeerMisbehaved(
                Violation.SECOND_UNMASKING_REQUEST, "the server asks for shares a second time, with other content"
            )
        raise SessionAbortedError("this session is completed; start a new one for the next sum")
    if not ours:
        raise PeerMisbehaved(
            Violation.MESSAGE_OF_ANOTHER_SESSION, f"a {type(message).__name__} of another session or other parameters"
        )
    if isinstance(message, Abort):
        return ClientStep(ClientAborted(AbortReason.PEER_ABORTED, f"the server aborted: {message.reason.name}"))
    threat_model = state.context.parameters.threat_model
    if type(message) not in CLIENT_TRANSITIONS[threat_model][state.phase]:
        raise _unexpected(state, message)
    step = _HANDLERS[state.phase, type(message)](state, message, randomness)
    return _checked(threat_model, state, message, step)


def _checked(threat_model: ThreatModel, state: ClientState, message: object, step: ClientStep) -> ClientStep:
    expected = CLIENT_TRANSITIONS[threat_model][state.phase][type(message)]
    if step.state.phase not in (expected, AFTER_COMPLAINT.get(state.phase)):
        raise InternalError(f"{state.phase.name} went to {step.state.phase.name}, the table says {expected.name}")
    return step


def _unexpected(state: ClientState, message: object) -> PeerMisbehaved:
    return PeerMisbehaved(
        Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE,
        f"{type(message).__name__} arrived while the client waits in {state.phase.name}",
    )
