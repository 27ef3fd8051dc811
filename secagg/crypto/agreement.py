"""Key agreement: X25519, RFC 7748 (Specification §3.1).

Through libsodium, whose calls release the interpreter lock. The raw result is no key: it goes through
`kdf.derive` with both public keys' owners bound in. This module must not know what a key is for.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import RuntimeError as SodiumRefusal

from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError

KEY_BYTES: Final = 32
_FIELD_PRIME: Final = 2**255 - 19
_ZERO: Final = bytes(KEY_BYTES)

# Any scalar is clamped to a multiple of 8, the cofactor of the curve: the result is zero exactly for the
# points of low order, whichever scalar this is.
_PROBE_SCALAR: Final = bytes(range(KEY_BYTES))


class LowOrderPointError(RemoteProtocolError):
    """A peer's public key is a point of low order: everyone could know the agreed secret."""


@dataclass(frozen=True, slots=True)
class AgreementKey:
    """An X25519 private key; shares `secret` with whoever made it, so wiping that ends this key.

    Attributes:
        secret: the 32 private bytes, as drawn (X25519 clamps them at each use).
        public: the 32 public bytes.

    Raises:
        ParameterError: `secret` has another length.
    """

    secret: SecretBytes = field(repr=False)
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ParameterError(f"an X25519 private key has {KEY_BYTES} bytes, not {len(self.secret)}")
        object.__setattr__(self, "public", crypto_scalarmult_base(bytes(self.secret.expose())))

    @classmethod
    def generate(cls, randomness: RandomSource) -> AgreementKey:
        """Draw a fresh key."""
        return cls(randomness.secret(KEY_BYTES))

    @classmethod
    def from_secret(cls, secret: SecretBytes) -> AgreementKey:
        """Take the key with these 32 private bytes; raises ParameterError for another length."""
        return cls(secret)

    def agree(self, peer_public: bytes) -> SecretBytes:
        """Return the 32-byte X25519 result of this key and a peer's public key.

        Non-canonical public keys are reduced as RFC 7748 §5 says.

        Raises:
            ParameterError: `peer_public` is not 32 bytes long.
            LowOrderPointError: the result would be all zero.
        """
        _check_public(peer_public)
        try:
            result = crypto_scalarmult(bytes(self.secret.expose()), peer_public)
        except SodiumRefusal as error:
            raise _low_order(peer_public) from error
        # libsodium refuses zero itself; a build that does not must not weaken the protocol.
        if hmac.compare_digest(result, _ZERO):
            raise _low_order(peer_public)
        return SecretBytes(result)

    def wipe(self) -> None:
        """Wipe the secret."""
        self.secret.wipe()


def is_canonical(public: bytes) -> bool:
    """Whether a public key is the one encoding of its coordinate: below 2^255-19, high bit clear (Specification §3.1).

    RFC 7748 reads other encodings as well; here one key has one encoding, so that a repeated key is seen.
    """
    _check_public(public)
    return int.from_bytes(public, "little") < _FIELD_PRIME


def is_low_order(public: bytes) -> bool:
    """Tell whether a public key is one of the low-order points (for the server, which holds no key).

    Raises:
        ParameterError: `public` is not 32 bytes long.
    """
    _check_public(public)
    try:
        return crypto_scalarmult(_PROBE_SCALAR, public) == bytes(KEY_BYTES)
    except SodiumRefusal:
        return True


def _low_order(public: bytes) -> LowOrderPointError:
    return LowOrderPointError(f"public key {public.hex()} is a point of low order; do not use this peer")


def _check_public(public: bytes) -> None:
    if len(public) != KEY_BYTES:
        raise ParameterError(f"an X25519 public key has {KEY_BYTES} bytes, not {len(public)}")
