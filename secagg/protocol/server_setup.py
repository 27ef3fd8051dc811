"""The server collects keys and sealed shares (Specification §6.2, §6.3)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from secagg.crypto import dealing, key_schedule
from secagg.crypto.disclosure import is_provable
from secagg.crypto.hybrid import halves, is_canonical, is_low_order
from secagg.crypto.kem import CIPHERTEXT_BYTES, SHARED_BYTES
from secagg.crypto.signing import verify
from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.cohort import threshold_fits
from secagg.protocol.chosen_edges import ChosenEdges, capped, pack_set
from secagg.protocol.context import SessionContext
from secagg.protocol.dealings import Dealings, SignedDealing
from secagg.protocol.events import ClientDropped, ServerEvent
from secagg.protocol.forwarding import Dealt, MadeWhenAsked
from secagg.protocol.listed import Listed, Run
from secagg.protocol.messages import (
    SEALED_BYTES,
    SIGNATURE_BYTES,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    MaskedInputCollectionRequest,
    Round,
    ShareKeysRequest,
    ShareKeysResponse,
)
from secagg.protocol.parcels import check_parcel, check_public_keys
from secagg.protocol.server_states import (
    CannotContinueError,
    ChosenRecord,
    CollectingKeys,
    CollectingMaskedInputs,
    CollectingShares,
    Edges,
    ServerStep,
    Turnout,
    refuse,
)


def open_session(context: SessionContext) -> ServerStep:
    """Ask the whole cohort for keys."""
    cohort = context.parameters.cohort
    request = AdvertiseKeysRequest(context.session)
    return ServerStep(CollectingKeys(context, Turnout(frozenset(cohort))), dict.fromkeys(cohort, request))


def take_advertisement(state: CollectingKeys, client: ClientId, message: AdvertiseKeysResponse) -> None:
    """Check and keep an advertisement."""
    context, ad = state.context, message.advertisement
    if ad.client != client:
        refuse(DropReason.ADVERTISEMENT_OF_ANOTHER_CLIENT, f"client {client} advertised keys of client {ad.client}")
    keys = ad.channel_public, ad.mask_public
    check_public_keys(context, client, *keys)
    parts = [part for key in keys for part in halves(key)]
    publics = frozenset(parts)
    if len(publics) < len(parts) or publics & state.keys_in_use:
        refuse(DropReason.PUBLIC_KEY_REPEATED, f"client {client} advertised a public key that is in use already")
    if not all(map(is_canonical, keys)):
        refuse(
            DropReason.PUBLIC_KEY_NOT_CANONICAL, f"client {client}'s public key has a number in it that is not reduced"
        )
    if any(map(is_low_order, keys)):
        refuse(DropReason.PUBLIC_KEY_OF_LOW_ORDER, f"client {client} advertised a public key of low order")
    if context.deals_signed and not is_provable(ad.channel_public):
        refuse(DropReason.CHANNEL_KEY_NOT_PROVABLE, f"client {client}'s channel key is not of the group of prime order")
    if context.active:
        text = key_schedule.advertisement_text(
            context.session, client, ad.channel_public, ad.mask_public, ad.commitment
        )
        if not verify(context.roster[client], text, ad.signature):
            refuse(
                DropReason.ADVERTISEMENT_SIGNATURE_INVALID,
                f"the advertisement of client {client} is not signed by its key in the roster",
            )
    _check_holders(context, client, message.holders)
    state.keys_in_use.update(publics)
    state.advertisements[client] = ad
    if context.chosen:
        state.holders[client] = message.holders


def _check_holders(context: SessionContext, client: ClientId, holders: tuple[ClientId, ...]) -> None:
    if not context.chosen:
        if holders:
            raise DecodeError("it drew holders, and the session's graph is not a chosen one")
        return
    degree = context.parameters.topology.degree
    if len(holders) != degree or client in holders or not context.members >= frozenset(holders):
        refuse(
            DropReason.HOLDERS_MALFORMED,
            f"client {client} drew {len(holders)} holders that are not exactly {degree} other clients of the cohort",
        )


def close_keys(state: CollectingKeys) -> ServerStep:
    """Fix the advertised set and send every client its neighbours' advertisements."""
    context, advertised = state.context, state.turnout.remaining
    edges: Edges = context.graph
    if context.chosen:
        degree = context.parameters.topology.degree
        edges = capped({client: state.holders[client] for client in sorted(advertised)}, degree)
    kept, events = keep_connected(context, edges, advertised, Round.ADVERTISE_KEYS)
    require(context, kept, AbortReason.TOO_FEW_ADVERTISED, "advertised keys", events)
    chosen = None
    if isinstance(edges, ChosenEdges):
        edges = edges.among(kept)
        chosen = ChosenRecord(edges)
    advertisements = {client: state.advertisements[client] for client in sorted(kept)}
    binding = context.session
    everyone = tuple(advertisements.values())
    if context.complete:
        binding = key_schedule.cohort_digest(
            context.session, ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in everyone)
        )
        outbound = dict.fromkeys(advertisements, ShareKeysRequest(context.session, everyone))
    else:
        outbound = {
            client: ShareKeysRequest(
                context.session,
                tuple(advertisements[peer] for peer in sorted((*edges.of(client), client)) if peer in kept),
            )
            for client in advertisements
        }
    following = CollectingShares(context, Turnout(frozenset(kept)), binding, advertisements, chosen=chosen)
    return ServerStep(following, outbound, events)


