"""The shares that holders revealed, by owner and without an object for each (Specification §6.6).

There are n^2 of them. Must not know what secrets they are of, or which of them are wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

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

    __slots__ = ("_behind", "_elements", "_holders", "_rows")

    def __init__(self, revealed: Mapping[ClientId, RevealedShares]) -> None:
        holders = sorted(revealed)
        blocks = [revealed[holder] for holder in holders]
        owners = np.array([owner for block in blocks for owner in block.owners], dtype=np.uint64)
        by_owner = np.argsort(owners, kind="stable")
        known, starts = np.unique(owners[by_owner], return_index=True)
        self._rows: dict[ClientId, NDArray[np.int64]] = dict(
            zip(known.tolist(), np.split(by_owner, starts)[1:], strict=True)
        )
        self._holders = np.repeat(np.array(holders, dtype=np.uint64), [len(block) for block in blocks])
        self._behind = blocks
        given = [shamir.elements_in(block.joined, block.width) for block in blocks if block.owners]
        self._elements = np.concatenate([np.zeros((0, shamir.LIMBS), dtype=np.uint16), *given])

    def rows(self, owner: ClientId) -> NDArray[np.int64]:
        """Where the shares of an owner's secret lie."""
        return self._rows.get(owner, np.zeros(0, dtype=np.int64))

    def holders(self, owner: ClientId) -> list[ClientId]:
        """Who revealed a share of an owner's secret, in the order of `rows`."""
        holders: list[ClientId] = self._holders[self.rows(owner)].tolist()
        return holders

    def elements(self, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return a copy of the elements of shares: shape (*rows.shape, 18)."""
        return self._elements[rows]

    def shares(self, owner: ClientId) -> dict[ClientId, SecretBytes]:
        """Return copies of the shares of an owner's secret, by holder."""
        elements = self.elements(self.rows(owner))
        octets = elements.astype(">u2").view(np.uint8)
        shares = {holder: SecretBytes(row.data) for holder, row in zip(self.holders(owner), octets, strict=True)}
        for array in (elements, octets):
            array.fill(0)
        return shares

    def revealed(self, owner: ClientId) -> list[bytes]:
        """Return what holders revealed of an owner's secret, as it came, in the order of `rows`."""
        starts = np.cumsum([0, *(len(block) for block in self._behind)])
        rows = self.rows(owner)
        blocks = np.searchsorted(starts, rows, side="right") - 1
        found = []
        for block, place in zip(blocks.tolist(), (rows - starts[blocks]).tolist(), strict=True):
            width, joined = self._behind[block].width, self._behind[block].joined.expose()
            found.append(bytes(joined[place * width : (place + 1) * width]))
        return found

    def digest(self) -> bytes:
        """Return a hash of all shares."""
        return hashlib.sha256(self._elements.data).digest()

    def wipe(self) -> None:
        """Overwrite all shares with zeros."""
        self._elements.fill(0)
