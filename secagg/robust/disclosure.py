"""What all sums of a run say of groups that are smaller than any of them: a server's check of its own plan.

Updates of one client resemble each other over rounds, so sums of many rounds are equations in each client's usual
update. Clients that stand in the same sums, an *atom*, have the same coefficient in every combination of sums, so that
none is over fewer clients than the smallest atom has. Sufficient, not necessary, and no defence from a server that
lies: that is a client's `CellGuard`. Why regrouping costs: protocol_specs/robust-v1.md §7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.parameters.arguments import as_whole
from secagg.parameters.cohort import check_client_id, check_cohort, cohort_of
from secagg.robust.sizing import FLOOR

_PRIME: Final = (1 << 31) - 1
_MOST_ENTRIES: Final = 1 << 21


@dataclass(frozen=True, slots=True)
class DisclosureSummary:
    """What the sums of a run amount to.

    Attributes:
        sums: how many were admitted.
        rank: how many of them are linearly independent; when there are as many as clients, each client's usual update
            is known. Modulo 2^31 - 1, which is less than over the rationals only if that prime divides a minor of the
            sums; of very many different sums, at most how many.
        clients: how many stand in a sum.
        smallest_atom: size of the smallest group of clients that no sum tells apart; no combination of sums is over
            fewer. 0 without a sum.
    """

    sums: int
    rank: int
    clients: int
    smallest_atom: int

    def __str__(self) -> str:
        return (
            f"{self.sums} sums, {self.rank} of them independent, over {self.clients} clients; no combination is over "
            f"fewer than {self.smallest_atom} clients."
        )


class Disclosure:
    """Keeps account of who stood in which sum, over all rounds of a run.

    Args:
        clients: ids in any order, or how many clients (ids 0, 1, ..., clients - 1).
        floor: smallest atom that is allowed, at least 1.

    Raises:
        ParameterError: an argument out of its range, or an id twice.
    """

    def __init__(self, clients: int | Iterable[ClientId], floor: int = FLOOR) -> None:
        cohort = cohort_of(clients)
        check_cohort(cohort)
        least = as_whole(floor)
        if least is None or least < 1:
            raise ParameterError(f"floor={floor!r:.40} is no size of a group; give 1 or more")
        self._floor = least
        self._clients = frozenset(cohort)
        self._atom_of: dict[ClientId, int] = {}  # of clients that stand in a sum
        self._sizes: list[int] = []
        self._sums: set[frozenset[ClientId]] = set()
        self._count = 0

    def admit(self, contributors: Iterable[ClientId], number: int) -> None:
        """Count a sum, before it is released.

        Args:
            contributors: the clients in it; for a cell's session, the cell.
            number: of its round, for the error's sentence.

        Raises:
            ParameterError: together with the sums before, it could tell of fewer clients than the floor; it is not
                counted and must not be released. Or a client that is unknown, or nobody.
        """
        chosen = frozenset(check_client_id(client) for client in contributors)
        if not chosen or not chosen <= self._clients:
            unknown = min(chosen - self._clients, default=None)
            raise ParameterError(
                "a sum over nobody tells nothing; give its contributors"
                if unknown is None
                else f"client {unknown} is none of the {len(self._clients)} clients of this account; name all of them"
            )
        parts: dict[int | None, list[ClientId]] = {}
        for client in chosen:
            parts.setdefault(self._atom_of.get(client), []).append(client)
        split = {atom: part for atom, part in parts.items() if atom is None or len(part) < self._sizes[atom]}
        made = [len(part) for part in split.values()]
        left = [self._sizes[atom] - len(part) for atom, part in split.items() if atom is not None]
        smallest = min(made + left, default=self._floor)
        if smallest < self._floor:
            raise ParameterError(
                f"the sum over {len(chosen)} clients in round {number} is not to be released: together with "
                f"{self._count} sums before it could tell of {smallest} clients alone, and floor={self._floor}; sum "
                "whole cells of one partition only"
            )
        for atom, part in split.items():
            if atom is not None:
                self._sizes[atom] -= len(part)
            self._atom_of.update(dict.fromkeys(part, len(self._sizes)))
            self._sizes.append(len(part))
        self._sums.add(chosen)
        self._count += 1

    def summary(self) -> DisclosureSummary:
        """Return what the sums so far amount to."""
        rows = [{self._atom_of[client] for client in chosen} for chosen in self._sums]
        return DisclosureSummary(
            sums=self._count,
            rank=_rank(rows, len(self._sizes)),
            clients=len(self._atom_of),
            smallest_atom=min(self._sizes, default=0),
        )


def _rank(rows: list[set[int]], columns: int) -> int:
    """Return the rank of a matrix of zeros and ones, of each row the columns of its ones; see `DisclosureSummary`."""
    rank, rest = 0, dict(enumerate(rows))
    holders: list[set[int]] = [set() for _ in range(columns)]
    for index, row in rest.items():
        for column in row:
            holders[column].add(index)
    alone = [column for column, holding in enumerate(holders) if len(holding) == 1]
    while alone:  # the only row with a column is independent of all others
        for index in tuple(holders[alone.pop()]):
            rank += 1
            for column in rest.pop(index):
                holders[column].discard(index)
                if len(holders[column]) == 1:
                    alone.append(column)
    left = sorted(set().union(*rest.values()))
    if len(rest) * len(left) > _MOST_ENTRIES:
        return rank + min(len(rest), len(left))
    place = {column: at for at, column in enumerate(left)}
    matrix = np.zeros((len(rest), len(left)), dtype=np.int64)
    for at, row in enumerate(rest.values()):
        matrix[at, [place[column] for column in row]] = 1
    return rank + _eliminated(matrix)


def _eliminated(matrix: NDArray[np.int64]) -> int:
    """Return the rank modulo the prime; the matrix is overwritten."""
    rank = 0
    for column in range(matrix.shape[1]):
        below = rank + np.flatnonzero(matrix[rank:, column])
        if not len(below):
            continue
        matrix[[rank, below[0]]] = matrix[[below[0], rank]]
        pivot = matrix[rank] * pow(int(matrix[rank, column]), -1, _PRIME) % _PRIME
        rank += 1
        others = rank + np.flatnonzero(matrix[rank:, column])
        matrix[others] = (matrix[others] - matrix[others, column, None] * pivot) % _PRIME
    return rank
