"""A client from the offer to its sealed shares (Specification §6.1 to §6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from secagg.crypto import dealing, key_schedule, shamir
from secagg.crypto.hybrid import HybridKey, halves, is_canonical, private_key
from secagg.crypto.randomness import RandomSource
from secagg.crypto.signing import verify
from secagg.encoding.layout import Layout
from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.chosen_graph import CHOSEN_SECURITY_BITS, chosen_resists
from secagg.parameters.graph_conditions import SECURITY_BITS, threshold_resists
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.vectors import VectorSpec
from secagg.protocol.chosen_edges import MOST_CHOOSERS, draw_holders
from secagg.protocol.client_dealing import agree_on_channels, seal_pairs, share_pairs
from secagg.protocol.client_states import (
    AwaitingAdvertiseKeys,
    AwaitingMaskedInput,
    AwaitingShareKeys,
    ChosenView,
    ClientContext,
    ClientStep,
    Offered,
    client_context,
)
from secagg.protocol.messages import (
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
)
from secagg.protocol.parcels import check_public_keys
from secagg.protocol.topology import share_points


def accept_offer(state: Offered, message: SessionOffer, randomness: RandomSource) -> ClientStep:
    """Judge the offer against the client's own policy and roster; no key exists before this returns."""
    parameters = message.parameters
    if not parameters.includes(state.client):
        raise PeerMisbehaved(
            Violation.OFFER_COHORT_WITHOUT_THIS_CLIENT, f"client {state.client} is not in the offered cohort"
        )
    check_policy(state.policy, parameters, signs=state.signs)
    if parameters.threat_model is ThreatModel.ACTIVE:
        for client in parameters.cohort:
            if client not in state.roster:
                raise PeerMisbehaved(
                    Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER,
                    f"client {client} of the offered cohort has no key in this client's roster: it is a stranger, or "
                    "was "
                    "taken out after the session was made, which then has to be made anew",
                )
    try:
        words = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight).words
    except ParameterError as error:
        raise PeerMisbehaved(Violation.OFFER_PARAMETERS_INVALID, f"the offer is impossible: {error}") from error
    if words > state.policy.maximum_words:
        raise PeerMisbehaved(
            Violation.OFFER_VECTOR_ABOVE_POLICY,
            f"the offered session vector has {words} words; this client allows {state.policy.maximum_words}",
        )
    return ClientStep(
        AwaitingAdvertiseKeys(client_context(state.client, parameters, state.identity, state.roster, state.executor))
    )


def check_policy(policy: ClientPolicy, offer: SessionParameters, signs: bool = False) -> None:
    """Refuse parameters under the client's floor.

    Args:
        policy: the floor.
        offer: what the server wants.
        signs: the client was given an identity or a roster: unless its policy says otherwise it takes part in active
            sessions only, or a server could play all its peers by calling the session semi-honest.

    Raises:
        PeerMisbehaved: with the violation that names the floor.
    """

    def refuse(violation: Violation, what: str) -> None:
        raise PeerMisbehaved(violation, f"the server offers {what}")

    if offer.clients < policy.minimum_cohort:
        refuse(
            Violation.OFFER_COHORT_BELOW_POLICY,
            f"a cohort of {offer.clients}; this client needs at least {policy.minimum_cohort}",
        )
    if offer.clients > policy.maximum_cohort:
        refuse(
            Violation.OFFER_COHORT_ABOVE_POLICY,
            f"a cohort of {offer.clients}; this client allows at most {policy.maximum_cohort}",
        )
    if offer.threshold < policy.minimum_threshold:
        refuse(
            Violation.OFFER_THRESHOLD_BELOW_POLICY,
            f"threshold {offer.threshold}; this client needs at least {policy.minimum_threshold}",
        )
    corrupt = policy.corrupt_clients(offer.clients, offer.threat_model)
    if not _withstands(policy, offer, corrupt):
        refuse(
            Violation.OFFER_THRESHOLD_BELOW_POLICY,
            f"threshold {offer.threshold} and degree {offer.topology.degree} for {offer.clients} clients, which "
            f"{corrupt} colluding client{'' if corrupt == 1 else 's'} may defeat in the {offer.threat_model.value} "
            "model "
            f"when {policy.max_dropout} drop out",
        )
    if offer.minimum_contributors < policy.minimum_contributors:
        refuse(
            Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY,
            f"sums over {offer.minimum_contributors}; this client needs at least {policy.minimum_contributors}",
        )
    required = ThreatModel(policy.threat_model or (ThreatModel.ACTIVE if signs else offer.threat_model))
    if offer.threat_model is not required:
        refuse(
            Violation.OFFER_THREAT_MODEL_NOT_ALLOWED,
            f"the {offer.threat_model.value} model; this client requires {required.value}",
        )
    if offer.topology.kind not in policy.topologies:
        refuse(
            Violation.OFFER_TOPOLOGY_NOT_ALLOWED,
            f"a {offer.topology.kind.value} graph, which this client does not allow",
        )
    if offer.suite not in policy.suites:
        refuse(Violation.OFFER_SUITE_NOT_ALLOWED, f"suite 0x{offer.suite:04x}, which this client does not allow")
    if policy.context is not None and offer.context != policy.context:
        refuse(
            Violation.OFFER_CONTEXT_NOT_EXPECTED,
            "a context that is not the one this client expects: another model or round",
        )
    if policy.vectors is not None and dict(offer.vectors) != policy.vectors:
        refuse(Violation.OFFER_VECTORS_NOT_EXPECTED, _other_vectors(policy.vectors, dict(offer.vectors)))
    if policy.max_weight is not None and offer.max_weight != policy.max_weight:
        refuse(
            Violation.OFFER_MAX_WEIGHT_NOT_EXPECTED,
            f"weights up to {offer.max_weight}; this client expects {policy.max_weight}",
        )


