"""Messages are plain, frozen data that show no secret, and their names follow one rule."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest

from secagg.crypto import agreement, hybrid, signing
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, ParameterError
from secagg.protocol import messages
from secagg.protocol.listed import Ids
from secagg.protocol.messages import (
    ROUND_OF_MESSAGE,
    Abort,
    Advertisement,
    ClientMessage,
    Complaint,
    Dealing,
    MaskedInputCollectionResponse,
    RevealedShares,
    Round,
    ServerMessage,
    SessionOffer,
    UnmaskingResponse,
)

SERVER = typing.get_args(ServerMessage)
CLIENT = typing.get_args(ClientMessage)
SHARE = SecretBytes(b"a")
EVERY = sorted({SessionOffer, Advertisement, Dealing, *SERVER, *CLIENT}, key=lambda kind: kind.__name__)

NAMES = {
    Round.ADVERTISE_KEYS: "AdvertiseKeys",
    Round.SHARE_KEYS: "ShareKeys",
    Round.MASKED_INPUT: "MaskedInputCollection",
    Round.DISCLOSURE: "Disclosure",
    Round.CONSISTENCY_CHECK: "ConsistencyCheck",
    Round.UNMASKING: "Unmasking",
}


def test_the_five_rounds_and_the_one_after_complaints() -> None:
    assert [round_.value for round_ in Round] == [
        "advertise_keys",
        "share_keys",
        "masked_input",
        "disclosure",
        "consistency_check",
        "unmasking",
    ]


def test_each_round_has_a_request_of_the_server_and_a_response_of_the_client() -> None:
    assert [kind.__name__ for kind in SERVER] == [f"{NAMES[round_]}Request" for round_ in Round] + ["Abort"]
    answers = [kind.__name__ for kind in CLIENT if kind is not Complaint]
    assert answers == [f"{NAMES[round_]}Response" for round_ in Round] + ["Abort"]


def test_every_message_belongs_to_its_round() -> None:
    assert set(ROUND_OF_MESSAGE) == {*SERVER, *CLIENT} - {Abort}
    assert [
        kind.__name__ for kind, round_ in ROUND_OF_MESSAGE.items() if not kind.__name__.startswith(NAMES[round_])
    ] == ["Complaint"]
    assert ROUND_OF_MESSAGE[Complaint] is Round.MASKED_INPUT, "an answer of that round, in the place of an input"


@pytest.mark.parametrize("kind", EVERY)
def test_messages_are_frozen_and_slotted(kind: type[Any]) -> None:
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)
    assert not any(hasattr(base, "__dict__") and "__dict__" in vars(base) for base in kind.__mro__[:-1])


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in (SessionOffer, Advertisement, Dealing)])
def test_every_message_begins_with_the_session(kind: type[Any]) -> None:
    first = dataclasses.fields(kind)[0]
    assert (first.name, first.type) == ("session", "bytes")


@pytest.mark.parametrize("kind", EVERY)
def test_messages_hold_tuples_and_no_lists(kind: type[Any]) -> None:
    types = [str(field.type) for field in dataclasses.fields(kind)]
    assert [name for name in types if name.startswith(("list", "dict", "set", "Sequence", "Mapping"))] == []


def test_a_payload_stays_out_of_the_repr() -> None:
    shown = repr(MaskedInputCollectionResponse(bytes(32), b"masked entries"))
    assert "masked entries" not in shown
    assert "payload" not in shown


def test_shares_stay_out_of_the_repr() -> None:
    secret = bytes(range(65, 101))
    shown = repr(
        UnmaskingResponse(
            bytes(32),
            RevealedShares(Ids.of((1,)), SecretBytes(secret)),
            RevealedShares(Ids.of((2,)), SecretBytes(secret)),
        )
    )
    assert shown.count("SecretBytes(36 bytes)") == 2
    assert "ABCDEF" not in shown
    assert secret.hex() not in shown


def test_messages_compare_by_value() -> None:
    session = bytes(32)
    assert Abort(session, AbortReason.PEER_ABORTED) == Abort(session, AbortReason.PEER_ABORTED)
    assert Abort(session, AbortReason.PEER_ABORTED) != Abort(session, AbortReason.PEER_MISBEHAVED)
    one, same, none = (RevealedShares.of(pairs) for pairs in ([(1, SHARE)], [(1, SecretBytes(b"a"))], []))
    assert UnmaskingResponse(session, one, none) == UnmaskingResponse(session, same, none)
    assert UnmaskingResponse(session, one, none) != UnmaskingResponse(session, none, one)


def test_revealed_shares_are_pairs_of_owner_and_share() -> None:
    pairs = [(owner, SecretBytes(bytes([owner]) * 36)) for owner in (3, 1, 2)]
    shares = RevealedShares.of(iter(pairs))
    assert (tuple(shares.owners), bytes(shares.joined.expose())) == ((3, 1, 2), b"\3" * 36 + b"\1" * 36 + b"\2" * 36)
    assert [*shares] == pairs
    assert len(shares) == 3
    assert [shares.share(place) for place in range(3)] == [share for _, share in pairs]
    assert shares == RevealedShares(Ids.of((3, 1, 2)), SecretBytes(bytes(shares.joined.expose())))
    assert shares != RevealedShares(Ids.of((3, 2, 1)), shares.joined)
    assert shares != RevealedShares.of(pairs[:2])


def test_what_is_taken_from_revealed_shares_is_a_copy() -> None:
    given = SecretBytes(b"x" * 36)
    shares = RevealedShares.of([(1, given)])
    given.wipe()
    taken = shares.share(0)
    shares.joined.wipe()
    assert bytes(taken.expose()) == b"x" * 36


def test_nothing_can_be_revealed() -> None:
    nothing = RevealedShares.of(())
    assert (tuple(nothing.owners), len(nothing), len(nothing.joined), [*nothing]) == ((), 0, 0, [])
    with pytest.raises(ParameterError, match="no share at place"):
        nothing.share(0)


@pytest.mark.parametrize("place", [-1, 2])
def test_there_is_no_share_where_there_is_no_owner(place: int) -> None:
    with pytest.raises(ParameterError, match="no share at place"):
        RevealedShares(Ids.of((1, 2)), SecretBytes(bytes(72))).share(place)


@pytest.mark.parametrize("lengths", [(36, 35), (35, 37), (36, 36, 0), (0, 36)])
def test_shares_of_different_lengths_are_not_joined(lengths: tuple[int, ...]) -> None:
    """Joined they could be cut elsewhere than they were joined: (35, 37) bytes are 72."""
    with pytest.raises(ParameterError, match="different lengths cannot be revealed together"):
        RevealedShares.of((length, SecretBytes(bytes(length))) for length in lengths)


@pytest.mark.parametrize(("owners", "length"), [((), 36), ((1,), 0), ((1, 2), 71), ((1, 2, 3), 100)])
def test_every_owner_has_one_share(owners: tuple[int, ...], length: int) -> None:
    with pytest.raises(ParameterError, match=f"{length} bytes are not one share for each of {len(owners)} owners"):
        RevealedShares(Ids.of(owners), SecretBytes(bytes(length)))


def test_an_advertisement_is_unsigned_unless_told() -> None:
    assert Advertisement(1, b"c", b"m", b"k").signature == b""


def test_lengths_are_those_of_the_primitives() -> None:
    assert {agreement.KEY_BYTES, hybrid.PUBLIC_BYTES} == messages.PUBLIC_KEY_BYTES
    assert {112, 144, 1200, 2288, 2320} == messages.PARCEL_BYTES
    assert {36, 68} == messages.REVEALED_BYTES
    assert messages.SIGNATURE_BYTES == signing.SIGNATURE_BYTES
    assert (messages.DIGEST_BYTES, messages.COMMITMENT_BYTES) == (32, 32)
