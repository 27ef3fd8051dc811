"""One message, one encoding: pitfalls 21 (repeated or odd encodings) and 26 (ids and labels that collide)."""

from __future__ import annotations

import struct
from itertools import combinations
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import (
    DecodeError,
    DropReason,
    FixedPoint,
    Integers,
    ParameterError,
    Round,
    SecAggError,
    SecretBytes,
    SessionParameters,
)
from secagg.canonical import encode_fields
from secagg.crypto import key_schedule
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.labels import Label
from secagg.parameters.vectors import VectorSpec
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import (
    decode_offer,
    decode_server_message,
    encode,
    encode_offer,
)
from tests.adversarial.bytes_by_hand import (
    FAST,
    SAMPLES,
    Decoder,
    accepts,
    each_sample,
    fields,
    transcript,
    varint,
    write,
)
from tests.adversarial.tools import drops
from tests.harness import Harness, alter, decode_answer, decode_request


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_pitfall_21_every_message_of_a_session_encodes_as_it_was_decoded(model: str) -> None:
    for to_server, _, _, data in transcript(model):
        decoded = decode_answer(data) if to_server else decode_request(data)
        assert encode(decoded) == data


@each_sample
def test_pitfall_21_other_encodings_of_the_same_message(decoder: Decoder, data: bytes) -> None:
    """All of these parse as protobuf, and mean the same or nothing; none is accepted."""
    parts = list(fields(data))
    assert write(parts) == data
    other_encodings = {
        "fields swapped": write(parts[::-1]),
        "session twice": write([parts[0], *parts]),
        "body twice": write([*parts, parts[-1]]),
        "body split in two": write([*parts, (parts[-1][0], 2, b"")]),
        "two bodies": write([*parts, (2, 2, b"")]) if parts[-1][0] != 2 else write([*parts, (3, 2, b"")]),
        "unknown field": write([*parts, (15, 2, b"x")]),
        "unknown varint field": data + b"\x78\x01",
        "unknown empty group": data + b"\x7b\x7c",
        "longer lengths": write(parts, padding=1),
        "longer tags": b"".join(varint(n << 3 | k, 1) + varint(len(v)) + v for n, k, v in parts),
        "trailing zero": data + b"\x00",
        "unknown field in the body": write([*parts[:-1], (parts[-1][0], 2, parts[-1][2] + b"\x7a\x00")]),
    }
    assert [name for name, encoding in other_encodings.items() if accepts(decoder, encoding)] == []


def test_pitfall_21_lists_of_ids_unpacked_or_in_pieces() -> None:
    """proto3 packs numbers; parsers must also take them one by one, and in several packed pieces."""
    harness = Harness(6, threat_model="active", threshold=4).run_to(Round.CONSISTENCY_CHECK)
    ids = [struct.pack("<Q", client) for client in harness.cohort]
    session = (1, 2, harness.session)
    packed = write([session, (8, 2, write([(1, 2, b"".join(ids))]))])
    assert decode_server_message(packed).session == harness.session
    assert harness.requests[1] == packed
    unpacked = write([session, (8, 2, write([(1, 1, value) for value in ids]))])
    pieces = write([session, (8, 2, write([(1, 2, b"".join(ids[:3])), (1, 2, b"".join(ids[3:]))]))])
    for other in (unpacked, pieces):
        with pytest.raises(DecodeError):
            decode_server_message(other)


@pytest.mark.parametrize("order", ["repeated", "descending"])
@pytest.mark.parametrize(
    ("round_", "field"),
    [
        (Round.SHARE_KEYS, "advertisements"),
        (Round.MASKED_INPUT, "ciphertexts"),
        (Round.CONSISTENCY_CHECK, "contributors"),
        (Round.UNMASKING, "survivors"),
        (Round.UNMASKING, "confirmations"),
    ],
)
def test_pitfall_21_lists_in_another_order_or_with_repeats(round_: Round, field: str, order: str) -> None:
    harness = Harness(6, threat_model="active", threshold=4).run_to(round_)
    listed = getattr(decode_request(harness.requests[1]), field)
    wrong = (*listed, listed[-1]) if order == "repeated" else listed[::-1]
    with pytest.raises(DecodeError, match="ascending"):
        decode_server_message(alter(harness.requests[1], **{field: wrong}))


