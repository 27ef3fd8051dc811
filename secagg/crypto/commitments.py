"""What a dealer commits to of the shares that it deals (Specification §3.6).

The commitment of a pair is opened by one of its shares and the digest of the other, so that nobody ever has to show
both. A share has at least 256 bits that those who do not hold it cannot know, which is what hides it. Must not know who
compares, or what follows.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import Final

from secagg.canonical import TAG_BYTES, TAG_INTEGER, encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES

DIGEST_BYTES: Final = 32

# Three integers and the head of a share, and the head of a digest, as `encode_fields` writes them: a client makes five
# digests and two commitments for each neighbour.
_ENDS: Final = struct.Struct(">BQBQBQBI")
_BEGINS: Final = encode_fields(Label.SHARE_COMMITMENT)
_HEAD: Final = struct.pack(">BI", TAG_BYTES, DIGEST_BYTES)


class ShareKind(IntEnum):
    """Which of the two secrets of its owner a share is of; the values are those that digests are bound to."""

    SEED = 1
    MASK_KEY = 2

    @property
    def other(self) -> ShareKind:
        """The kind of the pair's other share."""
        return ShareKind.MASK_KEY if self is ShareKind.SEED else ShareKind.SEED


class Commitments:
    """The commitments of one session.

    Args:
        session: session digest.
        binding: the session's.
    """

    __slots__ = ("_begins",)

    def __init__(self, session: bytes, binding: bytes) -> None:
        self._begins = encode_fields(Label.SHARE_DIGEST, session, binding)

    def digest(self, owner: int, holder: int, kind: ShareKind, share: SecretBytes | bytes | memoryview) -> bytes:
        """SHA-256 digest of the share of 36 bytes that an owner made for a holder (32 bytes)."""
        content = share.expose() if isinstance(share, SecretBytes) else share
        ends = _ENDS.pack(TAG_INTEGER, owner, TAG_INTEGER, holder, TAG_INTEGER, kind, TAG_BYTES, SHARE_BYTES)
        hashed = hashlib.sha256(self._begins + ends)
        hashed.update(content)
        return hashed.digest()

    def of(
        self,
        owner: int,
        holder: int,
        seed_share: SecretBytes | bytes | memoryview,
        mask_key_share: SecretBytes | bytes | memoryview,
    ) -> bytes:
        """The commitment to a pair of shares (32 bytes)."""
        seed = self.digest(owner, holder, ShareKind.SEED, seed_share)
        return joined(seed, self.digest(owner, holder, ShareKind.MASK_KEY, mask_key_share))

    def fits(
        self,
        commitment: bytes,
        owner: int,
        holder: int,
        kind: ShareKind,
        share: SecretBytes | bytes | memoryview,
        other: bytes,
    ) -> bool:
        """Whether a share and the digest of the pair's other one open a commitment."""
        found = self.digest(owner, holder, kind, share)
        return commitment == (joined(found, other) if kind is ShareKind.SEED else joined(other, found))


def joined(seed: bytes, mask_key: bytes) -> bytes:
    """The commitment to the pair of shares with these digests (32 bytes)."""
    return hashlib.sha256(b"".join((_BEGINS, _HEAD, seed, _HEAD, mask_key))).digest()
