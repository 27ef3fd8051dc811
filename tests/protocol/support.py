"""What the tests of the state machines share: three kinds of session, forks of a session in play, exact sums.

A fork lets many endings share one beginning: the sessions of `tests.harness.Harness` are copied in mid-play. Client
states are frozen, so a shallow copy is a copy; the server goes through its snapshot.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import ClientSession, FixedPoint, Integers, Round, ServerPhase, ServerSession
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input, reduce_to_ring
from secagg.protocol.transitions import rounds
from secagg.testing.randomness import DeterministicRandomSource
from secagg.vectors import VectorSpec
from tests.harness import Harness

MIXED_VECTORS: Final[Mapping[str, VectorSpec]] = {
    "real": FixedPoint(9, clip=2.0, bits=12, rounding="nearest"),
    "count": Integers(-3, 1000, shape=(2, 3)),
}
WEIGHTED_VECTORS: Final[Mapping[str, VectorSpec]] = {
    "mean": FixedPoint(9, clip=2.0, bits=12, rounding="nearest", aggregate="mean"),
    "count": Integers(0, 7, 5),
}

KINDS: Final = ("semi-honest complete", "semi-honest sparse", "active complete")
"""The three kinds of session that the specification has."""


def session(kind: str, *, clients: int | None = None, **options: Any) -> Harness:
    """A cohort at its beginning: 7 clients with threshold 4, or 8 on a ring of degree 4 with threshold 2."""
    model, graph = kind.split()
    if graph == "sparse":
        settings = {"topology": "sparse", "degree": 4, "threshold": 2, "minimum_contributors": 3, **options}
        return Harness(8 if clients is None else clients, threat_model=model, **settings)
    settings = {"threshold": 4, "minimum_contributors": 3, **options}
    return Harness(7 if clients is None else clients, threat_model=model, **settings)


def rounds_of(harness: Harness) -> tuple[Round, ...]:
    """The rounds of this session, in order."""
    return rounds(harness.parameters.threat_model)


def fork(harness: Harness) -> Harness:
    """Return an independent copy of a session in play (without ledgers)."""
    assert not harness.ledgers
    twin = copy.copy(harness)
    twin.clients = {client: fork_client(session) for client, session in harness.clients.items()}
    twin.server = fork_server(harness)
    twin.inputs, twin.weights = dict(harness.inputs), dict(harness.weights)
    twin.events, twin.transcript, twin.errors = list(harness.events), list(harness.transcript), dict(harness.errors)
    return twin


def fork_client(client: ClientSession) -> ClientSession:
    """Copy a client's session; an input that was set must be set again, because it is masked in place."""
    return copy.copy(client)


def fork_server(harness: Harness) -> ServerSession:
    """Copy the server's session."""
    if harness.server.phase in (ServerPhase.COMPLETED, ServerPhase.ABORTED):
        return copy.copy(harness.server)
    return ServerSession.resume(harness.server.snapshot(), roster=harness.roster if harness.active else None)


def assert_exact(harness: Harness, contributors: Collection[int]) -> None:
    """The server released the sum over exactly these clients, word for word and entry for entry."""
    result = harness.server.result
    assert result.contributors == tuple(sorted(contributors))
    assert len(result.contributors) >= harness.parameters.minimum_contributors
    assert np.array_equal(result.session_vector, ring_sum(harness, contributors))
    for name, spec in harness.parameters.vectors:
        if isinstance(spec, Integers):
            assert result.vectors[name].tolist() == harness.expected(contributors, name).tolist()
        else:
            _assert_close(harness, name, spec, contributors)
    if harness.parameters.max_weight > 1:
        assert result.total_weight == sum(harness.weights[client] for client in contributors)
    else:
        assert result.total_weight is None


def ring_sum(harness: Harness, contributors: Collection[int]) -> NDArray[np.uint64]:
    """The plain ring sum of these clients' encoded inputs (vectors that round to nearest)."""
    parameters = harness.parameters
    layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    total = np.zeros(layout.words, dtype=np.uint64)
    for client in contributors:
        encoded = encode_input(
            layout, harness.inputs[client], harness.weights[client], randomness=DeterministicRandomSource(0)
        )
        total += encoded.words
    reduce_to_ring(layout, total)
    return total


def _assert_close(harness: Harness, name: str, spec: FixedPoint, contributors: Collection[int]) -> None:
    weights = {client: harness.weights[client] if spec.weighted else 1 for client in contributors}
    expected = sum(weights[client] * np.clip(harness.inputs[client][name], -spec.clip, spec.clip) for client in weights)
    half_step = spec.clip / ((1 << spec.bits) - 1)
    tolerance = half_step * (1 + 1e-9)
    if spec.weighted:
        expected = expected / sum(weights.values())
    else:
        tolerance *= len(contributors)
    assert np.abs(harness.server.result.vectors[name] - expected).max() <= tolerance
