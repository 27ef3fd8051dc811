"""Lists of shares that are read and written as tables: the same bytes, and the same verdict, as by protobuf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, DecodeError
from secagg.protocol.listed import Ids
from secagg.protocol.messages import (
    Abort,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    RevealedShares,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire import codec, tables
from secagg.wire import messages_pb2 as pb
from tests import strategies
from tests.wire import trees
from tests.wire.test_codec import SAMPLES, SESSION, fill
from tests.wire.trees import Tree, render

pytestmark = pytest.mark.thorough

BIG = 2**64 - 1
Listed = ShareKeysResponse | MaskedInputCollectionRequest | UnmaskingResponse
READERS = ("decode_share_keys_response", "decode_masked_input_collection_request", "decode_unmasking_response")


@dataclass(frozen=True)
class Kind:
    """One of the messages that are tables: its reader here, and who receives it."""

    sample: Tree
    read: Callable[[bytes | memoryview], Listed | None]
    decode: Callable[[bytes], object]


KINDS = {
    "ShareKeysResponse": Kind(
        SAMPLES["ShareKeysResponse"].tree, tables.decode_share_keys_response, codec.decode_client_message
    ),
    "MaskedInputCollectionRequest": Kind(
        SAMPLES["MaskedInputCollectionRequest"].tree,
        tables.decode_masked_input_collection_request,
        codec.decode_server_message,
    ),
    "UnmaskingResponse": Kind(
        SAMPLES["UnmaskingResponse"].tree, tables.decode_unmasking_response, codec.decode_client_message
    ),
}
every_kind = pytest.mark.parametrize("name", KINDS)
listed = st.one_of(strategies.share_keys_responses, strategies.masked_input_requests, strategies.unmasking_responses)


def written_by_protobuf(message: Listed | UnmaskingRequest) -> bytes:
    envelope = pb.Envelope(session=message.session)
    match message:
        case ShareKeysResponse(_, ciphertexts):
            envelope.share_keys_response.SetInParent()
            for client, sealed in ciphertexts:
                envelope.share_keys_response.ciphertexts.add(client=client, ciphertext=sealed)
        case MaskedInputCollectionRequest(_, ciphertexts):
            envelope.masked_input_collection_request.SetInParent()
            for client, sealed in ciphertexts:
                envelope.masked_input_collection_request.ciphertexts.add(client=client, ciphertext=sealed)
        case UnmaskingRequest(_, survivors, dropped, confirmations):
            asked = envelope.unmasking_request
            asked.SetInParent()
            asked.survivors.extend(survivors)
            asked.dropped.extend(dropped)
            for client, signature in confirmations:
                asked.confirmations.add(client=client, signature=signature)
        case UnmaskingResponse(_, seeds, keys):
            body = envelope.unmasking_response
            body.SetInParent()
            for shares, target in ((seeds, body.seed_shares), (keys, body.mask_key_shares)):
                for owner, share in shares:
                    target.add(owner=owner, share=bytes(share.expose()))
    return envelope.SerializeToString(deterministic=True)


def verdict(decode: Callable[[bytes], object], data: bytes) -> object:
    """The message, or why it is none."""
    try:
        return decode(data)
    except DecodeError as error:
        return str(error)


def by_protobuf(decode: Callable[[bytes], object], data: bytes) -> object:
    """The verdict of a decoder that reads no tables."""
    with pytest.MonkeyPatch.context() as patch:
        for reader in READERS:
            patch.setattr(codec, reader, lambda data: None)
        return verdict(decode, data)


def kind_of(message: Listed) -> Kind:
    return KINDS[type(message).__name__]


def assert_same_verdict(kind: Kind, data: bytes) -> bool:
    """Both paths agree, and what the table reads is what protobuf reads; whether it is a message."""
    expected = by_protobuf(kind.decode, data)
    assert verdict(kind.decode, data) == expected
    found = kind.read(data)
    assert found is None or found == expected
    assert kind.read(memoryview(data)) == found
    return found is not None


def revealed(*owners: int, width: int = 36) -> RevealedShares:
    return RevealedShares(Ids.of(owners), SecretBytes(fill(1, width * len(owners))))


def sealed(*clients: int, width: int = 112) -> tuple[tuple[int, bytes], ...]:
    return tuple((client, fill(at, width)) for at, client in enumerate(clients))


@given(listed)
@example(ShareKeysResponse(SESSION, ()))
@example(MaskedInputCollectionRequest(SESSION, sealed(0)))
@example(ShareKeysResponse(SESSION, sealed(0, 1, BIG)))
@example(UnmaskingResponse(SESSION, revealed(), revealed()))
@example(UnmaskingResponse(SESSION, revealed(0), revealed(0)))
@example(UnmaskingResponse(SESSION, revealed(), revealed(0, BIG)))
@example(UnmaskingResponse(SESSION, revealed(*range(1, 400)), revealed(*range(400, 500))))
def test_what_is_written_and_read_is_what_protobuf_writes_and_reads(message: Listed) -> None:
    data = written_by_protobuf(message)
    assert tables.encode_listed(message) == codec.encode(message) == data
    kind = kind_of(message)
    assert kind.read(data) == kind.read(memoryview(data)) == kind.decode(data) == message
    assert by_protobuf(kind.decode, data) == message


@pytest.mark.thorough
@settings(max_examples=300)
@given(strategies.damaged(codec.encode, listed))
@example(b"")
@example(b"\x0a\x20" + SESSION + b"\x5a")
def test_damaged_messages_have_the_verdict_of_protobuf(data: bytes) -> None:
    for kind in KINDS.values():
        assert_same_verdict(kind, data)


@every_kind
@pytest.mark.parametrize(
    "spoil",
    [
        trees.with_unknown_field,
        trees.with_repeated_field,
        trees.with_swapped_fields,
        trees.with_explicit_default,
        lambda tree: trees.with_bytes_of(tree, "ciphertext", lambda value: value[:-1]),
        lambda tree: trees.with_bytes_of(tree, "ciphertext", lambda value: value + b"x"),
        lambda tree: trees.with_bytes_of(tree, "share", lambda value: value[:-1]),
        lambda tree: trees.with_bytes_of(tree, "share", lambda value: value + b"x"),
        lambda tree: trees.with_bytes_of(tree, "session", lambda value: value[:-1]),
    ],
    ids=["unknown", "repeated", "swapped", "default", "sealed-1", "sealed+1", "share-1", "share+1", "session-1"],
)
def test_what_is_not_canonical_is_refused_as_by_protobuf(name: str, spoil: Callable[[Tree], trees.Spoiled]) -> None:
    kind = KINDS[name]
    for what, spoiled in spoil(kind.sample):
        data = render(spoiled)
        assert not assert_same_verdict(kind, data), what
        with pytest.raises(DecodeError):
            kind.decode(data)


@every_kind
def test_overlong_numbers_are_refused_as_by_protobuf(name: str) -> None:
    kind = KINDS[name]
    for data in trees.overlong_renderings(kind.sample):
        assert not assert_same_verdict(kind, data)


def framing(data: bytes) -> Iterator[int]:
    """Positions that are not in the midst of a value: all of the framing, and the ends of what it frames."""
    for at in range(len(data)):
        if data[at : at + 12] != fill(data[at], 12):
            yield at


@pytest.mark.thorough
@every_kind
def test_every_other_byte_of_the_framing_has_the_verdict_of_protobuf(name: str) -> None:
    """Many a changed id is another message; everything else is none."""
    kind = KINDS[name]
    data = render(kind.sample)
    accepted = tried = 0
    for at in framing(data):
        for value in {data[at] ^ 1 << bit for bit in range(8)} | {0, 1, 9, 10, 18, 36, 38, 47, 127, 128, 255} - {
            data[at]
        }:
            tried += 1
            accepted += assert_same_verdict(kind, data[:at] + bytes([value]) + data[at + 1 :])
    assert 0 < accepted < tried


@every_kind
def test_every_cut_and_every_tail_has_the_verdict_of_protobuf(name: str) -> None:
    kind = KINDS[name]
    data = render(kind.sample)
    for end in range(len(data)):
        assert not assert_same_verdict(kind, data[:end])
        assert not assert_same_verdict(kind, data[:end] + data[end + 1 :])
    for tail in (b"\x00", b"\x0a", b"\x12\x00", data[-47:], data):
        assert not assert_same_verdict(kind, data + tail)


def confirmed(*clients: int, width: int = 64) -> tuple[tuple[int, bytes], ...]:
    return sealed(*clients, width=width)


@given(strategies.unmasking_requests)
@example(UnmaskingRequest(SESSION, (), ()))
@example(UnmaskingRequest(SESSION, (0,), (0, BIG), confirmed(0)))
@example(UnmaskingRequest(SESSION, (0, 1, BIG), (), confirmed(0, 1, BIG)))
@example(UnmaskingRequest(SESSION, tuple(range(400)), tuple(range(400, 500)), confirmed(*range(1, 400))))
@example(UnmaskingRequest(SESSION, (2, 1), (0, 0), confirmed(2, 1, 0, 1)))
@example(UnmaskingRequest(SESSION, (1,), (), confirmed(1, 2, width=63)))
@example(UnmaskingRequest(SESSION, (1,), (), ((1, bytes(60)), (2, bytes(68)))))
def test_requests_for_shares_are_written_as_by_protobuf(message: UnmaskingRequest) -> None:
    assert codec.encode(message) == written_by_protobuf(message)


UNORDERED: list[Listed] = [
    ShareKeysResponse(SESSION, sealed(2, 1)),
    ShareKeysResponse(SESSION, sealed(1, 0)),
    ShareKeysResponse(SESSION, sealed(0, 0)),
    ShareKeysResponse(SESSION, sealed(1, 0, 2)),
    MaskedInputCollectionRequest(SESSION, sealed(3, 3)),
    MaskedInputCollectionRequest(SESSION, sealed(BIG, 1)),
    UnmaskingResponse(SESSION, revealed(2, 1), revealed()),
    UnmaskingResponse(SESSION, revealed(0, 0), revealed()),
    UnmaskingResponse(SESSION, revealed(), revealed(4, 0, 5)),
    UnmaskingResponse(SESSION, revealed(1), revealed(1, 1)),
]
OF_OTHER_WIDTH: list[Listed] = [
    ShareKeysResponse(SESSION, sealed(1, 2, width=111)),
    ShareKeysResponse(SESSION, (*sealed(1), (2, bytes(113)))),
    MaskedInputCollectionRequest(SESSION, sealed(1, width=0)),
    MaskedInputCollectionRequest(SESSION, ((1, bytes(110)), (2, bytes(114)))),
    UnmaskingResponse(SESSION, revealed(1, 2, width=35), revealed()),
    UnmaskingResponse(SESSION, revealed(1), revealed(2, width=72)),
    UnmaskingResponse(SESSION, revealed(1, width=1), revealed()),
    UnmaskingResponse(SESSION, revealed(), revealed(0, 1, width=200)),
]


@pytest.mark.parametrize("message", [*UNORDERED, *OF_OTHER_WIDTH], ids=lambda message: type(message).__name__)
def test_a_liars_lists_are_written_all_the_same_and_refused(message: Listed) -> None:
    data = codec.encode(message)
    assert data == written_by_protobuf(message)
    kind = kind_of(message)
    assert not assert_same_verdict(kind, data)
    with pytest.raises(
        DecodeError, match="strictly ascending" if message in UNORDERED else "the protocol fixes|no suite has such ones"
    ):
        kind.decode(data)


def parcels(*widths: tuple[int, int]) -> tuple[tuple[int, bytes], ...]:
    return tuple((client, fill(at, width)) for at, (client, width) in enumerate(widths))


@pytest.mark.parametrize(
    "message",
    [
        ShareKeysResponse(SESSION, parcels((0, 1200), (3, 1200), (7, 2320), (BIG, 2320))),
        ShareKeysResponse(SESSION, parcels((0, 2320), (1, 2320))),
        ShareKeysResponse(SESSION, parcels((1, 1200))),
        MaskedInputCollectionRequest(SESSION, parcels((0, 2288), (3, 1200), (BIG, 1200))),
        MaskedInputCollectionRequest(SESSION, parcels((2, 2288))),
    ],
    ids=lambda message: type(message).__name__,
)
def test_parcels_of_hybrid_suites_are_a_table_for_each_length(message: Listed) -> None:
    data = written_by_protobuf(message)
    assert tables.encode_listed(message) == codec.encode(message) == data
    kind = kind_of(message)
    assert kind.read(data) == kind.read(memoryview(data)) == kind.decode(data) == message
    for at in framing(data):
        assert_same_verdict(kind, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        (ShareKeysResponse(SESSION, parcels((1, 2320), (2, 1200))), False),
        (ShareKeysResponse(SESSION, parcels((1, 1200), (2, 2320), (3, 1200))), False),
        (ShareKeysResponse(SESSION, parcels((2, 1200), (2, 2320))), True),
        (ShareKeysResponse(SESSION, parcels((2, 1200), (1, 2320))), True),
        (MaskedInputCollectionRequest(SESSION, parcels((5, 2288), (0, 1200))), True),
        (MaskedInputCollectionRequest(SESSION, parcels((1, 1200), (2, 2320))), False),
    ],
)
def test_lengths_in_another_order_are_left_to_protobuf(message: Listed, refused: bool) -> None:
    data = written_by_protobuf(message)
    assert codec.encode(message) == data
    assert not assert_same_verdict(kind_of(message), data)
    assert (by_protobuf(kind_of(message).decode, data) == message) is not refused


def test_seed_shares_after_mask_key_shares_are_refused() -> None:
    kind = KINDS["UnmaskingResponse"]
    session, body = kind.sample.fields
    assert isinstance(body.value, Tree)
    fields = body.value.fields
    assert [field.number for field in fields] == [1, 1, 2, 2]
    for order in ((2, 3, 0, 1), (0, 2, 1, 3), (2, 0, 1, 3)):
        mixed = Tree("UnmaskingResponse", tuple(fields[at] for at in order))
        data = render(Tree("Envelope", (session, replace(body, value=mixed))))
        assert not assert_same_verdict(kind, data)
        with pytest.raises(DecodeError, match="not canonical"):
            kind.decode(data)


@pytest.mark.parametrize(
    "message", [Abort(SESSION, AbortReason.PEER_ABORTED), ConsistencyCheckRequest(SESSION, (1, 2))]
)
def test_other_messages_are_no_tables(message: Any) -> None:
    assert tables.encode_listed(message) is None
    data = codec.encode(message)
    assert [kind.read(data) for kind in KINDS.values()] == [None] * 3


@every_kind
def test_a_table_is_read_as_nothing_else(name: str) -> None:
    data = render(KINDS[name].sample)
    assert [other for other, kind in KINDS.items() if kind.read(data) is not None] == [name]


def test_what_is_read_is_a_copy() -> None:
    data = bytearray(codec.encode(UnmaskingResponse(SESSION, revealed(1, 2), revealed(3))))
    message = tables.decode_unmasking_response(memoryview(data))
    data[:] = bytes(len(data))
    assert message == UnmaskingResponse(SESSION, revealed(1, 2), revealed(3))


def test_what_is_sent_does_not_change_what_is_held() -> None:
    shares = revealed(0, 1)
    codec.encode(UnmaskingResponse(SESSION, shares, revealed()))
    assert shares == revealed(0, 1)
