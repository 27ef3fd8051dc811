"""NO SECURITY: numbers that a seed repeats, for the inputs and dropouts of simulations and the data of the demo.

Built on the deterministic randomness of :mod:`secagg.testing`, so that no statistical generator enters the
library. Must never make a key, a mask or anything else of a session that carries real data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.testing.randomness import DeterministicRandomSource

_T = TypeVar("_T")
_SLICE_ENTRIES: Final = 1 << 16


class SeededNumbers:
    """Reproducible numbers. NO SECURITY.

    Args:
        source: what the numbers are drawn from, such as `DeterministicRandomSource(seed)`.
    """

    __slots__ = ("_source",)

    def __init__(self, source: DeterministicRandomSource) -> None:
        self._source = source

    def fork(self, label: str | int) -> SeededNumbers:
        """Return independent numbers, the same however many were drawn before."""
        return SeededNumbers(self._source.fork(label))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Draw `count` numbers, uniform in [0, 1): multiples of 2^-53."""
        return (self._words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, count: int) -> NDArray[np.float64]:
        """Draw `count` numbers of the standard normal law (Box and Muller)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(count)))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.uniform(count)), dtype=np.float64)

    def permutation(self, count: int) -> NDArray[np.int64]:
        """Draw an order of 0 .. count - 1."""
        return np.argsort(self._words(count), kind="stable").astype(np.int64)

    def interval(self, count: int, bound: float) -> NDArray[np.float32]:
        """Draw `count` float32 numbers, uniform in [-bound, bound]; memory beyond the result is constant."""
        values = np.empty(count, dtype=np.float32)
        for start in range(0, count, _SLICE_ENTRIES):
            part = values[start : start + _SLICE_ENTRIES]
            drawn = np.frombuffer(self._source.secret(4 * len(part)).expose(), dtype="<u4")
            part[:] = (drawn * 2.0**-31 - 1.0) * bound
        return values

    def _words(self, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(self._source.secret(8 * count).expose(), dtype="<u8").astype(np.uint64)


def spread(chosen: Sequence[_T], rounds: Sequence[secagg.Round]) -> dict[secagg.Round, tuple[_T, ...]]:
    """Deal clients out over the rounds, one by one, so that the rounds' numbers differ by one at most."""
    return {round_: tuple(chosen[index :: len(rounds)]) for index, round_ in enumerate(rounds)}


def fresh_seed() -> int:
    """Return a seed for a run that was given none, 0 .. 2^32 - 1."""
    return int.from_bytes(os.urandom(4), "big")


class InputsWhenDue(Mapping[int, Mapping[str, NDArray[Any]]]):
    """Each client's input, made whenever it is asked for, so that never all of them exist.

    Args:
        clients: ids are 0 .. clients - 1.
        make: client to its arrays by name.
    """

    def __init__(self, clients: int, make: Callable[[int], Mapping[str, NDArray[Any]]]) -> None:
        self._clients = range(clients)
        self._make = make

    def __getitem__(self, client: int) -> Mapping[str, NDArray[Any]]:
        if client not in self._clients:
            raise KeyError(client)
        return self._make(client)

    def __contains__(self, client: object) -> bool:
        return client in self._clients

    def __iter__(self) -> Iterator[int]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)
