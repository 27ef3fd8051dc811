"""The stubs of conformance.proto: both copies are one, and have the messages and fields of the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol_specs import testee
from secagg import conformance
from secagg.conformance import conformance_pb2 as pb

SOURCE = Path(__file__).parents[2] / "protos/secagg/conformance/v1/conformance.proto"
COPIES = [Path(package.__file__).parent for package in (conformance, testee) if package.__file__]


@pytest.mark.parametrize("suffix", [".py", ".pyi"])
def test_the_reference_has_the_same_stubs_without_importing_the_library(suffix: str) -> None:
    one, other = (folder / f"conformance_pb2{suffix}" for folder in COPIES)
    assert one.read_bytes() == other.read_bytes()


def fields(source: str) -> set[tuple[str, str, int]]:
    """(message, field, number) of a .proto file whose messages are not nested."""
    found = set()
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        found |= {(name, field, int(number)) for field, number in re.findall(r"(\w+) = (\d+)[; ]", body)}
    return found


def test_the_stubs_have_the_fields_of_the_source() -> None:
    expected = {
        (message.name, field.name, field.number)
        for message in pb.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    }
    source = SOURCE.read_text(encoding="utf-8")
    assert fields(source) == expected
    assert len(expected) > 60
    assert fields(source.replace("bytes tape = 6;", "bytes tape = 8;")) != expected


def test_the_stubs_have_the_statuses_of_the_source() -> None:
    body = re.search(r"enum Status \{(.*?)\n\}", SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    assert body is not None
    assert {name: int(number) for name, number in re.findall(r"(\w+) = (\d);", body[1])} == dict(pb.Status.items())
