"""What a client signs of the committed pairs that it deals (Specification §3.6).

One signature covers all pairs, and costs a neighbour no byte: it is over digests of blocks of 16 pairs, so that one
pair is shown with its block and all digests, and not with all other pairs. Must not know what is sealed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import TAG_BYTES, encode_fields
from secagg.crypto import disclosure
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.labels import Label
from secagg.crypto.signing import SIGNATURE_BYTES, IdentityKey

PAIRS_IN_A_BLOCK: Final = 16
ENTRY_BYTES: Final = 8 + 32 + 112 + 32
DIGEST_BYTES: Final = 32
ID_BYTES: Final = 8
# A block as `encode_fields` writes it behind its label: a server makes n^2 / 16 digests.
_BLOCK: Final = hashlib.sha256(encode_fields(Label.DEALT_BLOCK))
_LENGTH: Final = struct.Struct(">BI")
ATTESTATION_BYTES: Final = SIGNATURE_BYTES + disclosure.PROOF_BYTES


def dealt_entry(receiver: int, receiver_public: bytes, committed: bytes) -> bytes:
    """What a block holds of one pair: receiver, its channel public key as the dealer used it, and what was dealt."""
    return receiver.to_bytes(ID_BYTES, "big") + receiver_public + committed


def dealt_entries(
    receivers: NDArray[np.uint64], receiver_publics: NDArray[np.uint8], committed: NDArray[np.uint8]
) -> bytes:
    """The entries of many pairs, one after the other; a row of each array is one of them."""
    ids = receivers.astype(">u8").view(np.uint8).reshape(-1, ID_BYTES)
    return np.concatenate([ids, receiver_publics, committed], axis=1).tobytes()


def block_with(entries: Sequence[bytes], place: int) -> bytes:
    """The block in which the pair at `place` lies; entries are in ascending order of receiver."""
    first = place - place % PAIRS_IN_A_BLOCK
    return b"".join(entries[first : first + PAIRS_IN_A_BLOCK])


def digests_of(entries: Sequence[bytes]) -> bytes:
    """The digests of all blocks, one after the other."""
    return digests_in(b"".join(entries))


def digests_in(joined: bytes) -> bytes:
    """The same of entries that lie one after the other."""
    size = PAIRS_IN_A_BLOCK * ENTRY_BYTES
    return b"".join(_digest(joined[first : first + size]) for first in range(0, len(joined), size))


def dealing_text(session: bytes, binding: bytes, dealer: int, dealer_public: bytes, digests: bytes) -> bytes:
    """What a dealer signs; `dealer_public` is its channel public key."""
    return encode_fields(Label.DEALING_SIGNATURE, session, binding, dealer, dealer_public, digests)


def attest(
    identity: IdentityKey, key: AgreementKey, session: bytes, binding: bytes, dealer: int, dealt: bytes
) -> bytes:
    """What a dealer sends with its pairs: its signature, and the proof that it has the channel private key itself.

    Args:
        identity: signs.
        key: the channel key that the pairs are sealed with.
        session: session digest.
        binding: the session's.
        dealer: its id.
        dealt: the digests of its blocks.
    """
    signature = identity.sign(dealing_text(session, binding, dealer, key.public, dealt))
    return signature + disclosure.prove_possession(key, _possession_context(session, binding, dealer, key.public))


def shows_possession(attestation: bytes, session: bytes, binding: bytes, dealer: int, dealer_public: bytes) -> bool:
    """Whether what a dealer sent shows that it has the private key of its channel public key."""
    context = _possession_context(session, binding, dealer, dealer_public)
    return disclosure.shows_possession(dealer_public, attestation[SIGNATURE_BYTES:], context)


def _possession_context(session: bytes, binding: bytes, dealer: int, dealer_public: bytes) -> bytes:
    return encode_fields(Label.CHANNEL_POSSESSION, session, binding, dealer, dealer_public)


def disclosure_context(
    session: bytes,
    binding: bytes,
    dealer: int,
    dealer_public: bytes,
    receiver: int,
    receiver_public: bytes,
    committed: bytes,
) -> bytes:
    """What the receiver of a committed pair binds its proof to: a proof about one pair says nothing of another one."""
    return encode_fields(
        Label.DISCLOSURE_CONTEXT, session, binding, dealer, dealer_public, receiver, receiver_public, committed
    )


def is_dealt(entry: bytes, block: bytes, digests: bytes) -> bool:
    """Whether an entry stands in a block, and the block's digest among those that were signed.

    An honest dealer's blocks are whole entries, one for each receiver; what another signed is held against it as it is.
    """
    if len(block) % len(entry):
        return False
    entries = (block[at : at + len(entry)] for at in range(0, len(block), len(entry)))
    return entry in entries and are_listed([block], digests)


def are_listed(blocks: Sequence[bytes], digests: bytes) -> bool:
    """Whether the digests of some blocks are among those that were signed."""
    if len(digests) % DIGEST_BYTES:
        return False
    return {_digest(block) for block in blocks} <= {
        digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)
    }


def _digest(block: bytes) -> bytes:
    hashed = _BLOCK.copy()
    hashed.update(_LENGTH.pack(TAG_BYTES, len(block)))
    hashed.update(block)
    return hashed.digest()
