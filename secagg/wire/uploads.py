"""Masked inputs as bytes, written and read without a copy of the vector (Specification §6).

The vector is the last field of the last field. In a chosen graph a signature of 64 bytes stands before it, in a body of
its own number. What is not exactly that is not judged here: the caller has protobuf look at it.
"""

from __future__ import annotations

from typing import Final

from secagg.protocol.messages import SIGNATURE_BYTES, MaskedInputCollectionResponse
from secagg.wire.framing import envelope_prefix, last_field, open_envelope, varint

_PAYLOAD: Final = b"\x0a"
_BODY: Final = b"\x3a"
_CHOSEN_BODY: Final = b"\x6a"
_INCLUSION: Final = b"\x0a" + bytes([SIGNATURE_BYTES])
_CHOSEN_PAYLOAD: Final = b"\x12"


def payload_prefix(session: bytes, payload_bytes: int, inclusion: bytes = b"") -> bytes:
    """Return the bytes that stand before the payload in an encoded masked input; only a chosen graph has inclusions."""
    if inclusion:
        inner, body = _INCLUSION + inclusion + _CHOSEN_PAYLOAD + varint(payload_bytes), _CHOSEN_BODY
    else:
        inner, body = _PAYLOAD + varint(payload_bytes), _BODY
    return envelope_prefix(session, body, len(inner) + payload_bytes) + inner


def decode_masked_input(data: bytes | memoryview) -> MaskedInputCollectionResponse | None:
    """Read a masked input without a copy; None when `data` is not one."""
    opened = open_envelope(data, _BODY)
    if opened is not None:
        session, content = opened
        payload = last_field(content, _PAYLOAD)
        return MaskedInputCollectionResponse(session, payload) if payload else None
    opened = open_envelope(data, _CHOSEN_BODY)
    if opened is None:
        return None
    session, content = opened
    start = len(_INCLUSION) + SIGNATURE_BYTES
    payload = last_field(content[start:], _CHOSEN_PAYLOAD)
    if content[: len(_INCLUSION)] != _INCLUSION or not payload:
        return None
    return MaskedInputCollectionResponse(session, payload, bytes(content[len(_INCLUSION) : start]))
