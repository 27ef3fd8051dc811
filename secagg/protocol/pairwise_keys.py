"""The PRG keys of masks between clients that left and clients that stayed: a job for an executor (Specification §6.6).

There may be hundreds of thousands of pairs: their ids are arrays, and their keys the words that the job works on. Must
not know sessions, states or who works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import key_schedule
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.kem import CIPHERTEXT_BYTES
from secagg.crypto.key_schedule import Encapsulated, MaskPeer, PairwiseMaskKeys
from secagg.crypto.secret import SecretBytes
from secagg.masking.engine import MaskKeys
from secagg.parameters import ClientId

KEY_WORDS: Final = 2  # of 8 bytes


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a client that left after it shared keys and a contributor: both uint64, one entry for each pair."""

    owners: NDArray[np.uint64]
    peers: NDArray[np.uint64]

    @classmethod
    def of(cls, peers: Mapping[ClientId, NDArray[np.uint64]]) -> Pairs:
        """From the contributors among the neighbours of each client that left."""
        owners = np.repeat(np.array(list(peers), dtype=np.uint64), [len(each) for each in peers.values()])
        return cls(owners, np.concatenate([np.zeros(0, dtype=np.uint64), *peers.values()]))

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, piece: slice) -> Pairs:
        return Pairs(self.owners[piece], self.peers[piece])

    def listed(self) -> list[tuple[ClientId, ClientId]]:
        """The pairs as (owner, peer)."""
        return list(zip(self.owners.tolist(), self.peers.tolist(), strict=True))

    def opposite(self, words: NDArray[np.uint64]) -> MaskKeys:
        """What takes the peers' masks out of a sum, of the keys in `words`, which it keeps.

        A peer added its mask with an owner if its own id is the lower one, and subtracted it otherwise.
        """
        return MaskKeys(words.view(np.uint8).reshape(len(self), 8 * KEY_WORDS), self.peers < self.owners)


@dataclass(frozen=True, slots=True)
class PairwiseKeys:
    """A job: write the PRG key of each pair, KEY_WORDS words each, in their order.

    In a hybrid suite `parcels` has what was encapsulated between the two of each pair.
    """

    secrets: Mapping[ClientId, SecretBytes] = field(repr=False)
    publics: Mapping[ClientId, bytes]
    session: bytes
    binding: bytes
    pairs: Pairs
    parcels: Mapping[tuple[ClientId, ClientId], bytes] = field(default_factory=dict, repr=False)

    def start(self, target: NDArray[np.uint64]) -> Callable[[range], None]:
        """Return what makes the keys of a range of pairs."""
        octets = target.view(np.uint8).reshape(len(self.pairs), 8 * KEY_WORDS)
        made = dict[ClientId, tuple[HybridKey | None, PairwiseMaskKeys]]()
        ready = dict[ClientId, MaskPeer]()

        def keys_of(owner: ClientId) -> tuple[HybridKey | None, PairwiseMaskKeys]:
            # Pieces may run in threads: the same key twice does no harm.
            if owner not in made:
                key = key_schedule.mask_private_key(self.secrets[owner], self.session, with_kem=bool(self.parcels))
                keys = PairwiseMaskKeys(key, self.session, self.binding, owner)
                made[owner] = key if isinstance(key, HybridKey) else None, keys
            return made[owner]

        def derive(piece: range) -> None:
            derived = list[bytes]()
            for owner, peer in self.pairs[piece.start : piece.stop].listed():
                key, keys = keys_of(owner)
                if peer not in ready:
                    ready[peer] = MaskPeer.of(peer, self.publics[peer])
                encapsulated = None if key is None else self._encapsulated(key, owner, peer)
                derived.append(keys.with_peer(ready[peer], encapsulated))
            joined = np.frombuffer(b"".join(derived), dtype=np.uint8)
            octets[piece.start : piece.stop] = joined.reshape(len(piece), 8 * KEY_WORDS)

        return derive

    def _encapsulated(self, key: HybridKey, owner: ClientId, peer: ClientId) -> Encapsulated:
        """What the owner encapsulated to the peer, which it wrapped, or the peer to the owner."""
        parcel = self.parcels[owner, peer]
        ciphertext, wrap = parcel[:CIPHERTEXT_BYTES], parcel[CIPHERTEXT_BYTES:]
        if owner > peer:
            return Encapsulated(key.kem.decapsulate(ciphertext), ciphertext)
        secret = key_schedule.mask_wrap(self.secrets[owner], self.binding, owner, peer, wrap, ciphertext)
        return Encapsulated(secret, ciphertext)

    def rebased(self, whole: range) -> tuple[PairwiseKeys, range]:
        """These pairs with their keys only."""
        pairs = self.pairs[whole.start : whole.stop]
        secrets = {owner: self.secrets[owner] for owner in np.unique(pairs.owners).tolist()}
        parcels = {pair: self.parcels[pair] for pair in pairs.listed()} if self.parcels else self.parcels
        publics = {peer: self.publics[peer] for peer in np.unique(pairs.peers).tolist()}
        words = range(KEY_WORDS * whole.start, KEY_WORDS * whole.stop)
        return replace(self, secrets=secrets, publics=publics, pairs=pairs, parcels=parcels), words
