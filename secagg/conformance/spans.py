"""Where the fields of an encoded message lie, byte by byte (Specification §6, wire format).

Serves two ends: to say in which field two messages differ, and to change one field of a message and no other. Works
from descriptors alone; must not know what a field means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from google.protobuf.descriptor import FieldDescriptor

from secagg.wire.messages_pb2 import Envelope

_FIXED_64: Final = 1
_LENGTH: Final = 2
_WORD: Final = 8
_SHOWN: Final = 16  # bytes of a difference


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes with one meaning.

    Attributes:
        path: of the field, such as share_keys_request.advertisements[2].channel_public.
        part: its tag, its length, or its value.
        start, end: the bytes.
    """

    path: str
    part: Literal["tag", "length", "value"]
    start: int
    end: int

    @property
    def field(self) -> str:
        """The path without positions in lists."""
        return re.sub(r"\[\d+\]", "", self.path)


def spans_of(data: bytes) -> tuple[Span, ...]:
    """Return the spans of an envelope front to back; what does not parse is left out."""
    return tuple(_walk(data, 0, len(data), Envelope.DESCRIPTOR, ""))


def first_difference(expected: bytes, got: bytes) -> str:
    """Say where two messages part: "byte 40, in unmasking_request.survivors[1] (expected 02.., got 03..)"."""
    common = min(len(expected), len(got))
    at = next((index for index in range(common) if expected[index] != got[index]), common)
    if at == common and len(expected) != len(got):
        more = "missing" if len(got) < len(expected) else "surplus"
        rest = max(expected, got, key=len)[common:]
        return f"{len(got)} bytes instead of {len(expected)}, the first {common} alike ({more} {_hex(rest)})"
    inside = next((span for span in spans_of(expected) if span.start <= at < span.end), None)
    where = f", in {inside.path}" + ("" if inside.part == "value" else f" ({inside.part})") if inside else ""
    lengths = "" if len(expected) == len(got) else f"; {len(got)} bytes instead of {len(expected)}"
    return f"byte {at}{where}{lengths} (expected {_hex(expected[at:])}, got {_hex(got[at:])})"


def _hex(data: bytes) -> str:
    return data[:_SHOWN].hex() + ("…" if len(data) > _SHOWN else "")


def _walk(data: bytes, at: int, end: int, kind: Any, prefix: str) -> Iterator[Span]:
    seen: dict[str, int] = {}
    while at < end:
        tag, after = _varint(data, at, end)
        field = kind.fields_by_number.get(tag >> 3) if after else None
        if field is None:
            return
        path = prefix + field.name
        yield Span(path, "tag", at, after)
        if tag & 7 == _FIXED_64:
            yield Span(path, "value", after, after + _WORD)
            at = after + _WORD
            continue
        length, start = _varint(data, after, end)
        if tag & 7 != _LENGTH or not start or start + length > end:
            return
        yield Span(path, "length", after, start)
        at = start + length
        if field.message_type is not None:
            if field.is_repeated:
                seen[path] = seen.get(path, -1) + 1
                path = f"{path}[{seen[path]}]"
            yield from _walk(data, start, at, field.message_type, f"{path}.")
        elif field.type == FieldDescriptor.TYPE_FIXED64:
            for index, word in enumerate(range(start, at, _WORD)):
                yield Span(f"{path}[{index}]", "value", word, word + _WORD)
        elif length:
            yield Span(path, "value", start, at)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a varint and the position after it, which is 0 when there is none."""
    value = shift = 0
    while at < end:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    return 0, 0
