"""Signatures: Ed25519, RFC 8032 (Specification §3.5).

Verification is libsodium's strict one: a scalar that is not reduced, a point of low order and a public key
that is not canonical are refused. This module must not know what is signed; the caller's message begins with
a `Label`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_SYSTEM_RANDOMNESS: Final = SystemRandomSource()


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """An Ed25519 private key; shares `seed` with whoever made it, so wiping that ends this key.

    Attributes:
        seed: the 32 private bytes.
        public: the 32 public bytes, as in the roster.

    Raises:
        ParameterError: `seed` is of another type or length.
    """

    seed: SecretBytes = field(repr=False)
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, SecretBytes):
            raise ParameterError(f"an Ed25519 seed is SecretBytes, not {type(self.seed).__name__}; wrap the bytes")
        if len(self.seed) != SEED_BYTES:
            raise ParameterError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(self.seed)}")
        public, _ = crypto_sign_seed_keypair(bytes(self.seed.expose()))
        object.__setattr__(self, "public", public)

    @classmethod
    def generate(cls, randomness: RandomSource = _SYSTEM_RANDOMNESS) -> IdentityKey:
        """Draw a fresh key.

        Args:
            randomness: source of the 32 private bytes; the operating system's unless a test says otherwise.
        """
        return cls(randomness.secret(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: SecretBytes) -> IdentityKey:
        """Return the key with these private bytes.

        Args:
            seed: 32 bytes, as `seed` of a key has them.

        Raises:
            ParameterError: another length.
        """
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`.

        Args:
            message: any bytes, of any length.
        """
        # The public half is our own: with a caller's, two signatures of one message would reveal the key.
        return crypto_sign(message, bytes(self.seed.expose()) + self.public)[:SIGNATURE_BYTES]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is the holder of `public`'s over `message`.

    Never raises on a peer's bytes: a wrong length and an invalid point are simply no signature.
    """
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True
