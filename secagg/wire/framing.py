"""The outermost bytes of an envelope whose body is written by hand (Specification §6): session digest, one body field.

Must not know what a body holds.
"""

from __future__ import annotations

from typing import Final

from secagg.protocol.messages import DIGEST_BYTES

_SESSION_TAG: Final = b"\x0a"
_SESSION_PREFIX: Final = _SESSION_TAG + bytes([DIGEST_BYTES])
_LAST_OF_VARINT: Final = 0x7F
MAX_VARINT_BYTES: Final = 10


def varint(value: int) -> bytes:
    """Encode a length as protobuf does."""
    out = bytearray()
    while value > _LAST_OF_VARINT:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def envelope_prefix(session: bytes, tag: bytes, content_bytes: int) -> bytes:
    """Return the bytes that stand before the content of an envelope's body (`tag` is the body's field)."""
    return _SESSION_TAG + varint(len(session)) + session + tag + varint(content_bytes)


def last_field(data: memoryview, tag: bytes) -> memoryview | None:
    """Return what a length-delimited field holds that begins and ends with `data`, or None."""
    start, longest = len(tag), min(len(tag) + MAX_VARINT_BYTES, len(data))
    while start < longest and data[start] > _LAST_OF_VARINT:
        start += 1
    start += 1
    if start > len(data) or data[:start] != tag + varint(len(data) - start):
        return None
    return data[start:]


def open_envelope(data: bytes | memoryview, tag: bytes) -> tuple[bytes, memoryview] | None:
    """Return session digest and content of an envelope with this body and nothing else, or None."""
    view, head = memoryview(data), len(_SESSION_PREFIX) + DIGEST_BYTES
    if view[head : head + len(tag)] != tag or view[: len(_SESSION_PREFIX)] != _SESSION_PREFIX:
        return None
    content = last_field(view[head:], tag)
    return None if content is None else (bytes(view[len(_SESSION_PREFIX) : head]), content)
