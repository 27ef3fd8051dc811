"""The handwritten codec of the reference and the library's protobuf accept the same bytes (Specification §6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_specs.reference import parameters, wire
from protocol_specs.reference.errors import Undecodable
from secagg import DecodeError, SessionOffer
from secagg.protocol.messages import ClientMessage, ServerMessage
from secagg.wire.codec import decode_client_message, decode_server_message, encode, encode_offer
from tests import strategies

SESSION = bytes(range(32))


def accepts(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except (Undecodable, DecodeError):
        return False
    return True


def envelope_for_client(data: bytes) -> object:
    """The library's client gets the offer apart from the messages."""
    message = wire.decode_for_client(data)
    if isinstance(message, wire.SessionOffer):
        raise Undecodable
    return message


@given(strategies.server_messages)
def test_what_a_client_receives(message: ServerMessage) -> None:
    data = encode(message)
    decoded = wire.decode_for_client(data)

    assert isinstance(decoded, wire.Envelope)
    assert decoded.session == message.session
    assert type(decoded.body).__name__ == type(message).__name__
    assert wire.encode_envelope(decoded.session, decoded.body) == data


@given(strategies.client_messages)
def test_what_a_server_receives(message: ClientMessage) -> None:
    data = encode(message)
    decoded = wire.decode_for_server(data)

    assert type(decoded.body).__name__ == type(message).__name__
    assert wire.encode_envelope(decoded.session, decoded.body) == data
    assert encode(decode_client_message(data)) == data


@given(strategies.offers)
def test_offers(offer: SessionOffer) -> None:
    data = encode_offer(offer)
    decoded = wire.decode_for_client(data)

    assert isinstance(decoded, wire.SessionOffer)
    assert wire.encode_offer(decoded) == data
    assert parameters.encode(parameters.decode(decoded.parameters)) == offer.parameters.encode()


@given(strategies.damaged(encode, strategies.server_messages))
def test_damaged_messages_to_a_client(data: bytes) -> None:
    assert accepts(envelope_for_client, data) == accepts(decode_server_message, data)


@given(strategies.damaged(encode, strategies.client_messages))
def test_damaged_messages_to_a_server(data: bytes) -> None:
    assert accepts(wire.decode_for_server, data) == accepts(decode_client_message, data)


def tagged(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


HEAD = tagged(1, SESSION)
BY_HAND = {
    "no body": HEAD,
    "no session": tagged(2, b""),
    "two bodies": HEAD + tagged(2, b"") + tagged(4, b""),
    "one body twice": HEAD + tagged(2, b"") + tagged(2, b""),
    "body first": tagged(2, b"") + HEAD,
    "unknown field after the body": HEAD + tagged(2, b"") + tagged(13, b"x"),
    "unknown field in the body": HEAD + tagged(2, tagged(3, b"x")),
    "unknown varint field": HEAD + tagged(2, b"") + b"\x68\x01",
    "group": HEAD + tagged(2, b"\x0b\x0c"),
    "length not in its shortest form": b"\x0a\xa0\x00" + SESSION + tagged(2, b""),
    "tag not in its shortest form": b"\x8a\x00\x20" + SESSION + tagged(2, b""),
    "default value written": HEAD + tagged(4, tagged(1, b"\x09" + bytes(8) + tagged(2, SESSION))),
    "ids not packed": HEAD + tagged(8, b"\x09" + bytes(8)),
    "empty packed list written": HEAD + tagged(8, tagged(1, b"")),
    "ids descending": HEAD + tagged(8, tagged(1, b"\x02" + bytes(7) + b"\x01" + bytes(7))),
    "ids repeated": HEAD + tagged(8, tagged(1, bytes(16))),
    "unknown reason": HEAD + tagged(12, tagged(1, b"A99")),
    "no reason": HEAD + tagged(12, b""),
    "body of the other role": HEAD + tagged(9, tagged(1, bytes(64))),
    "short session": tagged(1, SESSION[:-1]) + tagged(2, b""),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_what_no_encoder_writes(name: str) -> None:
    data = BY_HAND[name]
    refused = [not accepts(envelope_for_client, data), not accepts(decode_server_message, data)]

    assert refused == [True, True]


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    assert accepts(wire.decode_for_server, data) == accepts(decode_client_message, data)
