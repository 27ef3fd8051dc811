"""Graphs: regular, symmetric, as connected as they can be, in an order that only the seed decides."""

from __future__ import annotations

from itertools import combinations

import pytest

from secagg import FixedPoint, ParameterError, SessionParameters, ThreatModel, Topology, TopologyKind
from secagg.protocol.topology import Neighbourhoods, neighbourhoods, share_points

SEED = bytes(range(32))
SIZES = [(n, k) for n in range(3, 10) for k in range(2, n) if not (n % 2 and k % 2)]


def sparse(clients: int, degree: int, seed: bytes = SEED) -> Neighbourhoods:
    cohort = tuple(10 * client for client in range(1, clients + 1))
    return Neighbourhoods(cohort, Topology(TopologyKind.SPARSE, degree, seed))


def edges_of(graph: Neighbourhoods, cohort: tuple[int, ...]) -> set[frozenset[int]]:
    return {frozenset((client, peer)) for client in cohort for peer in graph.of(client)}


def is_connected(graph: Neighbourhoods, clients: frozenset[int]) -> bool:
    found: set[int] = set()
    todo = [min(clients)]
    while todo:
        client = todo.pop()
        if client not in found:
            found.add(client)
            todo.extend(clients.intersection(graph.of(client)))
    return found == clients


@pytest.mark.parametrize(("clients", "degree"), SIZES)
def test_a_sparse_graph_is_regular_symmetric_and_without_loops(clients: int, degree: int) -> None:
    cohort, graph = tuple(10 * client for client in range(1, clients + 1)), sparse(clients, degree)
    for client in cohort:
        neighbours = graph.of(client)
        assert len(neighbours) == degree
        assert list(neighbours) == sorted(set(neighbours))
        assert set(neighbours) <= set(cohort) - {client}
        assert all(client in graph.of(peer) for peer in neighbours)


@pytest.mark.parametrize(("clients", "degree"), SIZES)
def test_a_sparse_graph_stays_connected_when_fewer_than_its_degree_leave(clients: int, degree: int) -> None:
    cohort = frozenset(10 * client for client in range(1, clients + 1))
    graph = sparse(clients, degree)
    for leaving in combinations(sorted(cohort), degree - 1):
        assert is_connected(graph, cohort - frozenset(leaving))
    neighbours = frozenset(graph.of(10))
    if degree < clients - 1:
        assert not is_connected(graph, cohort - neighbours), "its own neighbours are a cut"


def test_an_odd_degree_joins_opposite_clients_of_the_ring() -> None:
    """Harary's graph of odd degree: the ring, its chords, and the diameters."""
    assert len(edges_of(sparse(8, 3), tuple(range(10, 90, 10)))) == 8 + 4
    with pytest.raises(ParameterError, match="no 3-regular ring graph over 7"):
        SessionParameters(
            cohort=tuple(range(7)),
            vectors=(("v", FixedPoint(1, clip=1.0, bits=8)),),
            threat_model=ThreatModel.SEMI_HONEST,
            topology=Topology(TopologyKind.SPARSE, 3, SEED),
            threshold=2,
            minimum_contributors=2,
            nonce=SEED,
        )


def test_the_seed_alone_orders_the_ring() -> None:
    cohort = tuple(range(10, 130, 10))
    graphs = [edges_of(sparse(12, 4, bytes([number]) * 32), cohort) for number in range(20)]
    assert len({frozenset(graph) for graph in graphs}) == 20
    assert graphs[3] == edges_of(sparse(12, 4, bytes([3]) * 32), cohort)
    assert all(
        graph != edges_of(Neighbourhoods(cohort, Topology(TopologyKind.COMPLETE, 11)), cohort) for graph in graphs
    )


def test_any_two_clients_are_as_likely_neighbours_as_any_other_two() -> None:
    """10 clients of degree 4 over 600 seeds: each pair is joined 4 times in 9, within five standard deviations."""
    cohort = tuple(range(10, 110, 10))
    counts = dict.fromkeys((frozenset(pair) for pair in combinations(cohort, 2)), 0)
    for number in range(600):
        for edge in edges_of(sparse(10, 4, number.to_bytes(32, "big")), cohort):
            counts[edge] += 1
    mean, deviation = 600 * 4 / 9, (600 * 4 / 9 * 5 / 9) ** 0.5
    assert sum(counts.values()) == 600 * 20
    assert all(abs(count - mean) < 5 * deviation for count in counts.values())


def test_a_complete_graph_joins_everybody() -> None:
    graph = Neighbourhoods((2, 3, 5, 2**64 - 1), Topology(TopologyKind.COMPLETE, 3))
    assert graph.of(2) == (3, 5, 2**64 - 1)
    assert graph.of(5) == (2, 3, 2**64 - 1)
    assert graph.of(2**64 - 1) == (2, 3, 5)


@pytest.mark.parametrize("graph", [sparse(6, 4), Neighbourhoods((10, 20), Topology(TopologyKind.COMPLETE, 1))])
def test_a_stranger_has_no_neighbours(graph: Neighbourhoods) -> None:
    with pytest.raises(ParameterError, match="client 15 is not in the cohort"):
        graph.of(15)


@pytest.mark.parametrize(("clients", "degree"), SIZES)
def test_share_points_number_the_neighbours_and_leave_the_owner_out(clients: int, degree: int) -> None:
    graph = sparse(clients, degree)
    for client in range(10, 10 * clients + 1, 10):
        points = share_points(graph.of(client))
        assert list(points.values()) == list(range(1, degree + 1))
        assert list(points) == sorted(points)
        assert client not in points


@pytest.mark.parametrize(("clients", "degree"), [(9, 2), (9, 4), (8, 3), (10, 3)])
def test_parts_are_connected_cover_everybody_and_have_no_edge_between_them(clients: int, degree: int) -> None:
    cohort, graph = tuple(10 * client for client in range(1, clients + 1)), sparse(clients, degree)
    cuts = 0
    for size in range(clients + 1):
        for members in map(frozenset, combinations(cohort, size)):
            parts = graph.parts(members)
            assert sorted(client for part in parts for client in part) == sorted(members)
            assert all(part and is_connected(graph, frozenset(part)) for part in parts)
            for part in parts:
                assert not any(set(graph.of(client)) & (members - part) for client in part)
            cuts += len(parts) > 1
    assert cuts


def test_any_members_of_a_complete_graph_are_one_part() -> None:
    graph = Neighbourhoods((10, 20, 30, 40), Topology(TopologyKind.COMPLETE, 3))
    assert graph.parts(frozenset({10, 40})) == [{10, 40}]
    assert graph.parts(frozenset()) == []


def test_equal_parameters_share_one_graph() -> None:
    def parameters(seed: bytes) -> SessionParameters:
        return SessionParameters.choose(
            clients=8,
            vectors={"v": FixedPoint(1, clip=1.0, bits=8)},
            topology="sparse",
            degree=4,
            threshold=2,
            nonce=bytes(32),
            permutation_seed=seed,
        )

    assert neighbourhoods(parameters(SEED)) is neighbourhoods(parameters(SEED))
    assert neighbourhoods(parameters(SEED)) is not neighbourhoods(parameters(bytes(32)))
