"""Live cases of messages at the longest: offers that no file should hold (Specification §2.1, §6).

A receiver may bound a message by what the parameters allow, and not by a number of its own. Must not know how a testee
is reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Final

from secagg.canonical import encode_fields
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, Case, Desk, Deviation, Table
from secagg.conformance.outcomes import told
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import Integers
from secagg.wire.messages_pb2 import Envelope, SessionOffer

_VECTORS: Final = 12_000
_MOST_CLIENTS: Final = 65521
_DRAWN: Final = bytes(range(128))


def long_message_cases() -> Iterator[Case]:
    """Return every case of this kind."""
    yield Case("live-client-offer-above-1-mebibyte", ("R19", "R40"), CLIENT, _many_vectors, {})
    yield Case("live-client-offer-most-clients", ("C01", "R40"), CLIENT, _most_clients, {})
    yield Case("live-client-offer-too-many-clients", ("C01",), CLIENT, _too_many_clients, {})


def _many_vectors(table: Table) -> None:
    parameters = SessionParameters.choose(
        clients=(1, 2, 3),
        vectors={f"{number:064}": Integers(0, 1, length=1) for number in range(_VECTORS)},
        threshold=2,
        nonce=bytes(32),
    ).encode()
    if len(parameters) <= 2**20:
        raise ValueError("the offer is shorter than its name says")
    _hold_accepted(table.testee, parameters)


def _most_clients(table: Table) -> None:
    _hold_accepted(table.testee, _cohort_of(_MOST_CLIENTS))


def _too_many_clients(table: Table) -> None:
    outcome = table.testee.create(_create(_cohort_of(_MOST_CLIENTS + 1)))
    if outcome.status != pb.REFUSED or outcome.rule not in ("C01", "A08"):
        raise Deviation(
            f"a complete graph whose degree is above 65520: expected REFUSED by A08 or C01, and {told(outcome)} came"
        )


def _hold_accepted(desk: Desk, parameters: bytes) -> None:
    outcome = desk.create(_create(parameters))
    if outcome.status != pb.ACCEPTED:
        raise Deviation(f"an honest offer of {len(parameters)} bytes: expected ACCEPTED, and {told(outcome)} came")
    # The digest in the request that follows shows that the offer was read to its end.
    digest = hashlib.sha256(encode_fields(b"secagg/v1 session digest", parameters)).digest()
    request = Envelope(session=digest)
    request.advertise_keys_request.SetInParent()
    outcome = desk.step(outcome.handle, message=request.SerializeToString(deterministic=True))
    if outcome.status != pb.ACCEPTED or not outcome.HasField("answer"):
        raise Deviation(f"the request after an offer of {len(parameters)} bytes gave {told(outcome)}")


def _create(parameters: bytes) -> pb.CreateClient:
    policy = pb.Policy(
        threat_model="semi-honest",
        smallest_cohort=2,
        largest_cohort=2**32,
        smallest_threshold=1,
        smallest_minimum_contributors=2,
        suites=[1],
        largest_vector=2**27,
        security_bits=40,
        topologies=["complete"],
    )
    offer = SessionOffer(parameters=parameters).SerializeToString(deterministic=True)
    return pb.CreateClient(offer=offer, client=1, policy=policy, tape=_DRAWN)


@cache
def _cohort_of(clients: int) -> bytes:
    """Parameters of a complete graph of clients 1 to n; encoded here, since one of them is not allowed."""
    small = SessionParameters.choose(
        clients=(1, 2, 3), vectors={"v": Integers(0, 1, length=1)}, threshold=2, minimum_contributors=2, nonce=bytes(32)
    )
    values = _values(small.encode())
    values[4] = b"\x01" + (clients - 1).to_bytes(8, "big")
    ids = b"".join(client.to_bytes(8, "big") for client in range(1, clients + 1))
    values[11] = b"\x02" + len(ids).to_bytes(4, "big") + ids
    return b"".join(values)


def _values(encoding: bytes) -> list[bytes]:
    """The first twelve values of an encoding, and the rest (Specification §2.2)."""
    values, at = [], 0
    for _ in range(12):
        tag = encoding[at]
        length = 9 if tag == 1 else 5 + int.from_bytes(encoding[at + 1 : at + 5], "big")
        values.append(encoding[at : at + length])
        at += length
    return [*values, encoding[at:]]