def _withstands(policy: ClientPolicy, offer: SessionParameters, corrupt: int) -> bool:
    """Whether the offered graph keeps its promise against so many colluding clients (Specification §6.1)."""
    topology = offer.topology
    if topology.kind is TopologyKind.CHOSEN:
        bits = CHOSEN_SECURITY_BITS if policy.security_bits is None else policy.security_bits
        return chosen_resists(
            offer.clients, corrupt, topology.degree, offer.threshold, bits, policy.minimum_contributors
        )
    return threshold_resists(
        offer.clients,
        topology.kind,
        topology.degree,
        offer.threshold,
        corrupt / offer.clients,
        policy.max_dropout,
        offer.threat_model,
        SECURITY_BITS if policy.security_bits is None else policy.security_bits,
    )


def _other_vectors(expected: Mapping[str, VectorSpec], offered: Mapping[str, VectorSpec]) -> str:
    """Say the first difference; the two differ."""
    for name in expected:
        if name not in offered:
            return f"no vector {name!r}; this client expects {expected[name]}"
        if offered[name] != expected[name]:
            return f"vector {name!r} as {offered[name]}; this client expects {expected[name]}"
    unknown = next(name for name in offered if name not in expected)
    return f"a vector {unknown!r} that this client does not expect"


def advertise_keys(state: AwaitingAdvertiseKeys, message: AdvertiseKeysRequest, randomness: RandomSource) -> ClientStep:
    """Make this session's keys and advertise their public halves."""
    context = state.context
    channel_key = private_key(randomness.secret(context.suite.private_bytes))
    mask_secret = randomness.secret(shamir.SECRET_BYTES)
    mask_key = key_schedule.mask_private_key(mask_secret, context.session, with_kem=context.suite.hybrid)
    seed = randomness.secret(shamir.SECRET_BYTES)
    commitment = key_schedule.self_mask_commitment(context.session, context.client, seed)
    signature = b""
    if context.active and context.identity is not None:
        signature = context.identity.sign(
            key_schedule.advertisement_text(
                context.session, context.client, channel_key.public, mask_key.public, commitment
            )
        )
    own = Advertisement(context.client, channel_key.public, mask_key.public, commitment, signature)
    # The one draw of this session: whoever draws again for the same digest hands the server a choice (§10).
    holders = draw_holders(context.parameters, context.client, randomness) if context.chosen else ()
    return ClientStep(
        AwaitingShareKeys(context, channel_key, mask_key, mask_secret, seed, own, holders),
        AdvertiseKeysResponse(context.session, own, holders),
    )


