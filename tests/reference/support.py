"""Sessions in which the library and the reference implementation of `protocol_specs/reference` speak to each other.

Both are wrapped into one small interface of bytes; what they say of a session is compared as plain Python values.
NO SECURITY: all keys follow from the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from protocol_specs.reference import parameters as reference_parameters
from protocol_specs.reference.client import Client
from protocol_specs.reference.policy import Policy
from protocol_specs.reference.server import Server
from protocol_specs.reference.server_state import Phase
from protocol_specs.reference.signatures import verification_key
from secagg import (
    ClientPolicy,
    ClientSession,
    FixedPoint,
    IdentityKey,
    Integers,
    SecretBytes,
    ServerSession,
    SessionAbortedError,
    SessionParameters,
    SuiteId,
    ThreatModel,
    Topology,
    TopologyKind,
)
from secagg.parameters.vectors import VectorSpec
from secagg.protocol.events import ClientDropped
from secagg.testing.randomness import DeterministicRandomSource

Values = Mapping[str, list[Any]]

VECTORS: Final[dict[str, VectorSpec]] = {
    "mean": FixedPoint(shape=(2, 3), clip=0.7, bits=8, rounding="nearest", aggregate="mean"),
    "counts": Integers(-5, 2**40, length=7),
    "sum": FixedPoint(length=5, clip=2.0, bits=2, rounding="nearest", aggregate="sum"),
    "noisy": FixedPoint(length=4, clip=1.5, bits=16, rounding="stochastic", aggregate="sum"),
}


def random_bytes(seed: str) -> Callable[[int], bytes]:
    """A replayable source for the reference implementation."""
    draws = iter(range(2**32))
    return lambda length: hashlib.shake_128(f"{seed}/{next(draws)}".encode()).digest(length)


def identity_keys(cohort: Collection[int]) -> dict[int, bytes]:
    return {client: hashlib.sha256(f"identity {client}".encode()).digest() for client in cohort}


def roster_of(cohort: Collection[int]) -> dict[int, bytes]:
    return {client: verification_key(key) for client, key in identity_keys(cohort).items()}


def cohort_of(size: int) -> tuple[int, ...]:
    """Ids of every size, 0 and the largest among them."""
    return (
        0,
        *sorted(int.from_bytes(hashlib.sha256(bytes([i])).digest()[:8], "big") for i in range(size - 2)),
        2**64 - 1,
    )


def session_parameters(
    clients: int,
    *,
    threshold: int,
    active: bool = False,
    degree: int | None = None,
    max_weight: int = 1,
    suite: SuiteId = SuiteId.X25519_AES128CTR,
    vectors: Mapping[str, VectorSpec] = VECTORS,
    minimum_contributors: int = 2,
) -> SessionParameters:
    """Parameters with a fixed nonce; `degree` makes the graph sparse."""
    topology = Topology(TopologyKind.COMPLETE, clients - 1)
    if degree is not None:
        topology = Topology(TopologyKind.SPARSE, degree, hashlib.sha256(b"ring").digest())
    return SessionParameters(
        cohort=cohort_of(clients),
        vectors=tuple(vectors.items()),
        threat_model=ThreatModel.ACTIVE if active else ThreatModel.SEMI_HONEST,
        topology=topology,
        threshold=threshold,
        minimum_contributors=minimum_contributors,
        nonce=hashlib.sha256(b"nonce").digest(),
        context=b"round 3",
        max_weight=max_weight,
        suite=suite,
    )


class AnyClient(Protocol):
    """What a session needs of a client."""

    def receive(self, message: bytes) -> bytes | None: ...


def reference_client(
    parameters: SessionParameters, offer: bytes, client: int, values: Values | None = None, weight: int = 1
) -> Client:
    """A reference client that has accepted the offer and has its input."""
    active = parameters.threat_model is ThreatModel.ACTIVE
    made = Client(
        client,
        Policy(threat_model=parameters.threat_model.value, corrupt_fraction=0, smallest_cohort=2, smallest_threshold=1),
        identity_key=identity_keys([client])[client] if active else None,
        roster=roster_of(parameters.cohort) if active else None,
        random=random_bytes(f"client {client}"),
    )
    assert made.receive(offer) is None
    if values is not None:
        made.set_input(values, weight)
    return made


def library_client(
    parameters: SessionParameters, offer: bytes, client: int, values: Values, weight: int = 1
) -> ClientSession:
    """A client of the library that has accepted the offer and has its input."""
    active = parameters.threat_model is ThreatModel.ACTIVE
    session = ClientSession(
        offer,
        client,
        identity=IdentityKey.from_seed(SecretBytes(identity_keys([client])[client])) if active else None,
        roster=roster_of(parameters.cohort) if active else None,
        policy=ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0),
        randomness=DeterministicRandomSource(client),
    )
    arrays = {name: np.array(values[name]).reshape(spec.shape) for name, spec in parameters.vectors}
    session.set_input(arrays, weight if parameters.max_weight > 1 else None)
    return session


@dataclass(frozen=True)
class Outcome:
    """How a session ended, in terms of both implementations."""

    contributors: tuple[int, ...]
    vectors: dict[str, list[Any]]
    total_weight: int | None
    abort_reason: str | None


class AnyServer(Protocol):
    """What a session needs of a server."""

    @property
    def offer(self) -> bytes: ...
    @property
    def requests(self) -> Mapping[int, bytes]: ...
    @property
    def running(self) -> bool: ...
    @property
    def dropped(self) -> dict[int, str]: ...
    @property
    def outcome(self) -> Outcome: ...
    def receive(self, client: int, message: bytes) -> object: ...
    def close_round(self) -> object: ...


class LibraryServer:
    """The library's server."""

    def __init__(self, parameters: SessionParameters) -> None:
        active = parameters.threat_model is ThreatModel.ACTIVE
        self.session = ServerSession(parameters, roster=roster_of(parameters.cohort) if active else None)
        self.dropped: dict[int, str] = {}

    @property
    def offer(self) -> bytes:
        return self.session.offer

    @property
    def requests(self) -> Mapping[int, bytes]:
        return self.session.requests

    @property
    def running(self) -> bool:
        return self.session.round is not None

    def receive(self, client: int, message: bytes) -> str | None:
        """Like the reference: "late", "repeated", an id, or None."""
        events = self.session.receive(client, message)
        assert len(events) <= 1
        for event in events:
            if isinstance(event, ClientDropped):
                self.dropped[event.client] = event.reason.value
                return event.reason.value
            return {"LateMessageRefused": "late", "AnswerRepeated": "repeated"}[type(event).__name__]
        return None

    def close_round(self) -> None:
        self.session.close_round()
        for event in self.session.take_events():
            if isinstance(event, ClientDropped):
                self.dropped[event.client] = event.reason.value

    @property
    def outcome(self) -> Outcome:
        try:
            result = self.session.result
        except SessionAbortedError as error:
            return Outcome((), {}, None, error.reason and error.reason.value)
        vectors = {name: array.ravel().tolist() for name, array in result.vectors.items()}
        return Outcome(result.contributors, vectors, result.total_weight, None)


class ReferenceServer(Server):
    """The reference server, from the library's parameters."""

    def __init__(self, parameters: SessionParameters) -> None:
        active = parameters.threat_model is ThreatModel.ACTIVE
        roster = roster_of(parameters.cohort) if active else None
        super().__init__(reference_parameters.decode(parameters.encode()), roster)

    @property
    def running(self) -> bool:
        return self.phase not in (Phase.COMPLETED, Phase.ABORTED)

    @property
    def outcome(self) -> Outcome:
        if self.result is None:
            return Outcome((), {}, None, self.abort_reason)
        return Outcome(self.result.contributors, self.result.vectors, self.result.total_weight, None)


def play(
    server: AnyServer,
    clients: Mapping[int, AnyClient],
    silent: Mapping[int, Collection[int]],
    rounds: int | None = None,
) -> None:
    """Play a session, or its first rounds. `silent` has by round (from 0) the clients that leave in it."""
    number = 0
    while server.running and number != rounds:
        for client, request in dict(server.requests).items():
            if client not in silent.get(number, ()):
                answer = clients[client].receive(request)
                assert answer is not None
                assert server.receive(client, answer) is None
        server.close_round()
        number += 1
