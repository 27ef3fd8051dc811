"""Ed25519 signatures that no honest signer makes, and that a lax verifier accepts (§3.5, R13).

NO SECURITY: private keys are handled as plain numbers. Must not know messages or sessions.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

from protocol_specs.generate_vectors.primitives.edwards import (
    BASE,
    IDENTITY,
    ORDER,
    TORSION,
    P,
    add,
    agreement_key,
    challenge,
    decode,
    encode,
    multiply,
    secret_scalar,
)

NEUTRAL_KEY: Final = encode(IDENTITY)
"""The public key that is the neutral element."""


def with_large_scalar(signature: bytes) -> bytes:
    """The same signature with S + L in the place of S: the equation still holds."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def with_neutral_r(private: bytes, message: bytes) -> bytes:
    """A signature whose R is the neutral element: S is h times the secret, and the equation holds."""
    secret = secret_scalar(private)
    public, r = encode(multiply(secret, BASE)), encode(IDENTITY)
    return r + (challenge(r, public, message) * secret % ORDER).to_bytes(32, "little")


def with_low_order_part(private: bytes, message: bytes) -> bytes:
    """A signature whose R has a part of order 8: only the equation with the cofactor holds."""
    secret = secret_scalar(private)
    public, nonce = encode(multiply(secret, BASE)), 1 + int.from_bytes(sha512(message).digest(), "little") % (ORDER - 1)
    r = encode(add(multiply(nonce, BASE), TORSION))
    return r + ((nonce + challenge(r, public, message) * secret) % ORDER).to_bytes(32, "little")


def mixed_key(private: bytes) -> bytes:
    """The X25519 public key of a private key with a part of order 8: agreements are the same, and nothing is proved."""
    scalar = int.from_bytes(private, "little") & (2**254 - 8) | 2**254
    return agreement_key(add(multiply(scalar, BASE), TORSION))


def multiple_of(public: bytes) -> bytes:
    """Three times an X25519 public key: whoever knows an agreement with it knows that of the key, too."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * pow(u + 1, -1, P) % P
    return agreement_key(multiply(3, decode(y.to_bytes(32, "little"))))


def under_neutral_key(message: bytes) -> bytes:
    """A signature of anything under the key that is the neutral element: R = S·B, which anybody can make."""
    nonce = 1 + int.from_bytes(sha512(b"nonce" + message).digest(), "little") % (ORDER - 1)
    return encode(multiply(nonce, BASE)) + nonce.to_bytes(32, "little")


def under_low_order_key(message: bytes) -> tuple[bytes, bytes]:
    """A public key of order 8, and a signature under it for which the equation without cofactor holds."""
    key, nonce = encode(TORSION), 1
    while True:
        r = encode(multiply(nonce, BASE))
        if challenge(r, key, message) % 8 == 0:
            return key, r + nonce.to_bytes(32, "little")
        nonce += 1