def take_shares(state: CollectingShares, client: ClientId, message: ShareKeysResponse) -> None:
    """Keep the sealed shares of a client if there is one for each of its advertised holders."""
    parcels = Listed.of(message.ciphertexts)
    expected = state.graph.holders_among(client, state.advertised)
    if not np.array_equal(parcels.clients, expected):
        refuse(
            DropReason.CIPHERTEXT_RECIPIENTS_WRONG,
            f"client {client} sealed shares for {len(parcels)} clients that are not exactly its "
            f"{len(expected)} advertised holders",
        )
    for run in parcels.runs:
        # Who stands between two clients for whom a parcel has the right length is on the same side of the sender.
        for receiver in (int(run.clients[0]), int(run.clients[-1])):
            check_parcel(state.context, client, receiver, run.width, wrapped=True)
    signed = _checked_dealing(state, client, parcels, message.signature)
    if state.context.suite.hybrid:
        parcels = _without_wraps(state, client, parcels)
    state.sealed[client] = parcels
    if signed is not None:
        state.signed[client] = signed


def _without_wraps(state: CollectingShares, client: ClientId, parcels: Listed) -> Listed:
    """What is forwarded of the parcels of a hybrid suite; what stays here of them is spooled."""
    kept, forwarded = dict[ClientId, bytes](), list[Run]()
    for run in parcels.runs:
        if client > run.clients[0]:
            forwarded.append(run)
            continue
        forwarded.append(Run(run.clients, run.values[:, :-SHARED_BYTES]))
        kept.update(Run(run.clients, run.values[:, CIPHERTEXT_BYTES + SEALED_BYTES :]))
    state.mask_parcels[client] = state.context.spool(kept)
    return Listed(tuple(forwarded))


def _checked_dealing(
    state: CollectingShares, client: ClientId, parcels: Listed, attestation: bytes
) -> SignedDealing | None:
    """What holds the client to its pairs; None where nobody signs."""
    context, ads, signed = state.context, state.advertisements, None
    if context.deals_signed:
        signed = SignedDealing(dealing.digests_in(_entries(state, parcels)), attestation)
        ends = context.session, state.binding, client, ads[client].channel_public
        text = dealing.dealing_text(*ends, signed.digests)
        right = verify(context.roster[client], text, attestation[:SIGNATURE_BYTES])
        right = right and dealing.shows_possession(attestation, *ends)
    else:
        right = not attestation
    if not right:
        refuse(
            DropReason.DEALING_SIGNATURE_INVALID,
            f"client {client} did not sign what it dealt, did not show that it has its channel private key, or signed "
            "where nobody does",
        )
    return signed


def _entries(state: CollectingShares, parcels: Listed) -> bytes:
    """What a client signed the digests of, as far as its pairs are those that came."""
    publics = [state.channel_publics[np.searchsorted(state.advertised, run.clients)] for run in parcels.runs]
    rows = zip(parcels.runs, publics, strict=True)
    return b"".join(dealing.dealt_entries(run.clients, public, run.values) for run, public in rows)


