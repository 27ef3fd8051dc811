"""Clients and servers of the library and of the reference implementation in one session (Specification §6)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

import pytest

from secagg import FixedPoint, Integers, SessionParameters, SuiteId
from tests.reference.support import (
    VECTORS,
    AnyClient,
    AnyServer,
    LibraryServer,
    ReferenceServer,
    Values,
    library_client,
    play,
    reference_client,
    session_parameters,
)

MODELS: dict[str, SessionParameters] = {
    "semi-honest, complete": session_parameters(9, threshold=3, max_weight=1),
    "semi-honest, sparse, even degree": session_parameters(11, threshold=2, degree=6, max_weight=50),
    "semi-honest, sparse, odd degree": session_parameters(10, threshold=2, degree=7, max_weight=1000),
    "active, complete": session_parameters(13, threshold=7, active=True, max_weight=50),
}
LEAVING: dict[str, Mapping[int, tuple[int, ...]]] = {
    "nobody": {},
    "AdvertiseKeys": {0: (1, 3)},
    "ShareKeys": {1: (0, 8)},
    "MaskedInput": {2: (4, 5)},
    "the round before the last": {3: (2, 6)},
    "the last round": {4: (2, 8)},
    "every round": {0: (1,), 1: (3,), 2: (5,), 3: (7,), 4: (8,)},
}
SIDES: dict[str, tuple[Callable[[SessionParameters], AnyServer], Callable[[int], bool]]] = {
    "reference clients, library server": (LibraryServer, lambda place: True),
    "half and half, library server": (LibraryServer, lambda place: place % 2 == 0),
    "library clients, reference server": (ReferenceServer, lambda place: False),
    "half and half, reference server": (ReferenceServer, lambda place: place % 2 == 1),
    "reference alone": (ReferenceServer, lambda place: True),
}


def weight_of(parameters: SessionParameters, client: int) -> int:
    return client % parameters.max_weight + 1


def levels_of(parameters: SessionParameters, client: int) -> dict[str, list[int]]:
    """The encoded entries, before weights, that a client's values are made from."""
    stream = hashlib.shake_128(f"values of {client}".encode()).digest(4000)
    return {
        name: [
            int.from_bytes(stream[16 * place + 400 * column :][:16], "big") % (spec.largest + 1)
            for place in range(spec.size)
        ]
        for column, (name, spec) in enumerate(parameters.vectors)
    }


def values_of(parameters: SessionParameters, client: int) -> Values:
    """What the levels stand for."""
    levels = levels_of(parameters, client)
    return {
        name: [level + spec.low for level in levels[name]]
        if isinstance(spec, Integers)
        else [(level - spec.top) / spec.top * spec.clip for level in levels[name]]
        for name, spec in parameters.vectors
    }


def assert_exact(parameters: SessionParameters, server: AnyServer) -> None:
    """The result is the sum over the contributors: to the unit, but for stochastic rounding."""
    outcome = server.outcome
    assert outcome.abort_reason is None
    m = len(outcome.contributors)
    weights = {client: weight_of(parameters, client) for client in outcome.contributors}
    total = sum(weights.values()) if parameters.max_weight > 1 else None
    assert outcome.total_weight == total
    for name, spec in parameters.vectors:
        mean = isinstance(spec, FixedPoint) and spec.aggregate == "mean"
        factor = weights if mean and total else dict.fromkeys(weights, 1)
        columns = [[factor[c] * level for level in levels_of(parameters, c)[name]] for c in outcome.contributors]
        expected = [sum(entries) for entries in zip(*columns, strict=True)]
        if isinstance(spec, Integers):
            assert outcome.vectors[name] == [entry + m * spec.low for entry in expected]
            continue
        parts = (total or m) if mean else m
        scale = spec.top / spec.clip * (parts if mean else 1)
        found = [value * scale + parts * spec.top for value in outcome.vectors[name]]
        if spec.rounding == "nearest":
            assert [round(entry) for entry in found] == expected
            assert found == pytest.approx(expected, abs=1e-3)
        else:
            assert all(abs(a - b) < m for a, b in zip(found, expected, strict=True))


def clients_of(
    parameters: SessionParameters, server: AnyServer, are_reference: Collection[int]
) -> dict[int, AnyClient]:
    clients: dict[int, AnyClient] = {}
    for client in parameters.cohort:
        make = reference_client if client in are_reference else library_client
        clients[client] = make(
            parameters, server.offer, client, values_of(parameters, client), weight_of(parameters, client)
        )
    return clients


def places(parameters: SessionParameters, leaving: Mapping[int, tuple[int, ...]]) -> dict[int, set[int]]:
    return {number: {parameters.cohort[place] for place in gone} for number, gone in leaving.items()}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("leaving", LEAVING)
@pytest.mark.parametrize("model", MODELS)
def test_every_session_gives_the_exact_sum(model: str, leaving: str, sides: str) -> None:
    parameters = MODELS[model]
    make_server, is_reference = SIDES[sides]
    server = make_server(parameters)
    chosen = {client for place, client in enumerate(parameters.cohort) if is_reference(place)}
    silent = places(parameters, LEAVING[leaving])
    clients = clients_of(parameters, server, chosen)

    play(server, clients, silent)

    without_input = set().union(*(gone for number, gone in silent.items() if number <= 2))
    assert server.outcome.contributors == tuple(c for c in parameters.cohort if c not in without_input)
    assert_exact(parameters, server)
    rounds = 5 if "active" in model else 4
    assert server.dropped == {c: "S01" for number, gone in silent.items() if number < rounds for c in gone}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("leaving", ["nobody", "every round"])
def test_the_suite_of_aegis(leaving: str, sides: str) -> None:
    pytest.importorskip("pyaegis")
    vectors = {name: VECTORS[name] for name in ("mean", "counts")}
    parameters = session_parameters(
        10, threshold=2, max_weight=9, suite=SuiteId.X25519_AEGIS128X2, degree=6, vectors=vectors
    )
    make_server, is_reference = SIDES[sides]
    server = make_server(parameters)
    chosen = {client for place, client in enumerate(parameters.cohort) if is_reference(place)}

    play(server, clients_of(parameters, server, chosen), places(parameters, LEAVING[leaving]))

    assert_exact(parameters, server)


@pytest.mark.parametrize(
    ("number", "reason"), [(0, "A01"), (1, "A02"), (2, "A03"), (3, "A04"), (4, "A05")], ids=lambda value: str(value)
)
def test_both_servers_end_a_session_for_the_same_reason(number: int, reason: str) -> None:
    parameters = session_parameters(7, threshold=4, active=True)
    silent = {number: set(parameters.cohort[: 3 if number < 3 else 4])}
    outcomes = []
    for make_server in (LibraryServer, ReferenceServer):
        server: AnyServer = make_server(parameters)
        play(server, clients_of(parameters, server, set(parameters.cohort[::2])), silent)
        outcomes.append(server.outcome.abort_reason)

    assert outcomes == [reason, reason]
