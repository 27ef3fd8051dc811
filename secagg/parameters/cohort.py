"""Who takes part in a session, and in which graph (Specification §2.1, §2.5).

Client ids, cohorts and the shape of the masking graph: plain data with its checks. Which clients are neighbours
is computed in the protocol layer; this module must not know vectors, keys or messages.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.graph_conditions import MAX_SHARE_HOLDERS, ThreatModel, TopologyKind

ClientId = int
"""An unsigned 64-bit number that names a client."""

PERMUTATION_SEED_BYTES: Final = 32
MAX_CLIENTS: Final = (1 << 29) - 1


@dataclass(frozen=True, slots=True)
class Topology:
    """Who shares masks with whom (Specification §2.5).

    Attributes:
        kind: complete, or sparse (a regular Harary graph over a random ring).
        degree: neighbours of each client; clients - 1 in a complete graph.
        permutation_seed: 32 bytes that order the ring of a sparse graph; empty in a complete one.
    """

    kind: TopologyKind
    degree: int
    permutation_seed: bytes = b""


def check_client_id(client: object) -> ClientId:
    """Return a client id as a plain int.

    Raises:
        ParameterError: not an integer, or outside 0 .. 2^64-1.
    """
    try:
        value = operator.index(client)  # type: ignore[arg-type]
    except TypeError:
        value = -1
    if isinstance(client, bool) or not 0 <= value < 1 << 64:
        raise ParameterError(f"{client!r} is no client id; ids are integers in 0 .. 2^64-1, map your own names to them")
    return value


def check_cohort(cohort: Sequence[ClientId]) -> None:
    """Check that a cohort is strictly ascending, of plain unsigned 64-bit integers, and large enough for a sum.

    Raises:
        ParameterError: naming the number and what to change.
    """
    if not 2 <= len(cohort) <= MAX_CLIENTS:
        raise ParameterError(f"a cohort of {len(cohort)} clients is outside 2 .. 2^29-1; a sum needs at least two")
    if any(type(client) is not int for client in cohort):
        raise ParameterError("client ids are plain integers; map your own names to unsigned 64-bit numbers")
    if not 0 <= min(cohort) <= max(cohort) < 1 << 64:
        raise ParameterError(
            f"client ids {min(cohort)} .. {max(cohort)} are outside 0 .. 2^64-1; map your own names into that range"
        )
    if any(a >= b for a, b in pairwise(cohort)):
        raise ParameterError("the cohort's client ids are not strictly ascending; sort them and remove repeats")


def cohort_of(clients: int | Iterable[ClientId]) -> tuple[ClientId, ...]:
    """Return the cohort 0 .. clients - 1, or the given ids in ascending order.

    Raises:
        ParameterError: fewer than two clients, too many, or something that is no client id.
    """
    if isinstance(clients, int):
        if not 2 <= clients <= MAX_CLIENTS:
            raise ParameterError(
                f"a cohort of {clients} clients is outside 2 .. 2^29-1; a sum needs at least two, and more clients "
                "take several smaller sessions"
            )
        return tuple(range(clients))
    if not isinstance(clients, Iterable):
        raise ParameterError(f"clients={clients!r} is neither a number of clients nor a list of their ids")
    return tuple(sorted(check_client_id(client) for client in clients))


def check_graph(clients: int, threat_model: ThreatModel, topology: Topology, threshold: int) -> None:
    """Check that the graph exists and that the threshold fits it and the threat model.

    Raises:
        ParameterError: naming the numbers and what to change.
    """
    active = threat_model is ThreatModel.ACTIVE
    if topology.kind is TopologyKind.COMPLETE:
        if topology.degree != clients - 1 or topology.permutation_seed:
            raise ParameterError(
                f"a complete graph over {clients} clients has degree {clients - 1} and no permutation seed, "
                f"not degree {topology.degree} and {len(topology.permutation_seed)} seed bytes; leave the seed out"
            )
    else:
        if active:
            raise ParameterError(
                "the active threat model needs the complete graph: the malicious-server construction for sparse "
                "graphs is not specified yet; use topology 'complete' or threat model 'semi-honest'"
            )
        if not 2 <= topology.degree < clients or (topology.degree % 2 and clients % 2):
            raise ParameterError(
                f"no {topology.degree}-regular ring graph over {clients} clients exists; choose an even degree in "
                f"2 .. {clients - 1}"
            )
        if len(topology.permutation_seed) != PERMUTATION_SEED_BYTES:
            raise ParameterError(
                f"the permutation seed has {len(topology.permutation_seed)} bytes; draw {PERMUTATION_SEED_BYTES}"
            )
    if topology.degree > MAX_SHARE_HOLDERS:
        raise ParameterError(f"degree {topology.degree} is above {MAX_SHARE_HOLDERS}, the most holders of one secret")
    if not 1 <= threshold <= topology.degree:
        raise ParameterError(
            f"threshold {threshold} is outside 1 .. {topology.degree}: a secret has one holder for each neighbour"
        )
    if active and 2 * threshold <= clients:
        raise ParameterError(
            f"threshold {threshold} does not protect {clients} clients from a lying server; the active model "
            f"needs more than half: at least {clients // 2 + 1}"
        )
