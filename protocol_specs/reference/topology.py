"""Who is whose neighbour, and who holds whose shares (§2.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.parameters import Parameters


def place(permutation_seed: bytes, client: int) -> bytes:
    """What the ring of a sparse graph is sorted by."""
    return sha256(canonical("secagg/v1 topology permutation", permutation_seed, client)).digest()


def neighbours(parameters: Parameters, client: int) -> list[int]:
    """The neighbours of a client of the cohort, in ascending order; of a chosen graph all that may be one."""
    cohort = parameters.cohort
    if parameters.complete or parameters.chosen:
        return [other for other in cohort if other != client]
    n, degree = len(cohort), parameters.degree
    ring = sorted(cohort, key=lambda other: (place(parameters.permutation_seed, other), other))
    position = ring.index(client)
    steps = [step for i in range(1, degree // 2 + 1) for step in (i, -i)]
    if degree % 2:
        steps.append(n // 2)
    return sorted({ring[(position + step) % n] for step in steps})


def share_point(parameters: Parameters, owner: int, holder: int) -> int:
    """The point of the holder's shares of the owner's secrets."""
    return neighbours(parameters, owner).index(holder) + 1


@dataclass(frozen=True)
class Graph:
    """The graph of a session as the server knows it: of the parameters, or in a chosen graph of what clients drew.

    `drawn` has the holders of each client that goes on, `cut` the edges that were taken away, lower id first (§6.2).
    """

    parameters: Parameters
    drawn: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    cut: frozenset[tuple[int, int]] = frozenset()

    @cached_property
    def _owners(self) -> dict[int, set[int]]:
        owners: dict[int, set[int]] = {client: set() for client in self.parameters.cohort}
        for owner in self.drawn:
            for holder in self.holders(owner):
                owners[holder].add(owner)
        return owners

    def holders(self, owner: int) -> set[int]:
        """The clients that are to hold shares of the owner's secrets."""
        if not self.parameters.chosen:
            return set(neighbours(self.parameters, owner))
        return {v for v in self.drawn.get(owner, ()) if (min(owner, v), max(owner, v)) not in self.cut}

    def owners(self, holder: int) -> set[int]:
        """The clients of whose secrets this one is to hold shares."""
        return self._owners[holder] if self.parameters.chosen else self.holders(holder)

    def neighbours(self, client: int) -> set[int]:
        """The clients with which this one shares masks."""
        return self.holders(client) | self.owners(client)

    def share_point(self, owner: int, holder: int) -> int:
        """The point of the holder's shares of the owner's secrets."""
        if not self.parameters.chosen:
            return share_point(self.parameters, owner, holder)
        return self.drawn[owner].index(holder) + 1

    def parts(self, members: set[int]) -> list[set[int]]:
        """The connected parts of the graph of these clients."""
        if self.parameters.complete:
            return [members]
        found: list[set[int]] = []
        rest = set(members)
        while rest:
            part, new = set[int](), {min(rest)}
            while new:
                part |= new
                reached = {v for u in new for v in self.neighbours(u)}
                new = reached & rest - part
            found.append(part)
            rest -= part
        return found
