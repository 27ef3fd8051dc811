"""Key agreement: X25519, RFC 7748 (Specification §3.1).

Through OpenSSL, which where the processor has the instructions is a sixth faster than libsodium; a public key is loaded
once for all who agree with it. The raw result is no key: it goes through `kdf.derive` with both public keys' owners
bound in. This module must not know what a key is for.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError

KEY_BYTES: Final = 32
LoadedKey = X25519PublicKey
"""A peer's public key, ready for agreements."""
# What stands before the 32 bytes in DER (RFC 8410 section 4): read so, a key takes OpenSSL's binding half as long.
_PUBLIC_KEY_INFO: Final = bytes.fromhex("302a300506032b656e032100")
_LAST_BYTE_OF_PRIME: Final = 0x7F
_FIELD_PRIME: Final = 2**255 - 19
_ZERO: Final = bytes(KEY_BYTES)
_COORDINATE_BITS: Final = 255

# The coordinates of the points whose order divides 8, on the curve and on its twist: 0, 1, those of order 8, and -1.
# Any scalar is clamped to a multiple of 8: agreement gives zero for exactly these, whichever scalar it is.
_LOW_ORDER: Final = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _FIELD_PRIME - 1,
    }
)


class LowOrderPointError(RemoteProtocolError):
    """A peer's public key is a point of low order: everyone could know the agreed secret."""


@dataclass(frozen=True, slots=True)
class AgreementKey:
    """An X25519 private key; shares `secret` with whoever made it, so wiping that ends this key.

    OpenSSL's own copy is cleared when this object goes.

    Attributes:
        secret: the 32 private bytes, as drawn (X25519 clamps them at each use).
        public: the 32 public bytes.

    Raises:
        ParameterError: `secret` has another length.
    """

    secret: SecretBytes = field(repr=False)
    public: bytes = field(init=False)
    _loaded: X25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ParameterError(f"an X25519 private key has {KEY_BYTES} bytes, not {len(self.secret)}")
        loaded = X25519PrivateKey.from_private_bytes(self.secret.expose())
        object.__setattr__(self, "_loaded", loaded)
        object.__setattr__(self, "public", loaded.public_key().public_bytes_raw())

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
        return SecretBytes(self.agree_loaded(load_public(peer_public)))

    def agree_loaded(self, peer: LoadedKey) -> bytes:
        """Do what :meth:`agree` does with a key of :func:`load_public`, without an object for the result.

        Raises:
            LowOrderPointError: the result would be all zero.
        """
        self.secret.expose()  # refuses when the key was wiped
        try:
            result = self._loaded.exchange(peer)
        except ValueError as error:
            raise _low_order(peer.public_bytes_raw()) from error
        # OpenSSL refuses zero itself; a build that does not must not weaken the protocol.
        if hmac.compare_digest(result, _ZERO):
            raise _low_order(peer.public_bytes_raw())
        return result

    def wipe(self) -> None:
        """Wipe the secret."""
        self.secret.wipe()


def load_public(public: bytes) -> LoadedKey:
    """Load a peer's public key, for one agreement or many; raises ParameterError for another length than 32 bytes."""
    _check_public(public)
    return cast(LoadedKey, load_der_public_key(_PUBLIC_KEY_INFO + public))


def is_canonical(public: bytes) -> bool:
    """Whether a public key is the one encoding of its coordinate: below 2^255-19, high bit clear (Specification §3.1).

    RFC 7748 reads other encodings as well; here one key has one encoding, so that a repeated key is seen.
    """
    _check_public(public)
    return public[-1] < _LAST_BYTE_OF_PRIME or int.from_bytes(public, "little") < _FIELD_PRIME


def is_low_order(public: bytes) -> bool:
    """Tell whether a public key is one of the low-order points, in whatever encoding (for a server, which has no key).

    Raises:
        ParameterError: `public` is not 32 bytes long.
    """
    _check_public(public)
    return int.from_bytes(public, "little") % (1 << _COORDINATE_BITS) % _FIELD_PRIME in _LOW_ORDER


def _low_order(public: bytes) -> LowOrderPointError:
    return LowOrderPointError(f"public key {public.hex()} is a point of low order; do not use this peer")


def _check_public(public: bytes) -> None:
    if len(public) != KEY_BYTES:
        raise ParameterError(f"an X25519 public key has {KEY_BYTES} bytes, not {len(public)}")
