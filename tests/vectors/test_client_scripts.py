"""Every committed client script, played against the library and against the reference implementation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol_specs.testee import conformance_pb2 as reference_pb
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.library_testee import LibraryTestee
from tests.vectors.support import Handle, documents, play_client


def library() -> Handle:
    testee = LibraryTestee()
    return lambda call: testee.handle(pb.Call.FromString(call)).SerializeToString()


def reference() -> Handle:
    testee = ReferenceTestee()
    return lambda call: testee.handle(reference_pb.Call.FromString(call)).SerializeToString()


CASES = [case for document in documents("scripts/client-*.json") for case in document["cases"]]


@pytest.mark.parametrize("make", [library, reference])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_client_does_what_its_script_says(case: dict[str, object], make: Callable[[], Handle]) -> None:
    play_client(case, make())


def test_there_are_scripts() -> None:
    assert CASES
    assert len({case["id"] for case in CASES}) == len(CASES)
