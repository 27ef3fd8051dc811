"""Digests of parts: other parts, or the same bytes divided otherwise, have another one. Must not know meanings."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable


def digest_of_parts(parts: Iterable[bytes | memoryview]) -> bytes:
    """Return 32 bytes, SHA-256 over all parts in order, each after its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()


def text_bytes(text: str) -> bytes:
    """Return a text as bytes; a server may send what is no Unicode."""
    return text.encode("utf-8", "surrogatepass")
