"""Who takes part in a session, and in which graph (Specification §2.1, §2.5).

Client ids, cohorts and the shape of the masking graph: plain data with its checks. Which clients are neighbours
is computed in the protocol layer; this module must not know vectors, keys or messages.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.graph_conditions import MAX_SHARE_HOLDERS, ThreatModel, TopologyKind

ClientId = int
"""An unsigned 64-bit number that names a client."""

PERMUTATION_SEED_BYTES: Final = 32
MAX_CLIENTS: Final = (1 << 29) - 1
LEAST_DRAWN: Final = 4
MOST_DRAWN: Final = MAX_SHARE_HOLDERS // 4
"""Holders of a client in a chosen graph; three times as many may have drawn it besides."""
_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Topology:
    """Who shares masks with whom (Specification §2.5).

    Attributes:
        kind: complete, sparse (a regular Harary graph over a random ring), or chosen (experimental: clients draw).
        degree: neighbours of each client, clients - 1 in a complete graph; holders that each draws in a chosen one.
        permutation_seed: 32 bytes that order the ring of a sparse graph; empty in the others.

    Raises:
        ParameterError: a degree that is no whole number, or a seed that is not bytes.
    """

    kind: TopologyKind
    degree: int
    permutation_seed: bytes = b""

    def __post_init__(self) -> None:
        degree = as_whole(self.degree)
        if degree is None:
            raise ParameterError(f"degree={self.degree!r} is no whole number; give the neighbours of a client")
        require_kind("permutation_seed", self.permutation_seed, bytes, "32 bytes, or none in a complete graph")
        object.__setattr__(self, "degree", degree)


def pack_ids(cohort: Iterable[ClientId]) -> bytes:
    """Return ids one after the other, 8 bytes each, big-endian."""
    clients = tuple(cohort)
    return struct.pack(f">{len(clients)}Q", *clients)


def unpack_ids(data: bytes) -> tuple[ClientId, ...]:
    """Return the ids that :func:`pack_ids` packed."""
    return tuple(int.from_bytes(data[at : at + _ID_BYTES], "big") for at in range(0, len(data), _ID_BYTES))


def check_client_id(client: object) -> ClientId:
    """Return a client id as a plain int.

    Args:
        client: what somebody gave as one; a NumPy integer passes, a truth value does not.

    Raises:
        ParameterError: not an integer, or outside 0 .. 2^64-1.
    """
    value = as_whole(client)
    if value is None or not 0 <= value < 1 << 64:
        raise ParameterError(
            f"{client!r:.80} is no client id; ids are integers in 0 .. 2^64-1, and secagg.client_id(name) makes one of "
            "a name"
        )
    return value


def client_id(name: str) -> ClientId:
    """Return the client id of a name, such as "site-a": the first 8 bytes of SHA-256 of its UTF-8 form, big-endian.

    The same on every machine. Two of n names share an id with a probability below n^2/2^65, and
    `SessionParameters.choose` and rosters refuse an id that stands there twice.

    Args:
        name: any text that is not empty; upper and lower case differ.

    Raises:
        ParameterError: no text, or an empty one.
    """
    if not isinstance(name, str) or not name:
        raise ParameterError(f"{name!r:.80} is no name; give a text, or take whole numbers as client ids as they are")
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def check_cohort(cohort: Sequence[ClientId]) -> None:
    """Check that a cohort is strictly ascending, of plain unsigned 64-bit integers, and large enough for a sum.

    Raises:
        ParameterError: naming the number and what to change.
    """
    if not 2 <= len(cohort) <= MAX_CLIENTS:
        raise ParameterError(f"a cohort of {len(cohort)} clients is outside 2 .. 2^29-1; a sum needs at least two")
    if any(type(client) is not int for client in cohort):
        raise ParameterError("client ids are plain integers; secagg.client_id(name) makes one of a name")
    if not 0 <= min(cohort) <= max(cohort) < 1 << 64:
        raise ParameterError(
            f"client ids {min(cohort)} .. {max(cohort)} are outside 0 .. 2^64-1; secagg.client_id(name) makes "
            "ids of names"
        )
    for a, b in pairwise(cohort):
        if a == b:
            raise ParameterError(f"client {a} stands in the cohort twice; give each id once")
        if a > b:
            raise ParameterError(f"the cohort's client ids are not ascending: {b} stands behind {a}; sort them")


def cohort_of(clients: int | Iterable[ClientId]) -> tuple[ClientId, ...]:
    """Return the cohort 0 .. clients - 1, or the given ids in ascending order.

    Raises:
        ParameterError: fewer than two clients, too many, or something that is no client id.
    """
    number = as_whole(clients)
    if number is not None:
        if not 2 <= number <= MAX_CLIENTS:
            raise ParameterError(
                f"a cohort of {number} clients is outside 2 .. 2^29-1; a sum needs at least two, and more clients "
                "take several smaller sessions"
            )
        return tuple(range(number))
    if not isinstance(clients, Iterable) or isinstance(clients, str | bytes):
        raise ParameterError(f"clients={clients!r:.80} is neither a number of clients nor a list of their ids")
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
    elif topology.kind is TopologyKind.CHOSEN:
        _check_chosen(clients, threat_model, topology, threshold)
    else:
        if active:
            raise ParameterError(
                "the active threat model refuses sparse graphs, whose ring the server draws; use topology 'complete', "
                "the experimental 'chosen', or threat model 'semi-honest'"
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
    if active and topology.kind is TopologyKind.COMPLETE and 2 * threshold <= clients:
        raise ParameterError(
            f"threshold {threshold} does not protect {clients} clients from a lying server; the active model "
            f"needs more than half: at least {clients // 2 + 1}"
        )


def threshold_fits(clients: int, threat_model: ThreatModel, topology: Topology, threshold: int) -> bool:
    """Whether `check_graph` takes this threshold, for sentences that advise another one."""
    try:
        check_graph(clients, threat_model, topology, threshold)
    except ParameterError:
        return False
    return True


def _check_chosen(clients: int, threat_model: ThreatModel, topology: Topology, threshold: int) -> None:
    if threat_model is not ThreatModel.ACTIVE:
        raise ParameterError(
            "topology 'chosen' is for the active threat model; the semi-honest one takes 'sparse', which costs less"
        )
    most = min(clients - 1, MOST_DRAWN)
    if not LEAST_DRAWN <= topology.degree <= most:
        raise ParameterError(
            f"degree {topology.degree} of a chosen graph over {clients} clients is outside {LEAST_DRAWN} .. {most}, "
            "the holders that a client can draw; choose one inside"
        )
    if topology.permutation_seed:
        raise ParameterError(
            f"a chosen graph has no permutation seed, not one of {len(topology.permutation_seed)} bytes; leave it out"
        )
    if 2 * threshold <= topology.degree:
        raise ParameterError(
            f"threshold {threshold} does not protect clients with {topology.degree} holders from a lying server; a "
            f"chosen graph needs more than half: at least {topology.degree // 2 + 1}"
        )