def close_shares(state: CollectingShares) -> ServerStep:
    """Fix the sharers and send each the shares that were sealed for it."""
    context = state.context
    kept, events = keep_connected(context, state.graph, state.turnout.remaining, Round.SHARE_KEYS)
    require(context, kept, AbortReason.TOO_FEW_SHARERS, "shared keys", events)
    dealt = state.arriving.closed(kept)
    chosen, sharers = state.chosen, b""
    if chosen is not None:
        sharers = pack_set(context.parameters.cohort, kept)
        chosen = ChosenRecord(chosen.edges.among(kept), sharers)

    def parcels_for(client: ClientId) -> MaskedInputCollectionRequest:
        return MaskedInputCollectionRequest(context.session, dealt.to_receiver(client), sharers)

    following = CollectingMaskedInputs(
        context,
        Turnout(frozenset(kept)),
        state.binding,
        {client: ad for client, ad in state.advertisements.items() if client in kept},
        {client: parcels for client, parcels in state.mask_parcels.items() if client in kept},
        np.zeros(context.layout.words, dtype=np.uint64),
        chosen,
        _dealings(state, dealt) if context.deals_signed else None,
    )
    return ServerStep(following, MadeWhenAsked.of(sorted(kept), parcels_for), events)


def _dealings(state: CollectingShares, dealt: Dealt) -> Dealings:
    publics = {client: ad.channel_public for client, ad in state.advertisements.items()}
    return Dealings(publics, dealt, state.signed)


def keep_connected(
    context: SessionContext, edges: Edges, clients: frozenset[ClientId], round_: Round
) -> tuple[frozenset[ClientId], tuple[ServerEvent, ...]]:
    """Drop clients with fewer than `threshold` holders left, until nobody else loses too many.

    Such a client would abort, and its secrets could not be rebuilt. In a complete graph all stay or none.
    """
    threshold = context.parameters.threshold
    if context.complete:
        return clients, ()
    left = {client: len(clients.intersection(edges.holders(client))) for client in clients}
    isolated = [client for client, count in left.items() if count < threshold]
    kept, events = set(clients), list[ServerEvent]()
    while isolated:
        client = isolated.pop()
        kept.discard(client)
        events.append(
            ClientDropped(
                client,
                round_,
                DropReason.TOO_FEW_NEIGHBOURS_LEFT,
                f"client {client} has {left[client]} holders left; the threshold is {threshold}",
            )
        )
        for peer in edges.owners(client):
            if peer in kept:
                left[peer] -= 1
                if left[peer] == threshold - 1:
                    isolated.append(peer)
    return frozenset(kept), tuple(sorted(events, key=_client_of))


def require(
    context: SessionContext,
    clients: Iterable[ClientId],
    reason: AbortReason,
    did: str,
    events: tuple[ServerEvent, ...] = (),
) -> None:
    """Abort early when what is left can no longer release a sum; `events` tell who was lost on the way."""
    parameters, count = context.parameters, len(frozenset(clients))
    needed = max(parameters.minimum_contributors, parameters.threshold + 1)
    if count < needed:
        setting = "minimum_contributors" if needed > parameters.threshold + 1 else "threshold"
        raise CannotContinueError(
            reason,
            f"{count} of {parameters.clients} clients {did}; the session needs at least {needed}, for its {setting} is "
            f"{getattr(parameters, setting)}: {parameters.may_leave} may leave. {advice(parameters, setting)}",
            events,
        )


def advice(parameters: SessionParameters, setting: str) -> str:
    """Say what would let more clients leave: not a threshold that no session may have."""
    lower = parameters.threshold - 1
    if setting == "threshold" and not threshold_fits(
        parameters.clients, parameters.threat_model, parameters.topology, lower
    ):
        return f"Take more clients: a threshold of {lower} would give inputs away"
    return f"Take more clients, or lower {setting}"


def _client_of(event: ServerEvent) -> ClientId:
    return event.client if isinstance(event, ClientDropped) else -1
