"""Protobuf messages as trees that a test writes by hand and then spoils: independent of protobuf's encoder.

A `Tree` names its message type and lists its fields in the order in which they are written. `render` makes the
bytes; the functions below yield (what was done, spoiled tree) for every place of a tree where it can be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from secagg.wire import messages_pb2 as pb

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
FILE = FileDescriptorProto()
pb.DESCRIPTOR.CopyToProto(FILE)
SCHEMA = {message.name: {field.number: field for field in message.field} for message in FILE.message_type}
Spoiled = Iterator[tuple[str, "Tree"]]


@dataclass(frozen=True)
class Field:
    """One field as it stands on the wire: `value` is an int, bytes, or a Tree."""

    number: int
    value: int | bytes | Tree
    wire_type: int = BYTES


@dataclass(frozen=True)
class Tree:
    """One message."""

    kind: str
    fields: tuple[Field, ...]


def tree(kind: str, **values: int | bytes | Tree | list[Tree]) -> Tree:
    """Write a message; ints are fixed64, and the fields stand in the order given."""
    numbers = {field.name: number for number, field in SCHEMA[kind].items()}
    fields: list[Field] = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            fields.append(Field(numbers[name], item, FIXED64 if isinstance(item, int) else BYTES))
    return Tree(kind, tuple(fields))


def packed(*clients: int) -> bytes:
    """Client ids as a packed repeated fixed64 field."""
    return b"".join(client.to_bytes(8, "little") for client in clients)


def is_id_list(field: FieldDescriptorProto) -> bool:
    """Whether a field is a packed list of client ids."""
    return field.type == field.TYPE_FIXED64 and field.label == field.LABEL_REPEATED


def varint(value: int) -> bytes:
    """Shortest form of a varint."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def overlong(value: int) -> bytes:
    """A varint with one byte more than it needs."""
    short = varint(value)
    return short[:-1] + bytes([short[-1] | 0x80, 0])


def render(node: Tree, number: Callable[[int], bytes] = varint) -> bytes:
    """Serialize; `number` writes the varints of tags and lengths, in reading order from inside out."""
    out = b""
    for field in node.fields:
        tag = field.number << 3 | field.wire_type
        if isinstance(field.value, int):
            out += number(tag) + (
                field.value.to_bytes(8, "little") if field.wire_type == FIXED64 else varint(field.value)
            )
            continue
        body = render(field.value, number) if isinstance(field.value, Tree) else field.value
        if field.wire_type == BYTES:
            out += number(tag) + number(len(body)) + body
        else:
            out += number(tag) + body
    return out


def overlong_renderings(node: Tree) -> Iterator[bytes]:
    """All serializations in which exactly one tag or length is overlong."""
    count = 0

    def counting(value: int) -> bytes:
        nonlocal count
        count += 1
        return varint(value)

    render(node, counting)
    for chosen in range(count):
        seen = iter(range(count))

        def one_overlong(value: int, chosen: int = chosen, seen: Iterator[int] = seen) -> bytes:
            return overlong(value) if next(seen) == chosen else varint(value)

        yield render(node, one_overlong)


def levels(node: Tree) -> Iterator[tuple[Tree, Callable[[Tree], Tree]]]:
    """Every message in a tree, with a function that puts another in its place."""
    yield node, lambda other: other
    for at, field in enumerate(node.fields):
        if isinstance(field.value, Tree):
            for inner, put in levels(field.value):
                yield inner, _putter(node, at, put)


def _putter(node: Tree, at: int, put: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
    return lambda other: replace_field(node, at, replace(node.fields[at], value=put(other)))


def replace_field(node: Tree, at: int, *fields: Field) -> Tree:
    """A message with one field replaced by any number of fields."""
    return replace(node, fields=(*node.fields[:at], *fields, *node.fields[at + 1 :]))


def insert_field(node: Tree, at: int, field: Field) -> Tree:
    """A message with one field more."""
    return replace(node, fields=(*node.fields[:at], field, *node.fields[at:]))


def with_unknown_field(root: Tree) -> Spoiled:
    """One unknown field anywhere, of every wire type; also a known number of the wrong wire type."""
    for node, put in levels(root):
        unknown = max(SCHEMA[node.kind], default=0) + 1
        strange = [
            Field(unknown, 0, VARINT),
            Field(unknown, 5, FIXED64),
            Field(unknown, b""),
            Field(unknown, b"abc"),
            Field(unknown, bytes(4), FIXED32),
            Field(unknown, varint(unknown << 3 | END_GROUP), GROUP),
            Field(100, 1, VARINT),
            Field(2**29 - 1, 1, VARINT),
            *(Field(number, 1, VARINT) for number in SCHEMA[node.kind]),
        ]
        for at in range(len(node.fields) + 1):
            for field in strange:
                yield f"{node.kind}: field {field} at {at}", put(insert_field(node, at, field))


def with_repeated_field(root: Tree) -> Spoiled:
    """One field twice."""
    for node, put in levels(root):
        for at, field in enumerate(node.fields):
            yield f"{node.kind}: field {field.number} twice", put(insert_field(node, at, field))


def with_swapped_fields(root: Tree) -> Spoiled:
    """Two neighbouring fields in the wrong order (of numbers, or of clients in a list)."""
    for node, put in levels(root):
        for at in range(len(node.fields) - 1):
            first, second = node.fields[at : at + 2]
            swapped = replace_field(replace_field(node, at, second), at + 1, first)
            yield f"{node.kind}: fields {first.number} and {second.number} swapped", put(swapped)


def with_explicit_default(root: Tree) -> Spoiled:
    """One absent field written with its default value, in its right place."""
    for node, put in levels(root):
        present = [field.number for field in node.fields]
        for number, known in SCHEMA[node.kind].items():
            if number in present or known.HasField("oneof_index"):
                continue
            at = sum(other < number for other in present)
            scalar = known.type == known.TYPE_FIXED64 and not is_id_list(known)
            empty = Field(number, 0, FIXED64) if scalar else Field(number, b"")
            yield f"{node.kind}: empty {known.name}", put(insert_field(node, at, empty))


def with_unpacked_ids(root: Tree) -> Spoiled:
    """A packed list of ids written as separate fields, or as two packed lists."""
    for node, put in levels(root):
        for at, field in enumerate(node.fields):
            known = SCHEMA[node.kind][field.number]
            if is_id_list(known) and isinstance(field.value, bytes):
                ids = [field.value[start : start + 8] for start in range(0, len(field.value), 8)]
                single = [Field(field.number, int.from_bytes(raw, "little"), FIXED64) for raw in ids]
                yield f"{node.kind}: {known.name} unpacked", put(replace_field(node, at, *single))
                halves = [Field(field.number, field.value[:8]), Field(field.number, field.value[8:])]
                yield f"{node.kind}: {known.name} in two lists", put(replace_field(node, at, *halves))


def with_bytes_of(root: Tree, name: str, change: Callable[[bytes], bytes | None]) -> Spoiled:
    """One bytes field of this name changed; None leaves it out."""
    for node, put in levels(root):
        for at, field in enumerate(node.fields):
            known = SCHEMA[node.kind][field.number]
            if known.name == name and isinstance(field.value, bytes):
                value = change(field.value)
                fields = () if value is None else (replace(field, value=value),)
                yield (
                    f"{node.kind}.{name}: {None if value is None else len(value)} bytes",
                    put(replace_field(node, at, *fields)),
                )
