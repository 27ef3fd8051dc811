"""Letters to the holder of a session, and its receipts, as entries and bytes. Must not know stores, nor who waits.

A receipt is for good, since the same message is the same letter: what would be answered otherwise later has none yet.
It names the upload that the letter had: who left the same message once more has one that nobody needs. An empty
receipt is for a letter that cannot be read, whose sender is to leave it again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from secagg.errors import DecodeError
from secagg.hosting.errors import HostError, QuotaExceededError
from secagg.hosting.replies import Receipt, ReceiptKind, departure_of
from secagg.store.base import Entry, EntryKind
from secagg.store.shared import Letter

# An honest client sends one message in a round, and an abort notice; a host that drops clients or aborts, a few more.
LETTERS_OF_CLIENT: Final = 24

COMPLAINT: Final = Letter(EntryKind.MESSAGE, None, b"", hashlib.sha256(b"").digest(), 0)
"""Asks the holder to look at what it has published, and to publish it again; answered with an empty receipt."""
UNREAD: Final = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a letter was answered.

    Attributes:
        receipt: what its sender is told, or None: it is refused.
        refusal: why, in one sentence.
        payload: the letter's own, of an UPLOAD; otherwise empty.
    """

    receipt: Receipt | None
    refusal: str
    payload: str

    def told(self) -> Receipt:
        """Return the receipt.

        Raises:
            QuotaExceededError: the client sent too many different messages.
        """
        if self.receipt is None:
            raise QuotaExceededError(self.refusal)
        return self.receipt

    def encode(self) -> bytes:
        """Return its bytes."""
        receipt = None
        if self.receipt is not None:
            receipt = [self.receipt.kind.value, None if self.receipt.reason is None else self.receipt.reason.value]
        return json.dumps({"receipt": receipt, "refusal": self.refusal, "payload": self.payload}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Reply:
        """Read what `encode` wrote.

        Raises:
            DecodeError: other bytes.
        """
        try:
            fields = json.loads(data)
            receipt = None
            if fields["receipt"] is not None:
                kind, reason = fields["receipt"]
                receipt = Receipt(ReceiptKind(kind), None if reason is None else departure_of(reason))
            return cls(receipt, fields["refusal"], fields["payload"])
        except (ValueError, LookupError, TypeError) as error:
            raise DecodeError(f"{len(data)} bytes are no receipt that this release knows") from error


def reply_to(entry: Entry, answer: Receipt | BaseException) -> Reply | None:
    """The reply to a letter; None when it is to be read again, for its answer may be another one then."""
    payload = entry.payload.decode("ascii") if entry.kind is EntryKind.UPLOAD else ""
    if isinstance(answer, Receipt):
        return Reply(answer, "", payload)
    if isinstance(answer, QuotaExceededError) and answer.retry_after is None:
        return Reply(None, str(answer), payload)
    if isinstance(answer, HostError):
        return None
    raise answer


def letter_of(entry: Entry, digest: bytes, size: int) -> Letter:
    """The letter that asks for an entry; `digest` is empty when the entry is no client's message."""
    return Letter(entry.kind, entry.client, entry.payload, digest or hashlib.sha256(entry.payload).digest(), size)


def entry_of(letter: Letter) -> tuple[Entry, bytes]:
    """The entry that a letter asks for, and the digest of its message, empty when it is no client's."""
    message = letter.kind in (EntryKind.MESSAGE, EntryKind.UPLOAD)
    return Entry(letter.kind, letter.client, letter.payload), letter.sha256 if message else b""
