"""What a client deals to its neighbours: keys with each, a sealed pair for each holder (Specification §3.3, §6.3).

One agreement, one derivation for each direction, one sealing and nothing else for each of them: what is the same for
all is made once, and secrets are rows. Must not know which advertisements are in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import aead, kem, key_schedule, shamir
from secagg.crypto.agreement import LowOrderPointError
from secagg.crypto.commitments import Commitments
from secagg.crypto.hybrid import halves
from secagg.crypto.key_schedule import ChannelKeys, Encapsulated
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import PeerMisbehaved, Violation
from secagg.parameters import ClientId
from secagg.protocol.client_states import AwaitingShareKeys
from secagg.protocol.listed import Listed
from secagg.protocol.messages import Advertisement
from secagg.protocol.parcels import Parcel
from secagg.protocol.secret_rows import SecretRows


def agree_on_channels(
    state: AwaitingShareKeys, binding: bytes, peers: Sequence[Advertisement]
) -> tuple[list[bytes], SecretRows]:
    """Return the sending keys, one for each peer, and the receiving keys by client (32 bytes each).

    Args:
        state: of the client, with its channel key.
        binding: cohort digest, or session digest in a sparse graph.
        peers: those with whom it shares channels, ascending.

    Raises:
        PeerMisbehaved: a channel key of low order.
    """
    channels = ChannelKeys(state.channel_key, binding, state.context.client)
    sending, receiving = list[bytes](), list[bytes]()
    for peer in peers:
        try:
            outwards, inwards = channels.with_peer(peer.client, peer.channel_public)
        except LowOrderPointError as error:
            raise PeerMisbehaved(
                Violation.PUBLIC_KEY_OF_LOW_ORDER, f"the public key shown for client {peer.client} is of low order"
            ) from error
        sending.append(outwards)
        receiving.append(inwards)
    clients = np.array([peer.client for peer in peers], dtype=np.uint64)
    return sending, SecretRows(clients, SecretBytes(b"".join(receiving)))


def share_pairs(
    state: AwaitingShareKeys, points: Mapping[ClientId, int], holders: Sequence[ClientId], randomness: RandomSource
) -> NDArray[np.uint8]:
    """Share the self-mask seed and the mask secret: uint8, a row of 72 bytes for each holder, in their order."""
    return shamir.share_rows(
        [state.self_mask_seed, state.mask_secret],
        state.context.parameters.threshold,
        len(points),
        randomness,
        points=[points[client] for client in holders],
    )


def seal_pairs(
    state: AwaitingShareKeys,
    binding: bytes,
    holders: Sequence[tuple[Advertisement, bytes]],
    pairs: NDArray[np.uint8],
    randomness: RandomSource,
) -> tuple[Listed, dict[ClientId, Encapsulated]]:
    """Seal a pair for each holder; return the parcels, and in a hybrid suite what was encapsulated to mask keys.

    Args:
        state: of the client.
        binding: cohort digest, or session digest in a sparse graph.
        holders: with the sending key of each, ascending.
        pairs: a row of 72 bytes for each, as `share_pairs` made them.
        randomness: of nonces, and of encapsulations.
    """
    context, encapsulated = state.context, dict[ClientId, Encapsulated]()
    client, hybrid = context.client, context.suite.hybrid
    commitments = Commitments(context.session, binding) if context.deals_signed else None
    joined, parcels = pairs.tobytes(), list[tuple[ClientId, bytes]]()
    for place, (holder, sending) in enumerate(holders):
        pair = joined[place * shamir.PAIR_BYTES : (place + 1) * shamir.PAIR_BYTES]
        channel_ciphertext = mask_ciphertext = wrap = committed = b""
        if hybrid:
            sent = _encapsulated(holder.channel_public, randomness)
            sending = bytes(key_schedule.hybrid_key(SecretBytes(sending), sent, binding).expose())
            channel_ciphertext = sent.ciphertext
            if client < holder.client:
                kept = encapsulated[holder.client] = _encapsulated(holder.mask_public, randomness)
                mask_ciphertext = kept.ciphertext
                wrapped = key_schedule.mask_wrap(
                    state.mask_secret, binding, client, holder.client, kept.secret, mask_ciphertext
                )
                wrap = bytes(wrapped.expose())
        bound = key_schedule.share_associated_data(binding, client, holder.client, mask_ciphertext)
        if commitments is not None:
            committed = commitments.of(client, holder.client, pair[: shamir.SHARE_BYTES], pair[shamir.SHARE_BYTES :])
        nonce = bytes(randomness.secret(aead.NONCE_BYTES).expose())
        sealed = aead.seal_bytes(sending, pair, bound, nonce)
        if hybrid:
            sealed = Parcel(channel_ciphertext, sealed, mask_ciphertext, wrap).join()
        parcels.append((holder.client, sealed + committed))
    return Listed.of(parcels), encapsulated


def _encapsulated(public: bytes, randomness: RandomSource) -> Encapsulated:
    return Encapsulated(*kem.encapsulate(halves(public)[1], randomness))
