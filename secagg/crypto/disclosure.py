"""Proofs that an X25519 result belongs to two public keys, without a private key (Specification §3.6).

A Chaum-Pedersen proof of equal logarithms on edwards25519, the curve of X25519 in its Edwards form (RFC 7748 §4.1),
made non-interactive by SHA-512. Whoever has the proof derives what the two derived from their agreement, and nothing of
any other. Through libsodium, whose calls on secrets take constant time. Must not know what an agreement is for.
"""

from __future__ import annotations

import hashlib
from typing import Final

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)
from nacl.exceptions import RuntimeError as SodiumRefusal

from secagg.canonical import encode_fields
from secagg.crypto.agreement import KEY_BYTES, AgreementKey, is_canonical
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

PROOF_BYTES: Final = 128
_FIELD_PRIME: Final = 2**255 - 19
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SCALAR_BYTES: Final = 32
_BASE_POINT: Final = (9).to_bytes(KEY_BYTES, "little")


def is_provable(public: bytes) -> bool:
    """Whether a public key is a point of the group of prime order: only of such ones agreements can be proved.

    Every key that was made as X25519 says is one. Others are on the twist of the curve, or have a part of low order.

    Raises:
        ParameterError: `public` is not 32 bytes long.
    """
    return is_canonical(public) and crypto_core_ed25519_is_valid_point(_lifted(public))


def prove(key: AgreementKey, peer_public: bytes, context: bytes) -> bytes:
    """Disclose the agreement of a key and a peer's public key: 128 bytes, always the same ones.

    Args:
        key: the private key; the proof tells nothing of it.
        peer_public: 32 bytes for which `is_provable`.
        context: canonical bytes that the proof is bound to; they name both parties and their public keys.

    Raises:
        ParameterError: `peer_public` is not provable.
    """
    if not is_provable(peer_public):
        raise ParameterError(f"public key {peer_public.hex()} is not of the prime-order group; nothing can be proved")
    private, peer = bytes(key.secret.expose()), _lifted(peer_public)
    scalar = crypto_core_ed25519_scalar_reduce(_clamped(private) + bytes(32))
    own = crypto_scalarmult_ed25519_base_noclamp(scalar)
    agreed = crypto_scalarmult_ed25519_noclamp(scalar, peer)
    # Fixed by key and context, as in Ed25519: two answers to one question can never share a nonce.
    nonce = crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(encode_fields(Label.DISCLOSURE_NONCE, private, context)).digest()
    )
    challenge = _challenge(
        context,
        own,
        agreed,
        crypto_scalarmult_ed25519_base_noclamp(nonce),
        crypto_scalarmult_ed25519_noclamp(nonce, peer),
    )
    response = crypto_core_ed25519_scalar_add(nonce, crypto_core_ed25519_scalar_mul(challenge, scalar))
    return own + agreed + challenge + response


def check(public: bytes, peer_public: bytes, proof: bytes, context: bytes) -> SecretBytes | None:
    """Return the X25519 result that `prove` disclosed, or None when the proof does not show that it is one.

    Args:
        public: of the one who disclosed it, 32 bytes.
        peer_public: of the other.
        proof: 128 bytes; others prove nothing.
        context: as for `prove`.

    Raises:
        ParameterError: a public key is not 32 bytes long.
    """
    if len(proof) != PROOF_BYTES or not is_canonical(public) or not is_provable(peer_public):
        return None
    own, agreed, challenge, response = (proof[at : at + 32] for at in range(0, PROOF_BYTES, 32))
    points_are_valid = crypto_core_ed25519_is_valid_point(own) and crypto_core_ed25519_is_valid_point(agreed)
    if not points_are_valid or _coordinate(own) != public or not (_is_scalar(challenge) and _is_scalar(response)):
        return None
    peer = _lifted(peer_public)
    try:
        one = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_base_noclamp(response), crypto_scalarmult_ed25519_noclamp(challenge, own)
        )
        other = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_noclamp(response, peer), crypto_scalarmult_ed25519_noclamp(challenge, agreed)
        )
    except SodiumRefusal:
        return None  # a scalar of zero, which a hash gives with probability 2^-252
    if _challenge(context, own, agreed, one, other) != challenge:
        return None
    return SecretBytes(_coordinate(agreed))


def prove_possession(key: AgreementKey, context: bytes) -> bytes:
    """Prove that one has a private key: disclose its agreement with the base point, which is its public key."""
    return prove(key, _BASE_POINT, context)


def shows_possession(public: bytes, proof: bytes, context: bytes) -> bool:
    """Whether a proof shows that its maker has the private key of `public`, which is provable then.

    A disclosure is no secret to a peer of which this was shown. Of another peer, whose key may be a multiple of an
    honest client's, the disclosed agreement is a multiple of the agreement with that client.

    Raises:
        ParameterError: `public` is not 32 bytes long.
    """
    return check(public, _BASE_POINT, proof, context) is not None


def _challenge(context: bytes, *points: bytes) -> bytes:
    digest = hashlib.sha512(encode_fields(Label.CHANNEL_DISCLOSURE, context, *points)).digest()
    return crypto_core_ed25519_scalar_reduce(digest)


def _clamped(private: bytes) -> bytes:
    """The scalar that X25519 makes of 32 bytes (RFC 7748 §5)."""
    return bytes([private[0] & 248]) + private[1:31] + bytes([private[31] & 127 | 64])


def _is_scalar(value: bytes) -> bool:
    return int.from_bytes(value, "little") < _GROUP_ORDER


def _lifted(public: bytes) -> bytes:
    """The Edwards encoding with this Montgomery coordinate u and an even x: y = (u - 1)/(u + 1)."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * _inverse(u + 1) % _FIELD_PRIME
    return y.to_bytes(KEY_BYTES, "little")


def _coordinate(point: bytes) -> bytes:
    """The Montgomery coordinate of an Edwards point: u = (1 + y)/(1 - y)."""
    y = int.from_bytes(point, "little") & 2**255 - 1
    u = (1 + y) * _inverse(1 - y) % _FIELD_PRIME
    return u.to_bytes(KEY_BYTES, "little")


def _inverse(value: int) -> int:
    return pow(value, -1, _FIELD_PRIME) if value % _FIELD_PRIME else 0
