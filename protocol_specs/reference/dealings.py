"""What a dealer signs of the committed pairs that it deals, and how one pair of them is shown (§3.6)."""

from collections.abc import Sequence
from hashlib import sha256

from protocol_specs.reference.canonical import canonical

ENTRIES_IN_A_BLOCK = 16
ENTRY_BYTES = 184
DIGEST_BYTES = 32


def entry(receiver: int, receiver_public: bytes, committed: bytes) -> bytes:
    """One committed pair with its receiver, and the receiver's channel public key as the dealer was shown it."""
    return receiver.to_bytes(8, "big") + receiver_public + committed


def receiver_of(its: bytes) -> int:
    """The receiver of an entry."""
    return int.from_bytes(its[:8], "big")


def blocks(entries: Sequence[bytes]) -> list[bytes]:
    """Entries in ascending order of receiver, cut into blocks."""
    firsts = range(0, len(entries), ENTRIES_IN_A_BLOCK)
    return [b"".join(entries[first : first + ENTRIES_IN_A_BLOCK]) for first in firsts]


def block_digest(block: bytes) -> bytes:
    """The digest of a block."""
    return sha256(canonical("secagg/v1 dealt block", block)).digest()


def digests(entries: Sequence[bytes]) -> bytes:
    """The digests of all blocks of a dealing."""
    return b"".join(map(block_digest, blocks(entries)))


def signed_input(session: bytes, binding: bytes, dealer: int, dealer_public: bytes, dealt: bytes) -> bytes:
    """What a dealer signs; `dealt` are the digests of its dealing."""
    return canonical("secagg/v1 dealing signature", session, binding, dealer, dealer_public, dealt)


def possession_context(session: bytes, binding: bytes, dealer: int, dealer_public: bytes) -> bytes:
    """What a dealer's proof that it has its channel private key is bound to."""
    return canonical("secagg/v1 channel possession", session, binding, dealer, dealer_public)


def stands_in(its: bytes, block: bytes, dealt: bytes) -> bool:
    """Whether an entry stands in the dealing of a block and digests."""
    whole = len(block) % ENTRY_BYTES == 0 and len(dealt) % DIGEST_BYTES == 0
    return whole and its in cut(block, ENTRY_BYTES) and block_digest(block) in cut(dealt, DIGEST_BYTES)


def cut(data: bytes, length: int) -> list[bytes]:
    """Pieces of a length, the last one what is left."""
    return [data[at : at + length] for at in range(0, len(data), length)]
