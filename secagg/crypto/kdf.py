"""Key derivation: HKDF with HMAC-SHA-256, RFC 5869 (Specification §3.2).

The caller builds `info` from a `Label` and the values to bind (`canonical.encode_fields`). This module must
not know the labels: it derives whatever it is asked for.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Final

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

HASH_BYTES: Final = 32
_HASH: Final = "sha256"
MAX_LENGTH: Final = 255 * HASH_BYTES


def expand(key: SecretBytes, info: bytes, length: int) -> SecretBytes:
    """HKDF-Expand: derive `length` bytes bound to `info` from a pseudorandom key (RFC 5869 §2.3).

    Args:
        key: at least 32 uniformly random bytes, such as an HKDF-Extract gives.
        info: public bytes that name the purpose and what the result is bound to.
        length: 1 .. 8160 bytes.

    Raises:
        ParameterError: a shorter key, or a length outside its range.
    """
    if len(key) < HASH_BYTES:
        raise ParameterError(f"a key of {len(key)} bytes cannot be expanded; pass at least {HASH_BYTES}, or derive")
    _check_length(length)
    return SecretBytes(expand_bytes(key.expose(), info, length))


def derive(key_material: SecretBytes, salt: bytes, info: bytes, length: int = 32) -> SecretBytes:
    """HKDF: extract, then expand (RFC 5869 §2.2, §2.3).

    Args:
        key_material: secret bytes of any length, not necessarily uniform.
        salt: public bytes of any length; empty counts as 32 zero bytes.
        info: public bytes that name the purpose and what the result is bound to.
        length: 1 .. 8160 bytes.

    Raises:
        ParameterError: a length outside 1 .. 8160.
    """
    _check_length(length)
    return SecretBytes(expand_bytes(extract_bytes(salt, key_material.expose()), info, length))


def extract_bytes(salt: bytes, key_material: bytes | memoryview) -> bytes:
    """HKDF-Extract without an object for what is secret (RFC 5869 §2.2): for whoever derives thousands of keys at once.

    The state of HMAC with a salt is made once: a session has two or three.
    """
    state = _keyed(salt).copy()
    state.update(key_material)
    return state.digest()


def expand_bytes(key: bytes | memoryview, info: bytes, length: int) -> bytes:
    """HKDF-Expand without objects and checks (RFC 5869 §2.3); see :func:`expand`."""
    block = hmac.digest(key, info + b"\x01", _HASH)
    if length <= HASH_BYTES:
        return block[:length]
    blocks = [block]
    for number in range(2, -(-length // HASH_BYTES) + 1):
        block = hmac.digest(key, block + info + bytes([number]), _HASH)
        blocks.append(block)
    return b"".join(blocks)[:length]


@lru_cache(maxsize=16)
def _keyed(salt: bytes) -> hmac.HMAC:
    return hmac.new(salt, digestmod=_HASH)


def _check_length(length: int) -> None:
    if not 1 <= length <= MAX_LENGTH:
        raise ParameterError(f"HKDF cannot derive {length} bytes; ask for 1 .. {MAX_LENGTH} (255 hash lengths)")
