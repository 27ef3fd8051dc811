"""Bytes that their maker gives away and knows again: a text and its HMAC-SHA-256 (RFC 2104; Specification §3.2).

The text is not hidden. Each purpose has a key of its own, derived with its label, so that what was sealed for one is
worthless for any other. Must not know what a text says, how long it is good, or where the secret comes from.
"""

from __future__ import annotations

import hmac
from typing import Final

from secagg.canonical import encode_fields
from secagg.crypto import kdf
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes

MAC_BYTES: Final = 32


class Seal:
    """Seals texts for one purpose.

    Args:
        secret: at least 32 uniformly random bytes, the same wherever a sealed text has to be known again.
        label: the purpose.

    Raises:
        ParameterError: a shorter secret.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: SecretBytes, label: Label) -> None:
        self._key = kdf.expand(secret, encode_fields(label), MAC_BYTES)

    def seal(self, text: bytes) -> bytes:
        """Return the text with its 32-byte mark behind it."""
        return text + self._mark(text)

    def open(self, sealed: bytes) -> bytes | None:
        """Return the text; None for what was not sealed with this key. Takes as long whichever byte is wrong."""
        text, mark = sealed[:-MAC_BYTES], sealed[-MAC_BYTES:]
        return text if hmac.compare_digest(mark, self._mark(text)) else None

    def _mark(self, text: bytes) -> bytes:
        return hmac.digest(self._key.expose(), text, "sha256")
