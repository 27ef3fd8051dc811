"""Messages are plain, frozen data that show no secret, and their names follow one rule."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest

from secagg import messages
from secagg.crypto import agreement, signing
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason
from secagg.messages import (
    ROUND_OF_MESSAGE,
    Abort,
    Advertisement,
    ClientMessage,
    MaskedInputCollectionResponse,
    Round,
    ServerMessage,
    SessionOffer,
    UnmaskingResponse,
)

SERVER = typing.get_args(ServerMessage)
CLIENT = typing.get_args(ClientMessage)
EVERY = sorted({SessionOffer, Advertisement, *SERVER, *CLIENT}, key=lambda kind: kind.__name__)

NAMES = {
    Round.ADVERTISE_KEYS: "AdvertiseKeys",
    Round.SHARE_KEYS: "ShareKeys",
    Round.MASKED_INPUT: "MaskedInputCollection",
    Round.CONSISTENCY_CHECK: "ConsistencyCheck",
    Round.UNMASKING: "Unmasking",
}


def test_the_five_rounds() -> None:
    assert [round_.value for round_ in Round] == [
        "advertise_keys",
        "share_keys",
        "masked_input",
        "consistency_check",
        "unmasking",
    ]


def test_each_round_has_a_request_of_the_server_and_a_response_of_the_client() -> None:
    assert [kind.__name__ for kind in SERVER] == [f"{NAMES[round_]}Request" for round_ in Round] + ["Abort"]
    assert [kind.__name__ for kind in CLIENT] == [f"{NAMES[round_]}Response" for round_ in Round] + ["Abort"]


def test_every_message_belongs_to_its_round() -> None:
    assert set(ROUND_OF_MESSAGE) == {*SERVER, *CLIENT} - {Abort}
    assert [
        kind.__name__ for kind, round_ in ROUND_OF_MESSAGE.items() if not kind.__name__.startswith(NAMES[round_])
    ] == []


@pytest.mark.parametrize("kind", EVERY)
def test_messages_are_frozen_and_slotted(kind: type[Any]) -> None:
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)
    assert not any(hasattr(base, "__dict__") and "__dict__" in vars(base) for base in kind.__mro__[:-1])


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in (SessionOffer, Advertisement)])
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
    shown = repr(UnmaskingResponse(bytes(32), ((1, SecretBytes(secret)),), ((2, SecretBytes(secret)),)))
    assert shown.count("SecretBytes(36 bytes)") == 2
    assert "ABCDEF" not in shown
    assert secret.hex() not in shown


def test_messages_compare_by_value() -> None:
    session = bytes(32)
    assert Abort(session, AbortReason.PEER_ABORTED) == Abort(session, AbortReason.PEER_ABORTED)
    assert Abort(session, AbortReason.PEER_ABORTED) != Abort(session, AbortReason.PEER_MISBEHAVED)
    assert UnmaskingResponse(session, ((1, SecretBytes(b"a")),), ()) == UnmaskingResponse(
        session, ((1, SecretBytes(b"a")),), ()
    )
    assert UnmaskingResponse(session, ((1, SecretBytes(b"a")),), ()) != UnmaskingResponse(
        session, (), ((1, SecretBytes(b"a")),)
    )


def test_an_advertisement_is_unsigned_unless_told() -> None:
    assert Advertisement(1, b"c", b"m", b"k").signature == b""


def test_lengths_are_those_of_the_primitives() -> None:
    assert messages.PUBLIC_KEY_BYTES == agreement.KEY_BYTES
    assert messages.SIGNATURE_BYTES == signing.SIGNATURE_BYTES
    assert (messages.DIGEST_BYTES, messages.COMMITMENT_BYTES) == (32, 32)
