"""Clients of library, reference and JavaScript under each server; one deals garbage, one complains falsely.

JavaScript takes part where `node` is, and the packages of `clients/js`. NO SECURITY: keys follow from labels.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from protocol_specs.generate_vectors.client_play import spoilt
from protocol_specs.generate_vectors.world import Play, World
from protocol_specs.reference import evidence, wire
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance import driving
from secagg.conformance.driving import InProcessTestee, ProcessTestee
from secagg.conformance.library_testee import LibraryTestee
from secagg.protocol.evidence import verify_evidence

ROOT: Final = Path(__file__).parents[2]
JAVASCRIPT: Final = ROOT / "protocol_specs/js/testee.js"
HAS_JAVASCRIPT: Final = shutil.which("node") is not None and (ROOT / "clients/js/node_modules").is_dir()
SECONDS: Final = 120.0
ACTIVE: Final = World("mixed complaints", clients=tuple(range(1, 10)), active=True, threshold=6)
SEMI_HONEST: Final = World("mixed hints", clients=tuple(range(1, 10)), threshold=4)
DEALER, COMPLAINER, VICTIMS = 4, 8, (1, 2, 3)


@pytest.fixture(scope="module")
def testees() -> Iterator[dict[str, driving.Testee]]:
    with contextlib.ExitStack() as stack:
        made: dict[str, driving.Testee] = {
            "library": InProcessTestee(LibraryTestee().handle),
            "reference": InProcessTestee(ReferenceTestee().handle),  # type: ignore[arg-type] # its stubs are the same
        }
        if HAS_JAVASCRIPT:
            command = ["node", str(JAVASCRIPT)]
            made["javascript"] = stack.enter_context(contextlib.closing(ProcessTestee(command, SECONDS)))
        yield made


def call(**fields: Any) -> pb.Call:
    made = pb.Call()
    for name, value in fields.items():
        getattr(made, name).ParseFromString(value.SerializeToString())
    return made


class Mixed:
    """One server, honest clients of all implementations in turn, and corrupt ones made of what insiders know."""

    def __init__(self, testees: dict[str, driving.Testee], server: str, world: World) -> None:
        self.world, self.play = world, Play(world)
        self.server = testees[server]
        created = self.server.call(call(create_server=world.create_server())).outcome
        self.handle, self.requests = created.handle, {each.client: each.message for each in created.requests}
        self.clients: dict[int, tuple[driving.Testee, int]] = {}
        for client, testee in zip(world.clients, itertools.cycle(testees.values()), strict=False):
            handle = testee.call(call(create_client=world.create_client(client))).outcome.handle
            testee.call(pb.Call(step=step(handle, set_input=world.set_input(client))))
            self.clients[client] = testee, handle

    def round(self) -> pb.Outcome:
        """Everybody answers, the corrupt ones as they like; the play beside gives them what they know."""
        sent = dict(self.requests)
        for client, message in sent.items():
            testee, handle = self.clients[client]
            body = wire.decode_request(message).body
            if client == COMPLAINER and isinstance(body, wire.DisclosureRequest):
                answer = self.disclosed(body)
            else:
                answer = testee.call(pb.Call(step=step(handle, message=message))).outcome.answer
                answer = self.twisted(client, body, answer)
            told = step(self.handle, client_message=pb.ClientMessage(client=client, message=answer))
            assert self.server.call(pb.Call(step=told)).outcome.status == pb.ACCEPTED
            self.play.history.setdefault(type(body).__name__, ({}, {}))[0][client] = message
            self.play.history.setdefault("COLLECTING_KEYS", ({}, {}))[1].setdefault(client, answer)
        outcome = self.server.call(pb.Call(step=step(self.handle, close_round=pb.CloseRound()))).outcome
        self.requests = {each.client: each.message for each in outcome.requests}
        return outcome

    def twisted(self, client: int, body: wire.Request, answer: bytes) -> bytes:
        if client == DEALER and isinstance(body, wire.ShareKeysRequest):
            return spoilt(self.play.insider(DEALER), answer, VICTIMS) or b""
        if client == COMPLAINER and isinstance(body, wire.MaskedInputCollectionRequest):
            return self.play.envelope(wire.Complaint((5, 6)))
        return answer

    def disclosed(self, asked: wire.DisclosureRequest) -> bytes:
        its = self.play.insider(COMPLAINER)
        received = wire.decode_request(self.play.history["MaskedInputCollectionRequest"][0][COMPLAINER]).body
        assert isinstance(received, wire.MaskedInputCollectionRequest)
        pairs = {pair.client: pair.ciphertext for pair in received.ciphertexts}
        proofs = (its.disclose(its.pair_from(dealing.client, pairs[dealing.client])) for dealing in asked.dealings)
        return self.play.envelope(wire.DisclosureResponse(tuple(proofs)))


def step(handle: int, **event: Any) -> pb.Step:
    made = pb.Step(handle=handle)
    for name, value in event.items():
        if isinstance(value, bytes):
            setattr(made, name, value)
        else:
            getattr(made, name).ParseFromString(value.SerializeToString())
            getattr(made, name).SetInParent()
    return made


def test_every_server_blames_the_two_liars_with_the_same_evidence(testees: dict[str, driving.Testee]) -> None:
    blames = []
    for server in testees:
        mixed = Mixed(testees, server, ACTIVE)
        phases = [mixed.round().phase for _ in range(3)]
        assert phases[-1] == "COLLECTING_DISCLOSURES"
        assert set(mixed.requests) == {*VICTIMS, COMPLAINER}
        outcome = mixed.round()
        assert (outcome.phase, outcome.abort_reason) == ("ABORTED", "A15")
        assert set(mixed.requests) == set(ACTIVE.clients)
        blames.append([(blame.client, blame.rule, blame.evidence) for blame in outcome.blame])

    assert [(client, rule) for client, rule, _ in blames[0]] == [(DEALER, "S22"), (COMPLAINER, "S33")]
    assert all(blame == blames[0] for blame in blames)
    for client, rule, shown in blames[0]:
        assert evidence.judge(shown, ACTIVE.roster) == (client, rule)
        assert verify_evidence(shown, ACTIVE.roster).client == client


def test_every_server_has_the_same_hints(testees: dict[str, driving.Testee]) -> None:
    for server in testees:
        mixed = Mixed(testees, server, SEMI_HONEST)
        outcome = [mixed.round() for _ in range(3)][-1]
        assert (outcome.phase, outcome.abort_reason) == ("ABORTED", "A15")
        found = [(blame.client, blame.rule, blame.HasField("evidence")) for blame in outcome.blame]
        assert found == [(DEALER, "S22", False), (COMPLAINER, "S33", False)]
