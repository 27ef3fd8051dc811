"""The bare operations that everything is made of, each ready to be called and timed.

Calls the packages below directly, without the library between: what these cost is the floor of what the library can
reach. Must not know who times them.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from numpy.typing import NDArray

from secagg.crypto.shamir import SHARE_BYTES
from secagg.protocol.messages import SEALED_BYTES

Operation = Callable[[], object]

CACHED_BYTES: Final = 1 << 18
CIPHER_BYTES: Final = 1 << 18
COPIED_BYTES: Final = 1 << 26
CACHE_LINE: Final = 64
ROWS: Final = 512


def aes_ctr(size: int = CIPHER_BYTES) -> Operation:
    """Return one AES-128-CTR call that writes `size` bytes of key stream into a buffer that is used again."""
    context = Cipher(algorithms.AES128(os.urandom(16)), modes.CTR(bytes(16))).encryptor()
    zeros, buffer = bytes(size), bytearray(size)
    return lambda: context.update_into(zeros, buffer)


def aegis(size: int = CIPHER_BYTES) -> Operation | None:
    """Return one AEGIS-128X2 call over `size` bytes in place; None without pyaegis."""
    try:
        from pyaegis import Aegis128X2
    except ImportError:
        return None
    cipher, key, nonce, buffer = Aegis128X2(tag_size=16), os.urandom(16), bytes(16), bytearray(size)
    return lambda: cipher.encrypt_inplace(key, nonce, buffer)


def add() -> Operation:
    """Return one addition of CACHED_BYTES of 64-bit words, in the cache, aligned to its lines."""
    total, summand = _aligned_words(CACHED_BYTES), _aligned_words(CACHED_BYTES)
    return lambda: np.add(total, summand, out=total)


def copy() -> Operation:
    """Return one copy of COPIED_BYTES, which no cache holds; they were written, since unwritten pages are none."""
    source, target = np.ones((2, COPIED_BYTES // 8), dtype=np.uint64)
    return lambda: np.copyto(target, source)


def rows() -> Operation:
    """Return one transposition of a table of ROWS by ROWS sealed pairs: what came by senders, put by receivers."""
    table = np.ones((ROWS, ROWS, SEALED_BYTES), dtype=np.uint8)
    source, target = table.view(f"V{SEALED_BYTES}")[..., 0], np.empty((ROWS, ROWS), dtype=f"V{SEALED_BYTES}")
    return lambda: np.copyto(target, source.T)


def x25519() -> Operation:
    """Return one agreement."""
    secret, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    return lambda: secret.exchange(public)


def x25519_public() -> Operation:
    """Return one derivation of a public key."""
    secret = os.urandom(32)
    return lambda: X25519PrivateKey.from_private_bytes(secret).public_key()


def ed25519_sign() -> Operation:
    """Return one signature of a message of 150 bytes, about as long as an advertisement's text."""
    _, secret = crypto_sign_seed_keypair(os.urandom(32))
    message = os.urandom(150)
    return lambda: crypto_sign(message, secret)


def ed25519_verify() -> Operation:
    """Return the verification of such a signature."""
    public, secret = crypto_sign_seed_keypair(os.urandom(32))
    signed = crypto_sign(os.urandom(150), secret)
    return lambda: crypto_sign_open(signed, public)


def hkdf() -> Operation:
    """Return one HKDF-SHA-256, extraction and expansion to 32 bytes."""
    material, salt, info = os.urandom(32), os.urandom(32), os.urandom(100)
    return lambda: hmac.digest(hmac.digest(salt, material, "sha256"), info, "sha256")


def seal() -> Operation:
    """Return one XChaCha20-Poly1305 encryption of two shares."""
    key, nonce, pair, bound = os.urandom(32), os.urandom(24), os.urandom(2 * SHARE_BYTES), os.urandom(100)
    return lambda: crypto_aead_xchacha20poly1305_ietf_encrypt(pair, bound, nonce, key)


def _aligned_words(size: int) -> NDArray[np.uint64]:
    octets = np.zeros(size + CACHE_LINE, dtype=np.uint8)
    start = -octets.ctypes.data % CACHE_LINE
    return octets[start : start + size].view(np.uint64)
