"""The shares that holders revealed, by owner and without an object for each (Specification §6.6).

There are n^2 of them. Must not know what secrets they are of, or which of them are wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import shamir
from secagg.crypto.secret import SecretBytes
from secagg.parameters import ClientId
from secagg.protocol.messages import RevealedShares


class Holdings:
    """All revealed shares of one kind, canonical, in one array: found by owner, in ascending order of holder.

    What stands behind them, where dealings are signed, stays where it is, since it is hardly ever looked at.
    """

    __slots__ = ("_behind", "_bounds", "_by_owner", "_elements", "_holders", "_known", "_starts")

    def __init__(self, revealed: Mapping[ClientId, RevealedShares]) -> None:
        holders = sorted(revealed)
        blocks = [revealed[holder] for holder in holders]
        owners = np.concatenate([np.zeros(0, dtype=np.uint64), *(block.owners.array for block in blocks)])
        by_owner = np.argsort(owners, kind="stable")
        owners = owners[by_owner]
        first = np.flatnonzero(np.diff(owners, prepend=owners[:1] + np.uint64(1)))
        self._known = owners[first]
        self._bounds = np.append(first, len(owners))
        self._by_owner = by_owner.astype(np.uint32)
        self._holders = np.array(holders, dtype=np.uint64)
        self._starts = np.cumsum([0, *map(len, blocks)])
        self._behind = blocks
        given = [shamir.elements_in(block.joined, block.width) for block in blocks if len(block)]
        self._elements = np.concatenate([np.zeros((0, shamir.LIMBS), dtype=np.uint16), *given])

    def rows(self, owner: ClientId) -> NDArray[np.uint32]:
        """Where the shares of an owner's secret lie."""
        at = int(np.searchsorted(self._known, np.uint64(owner)))
        if at == len(self._known) or self._known[at] != owner:
            return self._by_owner[:0]
        return self._by_owner[self._bounds[at] : self._bounds[at + 1]]

    def holders(self, owner: ClientId) -> NDArray[np.uint64]:
        """Who revealed a share of an owner's secret, in the order of `rows`."""
        return self._holders[self._blocks(self.rows(owner))]

    def elements(self, rows: NDArray[np.uint32]) -> NDArray[np.uint16]:
        """Return a copy of the elements of shares: shape (*rows.shape, 18)."""
        elements: NDArray[np.uint16] = np.take(self._elements, rows, axis=0)
        return elements

    def shares(self, owner: ClientId) -> dict[ClientId, SecretBytes]:
        """Return copies of the shares of an owner's secret, by holder."""
        elements = self.elements(self.rows(owner))
        octets = elements.astype(">u2").view(np.uint8)
        holders = self.holders(owner).tolist()
        shares = {holder: SecretBytes(row.data) for holder, row in zip(holders, octets, strict=True)}
        for array in (elements, octets):
            array.fill(0)
        return shares

    def revealed(self, owner: ClientId) -> list[bytes]:
        """Return what holders revealed of an owner's secret, as it came, in the order of `rows`."""
        rows = self.rows(owner)
        blocks = self._blocks(rows)
        found = []
        for block, place in zip(blocks.tolist(), (rows - self._starts[blocks]).tolist(), strict=True):
            width, joined = self._behind[block].width, self._behind[block].joined.expose()
            found.append(bytes(joined[place * width : (place + 1) * width]))
        return found

    def _blocks(self, rows: NDArray[np.uint32]) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, rows, side="right") - 1

    def digest(self) -> bytes:
        """Return a hash of all shares."""
        return hashlib.sha256(self._elements.data).digest()

    def wipe(self) -> None:
        """Overwrite all shares with zeros."""
        self._elements.fill(0)


@dataclass(frozen=True, slots=True, eq=False)
class SharesOf:
    """The shares of some owners' secrets, of as many holders each: `shares[secrets]` copies those of some of them.

    Attributes:
        shares: all that were revealed.
        rows: where those of each secret lie.
    """

    shares: Holdings
    rows: Sequence[NDArray[np.uint32]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, secrets: NDArray[np.int64], /) -> NDArray[np.uint16]:
        """The elements: shape (len(secrets), holders, 18)."""
        return self.shares.elements(np.stack([self.rows[secret] for secret in secrets.tolist()]))
