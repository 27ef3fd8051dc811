"""Hybrid keys: X25519 beside ML-KEM-768, whole as long as one of the two is (Specification §3.1).

Private and public keys are the two halves one after the other, X25519 first. Agreement has two steps: X25519 with the
peer's half, as in every suite, and a secret that one of the two encapsulates to the other, which
`key_schedule.hybrid_key` mixes in. This module must not know what a key is for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from secagg.crypto import agreement, kem
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

PRIVATE_BYTES: Final = agreement.KEY_BYTES + kem.SEED_BYTES
PUBLIC_BYTES: Final = agreement.KEY_BYTES + kem.PUBLIC_BYTES


@dataclass(frozen=True, slots=True)
class HybridKey:
    """A private key of both kinds.

    Attributes:
        secret: 96 bytes: the X25519 private key, then d and z of FIPS 203.
        public: 1216 bytes.
        x25519: the first half.
        kem: the second half.

    Raises:
        ParameterError: `secret` has another length.
        MissingExtraError: the OpenSSL below `cryptography` has no ML-KEM.
    """

    secret: SecretBytes = field(repr=False)
    public: bytes = field(init=False)
    x25519: AgreementKey = field(init=False, repr=False)
    kem: kem.KemKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != PRIVATE_BYTES:
            raise ParameterError(f"a hybrid private key has {PRIVATE_BYTES} bytes, not {len(self.secret)}")
        both = self.secret.expose()
        first = AgreementKey(SecretBytes(both[: agreement.KEY_BYTES]))
        second = kem.KemKey(SecretBytes(both[agreement.KEY_BYTES :]))
        object.__setattr__(self, "x25519", first)
        object.__setattr__(self, "kem", second)
        object.__setattr__(self, "public", first.public + second.public)

    def wipe(self) -> None:
        """Wipe the secret and both halves."""
        for part in (self.secret, self.x25519, self.kem):
            part.wipe()


PrivateKey = AgreementKey | HybridKey
"""The private key of a suite."""


def private_key(secret: SecretBytes) -> PrivateKey:
    """Make the private key that has these bytes, 32 or 96; raises ParameterError for another length."""
    return HybridKey(secret) if len(secret) == PRIVATE_BYTES else AgreementKey(secret)


def halves(public: bytes) -> tuple[bytes, ...]:
    """The parts of a public key: the X25519 key, and in hybrid suites the encapsulation key."""
    if len(public) == PUBLIC_BYTES:
        return public[: agreement.KEY_BYTES], public[agreement.KEY_BYTES :]
    return (public,)


def is_canonical(public: bytes) -> bool:
    """Whether each part of a public key is its one encoding."""
    if len(public) != PUBLIC_BYTES:
        return agreement.is_canonical(public)
    first, second = halves(public)
    return agreement.is_canonical(first) and kem.is_canonical(second)


def is_low_order(public: bytes) -> bool:
    """Whether the X25519 part of a public key is of low order."""
    return agreement.is_low_order(halves(public)[0])
