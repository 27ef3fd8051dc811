"""What clients dealt and signed, kept from ShareKeys to the end (Specification §3.6).

For those who cannot read a pair, and for shares that contradict each other. Must not know rounds, complaints or who is
to blame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from secagg.crypto import dealing
from secagg.parameters import ClientId
from secagg.protocol.forwarding import Dealt
from secagg.protocol.listed import Listed
from secagg.protocol.messages import SEALED_BYTES, Dealing


@dataclass(frozen=True, slots=True)
class SignedDealing:
    """What holds a dealer to its pairs.

    Attributes:
        digests: of all blocks, 32 bytes each.
        attestation: 192 bytes, over the digests.
    """

    digests: bytes
    attestation: bytes


@dataclass(frozen=True, slots=True)
class Dealings:
    """All dealings of a session.

    Attributes:
        channel_publics: of all that advertised.
        pairs: the committed pairs of 144 bytes of each sharer, whoever was to receive them.
        signed: by dealer.
    """

    channel_publics: Mapping[ClientId, bytes]
    pairs: Dealt = field(repr=False)
    signed: Mapping[ClientId, SignedDealing] = field(repr=False)

    def shown(self, dealer: ClientId, receiver: ClientId) -> Dealing:
        """The dealing as far as one receiver needs it."""
        signed = self.signed[dealer]
        return Dealing(dealer, self.blocks(dealer, [receiver]), signed.digests, signed.attestation)

    def pair(self, dealer: ClientId, receiver: ClientId) -> bytes:
        """The committed pair from one to the other."""
        return self.pairs.from_dealer(dealer).value(receiver)

    def commitments(self, dealer: ClientId, holders: Iterable[ClientId]) -> list[bytes]:
        """What a dealer committed to for each of these holders, in their order."""
        listed = self.pairs.from_dealer(dealer)
        places = np.searchsorted(listed.clients, np.array(list(holders), dtype=np.uint64))
        return [bytes(row.data) for run in listed.runs for row in run.values[places, SEALED_BYTES:]]

    def blocks(self, dealer: ClientId, holders: Iterable[ClientId]) -> bytes:
        """The blocks in which the entries of these holders stand, in the order of the dealing, one after the other."""
        listed, size = self.pairs.from_dealer(dealer), dealing.PAIRS_IN_A_BLOCK
        places = np.searchsorted(listed.clients, np.array(list(holders), dtype=np.uint64))
        needed = np.unique(places // size).tolist()
        return b"".join(self._entries(listed, slice(block * size, (block + 1) * size)) for block in needed)

    def _entries(self, listed: Listed, places: slice) -> bytes:
        return b"".join(
            dealing.dealt_entry(receiver, self.channel_publics[receiver], pair) for receiver, pair in listed[places]
        )
