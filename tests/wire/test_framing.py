"""Envelopes that are framed by hand are those that protobuf writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg.wire import messages_pb2 as pb
from secagg.wire.framing import MAX_VARINT_BYTES, envelope_prefix, open_envelope, varint
from tests import strategies
from tests.wire import trees

SESSION = bytes(range(1, 33))
TAG = b"\x62"  # the body `abort`
EDGES = [0, 1, 2, 30, 126, 127, 128, 129, 16_382, 16_383, 16_384, 2**21]


def framed(content: bytes, session: bytes = SESSION, tag: bytes = TAG) -> bytes:
    return envelope_prefix(session, tag, len(content)) + content


def opened(data: bytes | memoryview, tag: bytes = TAG) -> tuple[bytes, bytes] | None:
    found = open_envelope(data, tag)
    return None if found is None else (found[0], bytes(found[1]))


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(127)
@example(128)
@example(2**63)
@example(2**64 - 1)
def test_lengths_are_written_in_their_shortest_form(value: int) -> None:
    assert varint(value) == trees.varint(value)
    assert len(varint(value)) <= MAX_VARINT_BYTES


@given(
    strategies.digests, st.one_of(st.text(max_size=10), st.sampled_from([126, 127, 128, 16_381]).map(lambda n: n * "x"))
)
def test_an_envelope_is_what_protobuf_writes(session: bytes, reason: str) -> None:
    body = pb.Abort(reason=reason)
    expected = pb.Envelope(session=session, abort=body).SerializeToString(deterministic=True)
    content = body.SerializeToString(deterministic=True)
    assert framed(content, session) == expected
    assert opened(expected) == (session, content)


@pytest.mark.parametrize("length", EDGES)
@pytest.mark.parametrize("view", [bytes, memoryview])
def test_contents_of_any_length_are_found(length: int, view: Callable[[bytes], bytes | memoryview]) -> None:
    content = bytes(at % 251 for at in range(length))
    assert opened(view(framed(content))) == (SESSION, content)


def test_the_content_is_a_view_of_what_came() -> None:
    data = bytearray(framed(b"content"))
    found = open_envelope(memoryview(data), TAG)
    assert found is not None
    data[-1:] = b"T"
    assert bytes(found[1]) == b"contenT"


@pytest.mark.parametrize("length", EDGES[:-1])
def test_an_envelope_cut_short_or_too_long_is_none(length: int) -> None:
    data = framed(bytes(length))
    for end in {*range(min(len(data), 60)), len(data) - 2, len(data) - 1}:
        assert opened(data[:end]) is None
    for tail in (b"\x00", TAG, data):
        assert opened(data + tail) is None


@pytest.mark.parametrize("size", [0, 1, 31, 33, 127, 128])
def test_a_session_digest_of_another_length_is_none(size: int) -> None:
    assert opened(framed(b"content", bytes(size))) is None


@pytest.mark.parametrize("tag", [b"\x0a", b"\x5a", b"\x63", b"\x6a"])
def test_another_body_is_none(tag: bytes) -> None:
    assert opened(framed(b"content", tag=tag)) is None
    assert opened(framed(b"content"), tag) is None


@pytest.mark.parametrize("length", EDGES)
def test_overlong_lengths_are_none(length: int) -> None:
    content = bytes(length)
    for zeros in range(1, MAX_VARINT_BYTES - len(varint(length)) + 2):
        short = varint(length)
        overlong = short[:-1] + bytes([short[-1] | 0x80]) + b"\x80" * (zeros - 1) + b"\x00"
        assert opened(b"\x0a\x20" + SESSION + TAG + overlong + content) is None
    assert opened(b"\x0a\xa0\x00" + SESSION + TAG + varint(length) + content) is None
    assert opened(b"\x8a\x00\x20" + SESSION + TAG + varint(length) + content) is None


@pytest.mark.parametrize("position", [*range(2), *range(34, 37)])
def test_every_byte_of_the_framing_counts(position: int) -> None:
    data = bytearray(framed(bytes(200)))
    for value in set(range(256)) - {data[position]}:
        changed = bytes([*data[:position], value, *data[position + 1 :]])
        assert opened(changed) is None
