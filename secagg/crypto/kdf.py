"""Key derivation: HKDF with HMAC-SHA-256, RFC 5869 (Specification §3.2).

The caller builds `info` from a `Label` and the values to bind (`canonical.encode_fields`). This module must
not know the labels: it derives whatever it is asked for.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

HASH_BYTES: Final = 32
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
    return SecretBytes(HKDFExpand(SHA256(), length, info).derive(key.expose()))


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
    pseudorandom = hmac.digest(salt, key_material.expose(), "sha256")
    return SecretBytes(HKDFExpand(SHA256(), length, info).derive(pseudorandom))


def _check_length(length: int) -> None:
    if not 1 <= length <= MAX_LENGTH:
        raise ParameterError(f"HKDF cannot derive {length} bytes; ask for 1 .. {MAX_LENGTH} (255 hash lengths)")
