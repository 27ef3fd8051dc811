"""Key encapsulation: ML-KEM-768, FIPS 203 (Specification §3.1).

Through OpenSSL, in `cryptography`. A shared secret is no key: it goes through `kdf.derive` beside an X25519 result.
Decapsulation never refuses a ciphertext: one that was not made for the key gives a secret that nobody else knows
(implicit rejection). This module must not know what a key is for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import MissingExtraError, ParameterError

SEED_BYTES: Final = 64
PUBLIC_BYTES: Final = 1184
CIPHERTEXT_BYTES: Final = 1088
SHARED_BYTES: Final = 32
_RHO_BYTES: Final = 32
_PRIME: Final = 3329


@dataclass(frozen=True, slots=True)
class KemKey:
    """A decapsulation key; shares `secret` with whoever made it, so wiping that ends this key.

    Attributes:
        secret: d and z of FIPS 203, 64 bytes.
        public: the encapsulation key, 1184 bytes.

    Raises:
        ParameterError: `secret` has another length.
        MissingExtraError: the OpenSSL below `cryptography` has no ML-KEM.
    """

    secret: SecretBytes = field(repr=False)
    public: bytes = field(init=False)
    _key: list[MLKEM768PrivateKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SEED_BYTES:
            raise ParameterError(f"an ML-KEM-768 seed has {SEED_BYTES} bytes, not {len(self.secret)}")
        require()
        key = MLKEM768PrivateKey.from_seed_bytes(bytes(self.secret.expose()))
        object.__setattr__(self, "_key", [key])
        object.__setattr__(self, "public", key.public_key().public_bytes_raw())

    def decapsulate(self, ciphertext: bytes) -> SecretBytes:
        """Return the 32-byte shared secret of a ciphertext.

        Raises:
            ParameterError: `ciphertext` is not 1088 bytes long.
            LocalProtocolError: the secret was wiped.
        """
        self.secret.expose()
        if len(ciphertext) != CIPHERTEXT_BYTES:
            raise ParameterError(f"an ML-KEM-768 ciphertext has {CIPHERTEXT_BYTES} bytes, not {len(ciphertext)}")
        return SecretBytes(self._key[0].decapsulate(ciphertext))

    def wipe(self) -> None:
        """Wipe the secret, and let go of OpenSSL's copy of it."""
        self.secret.wipe()
        self._key.clear()


def encapsulate(public: bytes, randomness: RandomSource) -> tuple[SecretBytes, bytes]:
    """Make a 32-byte secret that the holder of an encapsulation key learns from a ciphertext of 1088 bytes.

    Args:
        public: 1184 bytes.
        randomness: asked for the encapsulation if it makes one itself, with a method `encapsulate` of this argument and
            result, as tapes do; OpenSSL draws otherwise.

    Raises:
        ParameterError: `public` is no encapsulation key.
    """
    own = getattr(randomness, "encapsulate", None)
    if own is not None:
        made: tuple[SecretBytes, bytes] = own(public)
        return made
    shared, ciphertext = _loaded(public).encapsulate()
    return SecretBytes(shared), ciphertext


def is_canonical(public: bytes) -> bool:
    """Whether every coefficient of an encapsulation key is reduced: the modulus check of FIPS 203, section 7.2.

    Raises:
        ParameterError: `public` is not 1184 bytes long.
    """
    if len(public) != PUBLIC_BYTES:
        raise ParameterError(f"an ML-KEM-768 encapsulation key has {PUBLIC_BYTES} bytes, not {len(public)}")
    # OpenSSL checks the same when it loads a key, which takes six times as long.
    octets = np.frombuffer(public, dtype=np.uint8, count=PUBLIC_BYTES - _RHO_BYTES).reshape(-1, 3).astype(np.uint16)
    even = octets[:, 0] | (octets[:, 1] & 15) << 8
    odd = octets[:, 1] >> 4 | octets[:, 2] << 4
    return bool(max(even.max(), odd.max()) < _PRIME)


def require() -> None:
    """Check that this machine has ML-KEM.

    Raises:
        MissingExtraError: says what to install.
    """
    try:
        _probe()
    except UnsupportedAlgorithm as error:
        raise MissingExtraError(
            "hybrid suites need ML-KEM-768, which the OpenSSL below `cryptography` does not have: pip install "
            "'cryptography>=48' as a wheel, link it with OpenSSL 3.5 or later, or choose suite 0x0001"
        ) from error


@cache
def _probe() -> None:
    MLKEM768PrivateKey.from_seed_bytes(bytes(SEED_BYTES))


def _loaded(public: bytes) -> MLKEM768PublicKey:
    try:
        return MLKEM768PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise ParameterError(f"{len(public)} bytes are no ML-KEM-768 encapsulation key") from error
