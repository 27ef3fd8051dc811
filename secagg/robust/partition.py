"""Which clients share a cell, and what a cell's session of one round is bound to (robust-v1 §2, §3).

Whoever has the ids and the seed computes the same cells: no party need be believed. Must not know sessions, models or
what is summed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

from secagg.canonical import encode_fields
from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.cohort import check_client_id, check_cohort, cohort_of, pack_ids

SEED_BYTES: Final = 32
DIGEST_BYTES: Final = 32
LEAST_SIZE: Final = 2
_LARGEST: Final = (1 << 64) - 1
_PLACE: Final = b"secagg/robust/v1 place"
_PARTITION: Final = b"secagg/robust/v1 partition"
_ROUND: Final = b"secagg/robust/v1 round"


@dataclass(frozen=True, slots=True)
class Partition:
    """The cells that clients are put into, for all rounds of an epoch (robust-v1 §2).

    The cells are computed here and never taken from anybody. A client makes its own partition from ids and a seed that
    its owner gave it: with a server that may lie, from a party that the server does not control, and drawn after the
    ids were settled. Whoever chooses the seed, or ids after it, tries many until accomplices surround a victim.

    Attributes:
        clients: all ids, strictly ascending.
        size: g, the clients that each cell has at least; from 2 to all clients.
        seed: 32 bytes.
        epoch: which partition of a run it is, an unsigned 64-bit number; the same for all rounds unless a run regroups.
        cells: K = floor(n/g) cells, each ascending, of ceil(n/K) and floor(n/K) clients, the larger ones first.
        digest: 32 bytes that name it.

    Raises:
        ParameterError: any of these out of its range, or an id twice.
    """

    clients: tuple[ClientId, ...]
    size: int
    seed: bytes
    epoch: int = 0
    cells: tuple[tuple[ClientId, ...], ...] = field(init=False, compare=False, repr=False)
    digest: bytes = field(init=False, compare=False, repr=False)
    _cell_of: dict[ClientId, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_kind("clients", self.clients, tuple, "a tuple of ids, or take Partition.draw")
        check_cohort(self.clients)
        _check_bytes("seed", self.seed, SEED_BYTES)
        size = as_whole(self.size)
        if size is None or not LEAST_SIZE <= size <= len(self.clients):
            raise ParameterError(
                f"cells of size={self.size!r:.40} are not possible with {len(self.clients)} clients; take "
                f"{LEAST_SIZE} to {len(self.clients)}"
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "epoch", _unsigned("epoch", self.epoch))
        cells = _cells(self.clients, size, self.seed, self.epoch)
        object.__setattr__(self, "cells", cells)
        encoded = encode_fields(_PARTITION, self.seed, self.epoch, [pack_ids(cell) for cell in cells])
        object.__setattr__(self, "digest", hashlib.sha256(encoded).digest())
        of = {client: index for index, cell in enumerate(cells) for client in cell}
        object.__setattr__(self, "_cell_of", of)

    @classmethod
    def draw(cls, clients: int | Iterable[ClientId], *, size: int, seed: bytes, epoch: int = 0) -> Partition:
        """Put clients into cells.

        Args:
            clients: ids in any order, or how many clients (ids 0, 1, ..., clients - 1).
            size: g, the clients that each cell has at least.
            seed: 32 bytes.
            epoch: which partition of a run it is.

        Raises:
            ParameterError: an argument out of its range, or an id twice.
        """
        return cls(cohort_of(clients), size, seed, epoch)

    def cell_of(self, client: ClientId) -> int:
        """Return the index of the cell that a client is in.

        Args:
            client: its id.

        Raises:
            ParameterError: the client is in none.
        """
        cell = self._cell_of.get(check_client_id(client))
        if cell is None:
            raise ParameterError(
                f"client {client} is in none of the {len(self.cells)} cells of this partition; draw it from the ids of "
                "all clients"
            )
        return cell


def round_context(model: bytes, number: int, partition: Partition, cell: int, *, plan: bytes = b"") -> bytes:
    """Return the context of a cell's session: it binds the masks to model, round, partition and cell (robust-v1 §3).

    Args:
        model: 32-byte digest of what the clients start the round from.
        number: which round of the run, an unsigned 64-bit number.
        partition: all cells.
        cell: index of the cell.
        plan: 32-byte digest of a privacy plan, which then stands in front (privacy-v1 §2), or nothing.

    Raises:
        ParameterError: an argument out of its range.
    """
    _check_bytes("model", model, DIGEST_BYTES)
    if plan != b"":
        _check_bytes("plan", plan, DIGEST_BYTES)
    index = as_whole(cell)
    if index is None or not 0 <= index < len(partition.cells):
        raise ParameterError(f"cell={cell!r:.40} is none of the cells 0 .. {len(partition.cells) - 1}")
    fields = encode_fields(_ROUND, model, _unsigned("number", number), partition.digest, index)
    return plan + hashlib.sha256(fields).digest()


def _cells(clients: tuple[ClientId, ...], size: int, seed: bytes, epoch: int) -> tuple[tuple[ClientId, ...], ...]:
    def place(client: ClientId) -> tuple[bytes, ClientId]:
        return hashlib.sha256(encode_fields(_PLACE, seed, epoch, client)).digest(), client

    order = sorted(clients, key=place)
    count = len(clients) // size
    least, larger = divmod(len(clients), count)
    ends = accumulate((least + (index < larger) for index in range(count)), initial=0)
    return tuple(tuple(sorted(order[start:end])) for start, end in pairwise(ends))


def _check_bytes(name: str, value: object, length: int) -> None:
    if not isinstance(value, bytes) or len(value) != length:
        had = f"{len(value)} bytes" if isinstance(value, bytes) else f"of type {type(value).__name__}"
        raise ParameterError(f"{name} is {had}; give {length} bytes")


def _unsigned(name: str, value: object) -> int:
    whole = as_whole(value)
    if whole is None or not 0 <= whole <= _LARGEST:
        raise ParameterError(f"{name}={value!r:.40} is no whole number in 0 .. 2^64-1; give one")
    return whole
