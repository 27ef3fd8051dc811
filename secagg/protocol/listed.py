"""Lists of (client, bytes) pairs as columns (Specification §6): to whoever reads one, a sequence of such pairs.

A server takes and sends n^2 pairs in a session, and an object for each would cost it more than all arithmetic. Values
of one length that follow each other are one run: an array of ids and a table with a row for each. A list of values of
one length has one run, and one of a hybrid suite two. Must not know what the bytes are, nor which list is in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters import ClientId


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Pairs whose values have one length; nobody changes the arrays.

    Attributes:
        clients: uint64, one-dimensional.
        values: uint8, a row for each client.

    Raises:
        ParameterError: arrays of other types, or not a row for each client.
    """

    clients: NDArray[np.uint64]
    values: NDArray[np.uint8]

    def __post_init__(self) -> None:
        clients, values = self.clients, self.values
        if clients.dtype != np.uint64 or values.dtype != np.uint8 or (clients.ndim, values.ndim) != (1, 2):
            raise ParameterError(
                f"a run of {clients.dtype} ids and {values.dtype} values; give uint64 and rows of uint8"
            )
        if len(clients) != len(values):
            raise ParameterError(f"{len(values)} rows are not one for each of {len(clients)} clients")

    @property
    def width(self) -> int:
        """Bytes of each value."""
        return int(self.values.shape[1])

    def __iter__(self) -> Iterator[tuple[ClientId, bytes]]:
        joined, width = self.values.tobytes(), self.width
        rows = (
            (joined[at : at + width] for at in range(0, len(joined), width))
            if width
            else iter([b""] * len(self.clients))
        )
        return zip(self.clients.tolist(), rows, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class Ids(Sequence[ClientId]):
    """Client ids: to whoever reads them a sequence of numbers, equal to a tuple of the same.

    Attributes:
        array: uint64, one-dimensional; nobody changes it.

    Raises:
        ParameterError: an array of another type.
    """

    array: NDArray[np.uint64]

    def __post_init__(self) -> None:
        if self.array.dtype != np.uint64 or self.array.ndim != 1:
            raise ParameterError(f"ids are an array of uint64 in one dimension, not of {self.array.dtype}")

    @classmethod
    def of(cls, clients: Iterable[ClientId]) -> Ids:
        """Put ids into an array; what is in one is returned as it is."""
        return clients if isinstance(clients, Ids) else cls(np.array(tuple(clients), dtype=np.uint64))

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self.array.tolist())

    @overload
    def __getitem__(self, place: int) -> ClientId: ...
    @overload
    def __getitem__(self, place: slice) -> Ids: ...
    def __getitem__(self, place: int | slice) -> Any:
        return Ids(self.array[place]) if isinstance(place, slice) else int(self.array[place])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Ids):
            return np.array_equal(self.array, other.array)
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Ids({tuple(self)})"


Clients = Ids | tuple[ClientId, ...]
"""What a list of ids may be made from; a message that a server has n of holds them in an array."""


@dataclass(frozen=True, slots=True, eq=False)
class Listed(Sequence[tuple[ClientId, bytes]]):
    """A list of (client, bytes) pairs, in runs of values of one length; none of the runs is empty."""

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[ClientId, bytes]]) -> Listed:
        """Put pairs into columns; a list that is in columns is returned as it is."""
        if isinstance(pairs, Listed):
            return pairs
        return cls(tuple(_run(list(alike), width) for width, alike in groupby(pairs, key=_width)))

    @classmethod
    def table(cls, clients: NDArray[np.uint64], values: NDArray[np.uint8]) -> Listed:
        """Take columns; raises ParameterError for what is no :class:`Run`."""
        run = Run(clients, values)
        return cls((run,)) if len(clients) else cls()

    @property
    def clients(self) -> NDArray[np.uint64]:
        """The ids, in the order of the list."""
        if len(self.runs) == 1:
            return self.runs[0].clients
        return np.concatenate([np.zeros(0, dtype=np.uint64), *(run.clients for run in self.runs)])

    def value(self, client: ClientId) -> bytes:
        """Return the value of a client; raises KeyError when it is not listed."""
        for run in self.runs:
            for place in np.flatnonzero(run.clients == np.uint64(client)).tolist():
                return bytes(run.values[place].data)
        raise KeyError(client)

    def __len__(self) -> int:
        return sum(len(run.clients) for run in self.runs)

    def __iter__(self) -> Iterator[tuple[ClientId, bytes]]:
        return chain.from_iterable(self.runs)

    @overload
    def __getitem__(self, place: int) -> tuple[ClientId, bytes]: ...
    @overload
    def __getitem__(self, place: slice) -> Listed: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice) and len(self.runs) == 1:
            return Listed.table(self.runs[0].clients[place], self.runs[0].values[place])
        listed = list(self)
        return Listed.of(listed[place]) if isinstance(place, slice) else listed[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listed):
            return NotImplemented
        return list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


Pairs = Listed | tuple[tuple[ClientId, bytes], ...]
"""What a list may be made from; a message holds it in columns."""


def _width(pair: tuple[ClientId, bytes]) -> int:
    return len(pair[1])


def _run(pairs: Sequence[tuple[ClientId, bytes]], width: int) -> Run:
    clients = np.array([client for client, _ in pairs], dtype=np.uint64)
    joined = b"".join(value for _, value in pairs)
    return Run(clients, np.frombuffer(joined, dtype=np.uint8).reshape(len(pairs), width))
