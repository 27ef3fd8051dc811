"""What clients dealt, on its way from dealers to receivers (Specification §6.3, §6.4).

A row is copied once as it comes to rest, into the table in which it stays, and once for its receiver; what one receiver
is sent is made when it is asked for, so that n^2 rows exist once. Must not know what is dealt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.protocol.listed import Listed, Run

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class DealtTable:
    """All dealt values of one length, by dealer.

    Attributes:
        known: uint64, ascending: who may be a receiver.
        dealers: uint64, in the order of their rows.
        starts: uint64, for each dealer the place of its first row.
        ends: uint64, and behind its last; rows between those of dealers are nobody's.
        receivers: uint32, for whom each row is, as a place in `known`; ascending for each dealer.
        values: uint8, the rows.

    Raises:
        ParameterError: rows that are not there, or those of a dealer not behind those of the one before it.
    """

    known: NDArray[np.uint64]
    dealers: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    receivers: NDArray[np.uint32]
    values: NDArray[np.uint8] = field(repr=False)
    _by_receiver: NDArray[np.uint32] = field(init=False, repr=False)
    _bounds: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        receivers = self.receivers.astype(np.uint32, copy=False)  # uint64 in a snapshot
        spans = [slice(int(self.starts[at]), int(self.ends[at])) for at in np.argsort(self.dealers).tolist()]
        counts = np.zeros(len(self.known), dtype=np.int64)
        for span in spans:  # a dealer deals to each receiver once
            counts[receivers[span]] += 1
        bounds = np.append(np.zeros(1, dtype=np.int64), np.cumsum(counts))
        free, by_receiver = bounds[:-1].copy(), np.empty(bounds[-1], dtype=np.uint32)
        for span in spans:
            places = free[receivers[span]]
            by_receiver[places] = np.arange(span.start, span.stop, dtype=np.uint32)
            free[receivers[span]] = places + 1
        object.__setattr__(self, "receivers", receivers)
        object.__setattr__(self, "_by_receiver", by_receiver)
        object.__setattr__(self, "_bounds", bounds)

    def _check(self) -> None:
        if not len(self.dealers) == len(self.starts) == len(self.ends):
            raise ParameterError(f"{len(self.dealers)} dealers have not a first and a last row each")
        edges = np.stack((self.starts, self.ends), axis=1).ravel()
        if np.any(edges[1:] < edges[:-1]) or edges[-1:].max(initial=0) > len(self.receivers):
            raise ParameterError(f"rows of {len(self.dealers)} dealers are not one after the other in a table")
        if len(self.values) != len(self.receivers) or not np.all(self.receivers < len(self.known)):
            raise ParameterError(f"{len(self.values)} rows are not one for each of {len(self.known)} receivers at most")

    def from_dealer(self, dealer: ClientId) -> Run:
        """What a client dealt, by receiver."""
        spans = [slice(int(self.starts[at]), int(self.ends[at])) for at in np.flatnonzero(self.dealers == dealer)]
        span = spans[0] if spans else slice(0)
        return Run(self.known[self.receivers[span]], self.values[span])

    def to_receiver(self, receiver: ClientId) -> Run:
        """What was dealt to a client, by dealer in ascending order."""
        at = int(np.searchsorted(self.known, np.uint64(receiver)))
        if at == len(self.known) or self.known[at] != receiver:
            return Run(self.known[:0], self.values[:0])
        rows = self._by_receiver[self._bounds[at] : self._bounds[at + 1]]
        dealers = self.dealers[np.searchsorted(self.starts, rows, side="right") - 1]
        return Run(dealers, np.take(self.values, rows, axis=0))


@dataclass(slots=True, eq=False)
class _Growing:
    """The rows of one length that came so far, with room for more."""

    receivers: NDArray[np.uint32]
    values: NDArray[np.uint8]
    used: int = 0
    spans: dict[ClientId, slice] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int, width: int) -> _Growing:
        return cls(np.empty(rows, dtype=np.uint32), np.empty((rows, width), dtype=np.uint8))

    def add(self, dealer: ClientId, receivers: NDArray[np.uint32], values: NDArray[np.uint8]) -> None:
        span = slice(self.used, self.used + len(receivers))
        if span.stop > len(self.receivers):
            larger = _Growing.of(max(span.stop, len(self.receivers) * 5 // 4), self.values.shape[1])
            larger.receivers[: self.used] = self.receivers[: self.used]
            larger.values[: self.used] = self.values[: self.used]
            self.receivers, self.values = larger.receivers, larger.values
        self.receivers[span], self.values[span] = receivers, values
        self.used = span.stop
        self.spans[dealer] = span


class Arriving(MutableMapping[ClientId, Listed]):
    """What clients deal, by dealer: it comes to rest where it stays, in one table for each length of values.

    Args:
        known: uint64, ascending: who may be a receiver.
        rows: how many values of one length are expected; room for them is taken when the first one comes.

    Raises:
        ParameterError: something is dealt to a stranger.
    """

    __slots__ = ("_dealers", "_known", "_rows", "_tables")

    def __init__(self, known: NDArray[np.uint64], rows: int) -> None:
        self._known = known
        self._rows = rows
        self._dealers: dict[ClientId, None] = {}
        self._tables: dict[int, _Growing] = {}

    def __setitem__(self, dealer: ClientId, dealt: Listed) -> None:
        places = [self._known.searchsorted(run.clients) for run in dealt.runs]
        for run, at in zip(dealt.runs, places, strict=True):
            if at.max(initial=-1) >= len(self._known) or not np.array_equal(self._known[at], run.clients):
                raise ParameterError(f"client {dealer} deals to somebody who is none of {len(self._known)} receivers")
        if dealer in self._dealers:
            del self[dealer]  # Rows of dealers are found by their order.
        self._dealers[dealer] = None
        for run, at in zip(dealt.runs, places, strict=True):
            if run.width not in self._tables:
                self._tables[run.width] = _Growing.of(max(self._rows, len(run.clients)), run.width)
            self._tables[run.width].add(dealer, at.astype(np.uint32), run.values)

    def __getitem__(self, dealer: ClientId) -> Listed:
        if dealer not in self._dealers:
            raise KeyError(dealer)
        tables = [(table, table.spans[dealer]) for table in self._tables.values() if dealer in table.spans]
        return _in_order(Run(self._known[table.receivers[span]], table.values[span]) for table, span in tables)

    def __delitem__(self, dealer: ClientId) -> None:
        del self._dealers[dealer]
        for table in self._tables.values():
            table.spans.pop(dealer, None)

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self._dealers)

    def __len__(self) -> int:
        return len(self._dealers)

    def closed(self, dealers: Iterable[ClientId]) -> Dealt:
        """Move what these clients dealt to where receivers are found; nothing is left here."""
        tables, self._tables = self._tables, {}
        kept = frozenset(dealers).intersection(self._dealers)
        self._dealers = {}
        return Dealt(tuple(self._table(tables[width], kept) for width in sorted(tables)))

    def _table(self, table: _Growing, kept: frozenset[ClientId]) -> DealtTable:
        spans = [(dealer, span.start, span.stop) for dealer, span in table.spans.items() if dealer in kept]
        dealers, starts, ends = np.array(spans, dtype=np.uint64).reshape(-1, 3).T
        return DealtTable(self._known, dealers, starts, ends, table.receivers[: table.used], table.values[: table.used])


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What a cohort dealt: a table for each length of values, of which only hybrid suites have two."""

    tables: tuple[DealtTable, ...] = ()

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


def _in_order(runs: Iterable[Run]) -> Listed:
    return Listed(tuple(sorted((run for run in runs if len(run.clients)), key=_first_client)))


def _first_client(run: Run) -> int:
    return int(run.clients[0])
