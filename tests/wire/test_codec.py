"""The codec: known bytes, round trips, and the refusal of everything that is not exactly one message."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, DecodeError, InternalError, ParameterError, SecAggError
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import FixedPoint
from secagg.protocol.listed import Ids
from secagg.protocol.messages import (
    SEALED_BYTES,
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    RevealedShares,
    ServerMessage,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire.codec import (
    decode_client_message,
    decode_offer,
    decode_server_message,
    encode,
    encode_offer,
)
from tests import strategies
from tests.wire import trees
from tests.wire.trees import Field, Tree, packed, render, tree

pytestmark = pytest.mark.thorough

Decoder = Callable[[bytes], Any]

SESSION = bytes(range(32))
BIG = 2**64 - 1


class Sample(NamedTuple):
    """A message, the tree of its bytes written by hand, and who decodes it."""

    message: ServerMessage | ClientMessage
    tree: Tree
    decode: Decoder


class Forgotten(NamedTuple):
    """Looks like a message."""

    session: bytes


def fill(seed: int, size: int) -> bytes:
    return bytes((seed + 7 * at) % 251 for at in range(size))


def envelope(**body: Tree) -> Tree:
    return tree("Envelope", session=SESSION, **body)


def advertisement(client: int, signed: bool) -> Advertisement:
    signature = fill(client + 4, 64) if signed else b""
    return Advertisement(client, fill(client + 1, 32), fill(client + 2, 32), fill(client + 3, 32), signature)


def advertisement_tree(client: int, signed: bool) -> Tree:
    values: dict[str, int | bytes | Tree | list[Tree]] = {} if client == 0 else {"client": client}
    values |= {
        "channel_public": fill(client + 1, 32),
        "mask_public": fill(client + 2, 32),
        "commitment": fill(client + 3, 32),
    }
    if signed:
        values["signature"] = fill(client + 4, 64)
    return tree("Advertisement", **values)


def sealed(seed: int) -> bytes:
    return fill(seed, 112)


SAMPLES = {
    "AdvertiseKeysRequest": Sample(
        AdvertiseKeysRequest(SESSION),
        envelope(advertise_keys_request=tree("AdvertiseKeysRequest")),
        decode_server_message,
    ),
    "AdvertiseKeysResponse": Sample(
        AdvertiseKeysResponse(SESSION, advertisement(3, signed=True)),
        envelope(
            advertise_keys_response=tree("AdvertiseKeysResponse", advertisement=advertisement_tree(3, signed=True))
        ),
        decode_client_message,
    ),
    "AdvertiseKeysResponse of client 0, unsigned": Sample(
        AdvertiseKeysResponse(SESSION, advertisement(0, signed=False)),
        envelope(
            advertise_keys_response=tree("AdvertiseKeysResponse", advertisement=advertisement_tree(0, signed=False))
        ),
        decode_client_message,
    ),
    "ShareKeysRequest": Sample(
        ShareKeysRequest(SESSION, (advertisement(2, signed=True), advertisement(5, signed=False))),
        envelope(
            share_keys_request=tree(
                "ShareKeysRequest",
                advertisements=[advertisement_tree(2, signed=True), advertisement_tree(5, signed=False)],
            )
        ),
        decode_server_message,
    ),
    "ShareKeysRequest of nobody": Sample(
        ShareKeysRequest(SESSION, ()), envelope(share_keys_request=tree("ShareKeysRequest")), decode_server_message
    ),
    "ShareKeysResponse": Sample(
        ShareKeysResponse(SESSION, ((0, sealed(1)), (BIG, sealed(2)))),
        envelope(
            share_keys_response=tree(
                "ShareKeysResponse",
                ciphertexts=[
                    tree("SealedShares", ciphertext=sealed(1)),
                    tree("SealedShares", client=BIG, ciphertext=sealed(2)),
                ],
            )
        ),
        decode_client_message,
    ),
    "MaskedInputCollectionRequest": Sample(
        MaskedInputCollectionRequest(SESSION, ((4, sealed(3)), (6, sealed(4)))),
        envelope(
            masked_input_collection_request=tree(
                "MaskedInputCollectionRequest",
                ciphertexts=[
                    tree("SealedShares", client=4, ciphertext=sealed(3)),
                    tree("SealedShares", client=6, ciphertext=sealed(4)),
                ],
            )
        ),
        decode_server_message,
    ),
    "MaskedInputCollectionResponse": Sample(
        MaskedInputCollectionResponse(SESSION, fill(9, 200)),
        envelope(masked_input_collection_response=tree("MaskedInputCollectionResponse", payload=fill(9, 200))),
        decode_client_message,
    ),
    "ConsistencyCheckRequest": Sample(
        ConsistencyCheckRequest(SESSION, (0, 1, BIG)),
        envelope(consistency_check_request=tree("ConsistencyCheckRequest", contributors=packed(0, 1, BIG))),
        decode_server_message,
    ),
    "ConsistencyCheckResponse": Sample(
        ConsistencyCheckResponse(SESSION, fill(8, 64)),
        envelope(consistency_check_response=tree("ConsistencyCheckResponse", signature=fill(8, 64))),
        decode_client_message,
    ),
    "UnmaskingRequest": Sample(
        UnmaskingRequest(SESSION, (0, 2, 4), (1, 3), ((0, fill(1, 64)), (2, fill(2, 64)))),
        envelope(
            unmasking_request=tree(
                "UnmaskingRequest",
                survivors=packed(0, 2, 4),
                dropped=packed(1, 3),
                confirmations=[
                    tree("Confirmation", signature=fill(1, 64)),
                    tree("Confirmation", client=2, signature=fill(2, 64)),
                ],
            )
        ),
        decode_server_message,
    ),
    "UnmaskingRequest without dropped clients": Sample(
        UnmaskingRequest(SESSION, (7, 8), ()),
        envelope(unmasking_request=tree("UnmaskingRequest", survivors=packed(7, 8))),
        decode_server_message,
    ),
    "UnmaskingResponse": Sample(
        UnmaskingResponse(
            SESSION,
            RevealedShares(Ids.of((0, 2)), SecretBytes(fill(1, 36) + fill(2, 36))),
            RevealedShares(Ids.of((1, 3)), SecretBytes(fill(3, 36) + fill(4, 36))),
        ),
        envelope(
            unmasking_response=tree(
                "UnmaskingResponse",
                seed_shares=[
                    tree("RevealedShare", share=fill(1, 36)),
                    tree("RevealedShare", owner=2, share=fill(2, 36)),
                ],
                mask_key_shares=[
                    tree("RevealedShare", owner=1, share=fill(3, 36)),
                    tree("RevealedShare", owner=3, share=fill(4, 36)),
                ],
            )
        ),
        decode_client_message,
    ),
    "Abort of the server": Sample(
        Abort(SESSION, AbortReason.TOO_FEW_SHARERS),
        envelope(abort=tree("Abort", reason=b"A02")),
        decode_server_message,
    ),
    "Abort of a client": Sample(
        Abort(SESSION, AbortReason.PEER_MISBEHAVED),
        envelope(abort=tree("Abort", reason=b"A07")),
        decode_client_message,
    ),
}

PARAMETERS = SessionParameters.choose(
    clients=5, vectors={"w": FixedPoint(3, clip=1.0, bits=8)}, topology="complete", nonce=bytes(32)
)
OFFER_TREE = tree("SessionOffer", parameters=PARAMETERS.encode())

every_sample = pytest.mark.parametrize("name", SAMPLES)


def accepted(decode: Decoder, spoiled: Iterator[tuple[str, Tree]]) -> list[str]:
    """What was done to those trees that are not refused with a DecodeError; fails when there is no tree."""
    tried, wrong = 0, []
    for what, spoiled_tree in spoiled:
        tried += 1
        try:
            decode(render(spoiled_tree))
        except DecodeError:
            continue
        wrong.append(what)
    assert tried > 0
    return wrong


@every_sample
def test_the_bytes_are_those_written_by_hand(name: str) -> None:
    sample = SAMPLES[name]
    assert encode(sample.message).hex() == render(sample.tree).hex()
    assert sample.decode(render(sample.tree)) == sample.message


def test_a_whole_message_in_hexadecimal() -> None:
    session = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)
    confirmed = ConsistencyCheckRequest(session, (1, 2**32))
    assert encode(confirmed).hex() == (
        "0a20" + "00112233445566778899aabbccddeeff" * 2 + "4212" + "0a10" + "0100000000000000" + "0000000001000000"
    )
    assert encode(Abort(session, AbortReason.TOO_FEW_ADVERTISED)).hex() == (
        "0a20" + "00112233445566778899aabbccddeeff" * 2 + "6205" + "0a03" + b"A01".hex()
    )


def test_the_offer_carries_the_canonical_parameters() -> None:
    assert encode_offer(SessionOffer(PARAMETERS)) == render(OFFER_TREE)
    assert decode_offer(render(OFFER_TREE)) == SessionOffer(PARAMETERS)


@given(strategies.server_messages)
def test_server_messages_survive(message: ServerMessage) -> None:
    assert decode_server_message(encode(message)) == message


@given(strategies.client_messages)
def test_client_messages_survive(message: ClientMessage) -> None:
    assert decode_client_message(encode(message)) == message


@given(strategies.offers)
def test_offers_survive(offer: SessionOffer) -> None:
    assert decode_offer(encode_offer(offer)) == offer


@pytest.mark.thorough
@settings(max_examples=300)
@given(strategies.damaged(encode, strategies.server_messages))
def test_whatever_a_client_accepts_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        message = decode_server_message(data)
    except DecodeError:
        return
    assert encode(message) == data


@pytest.mark.thorough
@settings(max_examples=300)
@given(strategies.damaged(encode, strategies.client_messages))
def test_whatever_a_server_accepts_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        message = decode_client_message(data)
    except DecodeError:
        return
    assert encode(message) == data


@pytest.mark.thorough
@settings(max_examples=200)
@given(strategies.damaged(encode_offer, strategies.offers))
def test_whatever_offer_is_accepted_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        offer = decode_offer(data)
    except (DecodeError, ParameterError):
        return
    assert encode_offer(offer) == data


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda tail: b"\x0a\x20" + SESSION + tail),
        st.tuples(st.integers(2, 12), st.binary(max_size=100)).map(
            lambda body: b"\x0a\x20" + SESSION + bytes([body[0] << 3 | 2, len(body[1])]) + body[1]
        ),
    )
)
@example(b"")
@example(b"\x0a\x20" + SESSION + b"\x62\x03\x0a\x01\xff")
@example(b"\x0b" * 200)
def test_random_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    for decode in (decode_server_message, decode_client_message):
        try:
            message = decode(data)
        except DecodeError:
            continue
        assert encode(message) == data
    try:
        assert encode_offer(decode_offer(data)) == data
    except SecAggError as error:
        assert isinstance(error, DecodeError | ParameterError)  # noqa: PT017 - anything else propagates


@pytest.mark.parametrize("decode", [decode_server_message, decode_client_message, decode_offer])
def test_no_bytes_are_no_message(decode: Decoder) -> None:
    with pytest.raises(DecodeError):
        decode(b"")


@every_sample
def test_a_message_cut_short_is_refused(name: str) -> None:
    sample = SAMPLES[name]
    data = render(sample.tree)
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            sample.decode(data[:length])


@every_sample
def test_bytes_after_a_message_are_refused(name: str) -> None:
    sample = SAMPLES[name]
    data = render(sample.tree)
    for tail in [bytes([last]) for last in range(256)] + [data, b"\x0a\x20" + SESSION, bytes(100)]:
        with pytest.raises(DecodeError):
            sample.decode(data + tail)


@every_sample
def test_an_unknown_field_is_refused_wherever_it_stands(name: str) -> None:
    assert accepted(SAMPLES[name].decode, trees.with_unknown_field(SAMPLES[name].tree)) == []


@every_sample
def test_a_repeated_field_is_refused(name: str) -> None:
    assert accepted(SAMPLES[name].decode, trees.with_repeated_field(SAMPLES[name].tree)) == []


@every_sample
def test_fields_out_of_order_are_refused(name: str) -> None:
    assert accepted(SAMPLES[name].decode, trees.with_swapped_fields(SAMPLES[name].tree)) == []


@pytest.mark.parametrize("name", [name for name in SAMPLES if any(trees.with_explicit_default(SAMPLES[name].tree))])
def test_a_default_value_written_out_is_refused(name: str) -> None:
    assert accepted(SAMPLES[name].decode, trees.with_explicit_default(SAMPLES[name].tree)) == []


def test_default_values_are_tried_in_every_kind_of_message() -> None:
    tried = {what for sample in SAMPLES.values() for what, _ in trees.with_explicit_default(sample.tree)}
    assert tried >= {
        "Advertisement: empty client",
        "Advertisement: empty signature",
        "SealedShares: empty client",
        "UnmaskingRequest: empty dropped",
        "UnmaskingRequest: empty confirmations",
        "Confirmation: empty client",
        "RevealedShare: empty owner",
    }


@every_sample
def test_overlong_numbers_are_refused(name: str) -> None:
    sample = SAMPLES[name]
    renderings = list(trees.overlong_renderings(sample.tree))
    assert len(renderings) >= 4
    assert {len(data) - len(render(sample.tree)) for data in renderings} >= {1}
    for data in renderings:
        with pytest.raises(DecodeError):
            sample.decode(data)


@pytest.mark.parametrize("name", ["ConsistencyCheckRequest", "UnmaskingRequest"])
def test_id_lists_are_packed_into_one_field(name: str) -> None:
    assert accepted(SAMPLES[name].decode, trees.with_unpacked_ids(SAMPLES[name].tree)) == []


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("other", range(2, 13))
def test_a_second_body_is_refused(name: str, other: int) -> None:
    sample = SAMPLES[name]
    session, body = sample.tree.fields
    second = Field(other, b"")
    for fields in ((session, body, second), (session, second, body)):
        with pytest.raises(DecodeError):
            sample.decode(render(Tree("Envelope", fields)))


FIXED_FIELDS = {
    "session": 32,
    "channel_public": 32,
    "mask_public": 32,
    "commitment": 32,
    "signature": 64,
    "ciphertext": 112,
    "share": 36,
}


def lengthened(by: int) -> Callable[[bytes], bytes]:
    return lambda value: value[:by] if by < 0 else value + bytes(by)


def test_the_fixed_lengths_are_those_of_the_protocol() -> None:
    lengths = {
        (what, len(field.value))
        for sample in SAMPLES.values()
        for node, _ in trees.levels(sample.tree)
        for field in node.fields
        if isinstance(field.value, bytes)
        for what in [trees.SCHEMA[node.kind][field.number].name]
        if what in FIXED_FIELDS
    }
    assert lengths == set(FIXED_FIELDS.items())
    assert SEALED_BYTES == FIXED_FIELDS["ciphertext"] == 24 + 2 * 36 + 16


@pytest.mark.parametrize("field", FIXED_FIELDS)
@pytest.mark.parametrize("by", [-1, 1, -8, 8])
def test_a_fixed_field_of_another_length_is_refused(field: str, by: int) -> None:
    tried = 0
    for sample in SAMPLES.values():
        spoiled = list(trees.with_bytes_of(sample.tree, field, lengthened(by)))
        tried += len(spoiled)
        assert not spoiled or accepted(sample.decode, iter(spoiled)) == []
    assert tried > 0


@pytest.mark.parametrize("field", FIXED_FIELDS)
def test_a_fixed_field_of_its_own_length_is_accepted(field: str) -> None:
    for sample in SAMPLES.values():
        for _, same in trees.with_bytes_of(sample.tree, field, lambda value: value[::-1]):
            sample.decode(render(same))


def test_a_missing_field_is_refused_unless_it_is_the_signature_of_an_advertisement() -> None:
    accepted_without: set[str] = set()
    for sample in SAMPLES.values():
        for field in FIXED_FIELDS:
            spoiled = list(trees.with_bytes_of(sample.tree, field, lambda value: None))
            accepted_without |= set(accepted(sample.decode, iter(spoiled))) if spoiled else set()
    assert accepted_without == {"Advertisement.signature: None bytes"}


def test_an_advertisement_is_not_optional() -> None:
    bare = envelope(advertise_keys_response=tree("AdvertiseKeysResponse"))
    empty = envelope(advertise_keys_response=tree("AdvertiseKeysResponse", advertisement=tree("Advertisement")))
    for spoiled in (bare, empty):
        with pytest.raises(DecodeError, match="the channel key has 0 bytes; no suite has such keys"):
            decode_client_message(render(spoiled))


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("field", ["contributors", "survivors", "dropped"])
def test_an_id_list_of_no_whole_number_of_ids_is_refused(field: str, by: int) -> None:
    for sample in SAMPLES.values():
        spoiled = list(trees.with_bytes_of(sample.tree, field, lengthened(by)))
        assert not spoiled or accepted(sample.decode, iter(spoiled)) == []


SHARE = SecretBytes(bytes(36))


@pytest.mark.parametrize("reason", [b"A00", b"A99", b"a01", b"C01", b"A01 ", b"A1", b"\xff\xfe", b"x" * 5000])
@pytest.mark.parametrize("decode", [decode_server_message, decode_client_message])
def test_an_unknown_abort_reason_is_refused(decode: Decoder, reason: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(render(envelope(abort=tree("Abort", reason=reason))))
    assert len(str(caught.value)) < 200


def test_an_abort_without_a_reason_is_refused() -> None:
    for decode in (decode_server_message, decode_client_message):
        with pytest.raises(DecodeError, match="abort reason '' is unknown"):
            decode(render(envelope(abort=tree("Abort"))))


@pytest.mark.parametrize("reason", AbortReason)
def test_every_abort_reason_travels_both_ways(reason: AbortReason) -> None:
    message = Abort(SESSION, reason)
    assert decode_server_message(encode(message)) == decode_client_message(encode(message)) == message


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith("Abort")])
def test_a_message_is_refused_by_the_other_role(name: str) -> None:
    sample = SAMPLES[name]
    wrong: Decoder = decode_server_message
    receiver = "client"
    if sample.decode is decode_server_message:
        wrong, receiver = decode_client_message, "server"
    with pytest.raises(DecodeError, match=f"a {receiver} cannot receive [a-z_]+(request|response)"):
        wrong(render(sample.tree))


@every_sample
def test_a_message_is_no_offer(name: str) -> None:
    with pytest.raises(DecodeError):
        decode_offer(render(SAMPLES[name].tree))


@pytest.mark.parametrize("decode", [decode_server_message, decode_client_message])
def test_an_offer_is_no_message(decode: Decoder) -> None:
    with pytest.raises(DecodeError):
        decode(render(OFFER_TREE))


@pytest.mark.parametrize("decode", [decode_server_message, decode_client_message])
def test_an_envelope_without_a_body_is_refused(decode: Decoder) -> None:
    with pytest.raises(DecodeError, match="cannot receive an envelope without a body"):
        decode(render(tree("Envelope", session=SESSION)))


@pytest.mark.parametrize("spoil", [trees.with_unknown_field, trees.with_repeated_field])
def test_an_offer_with_another_field_is_refused(spoil: Callable[[Tree], trees.Spoiled]) -> None:
    assert accepted(decode_offer, spoil(OFFER_TREE)) == []


def test_an_offer_that_is_not_canonical_is_refused() -> None:
    for data in [*trees.overlong_renderings(OFFER_TREE), render(OFFER_TREE) + b"\x00", b"\x0a\x00"]:
        with pytest.raises(DecodeError):
            decode_offer(data)
    whole = render(OFFER_TREE)
    for length in range(len(whole)):
        with pytest.raises(DecodeError):
            decode_offer(whole[:length])


def test_well_formed_parameters_that_no_session_may_have_are_a_parameter_error() -> None:
    threshold_0 = PARAMETERS.encode().replace(struct.pack(">BQ", 1, PARAMETERS.threshold), struct.pack(">BQ", 1, 0), 1)
    with pytest.raises(ParameterError, match="threshold 0 is outside"):
        decode_offer(render(tree("SessionOffer", parameters=threshold_0)))


def test_a_message_that_the_encoder_forgot_is_our_bug() -> None:
    with pytest.raises(InternalError, match="Forgotten has no encoding here"):
        encode(Forgotten(SESSION))  # type: ignore[arg-type]


def test_secret_shares_stay_out_of_error_texts() -> None:
    share = fill(77, 35)
    spoiled = envelope(
        unmasking_response=tree("UnmaskingResponse", seed_shares=[tree("RevealedShare", owner=1, share=share)])
    )
    with pytest.raises(DecodeError) as caught:
        decode_client_message(render(spoiled))
    assert str(caught.value) == "a share has 35 bytes; the protocol fixes 36, or 68 with a digest"
