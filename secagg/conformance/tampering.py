"""Ways to change bytes on their way that need no key (Specification §6): the tools of whoever sits on the network.

Every choice is seeded by a label, so that two runs change the same bits. Must not know what a receiver makes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from secagg.conformance.cases import Deviation
from secagg.conformance.spans import Span, spans_of
from secagg.wire.messages_pb2 import Envelope

SMALLEST_ORDER: Final = bytes(32)
"""An X25519 public key of low order."""

NOT_CANONICAL: Final = ((1 << 255) - 19 + 9).to_bytes(32, "little")
"""The base point of X25519, in an encoding that is not below 2^255 - 19."""

NOT_CANONICAL_HIGH_BIT: Final = (9 | 1 << 255).to_bytes(32, "little")
"""The same with the bit set that RFC 7748 ignores."""

UNKNOWN_FIELD: Final = b"\xfa\x01\x00"
"""Field 31, of length 0: no message of the protocol has it."""

_SESSION_FIELD: Final = 34
_LAST_ID: Final = (1 << 64) - 1


def seeded(label: str, bound: int) -> int:
    """Return a number below a bound that follows from a label."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") % bound


def parsed(message: bytes) -> Envelope:
    """Return a message, decoded.

    Raises:
        Deviation: it is none; so that it must be the testee's.
    """
    try:
        envelope = Envelope.FromString(message)
    except DecodeError:
        raise Deviation(f"the testee sent {len(message)} bytes that are no message") from None
    if envelope.WhichOneof("body") is None:
        raise Deviation(f"the testee sent {len(message)} bytes that are a message without a body")
    return envelope


def body_of(message: bytes) -> Any:
    """Return the body of a message, decoded; raises Deviation."""
    return _body(parsed(message))


def altered(message: bytes, edit: Callable[[Any], None]) -> bytes:
    """Return a message whose body was edited; raises Deviation."""
    envelope = parsed(message)
    edit(_body(envelope))
    return envelope.SerializeToString(deterministic=True)


def _body(envelope: Envelope) -> Any:
    return getattr(envelope, envelope.WhichOneof("body") or "session")


def in_session(message: bytes, session: bytes) -> bytes:
    """Return a message with another session digest."""
    envelope = parsed(message)
    envelope.session = session
    return envelope.SerializeToString(deterministic=True)


def recoded(message: bytes) -> dict[str, bytes]:
    """Return other protobuf encodings of the same message, by name; every lenient parser takes them."""
    head, rest = message[:_SESSION_FIELD], message[_SESSION_FIELD:]
    return {
        "fields-reversed": rest + head,
        "session-twice": head + head + rest,
        "overlong-length": head[:1] + bytes([head[1] | 0x80, 0]) + head[2:] + rest,
    }


def flipped(data: bytes, span: Span, label: str) -> bytes:
    """Return data with one seeded bit of a span flipped."""
    bit = seeded(label, 8 * (span.end - span.start))
    changed = bytearray(data)
    changed[span.start + bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def spans_to_flip(data: bytes, label: str, structural: int = 3) -> Iterator[Span]:
    """Return one seeded span of each kind of field value, and some of tags and lengths."""
    groups: dict[str, list[Span]] = {}
    structure = []
    for span in spans_of(data):
        if span.part == "value":
            groups.setdefault(span.field, []).append(span)
        else:
            structure.append(span)
    for field, spans in groups.items():
        yield spans[seeded(f"{label} {field}", len(spans))]
    for number in range(min(structural, len(structure))):
        yield structure.pop(seeded(f"{label} structure {number}", len(structure)))


def stranger(cohort: tuple[int, ...]) -> int:
    """Return an id that no client of the cohort has."""
    return next(id_ for id_ in range(_LAST_ID, 0, -1) if id_ not in cohort)


def replace_list(entries: Any, wanted: list[Any]) -> None:
    """Put these entries in the place of all of a repeated field."""
    copies = list(wanted)
    del entries[:]
    entries.extend(copies)
