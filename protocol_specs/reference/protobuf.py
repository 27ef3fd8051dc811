"""The subset of protobuf that the protocol uses (§6, "Wire format"), for messages that describe their fields."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from protocol_specs.reference.errors import Undecodable

M = TypeVar("M")

_FIXED64, _LENGTH_DELIMITED = 1, 2


# Encoding: the field number and wire type, then the content; nothing for a default value.


def _varint(value: int) -> bytes:
    encoding = b""
    while value >= 0x80:
        encoding += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoding + bytes([value])


def delimited(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def encode(message: Any) -> bytes:
    """The bytes of a message whose fields say number and kind."""
    encoding = b""
    for field in dataclasses.fields(message):
        number, value = field.metadata["number"], getattr(message, field.name)
        match field.metadata["kind"]:
            case "fixed64" if value:
                encoding += _varint(number << 3 | _FIXED64) + value.to_bytes(8, "little")
            case "bytes" if value:
                encoding += delimited(number, value)
            case "string" if value:
                encoding += delimited(number, value.encode("utf-8"))
            case "packed fixed64" if value:
                encoding += delimited(number, b"".join(client.to_bytes(8, "little") for client in value))
            case "message":
                encoding += delimited(number, encode(value))
            case "repeated":
                encoding += b"".join(delimited(number, encode(item)) for item in value)
    return encoding


# Decoding: cut into fields, then each field by its type.


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise Undecodable("a number does not end")


def split(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message: number, and content by wire type; raises `Undecodable`."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _FIXED64:
            length = 8
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(data, at)
        else:
            raise Undecodable("a field has a type that no field has")
        content = data[at : at + length]
        if len(content) != length:
            raise Undecodable("the message ends within a field")
        fields.append((number, int.from_bytes(content, "little") if wire_type == _FIXED64 else content))
        at += length
    return fields


def decode(kind: type[M], data: bytes) -> M:
    """The message of some bytes, not yet held against them; raises `Undecodable`."""
    fields = split(data)
    known: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(
        **{
            field.name: _DECODERS[field.metadata["kind"]](
                [content for number, content in fields if number == field.metadata["number"]], field.metadata
            )
            for field in known
        }
    )


def _at_most_one(contents: Sequence[int | bytes], kind: type[M], default: M) -> M:
    content = contents[-1] if contents else default
    if not isinstance(content, kind):
        raise Undecodable("a field has another type")
    return content


def _decode_fixed64(contents: Sequence[int | bytes], _details: Any) -> int:
    return _at_most_one(contents, int, 0)


def _decode_bytes(contents: Sequence[int | bytes], details: Any) -> bytes:
    content = _at_most_one(contents, bytes, b"")
    if details["lengths"] and len(content) not in details["lengths"]:
        raise Undecodable("a field has another length")
    return content


def _decode_string(contents: Sequence[int | bytes], details: Any) -> str:
    content = _at_most_one(contents, bytes, b"").decode("utf-8", errors="replace")
    if content not in details["choices"]:
        raise Undecodable("an unknown reason is no message")
    return content


def _decode_packed(contents: Sequence[int | bytes], _details: Any) -> tuple[int, ...]:
    content = _at_most_one(contents, bytes, b"")
    if len(content) % 8:
        raise Undecodable("a list ends within an id")
    return _ascending([int.from_bytes(content[i : i + 8], "little") for i in range(0, len(content), 8)], lambda c: c)


def _decode_message(contents: Sequence[int | bytes], details: Any) -> Any:
    if not contents:
        raise Undecodable("a message is absent")
    return decode(details["of"], _at_most_one(contents, bytes, b""))


def _decode_repeated(contents: Sequence[int | bytes], details: Any) -> tuple[Any, ...]:
    items = [_decode_message([content], details) for content in contents]
    return _ascending(items, lambda item: getattr(item, details["key"]))


def _ascending(items: list[M], client_of: Callable[[M], int]) -> tuple[M, ...]:
    clients = [client_of(item) for item in items]
    if clients != sorted(set(clients)):
        raise Undecodable("a list of clients is not in ascending order")
    return tuple(items)


_DECODERS: dict[str, Callable[[Sequence[int | bytes], Any], Any]] = {
    "fixed64": _decode_fixed64,
    "bytes": _decode_bytes,
    "string": _decode_string,
    "packed fixed64": _decode_packed,
    "message": _decode_message,
    "repeated": _decode_repeated,
}
