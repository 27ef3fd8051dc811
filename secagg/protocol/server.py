"""The server's machine: what one message, one loss or the end of a round does (Specification §7.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from secagg.errors import (
    AbortReason,
    DecodeError,
    DropReason,
    InternalError,
    LocalProtocolError,
    SessionAbortedError,
)
from secagg.parameters import ClientId
from secagg.protocol.events import (
    AnswerRepeated,
    Blame,
    ClientDropped,
    LateMessageRefused,
    Progress,
    RoundClosed,
    ServerEvent,
    SessionAborted,
)
from secagg.protocol.messages import ROUND_OF_MESSAGE, Abort, ClientMessage, ServerMessage
from secagg.protocol.server_blame import close_disclosures, take_disclosures
from secagg.protocol.server_input import (
    close_confirmations,
    close_masked_inputs,
    take_confirmation,
    take_masked_input,
)
from secagg.protocol.server_setup import close_keys, close_shares, take_advertisement, take_shares
from secagg.protocol.server_states import (
    AnswerRefusedError,
    CannotContinueError,
    CollectingConfirmations,
    CollectingDisclosures,
    CollectingKeys,
    CollectingMaskedInputs,
    CollectingShares,
    CollectingState,
    CollectingUnmaskingShares,
    ServerAborted,
    ServerCompleted,
    ServerState,
    ServerStep,
)
from secagg.protocol.server_unmasking import close_unmasking, take_revealed_shares
from secagg.protocol.transitions import ROUND_OF_SERVER_PHASE, ROUND_ORDER, SERVER_TRANSITIONS, CloseRound, ServerPhase

_TAKE: Final[Mapping[ServerPhase, Callable[[Any, ClientId, Any], None]]] = {
    ServerPhase.COLLECTING_KEYS: take_advertisement,
    ServerPhase.COLLECTING_SHARES: take_shares,
    ServerPhase.COLLECTING_MASKED_INPUTS: take_masked_input,
    ServerPhase.COLLECTING_DISCLOSURES: take_disclosures,
    ServerPhase.COLLECTING_CONFIRMATIONS: take_confirmation,
    ServerPhase.COLLECTING_UNMASKING_SHARES: take_revealed_shares,
}
_CLOSE: Final[Mapping[ServerPhase, Callable[[Any], ServerStep]]] = {
    ServerPhase.COLLECTING_KEYS: close_keys,
    ServerPhase.COLLECTING_SHARES: close_shares,
    ServerPhase.COLLECTING_MASKED_INPUTS: close_masked_inputs,
    ServerPhase.COLLECTING_DISCLOSURES: close_disclosures,
    ServerPhase.COLLECTING_CONFIRMATIONS: close_confirmations,
}


def collecting(state: ServerState) -> CollectingState:
    """Return a live state, or say that the session has ended."""
    if isinstance(state, ServerAborted):
        raise SessionAbortedError(f"this session was aborted: {state.detail}", state.reason)
    if isinstance(state, ServerCompleted):
        raise SessionAbortedError("this session is completed; start a new one for the next sum")
    return state


def receive(state: ServerState, client: ClientId, message: ClientMessage, fingerprint: bytes) -> ServerStep:
    """Handle one client's message; whatever is wrong with it costs that client only.

    Args:
        state: current state, given up by the caller.
        client: who sent it, as the transport authenticated it.
        message: the decoded message.
        fingerprint: follows from the message's bytes and tells a repeat from a second answer.

    Raises:
        LocalProtocolError: the client is not in the cohort; the state is unchanged.
        SessionAbortedError: the session has ended.
    """
    state = collecting(state)
    check_member(state, client)
    turnout, round_ = state.turnout, ROUND_OF_SERVER_PHASE[state.phase]
    if message.session != state.context.session:
        return drop(state, client, DropReason.MESSAGE_OF_ANOTHER_SESSION, f"client {client} answered another session")
    live = client in turnout.expected and client not in turnout.dropped
    if isinstance(message, Abort):
        if live:
            return drop(state, client, DropReason.CLIENT_ABORTED, f"client {client} aborted: {message.reason.name}")
        return ServerStep(state, events=(LateMessageRefused(client, None),))
    order = ROUND_ORDER[state.context.parameters.threat_model]
    belongs = ROUND_OF_MESSAGE[type(message)]
    if belongs not in order or order.index(belongs) > order.index(round_):
        return drop(
            state,
            client,
            DropReason.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE,
            f"client {client} sent {type(message).__name__} in round {round_.name}",
        )
    if belongs is not round_ or not live:
        return ServerStep(state, events=(LateMessageRefused(client, belongs),))
    accepted = turnout.answered.get(client)
    if accepted is not None:
        if accepted == fingerprint:
            return ServerStep(state, events=(AnswerRepeated(client, round_),))
        return drop(
            state,
            client,
            DropReason.SECOND_ANSWER_DIFFERS,
            f"client {client} answered {round_.name} twice, differently: two processes run as client {client}, or one "
            "restarted without state=",
        )
    try:
        _TAKE[state.phase](state, client, message)
    except AnswerRefusedError as refusal:
        return drop(state, client, refusal.reason, refusal.detail)
    except DecodeError as error:
        return drop(state, client, DropReason.MESSAGE_MALFORMED, f"client {client}: {error}")
    turnout.answered[client] = fingerprint
    return ServerStep(state)


def drop(state: ServerState, client: ClientId, reason: DropReason, detail: str) -> ServerStep:
    """Go on without a client; what it gave to the open round is forgotten, unless it is in the sum already."""
    state = collecting(state)
    check_member(state, client)
    round_ = ROUND_OF_SERVER_PHASE[state.phase]
    if client not in state.turnout.expected or client in state.turnout.dropped:
        return ServerStep(state, events=(LateMessageRefused(client, round_),))
    state.turnout.dropped.add(client)
    match state:
        case CollectingKeys():
            state.advertisements.pop(client, None)
            state.holders.pop(client, None)
        case CollectingShares():
            state.sealed.pop(client, None)
            state.signed.pop(client, None)
            state.mask_parcels.pop(client, None)
        case CollectingMaskedInputs():
            # Who complained has no input in the sum, and must not count as one who has.
            if state.complaints.pop(client, None) is not None:
                del state.turnout.answered[client]
        case CollectingDisclosures():
            state.found.pop(client, None)
        case CollectingConfirmations():
            state.confirmations.pop(client, None)
        case CollectingUnmaskingShares():
            state.revealed.pop(client, None)
    return ServerStep(state, events=(ClientDropped(client, round_, reason, detail),))


def close_round(state: ServerState, observe: Callable[[Progress], None]) -> ServerStep:
    """End the open round: whoever has not answered is dropped, and the next requests go out.

    Args:
        state: current state, given up by the caller.
        observe: told how far the last round's end is.
    """
    state = collecting(state)
    round_ = ROUND_OF_SERVER_PHASE[state.phase]
    missing = tuple(
        ClientDropped(client, round_, DropReason.DID_NOT_ANSWER_IN_TIME, f"client {client} did not answer in time")
        for client in sorted(state.turnout.pending)
    )
    try:
        if isinstance(state, CollectingUnmaskingShares):
            step = close_unmasking(state, observe)
        else:
            step = _CLOSE[state.phase](state)
    except CannotContinueError as failure:
        return abort(state, failure.reason, failure.detail, (*missing, *failure.events), failure.blame)
    allowed = SERVER_TRANSITIONS[state.context.parameters.threat_model][state.phase][CloseRound]
    if step.state.phase not in allowed:
        raise InternalError(f"{state.phase.name} closed to {step.state.phase.name}, which is not in the table")
    pruned = {event.client for event in step.events if isinstance(event, ClientDropped)}
    closed = RoundClosed(round_, tuple(sorted(state.turnout.remaining - pruned)))
    return ServerStep(step.state, step.outbound, (*missing, *step.events, closed))


def abort(
    state: ServerState,
    reason: AbortReason,
    detail: str,
    events: tuple[ServerEvent, ...] = (),
    blame: tuple[Blame, ...] = (),
) -> ServerStep:
    """End the session without a sum and tell every client that still takes part, unless the reason is about inputs."""
    state = collecting(state)
    notice: ServerMessage = Abort(state.context.session, reason)
    told = state.turnout.expected - state.turnout.dropped
    if isinstance(state, CollectingDisclosures):
        told |= state.waiting
    # Whether the sum can be decoded depends on the inputs; the clients have done their part, and are told nothing.
    present = [] if reason is AbortReason.RESULT_NOT_DECODABLE else sorted(told)
    outbound = dict.fromkeys(present, notice)
    ended = ServerAborted(reason, detail, blame)
    return ServerStep(ended, outbound, (*events, SessionAborted(reason, detail, blame)))


def check_member(state: CollectingState, client: ClientId) -> None:
    """Refuse a sender outside the cohort.

    Raises:
        LocalProtocolError: the transport handed in a message of somebody who is not in this session.
    """
    if not state.context.parameters.includes(client):
        raise LocalProtocolError(
            f"client {client} is not in this session's cohort; check which session the transport routed it to"
        )
