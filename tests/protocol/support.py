"""What the tests of the state machines share: three kinds of session, forks of a session in play, exact sums.

A fork lets many endings share one beginning: the sessions of `tests.harness.Harness` are copied in mid-play, by way of
their snapshots. The copies of a client have ledgers of their own, as those of a careful host would not.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import (
    ClientPhase,
    ClientSession,
    FixedPoint,
    Integers,
    MemoryLedger,
    Round,
    SecretBytes,
    ServerSession,
)
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input, reduce_to_ring
from secagg.parameters.vectors import VectorSpec
from secagg.protocol.transitions import rounds
from secagg.testing.randomness import DeterministicRandomSource
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

ENDED: Final = (ClientPhase.COMPLETED, ClientPhase.ABORTED)
_COUNT: Final = count()


def session(kind: str, *, clients: int | None = None, **options: Any) -> Harness:
    """A cohort at its beginning: 7 clients with threshold 4, or 8 on a ring of degree 4 with threshold 2."""
    model, graph = kind.split()
    if graph == "sparse":
        settings = {"topology": "sparse", "degree": 4, "threshold": 2, "minimum_contributors": 3, **options}
        return Harness(8 if clients is None else clients, threat_model=model, with_ledgers=True, **settings)
    settings = {"threshold": 4, "minimum_contributors": 3, **options}
    return Harness(7 if clients is None else clients, threat_model=model, with_ledgers=True, **settings)


def rounds_of(harness: Harness) -> tuple[Round, ...]:
    """The rounds of this session, in order."""
    return rounds(harness.parameters.threat_model)


@dataclass(frozen=True)
class Frozen:
    """A session in mid-play that can be played on from here any number of times."""

    harness: Harness
    clients: Mapping[int, SecretBytes | ClientSession]
    server: SecretBytes | ServerSession

    def thaw(self) -> Harness:
        """Return an independent session; completed and aborted parties are shared."""
        twin = copy.copy(self.harness)
        twin.clients = {
            client: resumed_client(self.harness, client, frozen) if isinstance(frozen, SecretBytes) else frozen
            for client, frozen in self.clients.items()
        }
        frozen = self.server
        twin.server = resumed_server(self.harness, frozen) if isinstance(frozen, SecretBytes) else frozen
        twin.inputs, twin.weights = dict(twin.inputs), dict(twin.weights)
        twin.events, twin.transcript, twin.errors = list(twin.events), list(twin.transcript), dict(twin.errors)
        return twin


def freeze(harness: Harness) -> Frozen:
    """Freeze a session; the clients of `harness` itself end."""
    clients = {
        client: session if session.phase in ENDED else session.snapshot() for client, session in harness.clients.items()
    }
    return Frozen(harness, clients, harness.server if harness.round is None else harness.server.snapshot())


def fork_client(harness: Harness, client: int) -> ClientSession:
    """Copy a client's session; one that has ended is returned itself."""
    if harness.clients[client].phase in ENDED:
        return harness.clients[client]
    frozen = harness.clients[client].snapshot()
    harness.clients[client] = resumed_client(harness, client, frozen)
    return resumed_client(harness, client, frozen)


def resumed_client(harness: Harness, client: int, snapshot: SecretBytes, **changes: Any) -> ClientSession:
    """Go on from a client's snapshot, with a new ledger; `changes` replace arguments of `ClientSession.resume`."""
    arguments: dict[str, Any] = {
        "ledger": MemoryLedger(),
        "identity": harness.identities[client] if harness.active else None,
        "roster": harness.roster if harness.active else None,
        "randomness": harness.source.fork(f"resumed {client} {next(_COUNT)}"),
        **changes,
    }
    return ClientSession.resume(snapshot, **arguments)


def resumed_server(harness: Harness, snapshot: SecretBytes) -> ServerSession:
    """Go on from a snapshot of the server."""
    return ServerSession.resume(snapshot, roster=harness.roster if harness.active else None)


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
            layout, harness.inputs[client], harness.weight(client), randomness=DeterministicRandomSource(0)
        )
        total += encoded.words
    reduce_to_ring(layout, total)
    return total


def _assert_close(harness: Harness, name: str, spec: FixedPoint, contributors: Collection[int]) -> None:
    weights = {client: harness.weights[client] if spec.weighted else 1 for client in contributors}
    expected = sum(weights[client] * np.clip(harness.inputs[client][name], -spec.clip, spec.clip) for client in weights)
    half_step = spec.clip / spec.top / 2
    tolerance = half_step * (1 + 1e-9)
    if spec.weighted:
        expected = expected / sum(weights.values())
    else:
        tolerance *= len(contributors)
    assert np.abs(harness.server.result.vectors[name] - expected).max() <= tolerance
