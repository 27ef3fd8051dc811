"""A client masks its input, once it can read all that was dealt to it (Specification §6.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import LowOrderPointError
from secagg.crypto.commitments import Commitments
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.key_schedule import Encapsulated, PairwiseMaskKeys
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import pack_in_place
from secagg.errors import DecodeError, LocalProtocolError, PeerMisbehaved, Violation
from secagg.masking.engine import MaskKeys, add_masks
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
)
from secagg.protocol.listed import Listed
from secagg.protocol.messages import SEALED_BYTES, MaskedInputCollectionRequest, MaskedInputCollectionResponse
from secagg.protocol.parcels import check_parcel, split_parcel
from secagg.protocol.secret_rows import SecretRows
from secagg.protocol.transitions import CLIENT_TRANSITIONS, ClientPhase

_NO_PAIR: Final = bytes(shamir.PAIR_BYTES)


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
    peers, view, inclusion = list(held), None, b""
    if state.view is not None:
        view = replace(state.view, sharers=message.sharers, holders=_holders_in(state.view, sharers))
        peers = sorted({*held, *view.holders})
        inclusion = sign_inclusion(context, view)
    masks = _masks(state, peers, mask_ciphertexts)
    try:
        add_masks(words, masks, context.suite.prg, executor=context.executor)
    finally:
        masks.wipe()
    outbound = MaskedInputCollectionResponse(context.session, pack_in_place(context.layout, words), inclusion)
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
    context, senders = state.context, frozenset[ClientId](Listed.of(message.ciphertexts).clients.tolist())
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
) -> tuple[SecretRows, dict[ClientId, bytes], dict[ClientId, bytes]]:
    """The shares that each sharer sent, in a hybrid suite the mask ciphertexts, and the pairs that cannot be read.

    Raises:
        PeerMisbehaved: a sender that advertised no keys.
        DecodeError: a parcel of another length than the suite fixes.
    """
    context, parcels = state.context, Listed.of(message.ciphertexts)
    senders = parcels.clients
    places = state.receiving_keys.places(senders)
    if np.any(places < 0):
        raise PeerMisbehaved(
            Violation.CIPHERTEXT_OF_A_STRANGER,
            f"client {senders[np.argmin(places)]} advertised no keys to {context.client}",
        )
    if state.channel_kem is None:
        for run in parcels.runs:
            check_parcel(context, int(run.clients[0]), context.client, run.width, wrapped=False)
    keys, receiver = state.receiving_keys.rows[places].tobytes(), context.client
    mask_ciphertexts, opened, unreadable = dict[ClientId, bytes](), list[bytes](), set[ClientId]()
    for place, (sender, content) in enumerate(parcels):
        key = keys[place * aead.KEY_BYTES : (place + 1) * aead.KEY_BYTES]
        sealed, mask_ciphertext = content[:SEALED_BYTES], b""
        if state.channel_kem is not None:
            parcel = split_parcel(context, sender, receiver, content, wrapped=False)
            sealed, mask_ciphertext = parcel.sealed, parcel.mask_ciphertext
            mask_ciphertexts[sender] = mask_ciphertext
            sent = Encapsulated(state.channel_kem.decapsulate(parcel.channel_ciphertext), parcel.channel_ciphertext)
            key = bytes(key_schedule.hybrid_key(SecretBytes(key), sent, state.binding).expose())
        bound = key_schedule.share_associated_data(state.binding, sender, receiver, mask_ciphertext)
        try:
            opened.append(aead.open_bytes(key, sealed, bound))
        except aead.AuthenticationError:
            opened.append(_NO_PAIR)
            unreadable.add(sender)
    held = SecretRows(senders, SecretBytes(b"".join(opened)))
    unreadable.update(_not_shares(held))
    if context.deals_signed:
        unreadable.update(_not_committed(state, held, parcels))
    return held, mask_ciphertexts, {sender: pair for sender, pair in parcels if sender in unreadable}


def _not_shares(held: SecretRows) -> list[ClientId]:
    """Those whose pairs have an element that is not canonical."""
    shares = shamir.are_canonical_elements(shamir.elements_in(held.joined))
    senders: list[ClientId] = held.clients[~shares.reshape(-1, 2).all(axis=1)].tolist()
    return senders


def _not_committed(state: AwaitingMaskedInput, held: SecretRows, parcels: Listed) -> list[ClientId]:
    """Those that committed to another pair: what is revealed of it would not count, and nobody be held to it."""
    commitments, receiver = Commitments(state.context.session, state.binding), state.context.client
    pairs, width = held.joined.expose(), held.width
    return [
        sender
        for place, (sender, content) in enumerate(parcels)
        if commitments.of(
            sender,
            receiver,
            pairs[place * width : place * width + shamir.SHARE_BYTES],
            pairs[place * width + shamir.SHARE_BYTES : (place + 1) * width],
        )
        != content[SEALED_BYTES:]
    ]


def _masks(state: AwaitingMaskedInput, sharers: list[ClientId], mask_ciphertexts: dict[ClientId, bytes]) -> MaskKeys:
    """The self mask, and one pairwise mask for each sharer: plus towards higher ids, minus towards lower."""
    context = state.context
    derived: list[bytes | memoryview] = [key_schedule.self_mask_key(state.self_mask_seed, context.session).expose()]
    keys = PairwiseMaskKeys(state.mask_key, context.session, state.binding, context.client)
    for peer in sharers:
        encapsulated = state.encapsulated.get(peer)
        if encapsulated is None and isinstance(state.mask_key, HybridKey):
            ciphertext = mask_ciphertexts[peer]
            encapsulated = Encapsulated(state.mask_key.kem.decapsulate(ciphertext), ciphertext)
        try:
            derived.append(keys.with_public(peer, state.mask_publics[peer], encapsulated))
        except LowOrderPointError as error:
            raise PeerMisbehaved(
                Violation.PUBLIC_KEY_OF_LOW_ORDER, f"the mask key shown for client {peer} is of low order"
            ) from error
    table = np.frombuffer(bytearray().join(derived), dtype=np.uint8).reshape(len(derived), context.suite.prg.key_bytes)
    return MaskKeys(table, np.array([False, *(context.client > peer for peer in sharers)]))