def share_keys(state: AwaitingShareKeys, message: ShareKeysRequest, randomness: RandomSource) -> ClientStep:
    """Check the neighbours' advertisements and seal shares of the two secrets for each holder among them."""
    context = state.context
    peers = _check_advertisements(context, state.own, message.advertisements, state.holders)
    binding = context.session
    if context.complete:
        binding = key_schedule.cohort_digest(
            context.session,
            ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in message.advertisements),
        )
    points = share_points(state.holders if context.chosen else context.neighbours)
    sending, receiving_keys = agree_on_channels(state, binding, peers)
    dealt_to = [(peer, key) for peer, key in zip(peers, sending, strict=True) if peer.client in points]
    sealed_for = tuple(peer.client for peer, _ in dealt_to)
    pairs = share_pairs(state, points, sealed_for, randomness)
    try:
        parcels, encapsulated = seal_pairs(state, binding, dealt_to, pairs, randomness)
    finally:
        pairs.fill(0)
    # With its own among them, which signatures in a chosen graph name.
    mask_publics = {ad.client: ad.mask_public for ad in message.advertisements}
    following = AwaitingMaskedInput(
        context,
        binding,
        state.mask_key,
        state.self_mask_seed,
        receiving_keys,
        mask_publics,
        state.channel_key.kem if isinstance(state.channel_key, HybridKey) else None,
        encapsulated,
        view=ChosenView(mask_publics, sealed_for) if context.chosen else None,
    )
    if isinstance(state.channel_key, HybridKey) or not context.deals_signed or context.identity is None:
        return ClientStep(following, ShareKeysResponse(context.session, parcels))
    publics = {peer.client: peer.channel_public for peer in peers}
    entries = [dealing.dealt_entry(receiver, publics[receiver], pair) for receiver, pair in parcels]
    attestation = dealing.attest(
        context.identity, state.channel_key, context.session, binding, context.client, dealing.digests_of(entries)
    )
    return ClientStep(
        replace(following, channel_key=state.channel_key, channel_publics=publics),
        ShareKeysResponse(context.session, parcels, attestation),
    )


def _check_advertisements(
    context: ClientContext,
    own: Advertisement,
    advertisements: tuple[Advertisement, ...],
    drawn: tuple[ClientId, ...],
) -> list[Advertisement]:
    """Return the neighbours' advertisements, ascending, after every check of Specification §6.3."""
    neighbours = context.members if context.chosen else frozenset(context.neighbours)
    mine = [ad for ad in advertisements if ad.client == context.client]
    peers = [ad for ad in advertisements if ad.client != context.client]
    if not mine:
        raise PeerMisbehaved(
            Violation.OWN_ADVERTISEMENT_MISSING, f"client {context.client}'s own advertisement is not in the list"
        )
    if mine != [own]:
        raise PeerMisbehaved(
            Violation.OWN_ADVERTISEMENT_CHANGED, f"client {context.client}'s own advertisement was changed"
        )
    for peer in peers:
        if peer.client not in neighbours:
            raise PeerMisbehaved(
                Violation.ADVERTISEMENT_OF_A_STRANGER, f"client {peer.client} is no neighbour of {context.client}"
            )
    holders = frozenset(drawn) if context.chosen else neighbours
    count = sum(peer.client in holders for peer in peers)
    if count < context.parameters.threshold:
        raise PeerMisbehaved(
            Violation.ADVERTISED_BELOW_THRESHOLD,
            f"{count} holders advertised keys; the threshold is {context.parameters.threshold}",
        )
    if context.chosen and len(peers) - count > MOST_CHOOSERS * len(drawn):
        raise PeerMisbehaved(
            Violation.TOO_MANY_CHOOSERS,
            f"{len(peers) - count} clients are said to have drawn {context.client}, which drew {len(drawn)}; it "
            f"accepts {MOST_CHOOSERS * len(drawn)}",
        )
    for peer in peers:
        check_public_keys(context, peer.client, peer.channel_public, peer.mask_public)
    publics = [part for ad in advertisements for key in (ad.channel_public, ad.mask_public) for part in halves(key)]
    if len(frozenset(publics)) < len(publics):
        raise PeerMisbehaved(Violation.PUBLIC_KEY_REPEATED, "a public key stands twice among the advertisements")
    for peer in peers:
        if not (is_canonical(peer.channel_public) and is_canonical(peer.mask_public)):
            raise PeerMisbehaved(
                Violation.PUBLIC_KEY_NOT_CANONICAL,
                f"a public key of client {peer.client} has a number in it that is not reduced",
            )
    if context.active:
        for peer in peers:
            text = key_schedule.advertisement_text(
                context.session, peer.client, peer.channel_public, peer.mask_public, peer.commitment
            )
            if not verify(context.roster[peer.client], text, peer.signature):
                raise PeerMisbehaved(
                    Violation.ADVERTISEMENT_SIGNATURE_INVALID,
                    f"the advertisement of client {peer.client} is not signed by its key in the roster",
                )
    return sorted(peers, key=lambda peer: peer.client)
