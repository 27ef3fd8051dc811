"""The server adds masked inputs up and has the contributors confirmed (Specification §6.4, §6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from secagg.encoding.session_vector import add_packed
from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.parameters import ClientId
from secagg.protocol.chosen_edges import pack_set
from secagg.protocol.consistency import confirmation_is_valid
from secagg.protocol.context import SessionContext
from secagg.protocol.dealings import Dealings
from secagg.protocol.forwarding import MadeWhenAsked
from secagg.protocol.listed import Ids, Listed
from secagg.protocol.messages import (
    Advertisement,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionResponse,
    ServerMessage,
    UnmaskingRequest,
)
from secagg.protocol.server_blame import answer_complaints, take_complaint
from secagg.protocol.server_chosen import acknowledgement_is_valid, ask_to_acknowledge, ask_to_reveal, check_inclusion
from secagg.protocol.server_setup import advice, require
from secagg.protocol.server_states import (
    CannotContinueError,
    ChosenRecord,
    CollectingConfirmations,
    CollectingMaskedInputs,
    CollectingUnmaskingShares,
    Edges,
    MaskParcels,
    ServerStep,
    Turnout,
    refuse,
)
from secagg.protocol.transitions import SERVER_TRANSITIONS, CloseRound, ServerPhase


def take_masked_input(
    state: CollectingMaskedInputs, client: ClientId, message: MaskedInputCollectionResponse | Complaint
) -> None:
    """Add a masked input to the accumulator; a refused one changes nothing (DecodeError). Or keep a complaint."""
    if isinstance(message, Complaint):
        take_complaint(state, client, message)
        return
    if state.chosen is not None:
        check_inclusion(state, state.chosen, client, message.inclusion)
    elif message.inclusion:
        raise DecodeError("it has an inclusion, and the session's graph is not a chosen one")
    add_packed(state.context.layout, message.payload, state.accumulator)
    if state.chosen is not None:
        state.chosen.inclusions[client] = message.inclusion


def close_masked_inputs(state: CollectingMaskedInputs) -> ServerStep:
    """Fix the contributors; ask them to confirm each other, or in the semi-honest model for shares at once."""
    context = state.context
    if state.complaints:
        return answer_complaints(state)
    contributors = tuple(sorted(state.turnout.answered))
    present = state.turnout.remaining
    require(context, contributors, AbortReason.TOO_FEW_CONTRIBUTORS, "contributed")
    _require_holders(
        context, state.graph, state.advertisements, contributors, present, AbortReason.TOO_FEW_CONTRIBUTORS
    )
    _require_connection(context, state.graph, contributors)
    following = SERVER_TRANSITIONS[context.parameters.threat_model][state.phase][CloseRound]
    if ServerPhase.COLLECTING_CONFIRMATIONS in following:
        chosen, outbound = state.chosen, dict[ClientId, ServerMessage]()
        if chosen is None:
            outbound = dict.fromkeys(sorted(present), ConsistencyCheckRequest(context.session, contributors))
        else:
            chosen = replace(chosen, contributors=pack_set(context.parameters.cohort, frozenset(contributors)))
            outbound = {client: ask_to_acknowledge(context, chosen, client) for client in sorted(present)}
        return ServerStep(
            CollectingConfirmations(
                context,
                Turnout(present),
                state.binding,
                state.advertisements,
                _half_dropped(state.mask_parcels, state.advertisements, contributors),
                state.accumulator,
                contributors,
                chosen=chosen,
                dealings=state.dealings,
            ),
            outbound,
        )
    parcels = _half_dropped(state.mask_parcels, state.advertisements, contributors)
    return _ask_for_shares(
        context, state.binding, state.advertisements, parcels, state.accumulator, contributors, present, {}
    )


def take_confirmation(state: CollectingConfirmations, client: ClientId, message: ConsistencyCheckResponse) -> None:
    """Keep a valid signature over the contributors."""
    roster = state.context.roster
    if state.chosen is None:
        valid = confirmation_is_valid(roster[client], state.binding, state.contributors, message.signature)
    else:
        valid = acknowledgement_is_valid(state, state.chosen, client, message.signature)
    if not valid:
        refuse(
            DropReason.CONFIRMATION_SIGNATURE_INVALID,
            f"client {client} signed something else than the {len(state.contributors)} contributors",
        )
    state.confirmations[client] = message.signature


def close_confirmations(state: CollectingConfirmations) -> ServerStep:
    """Fix the confirmers and ask them for shares."""
    confirmers = state.turnout.remaining
    _require_holders(
        state.context, state.graph, state.advertisements, state.contributors, confirmers, AbortReason.TOO_FEW_CONFIRMERS
    )
    return _ask_for_shares(
        state.context,
        state.binding,
        state.advertisements,
        state.mask_parcels,
        state.accumulator,
        state.contributors,
        confirmers,
        {client: state.confirmations[client] for client in sorted(confirmers)},
        state.chosen,
        state.dealings,
    )


def _ask_for_shares(
    context: SessionContext,
    binding: bytes,
    advertisements: Mapping[ClientId, Advertisement],
    mask_parcels: MaskParcels,
    accumulator: NDArray[np.uint64],
    contributors: tuple[ClientId, ...],
    asked: frozenset[ClientId],
    confirmations: Mapping[ClientId, bytes],
    chosen: ChosenRecord | None = None,
    dealings: Dealings | None = None,
) -> ServerStep:
    following = CollectingUnmaskingShares(
        context,
        Turnout(asked),
        binding,
        advertisements,
        mask_parcels,
        accumulator,
        contributors,
        chosen=chosen,
        dealings=dealings,
    )
    survivors, lost, signed = following.survivors, following.lost, Listed.of(confirmations.items())

    def request_for(client: ClientId) -> UnmaskingRequest:
        if chosen is not None:
            return ask_to_reveal(context, chosen, client, confirmations)
        present, gone = (Ids(context.graph.neighbours_among(client, each)) for each in (survivors, lost))
        return UnmaskingRequest(context.session, present, gone, signed)

    return ServerStep(following, MadeWhenAsked.of(sorted(asked), request_for))


def _half_dropped(
    parcels: MaskParcels, sharers: Mapping[ClientId, Advertisement], contributors: tuple[ClientId, ...]
) -> MaskParcels:
    """Those of pairs of sharers of which one contributed: no other mask is ever made by the server."""
    members = frozenset(contributors)
    return {
        sender: {
            receiver: sent[receiver]
            for receiver in sent
            if receiver in sharers and (sender in members) is not (receiver in members)
        }
        for sender, sent in parcels.items()
    }


def _require_connection(context: SessionContext, graph: Edges, contributors: tuple[ClientId, ...]) -> None:
    """Abort when the shares would open the sum of a part of the contributors that is below the floor.

    The masks between contributors are the only ones that nobody rebuilds, so each connected part of the graph over
    the contributors is a sum that the server reads. Here the server proves that none is over fewer than
    `minimum_contributors`, whoever was late and whoever decided that. It counts corrupt contributors, whose masks the
    coalition knows, for it cannot tell them: that the honest ones are connected without them is the bound of
    Specification §2.4, which assumes that who is corrupt or drops out does not depend on the ring. In a chosen graph
    that bound holds whoever drops out, and what is proved here holds for draws that are not honest, too.
    """
    smallest = min(map(len, graph.parts(frozenset(contributors))))
    floor = context.parameters.minimum_contributors
    if smallest < floor:
        raise CannotContinueError(
            AbortReason.CONTRIBUTORS_NOT_CONNECTED,
            f"{smallest} of the {len(contributors)} contributors share masks with none of the others, so that their "
            f"sum could be read alone; minimum_contributors is {floor}. If nobody chose who was late, a larger degree "
            "(a larger max_dropout) makes this improbable",
        )


def _require_holders(
    context: SessionContext,
    graph: Edges,
    advertisements: Mapping[ClientId, Advertisement],
    contributors: tuple[ClientId, ...],
    holders: frozenset[ClientId],
    reason: AbortReason,
) -> None:
    """Abort early when a secret that must be rebuilt has fewer than `threshold` holders left."""
    members, threshold = frozenset(contributors), context.parameters.threshold
    left, survivors = (np.array(sorted(each), dtype=np.uint64) for each in (holders, contributors))
    for owner in advertisements:
        if owner not in members and not len(graph.neighbours_among(owner, survivors)):
            continue
        present = len(graph.holders_among(owner, left))
        if present < threshold:
            all_holders = graph.holders(owner)
            raise CannotContinueError(
                reason,
                f"{present} holders of client {owner}'s secrets are left of {len(all_holders)}; rebuilding needs "
                f"{threshold}: {context.parameters.may_leave} of {context.parameters.clients} clients may leave. "
                f"{advice(context.parameters, 'threshold')}",
            )
