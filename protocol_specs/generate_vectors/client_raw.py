"""Protobuf and canonical bytes by hand (§2.2, §6): what no encoder of this protocol writes. Must not know messages."""

from __future__ import annotations

from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2


def varint(value: int, length: int = 0) -> bytes:
    """A number, in its shortest form or padded to so many bytes."""
    encoding = bytearray()
    while value >= 0x80 or len(encoding) + 1 < length:
        encoding.append(value & 0x7F | 0x80)
        value >>= 7
    encoding.append(value)
    return bytes(encoding)


def tag(number: int, kind: int) -> bytes:
    """The head of a field."""
    return varint(number << 3 | kind)


def delimited(number: int, *contents: bytes) -> bytes:
    """A field of bytes, the concatenation of its contents."""
    content = b"".join(contents)
    return tag(number, DELIMITED) + varint(len(content)) + content


def long_form(number: int, content: bytes) -> bytes:
    """A field of bytes whose length is one byte longer than need be."""
    shortest = len(varint(len(content)))
    return tag(number, DELIMITED) + varint(len(content), shortest + 1) + content


def fixed64(number: int, value: int) -> bytes:
    """A field of 8 bytes, also if it is 0."""
    return tag(number, FIXED64) + value.to_bytes(8, "little")


def packed(number: int, *clients: int) -> bytes:
    """A packed list, in any order, also if it is empty."""
    return delimited(number, *(client.to_bytes(8, "little") for client in clients))
