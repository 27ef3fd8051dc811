"""Lists of clients on the wire are strictly ascending, every one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from secagg.errors import DecodeError
from secagg.protocol.messages import (
    ClientMessage,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    RevealedShares,
    ServerMessage,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire.codec import decode_client_message, decode_server_message, encode
from tests.wire.test_codec import BIG, SESSION, SHARE, Decoder, advertisement, sealed


class Listing(NamedTuple):
    """How to make a message around a list of client ids, who decodes it, and what errors call the list."""

    make: Callable[[tuple[int, ...]], ServerMessage | ClientMessage]
    decode: Decoder
    called: str


def revealed(ids: tuple[int, ...]) -> RevealedShares:
    return RevealedShares.of((client, SHARE) for client in ids)


LISTS = {
    "advertisements": Listing(
        lambda ids: ShareKeysRequest(SESSION, tuple(advertisement(client, signed=True) for client in ids)),
        decode_server_message,
        "advertisements",
    ),
    "sealed shares of a response": Listing(
        lambda ids: ShareKeysResponse(SESSION, tuple((client, sealed(client)) for client in ids)),
        decode_client_message,
        "sealed shares",
    ),
    "sealed shares of a request": Listing(
        lambda ids: MaskedInputCollectionRequest(SESSION, tuple((client, sealed(client)) for client in ids)),
        decode_server_message,
        "sealed shares",
    ),
    "contributors": Listing(lambda ids: ConsistencyCheckRequest(SESSION, ids), decode_server_message, "contributors"),
    "survivors": Listing(lambda ids: UnmaskingRequest(SESSION, ids, ()), decode_server_message, "survivors"),
    "dropped": Listing(lambda ids: UnmaskingRequest(SESSION, (9,), ids), decode_server_message, "dropped clients"),
    "confirmations": Listing(
        lambda ids: UnmaskingRequest(SESSION, (9,), (), tuple((client, bytes(64)) for client in ids)),
        decode_server_message,
        "confirmations",
    ),
    "seed shares": Listing(
        lambda ids: UnmaskingResponse(SESSION, revealed(ids), RevealedShares.of(())),
        decode_client_message,
        "seed shares",
    ),
    "mask-key shares": Listing(
        lambda ids: UnmaskingResponse(SESSION, RevealedShares.of(()), revealed(ids)),
        decode_client_message,
        "mask-key shares",
    ),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("ids", [(2, 1), (1, 1), (0, 0), (1, 2, 2), (3, 1, 2), (1, 3, 2), (BIG, 0)])
def test_a_list_that_is_not_strictly_ascending_is_refused(name: str, ids: tuple[int, ...]) -> None:
    make, decode, called = LISTS[name]
    with pytest.raises(DecodeError, match=f"the {called} are not in strictly ascending order of client id"):
        decode(encode(make(ids)))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("ids", [(0,), (1, 2), (0, 1, BIG)])
def test_an_ascending_list_is_accepted(name: str, ids: tuple[int, ...]) -> None:
    make, decode, _ = LISTS[name]
    assert decode(encode(make(ids))) == make(ids)
