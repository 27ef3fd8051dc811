"""Length limits: no honest message is refused, and none much longer than an honest one is parsed."""

from __future__ import annotations

from typing import Any

import pytest

from secagg.crypto.kem import SHARED_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.crypto.suites import get_suite
from secagg.encoding.layout import Layout
from secagg.errors import AbortReason, DecodeError
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.vectors import FixedPoint
from secagg.protocol.messages import (
    COMMITTED_BYTES,
    LONGEST_PARCEL_BYTES,
    SEALED_BYTES,
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    Dealing,
    DisclosureRequest,
    DisclosureResponse,
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
from secagg.wire.codec import encode, encode_offer
from secagg.wire.limits import check_length, client_message_limit, offer_limit, server_message_limit

SESSION = bytes(32)
LARGE_ID = 2**63  # no id is zero, and an id of zero would take no bytes on the wire


def parameters(clients: int, **changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {
        "clients": range(LARGE_ID, LARGE_ID + clients),
        "vectors": {"w": FixedPoint(1, clip=1.0, bits=2)},
    }
    return SessionParameters.choose(**(arguments | changes))


COHORTS = {
    "two clients": parameters(2),
    "two clients, hybrid": parameters(2, suite=0x0101),
    "active and hybrid": parameters(20, threat_model="active", suite=0x0101),
    "sparse and hybrid": parameters(40, topology="sparse", degree=8, threshold=5, suite=0x0102),
    "three active clients": parameters(3, threat_model="active", max_dropout=0.0),
    "sparse of degree 2": parameters(9, topology="sparse", degree=2, threshold=2, max_corrupt=0.0, max_dropout=0.0),
    "sparse of degree 8": parameters(40, topology="sparse", degree=8, threshold=5),
    "complete": parameters(100, topology="complete"),
    "active": parameters(100, threat_model="active"),
    "chosen": parameters(300, threat_model="active", topology="chosen"),
    "chosen and wide": parameters(
        300, threat_model="active", topology="chosen", vectors={"w": FixedPoint(100_000, clip=1.0, bits=16)}
    ),
    "wide": parameters(4, vectors={"w": FixedPoint(100_000, clip=1.0, bits=16)}),
    "active and wide": parameters(4, threat_model="active", vectors={"w": FixedPoint(1 << 18, clip=1.0, bits=32)}),
}


def packed_bytes(session: SessionParameters) -> int:
    return Layout.build(session.vectors, session.clients, session.max_weight).packed_bytes


def advertisement(session: SessionParameters, client: int) -> Advertisement:
    signature = bytes(64) if session.threat_model is ThreatModel.ACTIVE else b""
    public = bytes(get_suite(session.suite).public_bytes)
    return Advertisement(client, public, public, bytes(32), signature)


def parcel(session: SessionParameters, *, wrapped: bool) -> bytes:
    """The longest one, from a client with a lower id than its receiver's."""
    if not get_suite(session.suite).hybrid:
        return bytes(COMMITTED_BYTES if deals_signed(session) else SEALED_BYTES)
    return bytes(LONGEST_PARCEL_BYTES if wrapped else LONGEST_PARCEL_BYTES - SHARED_BYTES)


def longest_of_a_chosen_client(session: SessionParameters) -> list[ClientMessage]:
    """Up to 3k clients have drawn one that are no holders of it, and its k holders, too."""
    degree = session.topology.degree
    share = SecretBytes(bytes(36))
    owners = RevealedShares.of([(client, share) for client in ids(4 * degree)])
    nothing = RevealedShares.of(())
    return [
        AdvertiseKeysResponse(SESSION, advertisement(session, LARGE_ID), ids(degree)),
        ShareKeysResponse(SESSION, tuple((client, parcel(session, wrapped=True)) for client in ids(degree))),
        MaskedInputCollectionResponse(SESSION, bytes(packed_bytes(session)), bytes(64)),
        UnmaskingResponse(SESSION, owners, nothing),
        UnmaskingResponse(SESSION, nothing, owners),
    ]


def longest_of_the_server_of_a_chosen_graph(session: SessionParameters) -> list[ServerMessage]:
    degree, bits = session.topology.degree, bytes(-(-session.clients // 8))
    neighbours = ids(4 * degree)
    signatures = tuple((client, bytes(64)) for client in neighbours)
    return [
        ShareKeysRequest(SESSION, tuple(advertisement(session, client) for client in ids(4 * degree + 1))),
        MaskedInputCollectionRequest(
            SESSION, tuple((client, parcel(session, wrapped=False)) for client in neighbours), bits
        ),
        ConsistencyCheckRequest(SESSION, (), bits, signatures),
        UnmaskingRequest(SESSION, (), (), signatures[:degree]),
    ]


def deals_signed(session: SessionParameters) -> bool:
    hybrid = get_suite(session.suite).hybrid
    return session.threat_model is ThreatModel.ACTIVE and session.topology.kind is TopologyKind.COMPLETE and not hybrid


def ids(count: int) -> tuple[int, ...]:
    return tuple(range(LARGE_ID, LARGE_ID + count))


def longest_of_a_client(session: SessionParameters) -> list[ClientMessage]:
    if session.topology.kind is TopologyKind.CHOSEN:
        return longest_of_a_chosen_client(session)
    neighbours = session.cohort[: session.topology.degree]
    share = SecretBytes(bytes(68 if deals_signed(session) else 36))
    revealed = [(client, share) for client in neighbours]
    everything, nothing = RevealedShares.of(revealed), RevealedShares.of(())
    half = len(neighbours) // 2
    attestation = bytes(192) if deals_signed(session) else b""
    proofs = tuple((client, bytes(128)) for client in neighbours[:8])
    return [
        *([DisclosureResponse(SESSION, proofs)] if attestation else []),
        AdvertiseKeysResponse(SESSION, advertisement(session, session.cohort[0])),
        ShareKeysResponse(
            SESSION, tuple((client, parcel(session, wrapped=True)) for client in neighbours), attestation
        ),
        MaskedInputCollectionResponse(SESSION, bytes(packed_bytes(session))),
        ConsistencyCheckResponse(SESSION, bytes(64)),
        UnmaskingResponse(SESSION, everything, nothing),
        UnmaskingResponse(SESSION, nothing, everything),
        UnmaskingResponse(SESSION, RevealedShares.of(revealed[:half]), RevealedShares.of(revealed[half:])),
        Abort(SESSION, AbortReason.ABORTED_BY_CALLER),
    ]


def longest_of_the_server(session: SessionParameters) -> list[ServerMessage]:
    if session.topology.kind is TopologyKind.CHOSEN:
        return longest_of_the_server_of_a_chosen_graph(session)
    active = session.threat_model is ThreatModel.ACTIVE
    neighbours = session.cohort[: session.topology.degree]
    confirmations = tuple((client, bytes(64)) for client in session.cohort) if active else ()
    half = len(neighbours) // 2
    block, digests = bytes(184 * min(16, len(neighbours))), bytes(32 * -(-len(neighbours) // 16))
    dealings = tuple(Dealing(client, block, digests, bytes(192)) for client in neighbours[:8])
    return [
        *([DisclosureRequest(SESSION, dealings)] if deals_signed(session) else []),
        AdvertiseKeysRequest(SESSION),
        ShareKeysRequest(SESSION, tuple(advertisement(session, client) for client in (*neighbours, LARGE_ID + 10**6))),
        MaskedInputCollectionRequest(SESSION, tuple((client, parcel(session, wrapped=False)) for client in neighbours)),
        ConsistencyCheckRequest(SESSION, session.cohort if active else ()),
        UnmaskingRequest(SESSION, neighbours, (), confirmations),
        UnmaskingRequest(SESSION, neighbours[:half], neighbours[half:], confirmations),
        Abort(SESSION, AbortReason.TOO_FEW_ADVERTISED),
    ]


@pytest.mark.parametrize("name", COHORTS)
def test_every_honest_message_of_a_client_is_within_its_limit(name: str) -> None:
    session = COHORTS[name]
    longest = max(len(encode(message)) for message in longest_of_a_client(session))
    limit = client_message_limit(session, packed_bytes(session))
    assert longest <= limit < 1.2 * longest + 256


@pytest.mark.parametrize("name", COHORTS)
def test_every_honest_message_of_the_server_is_within_its_limit(name: str) -> None:
    session = COHORTS[name]
    longest = max(len(encode(message)) for message in longest_of_the_server(session))
    limit = server_message_limit(session)
    # A semi-honest session is allowed the room of signatures and confirmations that it does not have.
    assert longest <= limit < 2 * longest + 100 * session.clients + 256


@pytest.mark.parametrize("name", COHORTS)
def test_every_honest_offer_is_within_its_limit(name: str) -> None:
    session = COHORTS[name]
    assert len(encode_offer(SessionOffer(session))) <= offer_limit(session.clients)


def test_an_offer_with_the_longest_context_and_a_thousand_vectors_is_within_its_limit() -> None:
    vectors = {f"{number:0255}": FixedPoint(shape=(1,) * 32, clip=1.0, bits=2) for number in range(1000)}
    session = parameters(50, context=bytes(1 << 16), vectors=vectors)
    assert len(encode_offer(SessionOffer(session))) <= offer_limit(50)


def test_the_limit_of_an_offer_follows_the_cohort_that_a_client_accepts() -> None:
    assert offer_limit(1000) - offer_limit(0) == 8000
    assert offer_limit(1 << 17) < 1 << 26


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda size: memoryview(bytes(size))])
def test_a_message_at_the_limit_passes_and_one_byte_more_does_not(kind: Any) -> None:
    check_length(kind(100), 100)
    with pytest.raises(DecodeError, match="a message of 101 bytes, where this session's have at most 100"):
        check_length(kind(101), 100)
