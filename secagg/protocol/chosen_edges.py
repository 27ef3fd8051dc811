"""The experimental chosen graph (Specification §2.5): how holders are drawn, the edges that follow, and sets as bits.

Bell et al., CCS 2020, section 4: each client draws its own holders, so that a lying server has no say in who can open
its secrets. The edges follow from what clients sent, and are therefore part of a server's state.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import DecodeError
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.topology import connected_parts, found_among, points_among

_DRAW_BYTES: Final = 8
MOST_CHOOSERS: Final = 3
"""Times the degree: more clients that drew it, without being its holders, no client accepts (C29)."""


def draw_holders(parameters: SessionParameters, client: ClientId, randomness: RandomSource) -> tuple[ClientId, ...]:
    """Draw the holders of a client: each set of `degree` others is equally likely, exactly (Floyd's sampling)."""
    others = tuple(member for member in parameters.cohort if member != client)
    drawn: set[int] = set()
    for last in range(len(others) - parameters.topology.degree, len(others)):
        place = _below(last + 1, randomness)
        drawn.add(last if place in drawn else place)
    return tuple(others[place] for place in sorted(drawn))


def _below(bound: int, randomness: RandomSource) -> int:
    """A uniform number from 0 to bound - 1: numbers beyond the last whole multiple of the bound are drawn again."""
    limit = (1 << 8 * _DRAW_BYTES) // bound * bound
    while True:
        number = int.from_bytes(randomness.secret(_DRAW_BYTES).expose(), "big")
        if number < limit:
            return number % bound


def pack_set(cohort: tuple[ClientId, ...], members: Container[ClientId]) -> bytes:
    """Return a set of clients as bytes: one bit for each client of the cohort, the least significant first."""
    bits = np.fromiter((client in members for client in cohort), dtype=np.bool_, count=len(cohort))
    return np.packbits(bits, bitorder="little").tobytes()


def unpack_set(cohort: tuple[ClientId, ...], data: bytes) -> frozenset[ClientId]:
    """Return what :func:`pack_set` packed.

    Raises:
        DecodeError: another length, or a bit without a client.
    """
    if len(data) != -(-len(cohort) // 8):
        raise DecodeError(f"a set of {len(data)} bytes is none of {len(cohort)} clients, one bit for each")
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    if bits[len(cohort) :].any():
        raise DecodeError(f"a set of clients has bits beyond the {len(cohort)} of the cohort")
    return frozenset(cohort[place] for place in np.flatnonzero(bits).tolist())


@dataclass(frozen=True, slots=True)
class ChosenEdges:
    """Who drew whom, among the clients that advertised: a server's view.

    Attributes:
        drawn: what each client drew, ascending; only edges between two of these clients count.
        cut: (chooser, holder) pairs that the server took away, so that nobody has too many choosers.
    """

    drawn: Mapping[ClientId, tuple[ClientId, ...]]
    cut: frozenset[tuple[ClientId, ClientId]] = frozenset()
    _choosers: dict[ClientId, list[ClientId]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choosers: dict[ClientId, list[ClientId]] = {client: [] for client in sorted(self.drawn)}
        for client in choosers:
            for holder in self.holders(client):
                choosers[holder].append(client)
        object.__setattr__(self, "_choosers", choosers)

    def holders(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return who may hold shares of a client's secrets, ascending."""
        drawn = (holder for holder in self.drawn[client] if holder in self.drawn)
        return tuple(holder for holder in drawn if (client, holder) not in self.cut) if self.cut else tuple(drawn)

    def holders_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those holders of a client's secrets who are among some clients; all ascending."""
        return found_among(self.holders(client), members)

    def owners(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return who drew a client, ascending."""
        return tuple(self._choosers[client])

    def owners_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those that drew a client who are among some clients; all ascending."""
        return found_among(self.owners(client), members)

    def of(self, client: ClientId) -> tuple[ClientId, ...]:
        """Return with whom a client shares masks, ascending: its holders and those that drew it."""
        return tuple(sorted({*self.holders(client), *self._choosers[client]}))

    def neighbours_among(self, client: ClientId, members: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return those neighbours of a client who are among some clients; all ascending."""
        return found_among(self.of(client), members)

    def points(self, client: ClientId, holders: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the share points of some of those that a client drew: their places among all of these."""
        return points_among(self.drawn[client], holders)

    def parts(self, members: frozenset[ClientId]) -> list[set[ClientId]]:
        """Return the connected parts of the graph over these clients alone; time and memory O(members * degree)."""
        return connected_parts(members, self.of)

    def among(self, clients: Container[ClientId]) -> ChosenEdges:
        """Return the edges between those of the clients that are in a set."""
        kept = {client: drawn for client, drawn in self.drawn.items() if client in clients}
        return ChosenEdges(kept, frozenset(pair for pair in self.cut if pair[0] in kept and pair[1] in kept))


def capped(drawn: Mapping[ClientId, tuple[ClientId, ...]], degree: int) -> ChosenEdges:
    """Return the edges of what clients drew, without those that would give somebody too many choosers.

    Such an edge is gone for both ends. Those of the choosers with the highest ids go: which ones is local, and honest
    draws alone practically never come to it.
    """
    edges = ChosenEdges(drawn)
    cut: set[tuple[ClientId, ClientId]] = set()
    for client, own in drawn.items():
        strangers = _without(edges.owners(client), own)
        cut.update((chooser, client) for chooser in strangers[MOST_CHOOSERS * degree :])
    return ChosenEdges(drawn, frozenset(cut)) if cut else edges


def _without(clients: tuple[ClientId, ...], others: Collection[ClientId]) -> list[ClientId]:
    known = frozenset(others)
    return [client for client in clients if client not in known]
