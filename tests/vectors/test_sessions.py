"""Every committed session, played by the library and by both implementations: the same bytes, digest and result.

The reference wrote them (see `test_regenerated`), so that it alone would only say it again.

The transcript digest is computed here once more, from the words of conformance.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from protocol_specs.reference import parameters
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json, to_json
from secagg.wire.messages_pb2 import SessionOffer
from tests.vectors.support import Json, Testee, cases_of, library, reference, same_result, scales_of

CASES = cases_of("sessions/*.json")
PLAYERS: Final[Mapping[str, tuple[Callable[[], Testee], ...]]] = {
    "library": (library, library),
    "library server, mixed clients": (library, reference, library),
    "reference server, mixed clients": (reference, library, reference),
}
"""Who plays the server, and who the clients, in turn."""


@pytest.mark.parametrize("players", PLAYERS)
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_session_is_what_its_vector_says(case: Json, players: str) -> None:
    server, *makes = (make() for make in PLAYERS[players])
    delivered, outcomes = play(
        case, server, {c["client"]: makes[at % len(makes)] for at, c in enumerate(case["clients"])}
    )
    expect = dict(case["expect"])
    assert digest_of(case, delivered) == expect["transcript_digest"]
    last = to_json(outcomes[-1])
    dropped = sorted((int(d.client), d.rule) for outcome in outcomes for d in outcome.dropped)
    assert dropped == [(int(d["client"]), d["rule"]) for d in expect["dropped"]]
    assert last.get("inconsistent", []) == expect["inconsistent"] == []
    assert last.get("abort_reason") == expect.get("abort_reason")
    assert same_result(expect.get("result"), last.get("result"), scales_of(case["parameters"]))


def play(
    case: Json, server: Testee, clients: Mapping[str, Testee]
) -> tuple[list[tuple[bytes, int, bytes]], list[pb.Outcome]]:
    """Play a session and compare every message with the case's. Returns messages and outcomes of closings."""
    roster = [from_json(pb.RosterEntry, entry) for entry in case["roster"]]
    made = pb.CreateServer(parameters=bytes.fromhex(case["parameters"]), roster=roster)
    created = server(pb.Call(create_server=made)).outcome
    assert created.offer == SessionOffer(parameters=made.parameters).SerializeToString()
    handles = {}
    chosen = parameters.decode(made.parameters).chosen
    for entry in case["clients"]:
        call = pb.CreateClient(offer=created.offer, client=int(entry["client"]), roster=roster)
        call.policy.CopyFrom(from_json(pb.Policy, case["policy"]))
        call.tape = bytes.fromhex(entry["tape"])
        if "identity_key" in entry:
            call.identity_key = bytes.fromhex(entry["identity_key"])
        if chosen:
            call.ledger = f"{case['id']}, client {entry['client']}"
        outcome = clients[entry["client"]](pb.Call(create_client=call)).outcome
        assert outcome.phase == "ADVERTISE_KEYS"
        handles[entry["client"]] = outcome.handle
        given = from_json(pb.SetInput, entry["set_input"])
        step = pb.Step(handle=outcome.handle, set_input=given)
        assert clients[entry["client"]](pb.Call(step=step)).outcome.status == pb.ACCEPTED
    delivered: list[tuple[bytes, int, bytes]] = []
    outcomes, requests = [], list(created.requests)
    for each in case["rounds"]:
        assert [{"client": str(r.client), "message": r.message.hex()} for r in requests] == each["requests"]
        delivered += [(b"\x00", r.client, r.message) for r in requests]
        asked = {str(r.client): r.message for r in requests}
        for expected in each["answers"]:
            client = expected["client"]
            step = pb.Step(handle=handles[client], message=asked[client])
            answer = clients[client](pb.Call(step=step)).outcome.answer
            assert answer.hex() == expected["message"]
            delivered.append((b"\x01", int(client), answer))
            told = pb.ClientMessage(client=int(client), message=answer)
            step = pb.Step(handle=created.handle, client_message=told)
            assert server(pb.Call(step=step)).outcome.status == pb.ACCEPTED
        closed = server(pb.Call(step=pb.Step(handle=created.handle, close_round=pb.CloseRound()))).outcome
        outcomes.append(closed)
        requests = list(closed.requests)
    assert outcomes[-1].phase in ("COMPLETED", "ABORTED")
    return delivered, outcomes


def digest_of(case: Json, delivered: list[tuple[bytes, int, bytes]]) -> str:
    def field(content: bytes) -> bytes:
        return b"\x02" + struct.pack(">I", len(content)) + content

    session = hashlib.sha256(field(b"secagg/v1 session digest") + field(bytes.fromhex(case["parameters"]))).digest()
    content = field(b"secagg/v1 conformance transcript") + field(session)
    for direction, client, message in delivered:
        content += field(direction + struct.pack(">Q", client) + message)
    return hashlib.sha256(content).hexdigest()


def test_silent_clients_are_those_that_do_not_answer() -> None:
    names = ("AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "ConsistencyCheck", "Unmasking")
    for case in CASES:
        order = [name for name in names if case["roster"] or name != "ConsistencyCheck"]
        assert set(case["silent"]) <= set(order)
        for name, each in zip(order, case["rounds"], strict=False):
            asked = [request["client"] for request in each["requests"]]
            silent = case["silent"].get(name, ())
            assert [a["client"] for a in each["answers"]] == [client for client in asked if client not in silent]


def test_there_are_sessions_of_every_kind() -> None:
    sizes = [len(case["clients"]) for case in CASES]
    rules: set[Any] = {case["expect"].get("abort_reason") for case in CASES}
    assert len(CASES) > 40
    assert max(sizes) >= 12
    assert {"A01", "A02", "A03", "A04", "A05"} <= rules
