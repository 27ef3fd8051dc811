"""Who is whose neighbour (Specification §2.5): with `chosen_edges` the only modules that know graphs.

Everything else sees "my neighbours", who holds shares of whom, and at which points. A complete graph joins all
clients; a sparse one is the k-regular Harary graph over a pseudorandom ring (Bell et al. 2020, section 3.3). The edges
of a chosen graph are no function of the parameters: there nobody has a neighbour here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, KeysView, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters, Topology, TopologyKind


class Neighbourhoods:
    """The masking graph of one cohort. Build it with :func:`neighbourhoods`."""

    __slots__ = ("_circle", "_cohort", "_members", "_position", "_ring", "_steps", "_topology")

    def __init__(self, cohort: tuple[ClientId, ...], topology: Topology) -> None:
        self._cohort = cohort
        self._members = np.array(cohort, dtype=np.uint64)
        self._topology = topology
        self._ring = _ring(cohort, topology.permutation_seed) if topology.kind is TopologyKind.SPARSE else cohort
        self._circle = np.array(self._ring, dtype=np.uint64)
        self._steps = _steps(len(cohort), topology.degree)
        self._position = {client: position for position, client in enumerate(self._ring)}

    @property
    def members(self) -> KeysView[ClientId]:
        """The cohort, to look clients up in."""
        return self._position.keys()

    def of(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return a client's neighbours, ascending; `degree` many, never the client itself; none in a chosen graph.

        Raises:
            ParameterError: the client is not in the cohort.
        """
        position = self._position.get(client)
        if position is None:
            raise ParameterError(f"client {client} is not in the cohort of {len(self._cohort)} clients")
        if self._topology.kind is TopologyKind.COMPLETE:
            return self._ring[:position] + self._ring[position + 1 :]
        if self._topology.kind is TopologyKind.CHOSEN:
            return ()
        return tuple(self._around(position).tolist())

    def _around(self, position: int) -> NDArray[np.uint64]:
        """Who stands around a place of the ring of a sparse graph, and opposite to it if the degree is odd."""
        found: NDArray[np.uint64] = self._circle.take(self._steps + position, mode="wrap")
        found.sort()
        return found

    def holders(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return who holds shares of a client's secrets: its neighbours."""
        return self.of(client)

    def owners(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return of whose secrets a client holds shares: its neighbours'."""
        return self.of(client)

    def neighbours_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those neighbours of a client who are among some clients of the cohort; all ascending."""
        if self._topology.kind is TopologyKind.COMPLETE:
            others: NDArray[np.uint64] = members[members != np.uint64(client)]
            return others
        return found_among(self._listed(client), members)

    def holders_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those holders of a client's secrets who are among some clients of the cohort; all ascending."""
        return self.neighbours_among(client, members)

    def owners_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those of the owners of what a client holds who are among some clients; all ascending."""
        return self.neighbours_among(client, members)

    def points(self, client: ClientId, holders: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the share points of some of a client's holders."""
        if self._topology.kind is TopologyKind.COMPLETE:
            return np.searchsorted(self._members, holders) + (holders < np.uint64(client))
        return points_among(self._listed(client), holders)

    def _listed(self, client: ClientId) -> NDArray[np.uint64]:
        if self._topology.kind is TopologyKind.SPARSE and client in self._position:
            return self._around(self._position[client])
        return np.array(self.of(client), dtype=np.uint64)

    def parts(self, members: frozenset[ClientId]) -> list[set[ClientId]]:
        """Return the connected parts of the graph over these clients alone; time and memory O(members * degree)."""
        if self._topology.kind is TopologyKind.COMPLETE:
            return [set(members)] if members else []
        return connected_parts(members, self.of)


def neighbourhoods(parameters: SessionParameters) -> Neighbourhoods:
    """Return the graph of a session; equal parameters share one object."""
    return _cached(parameters.cohort, parameters.topology)


def among(neighbours: tuple[ClientId, ...], clients: Container[ClientId]) -> tuple[ClientId, ...]:
    """Return those neighbours who are among some clients, in their order."""
    return tuple(filter(clients.__contains__, neighbours))


def found_among(neighbours: Sequence[ClientId] | NDArray[np.uint64], members: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return those neighbours who are among some clients, as an array; both ascending."""
    listed = np.asarray(neighbours, dtype=np.uint64)
    if not len(members):
        return members
    at = members.searchsorted(listed)
    found: NDArray[np.uint64] = listed[members[np.minimum(at, len(members) - 1)] == listed]
    return found


def points_among(holders: Sequence[ClientId] | NDArray[np.uint64], some: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the share points of some of a client's holders, all of whom are given, ascending."""
    return np.asarray(holders, dtype=np.uint64).searchsorted(some) + 1


def share_points(holders: tuple[ClientId, ...]) -> dict[ClientId, int]:
    """The share point of each holder of a client's secrets: its place, from 1, among all of the client's holders.

    The owner is no holder: a share for oneself would bring the active threshold one short (Specification §5.2).
    """
    return {holder: place for place, holder in enumerate(holders, start=1)}


def connected_parts(
    members: frozenset[ClientId], neighbours_of: Callable[[ClientId], Iterable[ClientId]]
) -> list[set[ClientId]]:
    """Return the connected parts of a graph over some of its clients alone."""
    found, unseen = list[set[ClientId]](), set(members)
    while unseen:
        part, frontier = set[ClientId](), [unseen.pop()]
        while frontier:
            client = frontier.pop()
            part.add(client)
            reached = unseen.intersection(neighbours_of(client))
            unseen -= reached
            frontier += reached
        found.append(part)
    return found


@lru_cache(maxsize=4)
def _cached(cohort: tuple[ClientId, ...], topology: Topology) -> Neighbourhoods:
    return Neighbourhoods(cohort, topology)


def _steps(clients: int, degree: int) -> NDArray[np.int64]:
    """How far a client's neighbours stand from it on the ring of a sparse graph."""
    half = degree // 2
    opposite = [clients // 2] if degree % 2 else []
    return np.array([*range(-half, 0), *range(1, half + 1), *opposite], dtype=np.int64)


def _ring(cohort: tuple[ClientId, ...], seed: bytes) -> tuple[ClientId, ...]:
    def place(client: ClientId) -> tuple[bytes, ClientId]:
        return hashlib.sha256(encode_fields(Label.TOPOLOGY_PERMUTATION, seed, client)).digest(), client

    return tuple(sorted(cohort, key=place))
