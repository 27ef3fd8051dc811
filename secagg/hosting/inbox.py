"""What waits for a session's log, and which of it goes into the next transaction.

Decides without waiting for anything, so that whoever is in the middle of it loses nobody. Knows who waits, not how
an entry becomes durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from secagg.hosting.book import RoundBook
from secagg.hosting.errors import HostError, QuotaExceededError
from secagg.hosting.replies import Receipt
from secagg.parameters import ClientId
from secagg.store.base import Entry, EntryKind

_BATCH: Final = 512
_BATCH_UPLOADS: Final = 32  # each holds a file descriptor until the session has seen it


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """An entry that is not yet in the log, and who waits for it.

    Attributes:
        entry: to be appended.
        digest: SHA-256 of its message; empty when it has none.
        size: bytes reserved for it.
        answer: resolved when it is durable and the session has seen it.
        letter: whether another process left it in the store, where it stays until it is answered.
    """

    entry: Entry
    digest: bytes
    size: int
    answer: asyncio.Future[Receipt] = field(repr=False)
    letter: bool = False

    def resolve(self, receipt: Receipt) -> None:
        """Answer, unless the caller has gone away."""
        if not self.answer.done():
            self.answer.set_result(receipt)

    def refuse(self, error: HostError) -> None:
        """Raise an error at the caller, unless it has gone away."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # Looked at: of the host's own entries, and of letters, nobody waits here.


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is to become of entries.

    Attributes:
        batch: to be appended together, in this order; at most one of each client, and one of the host's own is last.
        idle: cannot change the session; each with its answer.
        refused: not appended; each with the reason.
    """

    batch: list[Waiting]
    idle: list[tuple[Waiting, Receipt]]
    refused: list[tuple[Waiting, HostError]]

    @property
    def unlogged(self) -> list[Waiting]:
        """Everything that is not appended."""
        return [waiting for waiting, _ in (*self.idle, *self.refused)]


class Inbox:
    """Entries in the order of their arrival.

    Attributes:
        arrived: set when something came, and when something is left to be taken.
    """

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, waiting: Waiting) -> None:
        """Append an entry."""
        self._queue.append(waiting)
        self.arrived.set()

    def empty(self) -> Sequence[Waiting]:
        """Take everything out."""
        taken = tuple(self._queue)
        self._queue.clear()
        return taken

    def sort(self, book: RoundBook) -> Sorted:
        """Take out what can be appended next, and what need not be."""
        self.arrived.clear()
        found = Sorted([], [], [])
        later: list[Waiting] = []
        busy: set[ClientId] = set()
        uploads, full = 0, False
        for waiting in self.empty():
            client = waiting.entry.client
            if full or client in busy:
                later.append(waiting)
                continue
            if client is not None:
                foreseen = book.foresee(client, waiting.digest)
                if foreseen is not None:
                    found.idle.append((waiting, foreseen))
                    continue
                try:
                    if waiting.entry.kind is not EntryKind.DROP:
                        book.require_entry(client)
                except QuotaExceededError as error:
                    found.refused.append((waiting, error))
                    continue
                busy.add(client)
            found.batch.append(waiting)
            uploads += waiting.entry.kind is EntryKind.UPLOAD
            full = client is None or len(found.batch) >= _BATCH or uploads >= _BATCH_UPLOADS
        self._queue.extend(later)
        if later:
            self.arrived.set()
        return found
