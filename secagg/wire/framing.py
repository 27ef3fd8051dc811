"""The outermost bytes of an envelope whose body is written by hand (Specification §6): session digest, one body field.

Must not know what a body holds.
"""

from __future__ import annotations

from typing import Final

from secagg.protocol.messages import DIGEST_BYTES

_SESSION_TAG: Final = b"\x0a"
MAX_VARINT_BYTES: Final = 10


def varint(value: int) -> bytes:
    """Encode a length as protobuf does."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def envelope_prefix(session: bytes, tag: bytes, content_bytes: int) -> bytes:
    """Return the bytes that stand before the content of an envelope's body (`tag` is the body's field)."""
    return _SESSION_TAG + varint(len(session)) + session + tag + varint(content_bytes)


def open_envelope(data: bytes | memoryview, tag: bytes) -> tuple[bytes, memoryview] | None:
    """Return session digest and content of an envelope with this body and nothing else, or None."""
    head = 2 + DIGEST_BYTES
    if bytes(data[head : head + 1]) != tag:
        return None
    session = bytes(data[2:head])
    for start in range(head + 2, min(head + 1 + MAX_VARINT_BYTES, len(data)) + 1):
        if bytes(data[:start]) == envelope_prefix(session, tag, len(data) - start):
            return session, memoryview(data)[start:]
    return None
