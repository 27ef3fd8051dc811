"""Authenticated encryption of shares: XChaCha20-Poly1305 (Specification §3.3).

A sealed message is `nonce ‖ ciphertext ‖ tag`: 24 + n + 16 bytes. The nonce is 192 bits wide, so the caller
draws it at random without a counter to keep. This module must not know what is sealed, nor draw anything.
"""

from __future__ import annotations

from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES


class AuthenticationError(RemoteProtocolError):
    """A sealed message was not made with this key and this associated data, or was changed since."""


def seal(key: SecretBytes, plaintext: SecretBytes, associated_data: bytes, nonce: bytes) -> bytes:
    """Encrypt and authenticate; returns `nonce ‖ ciphertext ‖ tag`.

    Args:
        key: 32 bytes.
        plaintext: any length.
        associated_data: authenticated, not sent.
        nonce: 24 bytes, drawn afresh for every message.

    Raises:
        ParameterError: a key or a nonce of another length.
    """
    _check_key(key)
    if len(nonce) != NONCE_BYTES:
        raise ParameterError(f"an XChaCha20-Poly1305 nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return seal_bytes(bytes(key.expose()), bytes(plaintext.expose()), associated_data, nonce)


def seal_bytes(key: bytes, plaintext: bytes, associated_data: bytes, nonce: bytes) -> bytes:
    """Do what :func:`seal` does without objects for what is secret: for whoever seals hundreds of rows at once."""
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated_data, nonce, key)


def open_sealed(key: SecretBytes, sealed: bytes, associated_data: bytes) -> SecretBytes:
    """Check and decrypt what `seal` made.

    Raises:
        AuthenticationError: too short, changed, or made with another key or other associated data.
        ParameterError: a key that is not 32 bytes long.
    """
    _check_key(key)
    return SecretBytes(open_bytes(bytes(key.expose()), sealed, associated_data))


def open_bytes(key: bytes, sealed: bytes, associated_data: bytes) -> bytes:
    """Do what :func:`open_sealed` does without objects for what is secret, with a key of 32 bytes.

    Raises:
        AuthenticationError: too short, changed, or made with another key or other associated data.
    """
    if len(sealed) < OVERHEAD_BYTES:
        raise AuthenticationError(
            f"a sealed message of {len(sealed)} bytes is shorter than nonce and tag ({OVERHEAD_BYTES})"
        )
    try:
        plaintext: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[NONCE_BYTES:], associated_data, sealed[:NONCE_BYTES], key
        )
    except CryptoError as error:
        raise AuthenticationError(
            f"a sealed message of {len(sealed)} bytes does not open with this key and associated data"
        ) from error
    return plaintext


def _check_key(key: SecretBytes) -> None:
    if len(key) != KEY_BYTES:
        raise ParameterError(f"an XChaCha20-Poly1305 key has {KEY_BYTES} bytes, not {len(key)}")
