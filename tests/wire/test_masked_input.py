"""The masked input on the wire: protobuf's own bytes, read without a copy."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from secagg.errors import DecodeError
from secagg.protocol.messages import MaskedInputCollectionResponse
from secagg.wire import messages_pb2 as pb
from secagg.wire.codec import decode_client_message, encode
from secagg.wire.uploads import payload_prefix
from tests.wire.test_codec import SESSION, envelope, fill
from tests.wire.trees import Field, render, tree, varint

# Both lengths on the way, of the payload and of the body around it, pass from n to n + 1 bytes near these.
BOUNDARIES = sorted(
    {max(1, edge + off) for edge in (1, 2**7, 2**14, 2**21) for off in (-6, -5, -4, -3, -2, -1, 0, 1, 2)}
)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_masked_input_is_encoded_as_protobuf_would(length: int) -> None:
    payload = fill(length % 251, 251) * (length // 251 + 1)
    payload = payload[:length]
    message = MaskedInputCollectionResponse(SESSION, payload)
    reference = pb.Envelope(session=SESSION)
    reference.masked_input_collection_response.payload = payload
    expected = reference.SerializeToString(deterministic=True)
    assert encode(message) == expected
    assert payload_prefix(SESSION, length) == expected[: len(expected) - length]
    assert decode_client_message(expected) == message


@pytest.mark.parametrize("length", [2**28 - 6, 2**28, 2**31, 2**35, 2**63])
def test_the_prefix_of_a_payload_too_large_to_build_here(length: int) -> None:
    inner = b"\x0a" + varint(length)
    assert payload_prefix(SESSION, length) == b"\x0a\x20" + SESSION + b"\x3a" + varint(len(inner) + length) + inner


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_is_encoded(kind: type[bytes | bytearray | memoryview]) -> None:
    payload = fill(3, 300)
    assert encode(MaskedInputCollectionResponse(SESSION, kind(payload))) == payload_prefix(SESSION, 300) + payload


def test_a_masked_input_is_read_without_a_copy() -> None:
    data = encode(MaskedInputCollectionResponse(SESSION, bytes(1 << 21)))
    tracemalloc.start()
    try:
        message = decode_client_message(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(message, MaskedInputCollectionResponse)
    assert isinstance(message.payload, memoryview)
    assert message.payload.obj is data
    assert len(message.payload) == 1 << 21
    assert peak < 1 << 14


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_masked_input_of_a_session_digest_of_another_length_is_refused(size: int) -> None:
    data = encode(MaskedInputCollectionResponse(bytes(size), b"payload"))
    with pytest.raises(DecodeError):
        decode_client_message(data)


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("length", [1, 2, 122, 123, 124, 127, 128, 16383, 16384])
def test_a_masked_input_whose_declared_length_is_wrong_is_refused(length: int, by: int) -> None:
    payload = bytes(length)
    inner = b"\x0a" + varint(length + by) + payload
    honest = b"\x0a" + varint(length) + payload
    head = b"\x0a\x20" + SESSION + b"\x3a"
    for data in (
        payload_prefix(SESSION, length + by) + payload,
        head + varint(len(inner)) + inner,
        head + varint(len(honest) + by) + honest,
    ):
        with pytest.raises(DecodeError):
            decode_client_message(data)


def test_a_masked_input_without_a_payload_is_refused() -> None:
    body = tree("MaskedInputCollectionResponse")
    for fields in ((), (Field(1, b""),)):
        with pytest.raises(DecodeError):
            decode_client_message(render(envelope(masked_input_collection_response=replace(body, fields=fields))))


def test_a_masked_input_of_a_chosen_graph_without_a_payload_is_refused() -> None:
    inclusion = Field(1, fill(5, 64))
    body = tree("ChosenInputResponse")
    for fields in ((inclusion,), (inclusion, Field(2, b""))):
        with pytest.raises(DecodeError):
            decode_client_message(render(envelope(chosen_input_response=replace(body, fields=fields))))
