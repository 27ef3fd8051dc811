"""Protobuf messages as the JSON of the test vectors, and back.

Bytes are lower-case hexadecimal, 64-bit integers decimal strings, smaller ones numbers, enums their names, and what is
absent or has its default is left out. Reals are numbers; "NaN", "Infinity" and "-Infinity" are read, too. Works from
descriptors alone; must know neither calls nor outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
Json = Any

_WIDE: Final = (
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_INT64,
)


def to_json(message: Message) -> dict[str, Json]:
    """Return a message as a JSON object, fields in the order of their numbers."""
    return {
        field.name: [_value(field, item) for item in content] if field.is_repeated else _value(field, content)
        for field, content in message.ListFields()
    }


def from_json(kind: type[M], json: Mapping[str, Json]) -> M:
    """Return the message that `to_json` made this object from.

    Raises:
        ValueError: an unknown field, or a value that its field cannot hold.
    """
    message = kind()
    fields = kind.DESCRIPTOR.fields_by_name
    for name, value in json.items():
        if name not in fields:
            raise ValueError(f"{kind.DESCRIPTOR.name} has no field {name}; the fields are {', '.join(fields)}")
        field = fields[name]
        if field.is_repeated and field.message_type is not None:
            for item in value:
                part = getattr(message, name).add()
                part.CopyFrom(from_json(type(part), item))
        elif field.is_repeated:
            getattr(message, name).extend(_content(field, item) for item in value)
        elif field.message_type is not None:
            part = getattr(message, name)
            part.SetInParent()
            part.CopyFrom(from_json(type(part), value))
        else:
            setattr(message, name, _content(field, value))
    return message


def _value(field: Any, content: Any) -> Json:
    if field.message_type is not None:
        return to_json(content)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return content.hex()
    if field.type in _WIDE:
        return str(content)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[content].name
    return content


def _content(field: Any, value: Json) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.fromhex(value)
    if field.type in _WIDE:
        return int(value)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return float(value)
    if field.enum_type is not None:
        if value not in field.enum_type.values_by_name:
            raise ValueError(f"{field.enum_type.name} has no value {value}")
        return field.enum_type.values_by_name[value].number
    return value
