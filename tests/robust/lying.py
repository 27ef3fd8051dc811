"""Real sessions of cells in which a client lies about its input: it changes the words after they were encoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import ClientPolicy, ClientSession, FixedPoint, IdentityKey, ServerSession, SessionParameters, SessionResult
from secagg.encoding.layout import Layout
from secagg.parameters import ThreatModel
from secagg.protocol.messages import Round, SessionOffer
from secagg.robust import CellRound
from secagg.testing.randomness import DeterministicRandomSource

Inputs = Mapping[int, Mapping[str, NDArray[Any]]]
Lie = Callable[[Layout, NDArray[np.uint64]], None]

POLICY = ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0, max_dropout=0.0)


def play(
    parameters: SessionParameters,
    inputs: Inputs,
    lies: Mapping[int, Lie] | None = None,
    leaving: Collection[int] = (),
) -> SessionResult:
    """Play one session; whoever is in `lies` changes its words, whoever is `leaving` sends no masked input."""
    root = DeterministicRandomSource(7)
    active = parameters.threat_model is ThreatModel.ACTIVE
    keys = {client: IdentityKey.generate(root.fork(client)) for client in parameters.cohort}
    roster = {client: key.public for client, key in keys.items()} if active else None
    server = ServerSession(parameters, roster=roster)
    layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    clients = {}
    for client in parameters.cohort:
        identity = keys[client] if active else None
        clients[client] = ClientSession(
            SessionOffer(parameters), client, policy=POLICY, identity=identity, roster=roster
        )
        encoded = clients[client].set_input(inputs[client])
        if lies and client in lies:
            lies[client](layout, encoded.words)
    while server.round is not None:
        for client, request in dict(server.requests).items():
            if server.round is Round.MASKED_INPUT and client in leaving:
                continue
            answer = clients[client].receive(request)
            assert answer is not None
            server.receive(client, answer)
        server.close_round()
    return server.result


def play_cells(plan: CellRound, inputs: Inputs, lies: Mapping[int, Lie] | None = None) -> dict[int, SessionResult]:
    """Play the sessions of all cells."""
    return {cell: play(plan.parameters(cell), inputs, lies) for cell in range(len(plan.partition.cells))}


def mean_becomes(name: str, target: NDArray[np.float64]) -> Lie:
    """A lie that makes the mean of a vector the target, if all others send zeros."""

    def lie(layout: Layout, words: NDArray[np.uint64]) -> None:
        section = next(section for section in layout.vector_sections if section.name == name)
        spec = section.spec
        assert isinstance(spec, FixedPoint)
        levels = np.rint(target / spec.clip * spec.top * layout.clients).astype(np.int64)
        fields = [int(level) + spec.top for level in levels]  # the others' zeros are top each
        added = [0] * section.words
        for entry, value in enumerate(fields):
            added[entry // section.fields_per_word] += value << (section.width * (entry % section.fields_per_word))
        words[section.word_slice] = np.array([value % 2**64 for value in added], dtype=np.uint64)

    return lie


def adds(name: str, amounts: NDArray[np.int64]) -> Lie:
    """A lie that adds to the words of a vector, modulo the ring."""

    def lie(layout: Layout, words: NDArray[np.uint64]) -> None:
        section = next(section for section in layout.vector_sections if section.name == name)
        words[section.word_slice] += amounts.astype(np.uint64)

    return lie


def garbage(seed: int) -> Lie:
    """A lie of uniform words in all vectors."""

    def lie(layout: Layout, words: NDArray[np.uint64]) -> None:
        words[:] = np.random.default_rng(seed).integers(0, 2**64, len(words), dtype=np.uint64)

    return lie
