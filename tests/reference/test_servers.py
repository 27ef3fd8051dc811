"""Both servers say the same of the same messages (Specification §6, §7.2), and both correct wrong shares (§5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol_specs.reference import wire
from secagg import Integers
from tests.reference.support import (
    AnyServer,
    LibraryServer,
    ReferenceServer,
    play,
    reference_client,
    session_parameters,
)

VECTORS = {"v": Integers(0, 9, length=3)}
ACTIVE = session_parameters(7, threshold=4, active=True, vectors=VECTORS)
SEMI_HONEST = session_parameters(7, threshold=2, vectors=VECTORS)
COHORT = ACTIVE.cohort
LIAR = COHORT[1]
BOTH: list[Callable[..., AnyServer]] = [LibraryServer, ReferenceServer]
Answer = dict[int, wire.Envelope[wire.Response]]
LOW_ORDER = bytes([1]) + bytes(31)


def answers_of(server: AnyServer, clients: dict[int, Any]) -> dict[int, bytes]:
    answers = {client: clients[client].receive(request) for client, request in server.requests.items()}
    assert all(isinstance(answer, bytes) for answer in answers.values())
    return answers


def change_ad(**fields: Any) -> Callable[[Any, Any], Any]:
    return lambda body, others: replace(body, advertisement=replace(body.advertisement, **fields))


def with_the_key_of_another(body: Any, others: Any) -> Any:
    key = others[COHORT[0]].advertisement.channel_public
    return replace(body, advertisement=replace(body.advertisement, mask_public=key))


def share(content: bytes) -> Callable[[Any, Any], Any]:
    def changed(body: Any, others: Any) -> Any:
        first, *rest = body.seed_shares
        return replace(body, seed_shares=(replace(first, share=content), *rest))

    return changed


LIES: list[tuple[str, Any, int, Callable[[Any, Any], Any]]] = [
    ("S10", SEMI_HONEST, 0, change_ad(client=COHORT[2])),
    ("S11", ACTIVE, 0, change_ad(commitment=bytes(32))),
    ("S11", ACTIVE, 0, change_ad(signature=b"")),
    ("S12", SEMI_HONEST, 0, with_the_key_of_another),
    ("S13", SEMI_HONEST, 0, change_ad(channel_public=LOW_ORDER)),
    ("S15", SEMI_HONEST, 0, change_ad(mask_public=b"\xff" * 32)),
    ("S20", SEMI_HONEST, 1, lambda body, others: replace(body, ciphertexts=body.ciphertexts[1:])),
    ("S02", SEMI_HONEST, 2, lambda body, others: replace(body, payload=body.payload + b"\x00")),
    ("S02", SEMI_HONEST, 2, lambda body, others: replace(body, payload=body.payload[:-1] + b"\xff")),
    ("S40", ACTIVE, 3, lambda body, others: others[COHORT[0]]),
    ("S50", SEMI_HONEST, 3, lambda body, others: replace(body, seed_shares=body.seed_shares[1:])),
    ("S50", SEMI_HONEST, 3, lambda body, others: wire.UnmaskingResponse((), body.seed_shares)),
    ("S51", SEMI_HONEST, 3, share(b"\xff\xf1" + bytes(34))),
    ("S03", SEMI_HONEST, 1, lambda body, others: wire.UnmaskingResponse((), ())),
    ("S03", SEMI_HONEST, 3, lambda body, others: wire.ConsistencyCheckResponse(bytes(64))),
    ("S06", ACTIVE, 2, lambda body, others: wire.Abort("A07")),
    ("late", SEMI_HONEST, 2, lambda body, others: wire.ShareKeysResponse(())),
]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("lie", LIES, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(LIES)])
def test_a_lie_costs_the_liar_its_place(
    lie: tuple[str, Any, int, Callable[[Any, Any], Any]], make: Callable[..., AnyServer]
) -> None:
    rule, parameters, rounds, change = lie
    server = make(parameters)
    clients = {c: reference_client(parameters, server.offer, c, {"v": [1, 2, 3]}) for c in COHORT}
    play(server, clients, {}, rounds)
    answers = answers_of(server, clients)
    bodies = {c: wire.decode_for_server(answer).body for c, answer in answers.items()}
    session = wire.decode_for_server(answers[LIAR]).session
    lied = wire.encode_envelope(session, change(bodies[LIAR], bodies))

    assert server.receive(COHORT[0], answers[COHORT[0]]) is None
    assert server.receive(LIAR, lied) == rule
    if rule != "late":
        assert server.dropped == {LIAR: rule}
        for message in (answers[LIAR], b"", wire.encode_envelope(bytes(32), wire.Abort("A07"))):
            assert server.receive(LIAR, message) == "late"
    else:
        assert server.receive(LIAR, answers[LIAR]) is None
    for client in COHORT[2:]:
        assert server.receive(client, answers[client]) is None
    server.close_round()
    play(server, clients, {})

    contributors = COHORT if rule == "late" or rounds == 3 else tuple(c for c in COHORT if c != LIAR)
    assert server.outcome.contributors == contributors
    assert server.outcome.vectors == {"v": [x * len(contributors) for x in (1, 2, 3)]}


@pytest.mark.parametrize("make", BOTH)
def test_repeats_and_second_answers(make: Callable[..., AnyServer]) -> None:
    server = make(SEMI_HONEST)
    clients = {c: reference_client(SEMI_HONEST, server.offer, c, {"v": [1, 2, 3]}) for c in COHORT}
    play(server, clients, {}, 2)
    answers = answers_of(server, clients)
    session = wire.decode_for_server(answers[LIAR]).session
    assert server.receive(LIAR, answers[LIAR]) is None
    assert server.receive(LIAR, answers[LIAR]) == "repeated"
    second = wire.encode_envelope(session, wire.decode_for_server(answers[COHORT[0]]).body)
    assert server.receive(LIAR, second) == "S05"
    other = COHORT[2]
    assert server.receive(other, wire.encode_envelope(bytes(32), wire.Abort("A07"))) == "S04"
    assert server.receive(COHORT[3], b"\x00") == "S02"
    for client in COHORT:
        if client not in (LIAR, other, COHORT[3]):
            assert server.receive(client, answers[client]) is None
    server.close_round()
    assert LIAR not in server.requests
    play(server, clients, {})

    # What was added stays in the sum, although its sender was dropped afterwards.
    assert server.outcome.contributors == tuple(c for c in COHORT if c not in (other, COHORT[3]))
    assert server.outcome.vectors == {"v": [5, 10, 15]}


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("liars", [1, 2, 3])
def test_wrong_shares(make: Callable[..., AnyServer], liars: int) -> None:
    """Six holders, threshold 2: two liars are corrected, three end the session."""
    server = make(SEMI_HONEST)
    clients = {c: reference_client(SEMI_HONEST, server.offer, c, {"v": [1, 2, 3]}) for c in COHORT}
    play(server, clients, {}, 3)
    for place, (client, answer) in enumerate(answers_of(server, clients).items()):
        envelope = wire.decode_for_server(answer)
        assert isinstance(envelope.body, wire.UnmaskingResponse)
        shares = envelope.body.seed_shares
        if place < liars:
            shares = tuple(replace(s, share=bytes([place]) * 36) if s.owner == COHORT[-1] else s for s in shares)
        assert (
            server.receive(client, wire.encode_envelope(envelope.session, replace(envelope.body, seed_shares=shares)))
            is None
        )
    server.close_round()

    if liars > 2:
        assert server.outcome.abort_reason == "A06"
        return
    assert server.outcome.vectors == {"v": [7, 14, 21]}
    if isinstance(server, ReferenceServer):
        assert server.inconsistent == [(COHORT[place], COHORT[-1]) for place in range(liars)]
