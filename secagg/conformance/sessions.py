"""Whole honest sessions in mixed company: who plays which role must not show in a single byte (conformance.md).

Every session vector is played four times: the testee is all clients, the server, every other client, and every other
client together with the server; the library is the rest. Must not know how a testee is reached.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from secagg.canonical import encode_fields
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case, Desk, Deviation, Table
from secagg.conformance.outcomes import by_client, messages_difference, told
from secagg.conformance.results import Requirement
from secagg.conformance.spans import first_difference
from secagg.conformance.sums import result_difference
from secagg.conformance.vectors import RoundVector, SessionVector
from secagg.parameters import SessionParameters
from secagg.wire.messages_pb2 import Envelope

TRANSCRIPT_LABEL: Final = b"secagg/v1 conformance transcript"
_FROM_SERVER: Final = b"\x00"
_TO_SERVER: Final = b"\x01"

# Suffix of a case's id: which clients the testee plays (every client, none, every other one), and whether the server.
_CASTS: Final[Mapping[str, tuple[int, bool]]] = {
    "clients": (1, False),
    "server": (0, True),
    "half-the-clients": (2, False),
    "half-the-clients-and-server": (2, True),
}


def session_cases(session: SessionVector, requirements: Mapping[str, Requirement]) -> Iterator[Case]:
    """Return the cases of one session vector; each checks what concerns the roles that the testee plays in it."""
    for suffix, (every, serves) in _CASTS.items():
        roles = (("client",) if every else ()) + (("server",) if serves else ())
        checked = tuple(
            id_ for id_ in session.requirements if id_ not in requirements or requirements[id_].concerns(roles)
        )
        yield Case(f"{session.id}-{suffix}", checked, roles, _Play(session, every, serves).play, session.needs)


def transcript_digest(rounds: list[RoundVector]) -> bytes:
    """Return the transcript digest of what was delivered (conformance.md, "Agreement")."""
    session = next((_session_of(message) for each in rounds for message in each.requests.values()), b"")
    delivered = [
        direction + struct.pack(">Q", client) + message
        for each in rounds
        for direction, messages in ((_FROM_SERVER, each.requests), (_TO_SERVER, each.answers))
        for client, message in sorted(messages.items())
    ]
    return hashlib.sha256(encode_fields(TRANSCRIPT_LABEL, session, *delivered)).digest()


class _Play:
    """One session with one cast."""

    def __init__(self, session: SessionVector, every: int, serves: bool) -> None:
        self._session = session
        self._serves = serves
        self._theirs = frozenset(list(session.clients)[::every]) if every else frozenset[int]()

    def play(self, table: Table) -> None:
        """Play it; raises Deviation at the first difference from the vector."""
        session = self._session
        desks = {client: table.testee if client in self._theirs else table.ours for client in session.clients}
        handles = {client: self._create_client(desks[client], client) for client in session.clients}
        server = table.testee if self._serves else table.ours
        outcome = server.create(session.server)
        self._check(f"{self._server} is made", outcome, "COLLECTING_KEYS")
        handle, offer = outcome.handle, session.clients[next(iter(session.clients))].offer
        if outcome.offer != offer:
            raise Deviation(f"{self._server} made an offer that differs at {first_difference(offer, outcome.offer)}")
        dropped = list[tuple[int, str]]()
        played = list[RoundVector]()
        for number, wanted in enumerate(session.rounds, 1):
            where = f"round {number}"
            self._requests(where, wanted, outcome)
            answers = dict[int, bytes]()
            for client in wanted.answers:
                answers[client] = self._answer(where, desks[client], handles[client], client, wanted)
            for client, answer in answers.items():
                message = pb.ClientMessage(client=client, message=answer)
                received = server.step(handle, client_message=message)
                if received.status != pb.ACCEPTED:
                    raise Deviation(f"{where}: {self._server} took client {client}'s answer with {told(received)}")
            played.append(RoundVector(wanted.requests, answers))
            outcome = server.step(handle, close_round=pb.CloseRound())
            dropped += [(drop.client, drop.rule) for drop in outcome.dropped]
            if outcome.status != pb.ACCEPTED:
                raise Deviation(f"{where}: closing it gave {told(outcome)}")
        self._end(outcome, dropped)
        if transcript_digest(played) != session.transcript_digest:
            raise Deviation("every message is that of the vector, but the transcript digest is not")

    @property
    def _server(self) -> str:
        return "the testee as server" if self._serves else "the library as server"

    def _name(self, client: int) -> str:
        return f"client {client}" + (" (the testee)" if client in self._theirs else " (the library)")

    def _check(self, what: str, outcome: pb.Outcome, phase: str) -> None:
        if outcome.status != pb.ACCEPTED or outcome.phase != phase:
            raise Deviation(
                f"{what}: expected ACCEPTED and phase {phase}, got {told(outcome)}, {outcome.phase or 'none'}"
            )

    def _create_client(self, desk: Desk, client: int) -> int:
        outcome = desk.create(self._session.clients[client])
        self._check(f"{self._name(client)} is offered the session", outcome, "ADVERTISE_KEYS")
        given = desk.step(outcome.handle, set_input=self._session.inputs[client])
        self._check(f"{self._name(client)} is given its input", given, "ADVERTISE_KEYS")
        return outcome.handle

    def _requests(self, where: str, wanted: RoundVector, outcome: pb.Outcome) -> None:
        difference = messages_difference("request", wanted.requests, by_client(outcome.requests))
        if difference:
            raise Deviation(f"{where}, {self._server}: {difference}")

    def _answer(self, where: str, desk: Desk, handle: int, client: int, wanted: RoundVector) -> bytes:
        outcome = desk.step(handle, message=wanted.requests[client])
        if outcome.status != pb.ACCEPTED or not outcome.HasField("answer"):
            raise Deviation(f"{where}: {self._name(client)} did not answer; it gave {told(outcome)}")
        if outcome.answer != wanted.answers[client]:
            difference = first_difference(wanted.answers[client], outcome.answer)
            raise Deviation(f"{where}: the answer of {self._name(client)} differs at {difference}")
        return outcome.answer

    def _end(self, outcome: pb.Outcome, dropped: list[tuple[int, str]]) -> None:
        expect = self._session.expect
        phase = "COMPLETED" if expect.HasField("result") else "ABORTED"
        if outcome.phase != phase or outcome.abort_reason != expect.abort_reason:
            came = f"{outcome.phase} {outcome.abort_reason}".strip()
            raise Deviation(f"{self._server} ended {came} instead of {phase} {expect.abort_reason}".strip())
        if sorted(dropped) != sorted((drop.client, drop.rule) for drop in expect.dropped):
            raise Deviation(f"{self._server} dropped {dropped}, which is not what the vector has")
        if [(each.holder, each.owner, each.rule) for each in outcome.inconsistent] != [
            (each.holder, each.owner, each.rule) for each in expect.inconsistent
        ]:
            raise Deviation(f"{self._server} reported other inconsistent shares than the vector has")
        if expect.HasField("result"):
            parameters = SessionParameters.decode(self._session.server.parameters)
            difference = result_difference(parameters, expect.result, outcome.result)
            if difference:
                raise Deviation(f"the result of {self._server} has {difference}")


def _session_of(message: bytes) -> bytes:
    return Envelope.FromString(message).session
