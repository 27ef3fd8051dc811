"""Sessions played through the calls of conformance.proto, against whatever answers them. NO SECURITY: fixed keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import FixedPoint, Integers, SessionParameters, ThreatModel
from secagg.conformance import conformance_pb2 as pb
from secagg.parameters.vectors import VectorSpec
from tests.reference.support import identity_keys, roster_of, session_parameters

VECTORS: Final[dict[str, VectorSpec]] = {
    "mean": FixedPoint(shape=(2, 3), clip=1.0, bits=8, rounding="nearest", aggregate="mean"),
    "counts": Integers(-5, 2**40, shape=(3, 1)),
    "sum": FixedPoint(length=4, clip=2.0, bits=16, rounding="nearest", aggregate="sum"),
}
KINDS: Final[dict[str, SessionParameters]] = {
    "semi-honest": session_parameters(7, threshold=2, vectors=VECTORS),
    "active": session_parameters(9, threshold=5, active=True, max_weight=50, vectors=VECTORS),
    "sparse": session_parameters(11, threshold=2, degree=6, max_weight=50, vectors=VECTORS),
}


def rounds_of(parameters: SessionParameters) -> int:
    return 5 if parameters.threat_model is ThreatModel.ACTIVE else 4


def policy(parameters: SessionParameters, **changes: Any) -> pb.Policy:
    """A policy that takes everything of this threat model."""
    floor: dict[str, Any] = {
        "threat_model": parameters.threat_model.value,
        "corrupt_fraction": 0.0,
        "smallest_cohort": 2,
        "largest_cohort": 1000,
        "smallest_threshold": 1,
        "smallest_minimum_contributors": 2,
        "suites": [1, 2],
        "largest_vector": 2**20,
        "security_bits": 40,
        "topologies": ["complete", "sparse"],
    }
    return pb.Policy(**floor | changes)


def tape_of(parameters: SessionParameters, client: int, label: str = "tape") -> bytes:
    """As many bytes as an honest session draws, and not one more."""
    length = 3 * 32 + 32 + 24 * parameters.topology.degree
    return hashlib.shake_128(f"{label} of {client}".encode()).digest(length)


def weight_of(parameters: SessionParameters, client: int) -> int:
    return client % parameters.max_weight + 1


def values_of(client: int) -> dict[str, list[Any]]:
    """Values in the middle of a level, so that their sum is exact."""
    bits = hashlib.shake_128(f"values of {client}".encode()).digest(16)
    return {
        "mean": [(level % 255 - 127) / 127 for level in bits[:6]],
        "counts": [int(byte) - 5 for byte in bits[6:9]],
        "sum": [(257 * level % 65535 - 32767) / 32767 * 2.0 for level in bits[9:13]],
    }


def input_of(parameters: SessionParameters, client: int) -> pb.SetInput:
    values = values_of(client)
    return pb.SetInput(
        vectors=[
            pb.Values(name="sum", reals=values["sum"]),
            pb.Values(name="mean", reals=values["mean"]),
            pb.Values(name="counts", integers=values["counts"]),
        ],
        weight=weight_of(parameters, client),
    )


def client_call(parameters: SessionParameters, offer: bytes, client: int, /, **changes: Any) -> pb.CreateClient:
    given: dict[str, Any] = {
        "offer": offer,
        "client": client,
        "policy": policy(parameters),
        "tape": tape_of(parameters, client),
    }
    if parameters.threat_model is ThreatModel.ACTIVE:
        given |= {"identity_key": identity_keys([client])[client], "roster": roster_entries(parameters)}
    return pb.CreateClient(**given | changes)


def roster_entries(parameters: SessionParameters) -> list[pb.RosterEntry]:
    if parameters.threat_model is not ThreatModel.ACTIVE:
        return []
    return [pb.RosterEntry(client=client, verification_key=key) for client, key in roster_of(parameters.cohort).items()]


def assert_exact(parameters: SessionParameters, outcome: pb.Outcome, contributors: Collection[int]) -> None:
    """The result is the sum over these contributors."""
    assert tuple(outcome.result.contributors) == tuple(sorted(contributors))
    weights = {client: weight_of(parameters, client) for client in contributors}
    total = sum(weights.values())
    weighted = parameters.max_weight > 1
    assert outcome.result.HasField("total_weight") is weighted
    assert outcome.result.total_weight == (total if weighted else 0)
    assert [vector.name for vector in outcome.result.vectors] == list(VECTORS)
    mean, counts, added = outcome.result.vectors
    assert [len(mean.integers), len(counts.reals), len(added.integers)] == [0, 0, 0]
    assert list(counts.integers) == sum_of(contributors, "counts").tolist()
    np.testing.assert_allclose(added.reals, sum_of(contributors, "sum"), rtol=0, atol=1e-9)
    scaled = sum(weights[client] * np.array(values_of(client)["mean"]) for client in contributors) / total
    np.testing.assert_allclose(mean.reals, scaled, rtol=0, atol=1e-9)


def sum_of(contributors: Collection[int], name: str) -> NDArray[Any]:
    return np.asarray(np.sum([values_of(client)[name] for client in contributors], axis=0))


class Played:
    """One session: a server and all its clients, by their handles."""

    def __init__(
        self,
        handle: Callable[[pb.Call], pb.Reply],
        parameters: SessionParameters,
        *,
        inputs: bool = True,
        ledger: str = "",
    ) -> None:
        self.handle = handle
        self.parameters = parameters
        opened = self.outcome(
            create_server=pb.CreateServer(parameters=parameters.encode(), roster=roster_entries(parameters))
        )
        assert opened.status == pb.ACCEPTED
        self.server = opened.handle
        self.offer = opened.offer
        self.phase = opened.phase
        self.requests = self.taken(opened)
        self.answers: dict[int, bytes] = {}
        self.clients: dict[int, int] = {}
        for client in parameters.cohort:
            made = self.outcome(create_client=client_call(parameters, self.offer, client, ledger=ledger))
            assert (made.status, made.phase) == (pb.ACCEPTED, "ADVERTISE_KEYS")
            self.clients[client] = made.handle
            if inputs:
                given = self.step(made.handle, set_input=input_of(parameters, client))
                assert (given.status, given.phase) == (pb.ACCEPTED, "ADVERTISE_KEYS")

    def outcome(self, **call: Any) -> pb.Outcome:
        reply = self.handle(pb.Call(**call))
        assert reply.WhichOneof("reply") == "outcome", reply
        return reply.outcome

    def step(self, handle: int, **event: Any) -> pb.Outcome:
        return self.outcome(step=pb.Step(handle=handle, **event))

    def told(self, client: int, message: bytes) -> pb.Outcome:
        """A client gets a message of the server."""
        return self.step(self.clients[client], message=message)

    def sent(self, client: int, message: bytes) -> pb.Outcome:
        """The server gets a message of a client."""
        return self.step(self.server, client_message=pb.ClientMessage(client=client, message=message))

    def taken(self, outcome: pb.Outcome) -> dict[int, bytes]:
        order = [request.client for request in outcome.requests]
        assert order == sorted(set(order))
        return {request.client: request.message for request in outcome.requests}

    def answer_all(self, silent: Collection[int] = ()) -> None:
        """Everybody that is asked answers, but for the silent."""
        self.answers = {}
        for client, request in self.requests.items():
            if client not in silent:
                answered = self.told(client, request)
                assert (answered.status, answered.HasField("answer")) == (pb.ACCEPTED, True)
                self.answers[client] = answered.answer
                taken = self.sent(client, answered.answer)
                assert (taken.status, taken.rule, taken.phase) == (pb.ACCEPTED, "", self.phase)

    def close_round(self) -> pb.Outcome:
        closed = self.step(self.server, close_round=pb.CloseRound())
        assert closed.status == pb.ACCEPTED
        self.phase = closed.phase
        self.requests = self.taken(closed)
        return closed

    def play(self, rounds: int) -> pb.Outcome:
        """Play some rounds in which nobody leaves."""
        closed = pb.Outcome()
        for _ in range(rounds):
            self.answer_all()
            closed = self.close_round()
            assert not closed.dropped
        return closed
