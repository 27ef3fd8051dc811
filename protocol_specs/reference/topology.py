"""Who is whose neighbour (§2.5)."""

from hashlib import sha256

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.parameters import Parameters


def place(permutation_seed: bytes, client: int) -> bytes:
    """What the ring of a sparse graph is sorted by."""
    return sha256(canonical("secagg/v1 topology permutation", permutation_seed, client)).digest()


def neighbours(parameters: Parameters, client: int) -> list[int]:
    """The neighbours of a client of the cohort, in ascending order."""
    cohort = parameters.cohort
    if parameters.complete:
        return [other for other in cohort if other != client]
    n, degree = len(cohort), parameters.degree
    ring = sorted(cohort, key=lambda other: (place(parameters.permutation_seed, other), other))
    position = ring.index(client)
    steps = [step for i in range(1, degree // 2 + 1) for step in (i, -i)]
    if degree % 2:
        steps.append(n // 2)
    return sorted({ring[(position + step) % n] for step in steps})


def parts(parameters: Parameters, members: set[int]) -> list[set[int]]:
    """The connected parts of the graph of these clients."""
    if parameters.complete:
        return [members]
    found: list[set[int]] = []
    rest = set(members)
    while rest:
        part, new = set[int](), {min(rest)}
        while new:
            part |= new
            reached = {v for u in new for v in neighbours(parameters, u)}
            new = reached & rest - part
        found.append(part)
        rest -= part
    return found


def share_point(parameters: Parameters, owner: int, holder: int) -> int:
    """The point of the holder's shares of the owner's secrets."""
    return neighbours(parameters, owner).index(holder) + 1
