"""Digests, keys and bound texts of one session (Specification §2.3, §3.2, §3.3).

Everything that two parties must agree on, or that one party signs, is made here: a purpose label first, then
the digest that binds the session, then the parties. `binding` is the cohort digest in a complete graph, where
every client sees all advertisements, and the session digest in a sparse one; the public keys of both sides
enter every pairwise key besides. Must not know messages, rounds or states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

from secagg.canonical import Writer, encode_fields
from secagg.crypto import kdf
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes


def session_digest(parameters: bytes) -> bytes:
    """SHA-256 over the canonical session parameters (32 bytes)."""
    return hashlib.sha256(encode_fields(Label.SESSION_DIGEST, parameters)).digest()


def cohort_digest(session: bytes, advertisements: Iterable[tuple[int, bytes, bytes, bytes]]) -> bytes:
    """SHA-256 over all advertisements, in ascending order of client (32 bytes).

    Args:
        session: session digest.
        advertisements: (client, channel public key, mask public key, commitment).
    """
    listed: Sequence[tuple[int, bytes, bytes, bytes]] = sorted(advertisements)
    writer = Writer().data(Label.COHORT_DIGEST).data(session).sequence(len(listed))
    for client, channel_public, mask_public, commitment in listed:
        writer.integer(client).data(channel_public).data(mask_public).data(commitment)
    return hashlib.sha256(writer.finish()).digest()


def self_mask_commitment(session: bytes, client: int, seed: SecretBytes) -> bytes:
    """SHA-256 commitment of a client to its self-mask seed (32 bytes; the seed's 256 bits hide it)."""
    text = encode_fields(Label.SELF_MASK_COMMITMENT, session, client, bytes(seed.expose()))
    return hashlib.sha256(text).digest()


def advertisement_text(
    session: bytes, client: int, channel_public: bytes, mask_public: bytes, commitment: bytes
) -> bytes:
    """What a client signs when it advertises its keys."""
    return encode_fields(Label.ADVERTISEMENT_SIGNATURE, session, client, channel_public, mask_public, commitment)


def confirmation_text(binding: bytes, contributors: Sequence[int]) -> bytes:
    """What a client signs to confirm the contributors it was shown (ascending)."""
    packed = b"".join(client.to_bytes(8, "big") for client in contributors)
    return encode_fields(Label.CONFIRMATION_SIGNATURE, binding, packed)


def channel_keys(
    key: AgreementKey, peer_public: bytes, binding: bytes, client: int, peer: int
) -> tuple[SecretBytes, SecretBytes]:
    """The two directional share-encryption keys between a client and a peer: (sending, receiving), 32 bytes each.

    Raises:
        LowOrderPointError: the peer's public key is of low order.
    """
    agreed = key.agree(peer_public)
    sending = _directional(agreed, binding, client, key.public, peer, peer_public)
    receiving = _directional(agreed, binding, peer, peer_public, client, key.public)
    agreed.wipe()
    return sending, receiving


def share_associated_data(binding: bytes, sender: int, receiver: int) -> bytes:
    """Associated data of the sealed shares from one client to another."""
    return encode_fields(Label.SHARE_ENCRYPTION, binding, sender, receiver)


def pairwise_mask_key(
    key: AgreementKey, peer_public: bytes, session: bytes, binding: bytes, client: int, peer: int
) -> SecretBytes:
    """PRG key (16 bytes) of the mask between two clients; the same from both sides.

    Raises:
        LowOrderPointError: the peer's public key is of low order.
    """
    agreed = key.agree(peer_public)
    low, high = sorted(((client, key.public), (peer, peer_public)))
    info = _bound(Label.PAIRWISE_MASK_SEED, binding) + _party(*low) + _party(*high)
    seed = kdf.derive(agreed, salt=binding, info=info)
    agreed.wipe()
    return _prg_key(Label.PAIRWISE_MASK_KEY, seed, session)


def self_mask_key(seed: SecretBytes, session: bytes) -> SecretBytes:
    """PRG key (16 bytes) of a client's own mask."""
    return _prg_key(Label.SELF_MASK_KEY, seed, session)


def _prg_key(label: Label, seed: SecretBytes, session: bytes) -> SecretBytes:
    return kdf.expand(seed, _bound(label, session), 16)


def _directional(
    agreed: SecretBytes, binding: bytes, sender: int, sender_public: bytes, receiver: int, receiver_public: bytes
) -> SecretBytes:
    info = _bound(Label.CHANNEL_KEY, binding) + _party(sender, sender_public) + _party(receiver, receiver_public)
    return kdf.derive(agreed, salt=binding, info=info)


# Canonical encodings join: what binds a session and a party is made once, and not for each of its n^2 pairs.
@lru_cache(maxsize=64)
def _bound(label: Label, digest: bytes) -> bytes:
    return encode_fields(label, digest)


@lru_cache(maxsize=4096)
def _party(client: int, public: bytes) -> bytes:
    return Writer().integer(client).data(public).finish()
