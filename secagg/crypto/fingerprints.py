"""Whether two messages are the same, at the speed of memory (Specification §7.2): GMAC of NIST SP 800-38D.

A server looks at every byte of every upload a second time only to know a repeat from a second answer, and SHA-256 took
longer for that than adding the uploads up. The key is nobody else's: who does not know it finds two messages of one
fingerprint by a chance of 2^-128 for each block. The nonce is fixed, which is harmless as long as fingerprints stay
where the key is: keep them as secret as the key. Must not know what messages say.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

KEY_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_PIECE_BYTES: Final = 1 << 30  # the library takes less than 2^31 at once


class Fingerprints:
    """Makes fingerprints under one key.

    Args:
        key: 16 bytes; kept, so that a snapshot can have it.

    Raises:
        ParameterError: a key of another length.
    """

    __slots__ = ("_cipher", "key")

    def __init__(self, key: SecretBytes) -> None:
        if len(key) != KEY_BYTES:
            raise ParameterError(f"a key for fingerprints has {KEY_BYTES} bytes, not {len(key)}")
        self.key = key
        self._cipher = AESGCM(key.expose())

    @classmethod
    def drawn(cls, randomness: RandomSource) -> Fingerprints:
        """Under a fresh key."""
        return cls(randomness.secret(KEY_BYTES))

    def of(self, message: bytes | memoryview) -> bytes:
        """The fingerprint of a message: 16 bytes for each piece of 1 GiB that it begins."""
        view = memoryview(message)
        pieces = range(0, max(1, len(view)), _PIECE_BYTES)
        return b"".join(
            self._cipher.encrypt(number.to_bytes(_NONCE_BYTES, "big"), b"", view[start : start + _PIECE_BYTES])
            for number, start in enumerate(pieces)
        )