def test_pitfall_21_pad_bits_of_a_masked_vector() -> None:
    """16 entries of 13 bits: 4 words of 52 bits fill 26 bytes; three such entries leave pad bits."""
    harness = Harness(4, threshold=2, vectors={"v": Integers(0, 100, length=3)}).run_to(Round.MASKED_INPUT)
    answer = harness.ask(1)
    assert answer is not None
    message = decode_answer(answer)
    payload = bytearray(message.payload)
    payload[-1] |= 0x80
    assert bytes(payload) != bytes(message.payload)
    harness.deliver(1, encode(type(message)(message.session, bytes(payload))))
    assert drops(harness.events) == {1: DropReason.MESSAGE_MALFORMED}


@given(st.sampled_from(SAMPLES), st.data())
@FAST
def test_pitfall_21_a_changed_message_is_refused_or_has_one_encoding(
    sample: tuple[str, Decoder, bytes], draw: st.DataObject
) -> None:
    _, decoder, data = sample
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(changed) - 1))
        changed[at] = draw.draw(st.integers(0, 255))
    try:
        message = decoder(bytes(changed))
    except DecodeError:
        return
    assert encode(message) == bytes(changed)


def offers() -> list[bytes]:
    weighted: dict[str, VectorSpec] = {
        "m": FixedPoint(3, clip=1.0, bits=8, aggregate="mean"),
        "c": Integers(0, 9, shape=(2, 2)),
    }
    return [
        Harness(5, threshold=3).server.offer,
        Harness(8, topology="sparse", degree=4, threshold=3, context=b"model").server.offer,
        Harness(4, threat_model="active", threshold=3, vectors=weighted, max_weight=9).server.offer,
    ]


OFFERS: Final = offers()


def test_pitfall_21_other_encodings_of_an_offer() -> None:
    for offer in OFFERS:
        (part,) = fields(offer)
        assert write([part]) == offer
        others = [write([part, part]), write([part, (2, 2, b"x")]), offer + b"\x10\x01", write([part], padding=1)]
        assert [other for other in others if accepts(decode_offer, other)] == []


def test_pitfall_21_offers_encode_as_they_were_decoded() -> None:
    for offer in OFFERS:
        assert encode_offer(decode_offer(offer)) == offer
        parameters = decode_offer(offer).parameters
        assert SessionParameters.decode(parameters.encode()) == parameters
        for end in range(len(parameters.encode())):
            with pytest.raises(SecAggError):
                SessionParameters.decode(parameters.encode()[:end])
        with pytest.raises(DecodeError):
            SessionParameters.decode(parameters.encode() + b"\x00")


@given(st.sampled_from(OFFERS), st.data())
@FAST
def test_pitfall_21_a_changed_offer_is_refused_or_has_one_encoding(offer: bytes, draw: st.DataObject) -> None:
    """In the parameters behind the protobuf head, where every byte of every field is reached."""
    parameters = bytearray(decode_offer(offer).parameters.encode())
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(parameters) - 1))
        parameters[at] = draw.draw(st.integers(0, 255))
    try:
        decoded = SessionParameters.decode(bytes(parameters))
    except (DecodeError, ParameterError):
        return
    assert decoded.encode() == bytes(parameters)


# ----- pitfall 26 -----

COLLIDING: Final[list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = [
    (("1", "23"), ("12", "3")),
    ((b"1", b"23"), (b"12", b"3")),
    ((b"", b"123"), (b"123", b"")),
    ((1, 23), (12, 3)),
    (([1, 2], [3]), ([1], [2, 3])),
    (([1], 2), ([1, 2],)),
    (("1",), (b"1",)),
    ((1,), (b"\x00\x00\x00\x00\x00\x00\x00\x01",)),
    ((b"a", b"b"), ([b"a", b"b"],)),
    (([],), ([[]],)),
    ((), ([],)),
    ((b"",), ("",)),
]


@pytest.mark.parametrize(("left", "right"), COLLIDING)
def test_pitfall_26_lists_whose_concatenation_collides(left: tuple[Any, ...], right: tuple[Any, ...]) -> None:
    assert encode_fields(b"label", *left) != encode_fields(b"label", *right)


CANONICAL: Final = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=6) | st.text(max_size=4),
    lambda children: st.lists(children, max_size=3),
    max_leaves=6,
)


