"""Digests, keys and bound texts of one session (Specification §2.3, §3.2, §3.3).

Everything that two parties must agree on, or that one party signs, is made here: a purpose label first, then
the digest that binds the session, then the parties. `binding` is the cohort digest in a complete graph, where
every client sees all advertisements, and the session digest in a sparse one; the public keys of both sides
enter every pairwise key besides. Must not know messages, rounds or states.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from secagg.canonical import TAG_BYTES, TAG_INTEGER, Writer, encode_fields
from secagg.crypto import hybrid, kdf, kem
from secagg.crypto.agreement import LoadedKey, load_public
from secagg.crypto.hybrid import PrivateKey
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes

_PRG_KEY_BYTES: Final = 16
# Two integers, and one with the head of a public key, as `Writer` writes them: a client needs four for each neighbor.
_ENDS: Final = struct.Struct(">BQBQ")
_PARTY: Final = struct.Struct(">BQBI")


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """A secret of 32 bytes that one client encapsulated to another, and its ciphertext of 1088 bytes."""

    secret: SecretBytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


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
    packed = struct.pack(f">{len(contributors)}Q", *contributors)
    return encode_fields(Label.CONFIRMATION_SIGNATURE, binding, packed)


def inclusion_text(session: bytes, client: int, mask_public: bytes, sharers: bytes) -> bytes:
    """What a client of a chosen graph signs beside its masked input: the sharers with which it masked, as bits."""
    return encode_fields(Label.INCLUSION_SIGNATURE, session, client, mask_public, sharers)


def acknowledgement_text(session: bytes, client: int, mask_public: bytes, sharers: bytes, contributors: bytes) -> bytes:
    """What a client of a chosen graph signs before it reveals shares: its sharers and contributors, as bits."""
    return encode_fields(Label.ACKNOWLEDGEMENT_SIGNATURE, session, client, mask_public, sharers, contributors)


def mask_private_key(secret: SecretBytes, session: bytes, *, with_kem: bool) -> PrivateKey:
    """The mask key of the 32 bytes that a client shares: these themselves, or in a hybrid suite what follows from them.

    Args:
        secret: 32 bytes; the key without a KEM half is this very object.
        session: session digest.
        with_kem: whether the suite is hybrid.
    """
    if not with_kem:
        return hybrid.private_key(secret)
    return hybrid.private_key(kdf.expand(secret, _bound(Label.MASK_PRIVATE_KEY, session), hybrid.PRIVATE_BYTES))


def mask_wrap(
    secret: SecretBytes, binding: bytes, client: int, peer: int, encapsulated: SecretBytes | bytes, ciphertext: bytes
) -> SecretBytes:
    """Hide what a client encapsulated to a peer, or find it again: both are the same (32 bytes).

    A one-time pad that follows from what the client shares: the server removes it if that secret is rebuilt. The
    ciphertext is in the pad, so that no two encapsulations have the same one.

    Args:
        secret: what the client shares, 32 bytes.
        binding: cohort digest, or session digest in a sparse graph.
        client: who encapsulated.
        peer: to whom, with a higher id.
        encapsulated: the secret, or its wrapped form.
        ciphertext: its ciphertext.
    """
    info = _bound(Label.MASK_WRAP, binding) + Writer().integer(client).integer(peer).data(ciphertext).finish()
    pad = kdf.expand(secret, info, kem.SHARED_BYTES)
    content = encapsulated.expose() if isinstance(encapsulated, SecretBytes) else encapsulated
    wrapped = SecretBytes(bytes(a ^ b for a, b in zip(pad.expose(), content, strict=True)))
    pad.wipe()
    return wrapped


def hybrid_key(key: SecretBytes, encapsulated: Encapsulated, binding: bytes) -> SecretBytes:
    """The key of a hybrid suite (32 bytes): from the X25519 key for the same purpose and an encapsulated secret.

    Nobody knows it who lacks one of the two. `key` is wiped.
    """
    both = SecretBytes(bytes(encapsulated.secret.expose()) + bytes(key.expose()))
    info = _bound(Label.HYBRID_KEY, binding) + Writer().data(encapsulated.ciphertext).finish()
    mixed = kdf.derive(both, salt=binding, info=info)
    both.wipe()
    key.wipe()
    return mixed


def channel_keys(
    key: PrivateKey, peer_public: bytes, binding: bytes, client: int, peer: int
) -> tuple[SecretBytes, SecretBytes]:
    """The two directional share-encryption keys between a client and a peer: (sending, receiving), 32 bytes each.

    In a hybrid suite each goes through :func:`hybrid_key` before it encrypts anything.

    Raises:
        LowOrderPointError: the peer's public key is of low order.
    """
    sending, receiving = ChannelKeys(key, binding, client).with_peer(peer, peer_public)
    return SecretBytes(sending), SecretBytes(receiving)


class ChannelKeys:
    """The keys of one client's channels with its peers: what is the same for all of them is made once.

    Args:
        key: the client's channel key.
        binding: cohort digest, or session digest in a sparse graph.
        client: whose key it is.
    """

    __slots__ = ("_before", "_binding", "_key", "_own")

    def __init__(self, key: PrivateKey, binding: bytes, client: int) -> None:
        self._key = key.x25519 if isinstance(key, hybrid.HybridKey) else key
        self._binding = binding
        self._own = _party(client, key.public)
        self._before = _bound(Label.CHANNEL_KEY, binding)

    def with_peer(self, peer: int, public: bytes) -> tuple[bytes, bytes]:
        """The two keys of :func:`channel_keys`, without objects for what is secret.

        Raises:
            LowOrderPointError: the peer's public key is of low order.
        """
        agreed = self._key.agree_loaded(load_public(hybrid.halves(public)[0]))
        extracted, other = kdf.extract_bytes(self._binding, agreed), _party(peer, public)
        return (
            kdf.expand_bytes(extracted, self._before + self._own + other, kdf.HASH_BYTES),
            kdf.expand_bytes(extracted, self._before + other + self._own, kdf.HASH_BYTES),
        )


def share_associated_data(binding: bytes, sender: int, receiver: int, mask_ciphertext: bytes = b"") -> bytes:
    """Associated data of the sealed shares from one client to another, and of a mask ciphertext beside them."""
    bound = _bound(Label.SHARE_ENCRYPTION, binding) + _ENDS.pack(TAG_INTEGER, sender, TAG_INTEGER, receiver)
    return bound + Writer().data(mask_ciphertext).finish() if mask_ciphertext else bound


@dataclass(frozen=True, slots=True)
class MaskPeer:
    """Somebody with whom masks are agreed, made ready once for all who agree with it."""

    client: int
    party: bytes
    loaded: LoadedKey = field(repr=False)

    @classmethod
    def of(cls, client: int, public: bytes) -> MaskPeer:
        """From its mask public key."""
        return cls(client, _party(client, public), load_public(hybrid.halves(public)[0]))


class PairwiseMaskKeys:
    """PRG keys of one client's masks with its peers: what is the same for all of them is made once.

    Args:
        key: the client's mask key.
        session: session digest.
        binding: cohort digest, or session digest in a sparse graph.
        client: whose key it is.
    """

    __slots__ = ("_before", "_binding", "_client", "_info", "_key", "_own")

    def __init__(self, key: PrivateKey, session: bytes, binding: bytes, client: int) -> None:
        self._key = key.x25519 if isinstance(key, hybrid.HybridKey) else key
        self._binding = binding
        self._client = client
        self._own = _party(client, key.public)
        self._before = _bound(Label.PAIRWISE_MASK_SEED, binding)
        self._info = _bound(Label.PAIRWISE_MASK_KEY, session)

    def with_peer(self, peer: MaskPeer, encapsulated: Encapsulated | None = None) -> bytes:
        """The key (16 bytes) of the mask with a peer, without an object for what is secret; see `pairwise_mask_key`.

        Raises:
            LowOrderPointError: the peer's public key is of low order.
        """
        return self._with(peer.client, peer.party, peer.loaded, encapsulated)

    def with_public(self, peer: int, public: bytes, encapsulated: Encapsulated | None = None) -> bytes:
        """Do what :meth:`with_peer` does, for a peer that nobody else agrees with; by its id and mask public key."""
        loaded = load_public(hybrid.halves(public)[0])
        return self._with(peer, _party(peer, public), loaded, encapsulated)

    def _with(self, peer: int, party: bytes, loaded: LoadedKey, encapsulated: Encapsulated | None) -> bytes:
        agreed = self._key.agree_loaded(loaded)
        both = self._own + party if self._client < peer else party + self._own
        seed = kdf.expand_bytes(kdf.extract_bytes(self._binding, agreed), self._before + both, kdf.HASH_BYTES)
        if encapsulated is not None:
            seed = bytes(hybrid_key(SecretBytes(seed), encapsulated, self._binding).expose())
        return kdf.expand_bytes(seed, self._info, _PRG_KEY_BYTES)


def pairwise_mask_key(
    key: PrivateKey,
    peer_public: bytes,
    session: bytes,
    binding: bytes,
    client: int,
    peer: int,
    encapsulated: Encapsulated | None = None,
) -> SecretBytes:
    """PRG key (16 bytes) of the mask between two clients; the same from both sides.

    In a hybrid suite `encapsulated` is what the one with the lower id encapsulated to the other.

    Raises:
        LowOrderPointError: the peer's public key is of low order.
    """
    keys = PairwiseMaskKeys(key, session, binding, client)
    return SecretBytes(keys.with_public(peer, peer_public, encapsulated))


def self_mask_key(seed: SecretBytes, session: bytes) -> SecretBytes:
    """PRG key (16 bytes) of a client's own mask."""
    return _prg_key(Label.SELF_MASK_KEY, seed, session)


def _prg_key(label: Label, seed: SecretBytes, session: bytes) -> SecretBytes:
    return kdf.expand(seed, _bound(label, session), _PRG_KEY_BYTES)


def channel_key(
    agreed: SecretBytes, binding: bytes, sender: int, sender_public: bytes, receiver: int, receiver_public: bytes
) -> SecretBytes:
    """The share-encryption key from one client to another (32 bytes), from the X25519 result of their channel keys."""
    info = _channel_info(binding, _party(sender, sender_public), _party(receiver, receiver_public))
    return kdf.derive(agreed, salt=binding, info=info)


def _channel_info(binding: bytes, sender: bytes, receiver: bytes) -> bytes:
    return _bound(Label.CHANNEL_KEY, binding) + sender + receiver


# Canonical encodings join: what binds a session and a party is made once, and not for each of its n^2 pairs.
@lru_cache(maxsize=64)
def _bound(label: Label, digest: bytes) -> bytes:
    return encode_fields(label, digest)


def _party(client: int, public: bytes) -> bytes:
    return _PARTY.pack(TAG_INTEGER, client, TAG_BYTES, len(public)) + public
