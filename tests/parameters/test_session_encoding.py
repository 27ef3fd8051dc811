"""The canonical bytes of session parameters, what is read from bytes, and the digest over them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg.crypto.key_schedule import session_digest
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind
from secagg.parameters.vectors import FixedPoint, Integers
from tests import strategies
from tests.parameters.sessions import ACTIVE, COMPLETE, NONCE, SEED, SPARSE, VECTORS, WEIGHTED, choose


@given(strategies.session_parameters())
def test_parameters_survive_their_encoding(parameters: SessionParameters) -> None:
    data = parameters.encode()
    assert SessionParameters.decode(data) == parameters
    assert SessionParameters.decode(data).encode() == data


def integer(value: int) -> bytes:
    return struct.pack(">BQ", 1, value)


def data(value: bytes) -> bytes:
    return struct.pack(">BI", 2, len(value)) + value


def text(value: str) -> bytes:
    return struct.pack(">BI", 3, len(value)) + value.encode()


def test_the_canonical_bytes_written_by_hand() -> None:
    parameters = SessionParameters(
        cohort=(0, 258, 2**64 - 1),
        vectors=(("w", FixedPoint(3, clip=0.5, bits=8, rounding="nearest", aggregate="mean")),),
        threat_model=ThreatModel.SEMI_HONEST,
        topology=Topology(TopologyKind.SPARSE, 2, SEED),
        threshold=2,
        minimum_contributors=3,
        nonce=NONCE,
        context=b"round 7",
        max_weight=600,
        suite=SuiteId.X25519_AEGIS128X2,
    )
    head = integer(1) + integer(2) + text("semi-honest") + text("sparse") + integer(2) + data(SEED)
    numbers = integer(2) + integer(3) + integer(600) + data(NONCE) + data(b"round 7")
    cohort = data(struct.pack(">QQQ", 0, 258, 2**64 - 1))
    vector = text("w") + integer(1) + b"\x04\x00\x00\x00\x01" + integer(3) + data(struct.pack(">d", 0.5))
    tail = b"\x04\x00\x00\x00\x01" + vector + integer(8) + integer(1) + integer(1)
    assert parameters.encode() == head + numbers + cohort + tail


WIDE = replace(
    choose(clients=11, vectors=WEIGHTED | {"counts": Integers(0, 9, 4)}, topology="complete", threshold=5),
    threshold=5,
)
# Each field with another valid value, the fields that hang together being changed together.
CHANGES: dict[str, dict[str, Any]] = {
    "cohort": {"cohort": (*range(10), 11)},
    "vectors": {"vectors": (*WIDE.vectors, ("extra", VECTORS["weights"]))},
    "vectors: order": {"vectors": WIDE.vectors[::-1]},
    "vectors: name": {"vectors": (("Weights", WIDE.vectors[0][1]), WIDE.vectors[1])},
    "vectors: length": {"vectors": (("weights", replace(WEIGHTED["weights"], shape=(9,))), WIDE.vectors[1])},
    "vectors: shape": {"vectors": (("weights", replace(WEIGHTED["weights"], shape=(2, 4))), WIDE.vectors[1])},
    "vectors: clip": {"vectors": (("weights", replace(WEIGHTED["weights"], clip=2.0)), WIDE.vectors[1])},
    "vectors: bits": {"vectors": (("weights", replace(WEIGHTED["weights"], bits=15)), WIDE.vectors[1])},
    "vectors: rounding": {"vectors": (("weights", replace(WEIGHTED["weights"], rounding="nearest")), WIDE.vectors[1])},
    "vectors: aggregate": {"vectors": (("weights", replace(WEIGHTED["weights"], aggregate="sum")), WIDE.vectors[1])},
    "vectors: low": {"vectors": (WIDE.vectors[0], ("counts", Integers(-1, 9, 4)))},
    "vectors: high": {"vectors": (WIDE.vectors[0], ("counts", Integers(0, 10, 4)))},
    "threat_model": {"threat_model": ThreatModel.ACTIVE, "threshold": 6},
    "topology": {"topology": Topology(TopologyKind.SPARSE, 8, SEED)},
    "topology: degree": {"topology": Topology(TopologyKind.SPARSE, 6, SEED)},
    "topology: permutation_seed": {"topology": Topology(TopologyKind.SPARSE, 8, NONCE)},
    "threshold": {"threshold": 4},
    "minimum_contributors": {"minimum_contributors": 7},
    "nonce": {"nonce": SEED},
    "context": {"context": b"another model"},
    "max_weight": {"max_weight": 600},
    "suite": {"suite": SuiteId.X25519_AEGIS128X2},
}


def test_every_field_is_among_the_changes() -> None:
    changed = {name.split(":")[0] for name in CHANGES}
    assert changed == {field.name for field in fields(SessionParameters)} - {"version", "explanation"}


def test_each_field_changes_the_encoding_and_the_session_digest() -> None:
    encodings = [WIDE.encode()] + [replace(WIDE, **change).encode() for change in CHANGES.values()]
    assert len(set(encodings)) == len(encodings)
    digests = {session_digest(encoding) for encoding in encodings}
    assert len(digests) == len(encodings)
    assert {len(digest) for digest in digests} == {32}


@given(strategies.session_parameters(), strategies.session_parameters())
def test_different_parameters_have_different_bytes(one: SessionParameters, other: SessionParameters) -> None:
    assert (one.encode() == other.encode()) == (one == other)


@pytest.mark.parametrize("parameters", [COMPLETE, SPARSE, ACTIVE, WIDE])
def test_bytes_cut_short_or_continued_are_refused(parameters: SessionParameters) -> None:
    encoded = parameters.encode()
    for length in range(len(encoded)):
        with pytest.raises(DecodeError):
            SessionParameters.decode(encoded[:length])
    for tail in (b"\x00", encoded, integer(1)):
        with pytest.raises(DecodeError, match="trailing bytes"):
            SessionParameters.decode(encoded + tail)


def spoiled(before: bytes, after: bytes) -> bytes:
    encoded = COMPLETE.encode()
    if encoded.count(before) != 1:
        raise ValueError(f"{before.hex()} stands {encoded.count(before)} times in the encoding")
    return encoded.replace(before, after)


PACKED = struct.pack(">10Q", *range(10))
REFUSED_BYTES: dict[str, tuple[Callable[[], bytes], type[Exception], str]] = {
    "version": (lambda: integer(2) + COMPLETE.encode()[9:], ParameterError, "protocol version 2 is unknown"),
    "suite": (
        lambda: integer(1) + integer(7) + COMPLETE.encode()[18:],
        ParameterError,
        "suite 0x0007 is unknown; choose one of 0x0001, 0x0002",
    ),
    "threat model": (lambda: spoiled(text("semi-honest"), text("semi")), ParameterError, "'semi' is no ThreatModel"),
    "topology": (lambda: spoiled(text("complete"), text("star")), ParameterError, "'star' is no TopologyKind"),
    "nonce": (lambda: spoiled(data(NONCE), data(NONCE[1:])), DecodeError, "31 bytes where exactly 32 belong"),
    "cohort bytes": (lambda: spoiled(data(PACKED), data(PACKED[1:])), DecodeError, "79 bytes is no whole number"),
    "cohort order": (
        lambda: spoiled(data(PACKED), data(PACKED[8:] + PACKED[:8])),
        ParameterError,
        "not ascending: 0 stands behind 9",
    ),
    "no vectors": (
        lambda: COMPLETE.encode().partition(data(PACKED))[0] + data(PACKED) + b"\x04\x00\x00\x00\x00",
        ParameterError,
        "at least one vector",
    ),
    "too many vectors": (
        lambda: COMPLETE.encode().partition(data(PACKED))[0] + data(PACKED) + b"\x04\x00\x01\x00\x01",
        DecodeError,
        "length 65537 is above its bound 65536",
    ),
    "vector name": (lambda: spoiled(text("weights"), text("wei\nghts")), DecodeError, r"vector name .wei\\nghts."),
    "clip": (
        lambda: spoiled(data(struct.pack(">d", 1.0)), data(struct.pack(">d", math.nan))),
        DecodeError,
        "clip=nan is not a finite number",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BYTES)
def test_bytes_that_are_no_parameters_are_refused(name: str) -> None:
    make, error, match = REFUSED_BYTES[name]
    with pytest.raises(error, match=match):
        SessionParameters.decode(make())


def decodes_or_is_refused(encoded: bytes) -> None:
    try:
        decoded = SessionParameters.decode(encoded)
    except (DecodeError, ParameterError):
        return
    assert decoded.encode() == encoded


@given(st.binary(max_size=200))
@example(b"")
@example(integer(1) + integer(2**64 - 1))
def test_random_bytes_raise_nothing_but_our_errors(encoded: bytes) -> None:
    decodes_or_is_refused(encoded)


@pytest.mark.thorough
@settings(max_examples=150)
@given(strategies.damaged(SessionParameters.encode, strategies.session_parameters()))
def test_damaged_bytes_raise_nothing_but_our_errors(encoded: bytes) -> None:
    decodes_or_is_refused(encoded)


@pytest.mark.parametrize("parameters", [COMPLETE, SPARSE, ACTIVE, WIDE])
def test_every_changed_byte_is_refused_or_read_as_it_stands(parameters: SessionParameters) -> None:
    encoded = parameters.encode()
    for at in range(len(encoded)):
        for value in {0, 1, 0x7F, 0x80, 0xFF, encoded[at] ^ 1} - {encoded[at]}:
            decodes_or_is_refused(encoded[:at] + bytes([value]) + encoded[at + 1 :])
