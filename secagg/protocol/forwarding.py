"""What clients dealt, on its way from dealers to receivers (Specification §6.3, §6.4).

A row is copied once as it comes to rest and once for its receiver; what one receiver is sent is made when it is asked
for, so that n^2 rows exist once. Must not know what is dealt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.parameters import ClientId
from secagg.protocol.listed import Listed, Run

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class DealtTable:
    """All dealt values of one length, by dealer.

    Attributes:
        dealers: uint64, ascending.
        starts: uint64, for each dealer the place of its first row.
        receivers: uint64, for whom each row is; ascending for each dealer.
        values: uint8, the rows.
    """

    dealers: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    receivers: NDArray[np.uint64]
    values: NDArray[np.uint8] = field(repr=False)
    _by_receiver: NDArray[np.uint32] = field(init=False, repr=False)
    _known: NDArray[np.uint64] = field(init=False, repr=False)
    _bounds: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.receivers, kind="stable")
        ascending = self.receivers[order]
        first = np.flatnonzero(np.diff(ascending, prepend=ascending[:1] + np.uint64(1)))
        object.__setattr__(self, "_by_receiver", order.astype(np.uint32))
        object.__setattr__(self, "_known", ascending[first])
        object.__setattr__(self, "_bounds", np.append(first, len(ascending)))

    def from_dealer(self, dealer: ClientId) -> Run:
        """What a client dealt, by receiver."""
        place = _place(self.dealers, np.append(self.starts, np.uint64(len(self.receivers))), dealer)
        return Run(self.receivers[place], self.values[place])

    def to_receiver(self, receiver: ClientId) -> Run:
        """What was dealt to a client, by dealer."""
        rows = self._by_receiver[_place(self._known, self._bounds, receiver)]
        dealers = self.dealers[np.searchsorted(self.starts, rows, side="right") - 1]
        return Run(dealers, self.values[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What a cohort dealt: a table for each length of values, of which only hybrid suites have two."""

    tables: tuple[DealtTable, ...] = ()

    @classmethod
    def gather(cls, dealt: MutableMapping[ClientId, Listed], dealers: Sequence[ClientId]) -> Dealt:
        """Move what these clients dealt into tables; `dealt` is empty afterwards, so that nothing is kept twice.

        Args:
            dealt: what each client dealt, by receiver in ascending order.
            dealers: whose is kept, ascending.
        """
        widths = sorted({run.width for dealer in dealers for run in dealt[dealer].runs})
        runs = {
            width: [(dealer, run) for dealer in dealers for run in dealt[dealer].runs if run.width == width]
            for width in widths
        }
        dealt.clear()
        return cls(tuple(_gathered(width, runs.pop(width)) for width in widths))

    def from_dealer(self, dealer: ClientId) -> Listed:
        """What a client dealt, by receiver; empty for a stranger."""
        return _in_order(table.from_dealer(dealer) for table in self.tables)

    def to_receiver(self, receiver: ClientId) -> Listed:
        """What was dealt to a client, by dealer; empty for a stranger."""
        return _in_order(table.to_receiver(receiver) for table in self.tables)


@dataclass(frozen=True, slots=True, eq=False)
class MadeWhenAsked(Mapping[ClientId, _Made], Generic[_Made]):
    """Something for each client, made anew whenever somebody asks for it: all of it together would be n^2 rows.

    Attributes:
        clients: for whom there is something, in order.
        make: makes it.
    """

    clients: Mapping[ClientId, None]
    make: Callable[[ClientId], _Made]

    @classmethod
    def of(cls, clients: Iterable[ClientId], make: Callable[[ClientId], _Made]) -> MadeWhenAsked[_Made]:
        """For these clients."""
        return cls(dict.fromkeys(clients), make)

    def __getitem__(self, client: ClientId) -> _Made:
        if client not in self.clients:
            raise KeyError(client)
        return self.make(client)

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self.clients)

    def __len__(self) -> int:
        return len(self.clients)


def _place(clients: NDArray[np.uint64], bounds: NDArray[np.generic], client: ClientId) -> slice:
    """Where the rows of a client lie, if `bounds` are where those of each client begin and the last ones end."""
    at = int(np.searchsorted(clients, np.uint64(client)))
    if at == len(clients) or clients[at] != client:
        return slice(0)
    return slice(int(bounds[at]), int(bounds[at + 1]))


def _gathered(width: int, runs: list[tuple[ClientId, Run]]) -> DealtTable:
    counts = [len(run.clients) for _, run in runs]
    dealers = np.array([dealer for dealer, _ in runs], dtype=np.uint64)
    starts = np.cumsum([0, *counts], dtype=np.uint64)
    receivers = np.empty(sum(counts), dtype=np.uint64)
    values = np.empty((sum(counts), width), dtype=np.uint8)
    runs.reverse()
    for start in starts[:-1].tolist():
        _, run = runs.pop()  # Each is let go as it is copied.
        receivers[start : start + len(run.clients)] = run.clients
        values[start : start + len(run.clients)] = run.values
    return DealtTable(dealers, starts[:-1], receivers, values)


def _in_order(runs: Iterable[Run]) -> Listed:
    return Listed(tuple(sorted((run for run in runs if len(run.clients)), key=_first_client)))


def _first_client(run: Run) -> int:
    return int(run.clients[0])