@given(st.lists(CANONICAL, max_size=4), st.lists(CANONICAL, max_size=4))
@settings(FAST, max_examples=400)
def test_pitfall_26_canonical_bytes_are_injective(left: list[Any], right: list[Any]) -> None:
    assert (encode_fields(b"l", *left) == encode_fields(b"l", *right)) == (left == right)


@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=12))
@FAST
def test_pitfall_26_a_label_cannot_be_continued_by_a_value(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    assert (encode_fields(a, b) == encode_fields(c, d)) == ((a, b) == (c, d))


def test_pitfall_26_labels_are_distinct_and_none_is_a_prefix() -> None:
    labels = [bytes(label) for label in Label]
    assert len(set(labels)) == len(labels) == len(list(Label))
    for left, right in combinations(labels, 2):
        assert not left.startswith(right)
        assert not right.startswith(left)


def test_pitfall_26_ids_that_collide_as_text_have_their_own_keys() -> None:
    """Clients 1 and 23, against clients 12 and 3: everything that binds two ids differs."""
    left, right = (AgreementKey.generate(DeterministicRandomSource(seed)) for seed in (1, 2))
    binding, session = bytes(32), bytes(range(32))
    pairs = [(1, 23), (12, 3), (23, 1), (3, 12), (123, 0), (0, 123), (1, 23 << 8), (1 << 8, 23)]
    masks = {
        bytes(key_schedule.pairwise_mask_key(left, right.public, session, binding, a, b).expose()) for a, b in pairs
    }
    assert len(masks) == len(pairs)
    channels = {
        bytes(key.expose()) for a, b in pairs for key in key_schedule.channel_keys(left, right.public, binding, a, b)
    }
    assert len(channels) == 2 * len(pairs)
    texts = {key_schedule.share_associated_data(binding, a, b) for a, b in pairs}
    assert len(texts) == len(pairs)
    seed = SecretBytes(bytes(32))
    commitments = {key_schedule.self_mask_commitment(session, client, seed) for client in (1, 12, 123, 1 << 8)}
    assert len(commitments) == 4
    confirmed = {key_schedule.confirmation_text(binding, ids) for ids in ((1, 23), (12, 3), (123,), (1, 2, 3), ())}
    assert len(confirmed) == 5


def test_pitfall_26_both_sides_of_a_pair_derive_the_same_mask_and_opposite_channels() -> None:
    left, right = (AgreementKey.generate(DeterministicRandomSource(seed)) for seed in (1, 2))
    binding, session = bytes(32), bytes(range(32))
    mine = key_schedule.pairwise_mask_key(left, right.public, session, binding, 1, 23)
    assert mine == key_schedule.pairwise_mask_key(right, left.public, session, binding, 23, 1)
    sending, receiving = key_schedule.channel_keys(left, right.public, binding, 1, 23)
    assert (receiving, sending) == key_schedule.channel_keys(right, left.public, binding, 23, 1)
    assert sending != receiving


def test_pitfall_26_names_cohorts_and_contexts_that_collide_as_text() -> None:
    one = FixedPoint(1, clip=1.0, bits=8)
    variants: list[dict[str, Any]] = [
        {"vectors": {"a": one, "bc": one}},
        {"vectors": {"ab": one, "c": one}},
        {"vectors": {"bc": one, "a": one}},
        {"vectors": {"abc": one}},
        {"vectors": {"a": FixedPoint(shape=(1, 23), clip=1.0, bits=8)}},
        {"vectors": {"a": FixedPoint(shape=(12, 3), clip=1.0, bits=8)}},
        {"vectors": {"a": FixedPoint(shape=(23, 1), clip=1.0, bits=8)}},
        {"clients": (1, 23, 45)},
        {"clients": (12, 34, 5 << 8)},
        {"clients": (1, 2, 345)},
        {"context": b"1"},
        {"context": b"1\x00"},
    ]
    digests = [Harness(**{"clients": 3, "threshold": 2, **variant}).session for variant in variants]
    assert len(set(digests)) == len(variants)
