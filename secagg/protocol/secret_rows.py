"""Secrets of one length by client, as rows of one piece of memory (Specification §7.1).

A client keeps a key, and later two shares, for each neighbour: an object for each cost it more than opening what is
sealed with the key. Must not know what the secrets are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.parameters import ClientId


@dataclass(frozen=True, slots=True, eq=False)
class SecretRows(Mapping[ClientId, SecretBytes]):
    """A mapping from clients to copies of their secrets, for whoever needs a few; `rows` has all of them.

    Attributes:
        clients: uint64, one-dimensional, strictly ascending; nobody changes it.
        joined: the secrets, one after the other, all of one length.

    Raises:
        ParameterError: ids of another type, or bytes that are not one secret for each of them.
    """

    clients: NDArray[np.uint64]
    joined: SecretBytes = field(repr=False)

    def __post_init__(self) -> None:
        clients, octets = self.clients, len(self.joined)
        if clients.dtype != np.uint64 or clients.ndim != 1 or not np.all(clients[:-1] < clients[1:]):
            raise ParameterError(f"secrets of {clients.dtype} ids; give uint64 ids in strictly ascending order")
        if octets % len(clients) if len(clients) else octets:
            raise ParameterError(f"{octets} bytes are not one secret for each of {len(clients)} clients")

    @property
    def width(self) -> int:
        """Bytes of each secret; 0 when there is none."""
        return len(self.joined) // len(self.clients) if len(self.clients) else 0

    @property
    def rows(self) -> NDArray[np.uint8]:
        """All secrets: uint8, shape (clients, width), read-only; zeros once they are wiped.

        Raises:
            LocalProtocolError: they were wiped.
        """
        return np.frombuffer(self.joined.expose(), dtype=np.uint8).reshape(len(self.clients), self.width)

    def check_width(self, width: int) -> None:
        """Raise ParameterError unless each secret, if there is any, has `width` bytes."""
        if self.width not in (0, width) or (len(self.clients) and not self.width):
            raise ParameterError(f"secrets of {self.width} bytes for {len(self.clients)} clients; each has {width}")

    def places(self, clients: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the row of each of some clients, or -1 for one that has none; the shape of `clients`."""
        if not len(self.clients):
            return np.full(clients.shape, -1, dtype=np.intp)
        found = np.minimum(np.searchsorted(self.clients, clients), len(self.clients) - 1)
        return np.where(self.clients[found] == clients, found, -1)

    def copies(self, clients: Sequence[ClientId]) -> NDArray[np.uint8]:
        """Return copies of the rows of some clients, in their order: uint8, shape (clients, width); writable.

        Raises:
            KeyError: one of them has none; no other row stands in for it.
            LocalProtocolError: they were wiped.
        """
        places = self.places(np.array(clients, dtype=np.uint64))
        if np.any(places < 0):
            raise KeyError(clients[int(np.argmin(places))])
        return self.rows[places]

    def wipe(self) -> None:
        """Overwrite the secrets with zeros."""
        self.joined.wipe()

    def __getitem__(self, client: ClientId) -> SecretBytes:
        (place,) = self.places(np.array([client], dtype=np.uint64)).tolist()
        if place < 0:
            raise KeyError(client)
        return SecretBytes(self.joined.expose()[place * self.width : (place + 1) * self.width])

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self.clients.tolist())

    def __len__(self) -> int:
        return len(self.clients)
