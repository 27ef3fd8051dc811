"""The committed stubs are those of the committed .proto file, and its numbers never change."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from secagg.wire import messages_pb2 as pb
from tests.wire.trees import FILE

PROTOS = Path(__file__).parents[2] / "protos"
SOURCE = PROTOS / "secagg" / "v1" / "messages.proto"

_TOKENS = re.compile(r"message (\w+) \{|oneof (\w+) \{|(\})|(?:(repeated) )?(\w+) (\w+) = (\d+);")
_SCALARS = {FieldDescriptorProto.TYPE_FIXED64: "fixed64", FieldDescriptorProto.TYPE_BYTES: "bytes"}
_SCALARS[FieldDescriptorProto.TYPE_STRING] = "string"

Line = tuple[str, str, bool, str, str, int]


def fields_of_source(text: str) -> list[Line]:
    """(message, oneof, repeated, type, name, number) of every field, as the .proto file lists them."""
    bare = re.sub(r"//[^\n]*", "", text)
    body = bare[bare.index("message ") :]
    lines: list[Line] = []
    message = oneof = ""
    for match in _TOKENS.finditer(body):
        opened, choice, closed, repeated, kind, name, number = match.groups()
        if opened:
            message = opened
        elif choice:
            oneof = choice
        elif closed:
            message, oneof = (message, "") if oneof else ("", "")
        else:
            lines.append((message, oneof, repeated is not None, kind, name, int(number)))
    left_over = re.sub(r"\s", "", _TOKENS.sub("", body))
    if left_over:
        raise ValueError(f"this test does not understand {left_over!r} in the .proto file; teach it")
    return lines


def fields_of_descriptor(file: FileDescriptorProto) -> list[Line]:
    """The same of a compiled descriptor."""
    return [
        (
            message.name,
            message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
            field.label == FieldDescriptorProto.LABEL_REPEATED,
            _SCALARS.get(field.type, field.type_name.removeprefix(".secagg.v1.")),
            field.name,
            field.number,
        )
        for message in file.message_type
        for field in message.field
    ]


def test_the_stubs_have_the_fields_of_the_proto_file() -> None:
    source = fields_of_source(SOURCE.read_text(encoding="utf-8"))
    assert len(source) > 30
    assert fields_of_descriptor(FILE) == source
    assert (FILE.name, FILE.package, FILE.syntax) == ("secagg/v1/messages.proto", "secagg.v1", "proto3")


def test_the_stubs_have_the_messages_of_the_proto_file() -> None:
    source = re.findall(r"^message (\w+) \{", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [message.name for message in FILE.message_type] == source


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("bytes commitment = 4;", "bytes commitment = 6;"),
        ("bytes commitment = 4;", "string commitment = 4;"),
        ("bytes commitment = 4;", "repeated bytes commitment = 4;"),
        ("bytes commitment = 4;", ""),
        ("Abort abort = 12;", "Abort abandon = 12;"),
    ],
)
def test_a_changed_proto_file_is_noticed(before: str, after: str) -> None:
    changed = SOURCE.read_text(encoding="utf-8").replace(before, after)
    assert changed != SOURCE.read_text(encoding="utf-8")
    assert fields_of_descriptor(FILE) != fields_of_source(changed)


@pytest.mark.skipif(find_spec("grpc_tools") is None, reason="grpcio-tools is not installed; the fields are compared")
def test_the_stubs_are_what_the_compiler_makes_of_the_proto_file(tmp_path: Path) -> None:
    target = tmp_path / "messages.binpb"
    subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={PROTOS}",
            f"--descriptor_set_out={target}",
            str(SOURCE),
        ],
        check=True,
    )
    (compiled,) = FileDescriptorSet.FromString(target.read_bytes()).file
    for message in compiled.message_type:
        for field in message.field:
            field.ClearField("json_name")
    committed = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert committed == compiled


def test_the_numbers_of_version_1() -> None:
    """A released number is for ever: this list may grow and never change."""
    envelope = {name: number for message, _, _, _, name, number in fields_of_descriptor(FILE) if message == "Envelope"}
    assert envelope == {
        "session": 1,
        "advertise_keys_request": 2,
        "advertise_keys_response": 3,
        "share_keys_request": 4,
        "share_keys_response": 5,
        "masked_input_collection_request": 6,
        "masked_input_collection_response": 7,
        "consistency_check_request": 8,
        "consistency_check_response": 9,
        "unmasking_request": 10,
        "unmasking_response": 11,
        "abort": 12,
        "chosen_input_response": 13,
        "complaint": 17,
        "disclosure_request": 18,
        "disclosure_response": 19,
    }
