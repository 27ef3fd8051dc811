"""Offers that were changed on their way (Specification §6.1, §2.2, §2.3).

A changed offer is refused, or it is another session: then the client must not answer a request of the original one.
Must not know how a testee is reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, Case, Deviation, Table
from secagg.conformance.live import ADVERTISE_KEYS
from secagg.conformance.outcomes import told
from secagg.conformance.tampering import UNKNOWN_FIELD, seeded
from secagg.conformance.to_clients import Part

_FLIPS: Final = 8
_REFUSING: Final = frozenset({"A08", *(f"C{number:02}" for number in (*range(1, 11), 13))})


def offer_cases(part: Part) -> Iterator[Case]:
    """Every case of one session."""
    honest = part.session.clients[part.client].offer
    for number in range(1, _FLIPS + 1):
        bit = seeded(f"{part.kind} offer {number}", 8 * len(honest))
        changed = bytearray(honest)
        changed[bit // 8] ^= 1 << bit % 8
        yield _case(part, f"bit-flip-{number}", bytes(changed), ("R07", "R40"))
    yield _case(part, "truncated", honest[:-1], ("A08", "R05"), must_refuse=True)
    yield _case(part, "emptied", b"", ("A08", "R05"), must_refuse=True)
    yield _case(part, "extended", honest + b"\x00", ("A08", "R19"), must_refuse=True)
    yield _case(part, "unknown-field", honest + UNKNOWN_FIELD, ("A08", "R19"), must_refuse=True)
    request = part.request(ADVERTISE_KEYS)
    # It may also be taken for what it is: a request that the state does not permit (§7.1).
    yield _case(part, "a-request", request, ("A08", "R19"), must_refuse=True, rules=_REFUSING | {"C11"})


def _case(
    part: Part,
    name: str,
    offer: bytes,
    requirements: tuple[str, ...],
    must_refuse: bool = False,
    rules: frozenset[str] = _REFUSING,
) -> Case:
    def play(table: Table) -> None:
        create = pb.CreateClient()
        create.CopyFrom(part.session.clients[part.client])
        create.offer = offer
        outcome = table.testee.create(create)
        if outcome.status == pb.REFUSED:
            if outcome.handle or outcome.rule not in rules:
                raise Deviation(f"a changed offer gave {told(outcome)} and the handle {outcome.handle}")
            return
        if outcome.status != pb.ACCEPTED or must_refuse:
            raise Deviation(f"a changed offer must be refused, and gave {told(outcome)}")
        asked = table.testee.step(outcome.handle, message=part.request(ADVERTISE_KEYS))
        if asked.status != pb.REFUSED or asked.rule != "C12" or asked.HasField("answer"):
            raise Deviation(
                "the client accepted a changed offer, was asked for its keys in the original session, and instead of "
                f"REFUSED by C12 {told(asked)} came"
            )

    return Case(f"live-{part.kind}-client-offer-{name}", requirements, CLIENT, play, part.session.needs)
