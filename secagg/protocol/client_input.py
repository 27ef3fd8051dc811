"""A client masks its input, once it can read all that was dealt to it (Specification §6.4)."""

from __future__ import annotations

from dataclasses import replace

from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import LowOrderPointError
from secagg.crypto.commitments import Commitments
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.key_schedule import Encapsulated, MaskPeer, PairwiseMaskKeys
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import pack_vector
from secagg.errors import DecodeError, LocalProtocolError, PeerMisbehaved, Violation
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters import ClientId
from secagg.protocol.acknowledging import sign_inclusion
from secagg.protocol.chosen_edges import unpack_set
from secagg.protocol.client_complaint import complain
from secagg.protocol.client_states import (
    AwaitingConsistencyCheck,
    AwaitingMaskedInput,
    AwaitingUnmasking,
    ChosenView,
    ClientStep,
    HeldShares,
)
from secagg.protocol.messages import MaskedInputCollectionRequest, MaskedInputCollectionResponse
from secagg.protocol.parcels import split_parcel
from secagg.protocol.transitions import CLIENT_TRANSITIONS, ClientPhase


def mask_input(
    state: AwaitingMaskedInput, message: MaskedInputCollectionRequest, randomness: RandomSource
) -> ClientStep:
    """Open and check all shares, then add the masks to the input's own words, in place, and pack them.

    Raises:
        LocalProtocolError: the request is in order and no input was set; the state is unchanged.
        PeerMisbehaved: a sealed share of somebody who is no neighbour, or too few sharers.
    """
    context = state.context
    # First of all: a host that computes its input only when it is due must not compute it for a request that is none,
    # and whether a client complains must not depend on having an input.
    sharers = _check_sharers(state, message)
    held, mask_ciphertexts, accused = _open_all(state, message)
    if accused:
        return complain(state, accused)
    if state.input is None:
        raise LocalProtocolError("the server asks for the masked input; call set_input() first")
    words = state.input.words
    peers, view, inclusion = sorted(held), None, b""
    if state.view is not None:
        view = replace(state.view, sharers=message.sharers, holders=_holders_in(state.view, sharers))
        peers = sorted({*held, *view.holders})
        inclusion = sign_inclusion(context, view)
    add_masks(words, _terms(state, peers, mask_ciphertexts), context.suite.prg, executor=context.executor)
    outbound = MaskedInputCollectionResponse(context.session, pack_vector(context.layout, words), inclusion)
    following = CLIENT_TRANSITIONS[context.parameters.threat_model][state.phase][type(message)]
    if following is ClientPhase.CONSISTENCY_CHECK:
        return ClientStep(AwaitingConsistencyCheck(context, state.binding, held, view), outbound)
    return ClientStep(AwaitingUnmasking(context, state.binding, held), outbound)


def _check_sharers(state: AwaitingMaskedInput, message: MaskedInputCollectionRequest) -> frozenset[ClientId]:
    """Check that enough of those who hold this client's shares go on; in a chosen graph, return all sharers.

    Raises:
        DecodeError: what says who the sharers are is not of this session's graph.
        PeerMisbehaved: too few holders, or senders that are no sharers.
    """
    context, senders = state.context, frozenset(sender for sender, _ in message.ciphertexts)
    count, sharers = len(senders), frozenset[ClientId]()
    if state.view is not None:
        sharers = unpack_set(context.parameters.cohort, message.sharers)
        count = len(_holders_in(state.view, sharers))
    elif message.sharers:
        raise DecodeError("the sharers as bits are of a chosen graph, and this session's is none")
    if count < context.parameters.threshold:
        raise PeerMisbehaved(
            Violation.SHARERS_BELOW_THRESHOLD,
            f"{count} holders shared keys; the threshold is {context.parameters.threshold}",
        )
    if state.view is not None and not sharers.issuperset(senders | {context.client}):
        missing = min((senders | {context.client}) - sharers)
        raise PeerMisbehaved(
            Violation.SHARERS_INCOMPLETE, f"client {missing} shared keys and is not among the {len(sharers)} sharers"
        )
    return sharers


def _holders_in(view: ChosenView, sharers: frozenset[ClientId]) -> tuple[ClientId, ...]:
    return tuple(holder for holder in view.holders if holder in sharers)


def _open_all(
    state: AwaitingMaskedInput, message: MaskedInputCollectionRequest
) -> tuple[dict[ClientId, HeldShares], dict[ClientId, bytes], dict[ClientId, bytes]]:
    """The shares that each sharer sent, in a hybrid suite the mask ciphertexts, and the pairs that cannot be read."""
    context = state.context
    held: dict[ClientId, HeldShares] = {}
    mask_ciphertexts: dict[ClientId, bytes] = {}
    unreadable: dict[ClientId, bytes] = {}
    commitments = Commitments(context.session, state.binding) if context.deals_signed else None
    for sender, content in message.ciphertexts:
        key = state.receiving_keys.get(sender)
        if key is None:
            raise PeerMisbehaved(
                Violation.CIPHERTEXT_OF_A_STRANGER, f"client {sender} advertised no keys to {context.client}"
            )
        parcel = split_parcel(context, sender, context.client, content, wrapped=False)
        if state.channel_kem is not None:
            # The state's own key stays as it is: without an input the request is looked at again.
            secret = state.channel_kem.decapsulate(parcel.channel_ciphertext)
            sent = Encapsulated(secret, parcel.channel_ciphertext)
            key = key_schedule.hybrid_key(SecretBytes(key.expose()), sent, state.binding)
        bound = key_schedule.share_associated_data(state.binding, sender, context.client, parcel.mask_ciphertext)
        try:
            seed, mask_key = shamir.split_shares(aead.open_sealed(key, parcel.sealed, bound))
        except (aead.AuthenticationError, shamir.ShareError):
            unreadable[sender] = content
        else:
            held[sender] = HeldShares(seed, mask_key)
            # Or what is revealed of the pair would not count, and nobody could be held to it.
            if commitments and commitments.of(sender, context.client, seed, mask_key) != parcel.commitment:
                unreadable[sender] = content
        mask_ciphertexts[sender] = parcel.mask_ciphertext
    return held, mask_ciphertexts, unreadable


def _terms(
    state: AwaitingMaskedInput, sharers: list[ClientId], mask_ciphertexts: dict[ClientId, bytes]
) -> list[MaskTerm]:
    """The self mask, and one pairwise mask for each sharer: plus towards higher ids, minus towards lower."""
    context = state.context
    terms = [MaskTerm(key_schedule.self_mask_key(state.self_mask_seed, context.session), negative=False)]
    keys = PairwiseMaskKeys(state.mask_key, context.session, state.binding, context.client)
    for peer in sharers:
        encapsulated = state.encapsulated.get(peer)
        if encapsulated is None and isinstance(state.mask_key, HybridKey):
            ciphertext = mask_ciphertexts[peer]
            encapsulated = Encapsulated(state.mask_key.kem.decapsulate(ciphertext), ciphertext)
        try:
            key = keys.with_peer(MaskPeer.of(peer, state.mask_publics[peer]), encapsulated)
        except LowOrderPointError as error:
            raise PeerMisbehaved(
                Violation.PUBLIC_KEY_OF_LOW_ORDER, f"the mask key shown for client {peer} is of low order"
            ) from error
        terms.append(MaskTerm(SecretBytes(key), negative=context.client > peer))
    return terms
