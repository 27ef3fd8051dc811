"""What many sums tell together, noise aside: whose input follows from who was in which.

Secure aggregation hides inputs within one sum. If a client's input stays the same, sums over different sets of clients
are linear equations, and they determine it exactly when its unit vector lies in the row space of the matrix rounds x
clients of zeros and ones: when its leverage, the squared length of its projection onto that space, is 1. Inputs that
change from round to round, and noise, blur this; so it is a warning for whoever runs a server, and no bound. Only noise
gives one (:mod:`secagg.privacy.plan`). Against it, clients join in fixed groups: So et al., "Securing secure
aggregation: mitigating multi-round privacy leakage in federated learning", 2023.

What goes in is public: the contributors of each released sum. Of those a server has `SessionResult.contributors`; a
client has the cohorts in its participation ledger (`secagg.store.participations.ParticipationFile.cohorts`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters import ClientId, check_client_id
from secagg.parameters.arguments import as_whole

_SURE: Final = 1e-9
_MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Participation:
    """Who was in which sum.

    Attributes:
        clients: ascending; client i is column i.
        matrix: uint8, (rounds, clients), 1 where the client is in the sum.
    """

    clients: tuple[ClientId, ...]
    matrix: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(cls, rounds: Iterable[Collection[ClientId]]) -> Participation:
        """Read a history: for each released sum, the clients in it.

        Raises:
            ParameterError: something that is no client id, one that stands twice in a sum, or no sum with clients.
        """
        sums = [[check_client_id(client) for client in members] for members in rounds]
        clients = tuple(sorted({client for members in sums for client in members}))
        if not clients:
            raise ParameterError("a history without sums; give the contributors of each sum that was released")
        column = {client: place for place, client in enumerate(clients)}
        matrix = np.zeros((len(sums), len(clients)), dtype=np.uint8)
        for row, members in enumerate(sums):
            if len(set(members)) != len(members):
                raise ParameterError(f"sum {row} of the history names a client twice; give each contributor once")
            matrix[row, [column[client] for client in members]] = 1
        return cls(clients, matrix)


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What a history determines.

    Attributes:
        clients: ascending.
        rounds: how many sums.
        rank: how many of them say something new.
        leverage: float64, (clients,), from 0 to 1; 1 where the input is determined.
        error: float64, (clients,): where it is, the standard deviation of what is found when every sum has independent
            noise of standard deviation 1; infinite elsewhere.
    """

    clients: tuple[ClientId, ...]
    rounds: int
    rank: int
    leverage: NDArray[np.float64] = field(repr=False)
    error: NDArray[np.float64] = field(repr=False)

    @property
    def determined(self) -> tuple[ClientId, ...]:
        """Whose input, if it stays the same, follows from the sums; whoever is within rounding of it is named, too."""
        return tuple(
            client for client, error in zip(self.clients, self.error.tolist(), strict=True) if math.isfinite(error)
        )

    def to_json(self) -> dict[str, Any]:
        """All fields and the text as plain data for `json.dumps`; an infinite error is None."""
        return {
            "rounds": self.rounds,
            "rank": self.rank,
            "clients": list(self.clients),
            "leverage": self.leverage.tolist(),
            "error": [error if math.isfinite(error) else None for error in self.error.tolist()],
            "determined": list(self.determined),
            "text": str(self),
        }

    def __str__(self) -> str:
        found = self.determined
        had = f"{self.rounds} sums over {len(self.clients)} clients, {self.rank} of them independent"
        if not found:
            return f"{had}: no client's input follows from them, even if it stays the same."
        named = ", ".join(map(str, found[:_MOST_NAMED])) + (", ..." if len(found) > _MOST_NAMED else "")
        return (
            f"{had}: the inputs of {len(found)} clients follow from them if they stay the same ({named}); let clients "
            "join in fixed groups, or add noise."
        )


def exposure(participation: Participation) -> Exposure:
    """Say whose input a history determines; takes one singular value decomposition, O(rounds^2 clients).

    Args:
        participation: as `Participation.of` reads it.

    Raises:
        ParameterError: a matrix of another shape, or of other entries than 0 and 1.
    """
    matrix, clients = participation.matrix, participation.clients
    if matrix.ndim != 2 or matrix.shape[1] != len(clients) or not matrix.size > 0:
        raise ParameterError(f"a matrix of shape {matrix.shape} for {len(clients)} clients; give (rounds, clients)")
    if not np.isin(matrix, (0, 1)).all():
        raise ParameterError(
            "a matrix of participation has entries other than 0 and 1; give 1 where a client took part"
        )
    _, singular, rows = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    rank = int(np.count_nonzero(singular > _SURE * max(singular[0], 1.0)))
    basis = rows[:rank]
    leverage = np.minimum(np.einsum("ri,ri->i", basis, basis), 1.0)
    spread = basis / singular[:rank, None]
    error = np.sqrt(np.einsum("ri,ri->i", spread, spread))
    error[leverage < 1 - _SURE] = math.inf
    return Exposure(clients, len(matrix), rank, leverage, error)


def fixed_groups(clients: Iterable[ClientId], size: int) -> tuple[tuple[ClientId, ...], ...]:
    """Propose groups that always join together, of at least so many clients and as equal as can be.

    As long as every sum holds whole groups only, nothing follows from any number of sums but sums over whole groups. A
    group of which one member drops out has to be left out of the sum as a whole.

    Args:
        clients: all of them, each once.
        size: of the smallest group, at least 2.

    Raises:
        ParameterError: a smaller size, fewer clients than that, or a client that stands twice.
    """
    everybody = sorted(check_client_id(client) for client in clients)
    least = as_whole(size)
    if least is None or least < 2:
        raise ParameterError(f"size={size!r:.40} of a group; give at least 2: a group of one hides nothing")
    if len(set(everybody)) != len(everybody):
        raise ParameterError("a client stands twice among those to be grouped; give each once")
    if len(everybody) < least:
        raise ParameterError(f"{len(everybody)} clients make no group of {least}; lower size, or find more clients")
    count = len(everybody) // least
    edges = [place * len(everybody) // count for place in range(count + 1)]
    return tuple(tuple(everybody[start:end]) for start, end in pairwise(edges))


def information_bits(clients: int) -> float:
    """Return how many bits of one entry one sum tells, 1/2 log2(n / (n - 1)), if inputs are independent normal numbers.

    For illustration only: an average under an assumption, and no promise to anybody.

    Args:
        clients: in the sum, n, at least 2.

    Raises:
        ParameterError: fewer.
    """
    count = as_whole(clients)
    if count is None or count < 2:
        raise ParameterError(f"clients={clients!r:.40} in a sum; give at least 2: a sum of one is the input itself")
    return -0.5 * math.log1p(-1 / count) / math.log(2)
