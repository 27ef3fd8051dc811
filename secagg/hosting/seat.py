"""The seam under a hosted session: who answers its callers here, whether or not this process goes on with the session.

A keeper does; where many processes host the same sessions, the others follow one that does. Knows no stores.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from secagg.hosting.replies import Departure, Ended, Receipt, Request, SessionStatus
from secagg.parameters import ClientId
from secagg.store.base import Entry, Outcome


class Seat(Protocol):
    """What a hosted session asks of whoever has its seat.

    Attributes:
        news: set, and replaced by another, whenever a client may be asked something else.
        outcome: how the session ended, as the store has it, or None while it runs or its end is being written.
    """

    news: asyncio.Event
    outcome: Outcome | None

    @property
    def end(self) -> Ended | None:
        """How the session ended, or None."""
        ...

    @property
    def damage(self) -> str:
        """That the store has the session damaged, in one sentence, or empty: there will be no sum."""
        ...

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline of the open round, or None when none is open."""
        ...

    @property
    def counted(self) -> int:
        """Bytes of the session that are counted in this process."""
        ...

    def require_running(self) -> None:
        """Demand that the session goes on, or has ended.

        Raises:
            HostUnavailableError: the host stops, or the session failed.
        """
        ...

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """The answer to a message that cannot change the session, or None."""
        ...

    async def request(self, client: ClientId, seen: bytes = b"") -> Request | None:
        """What the open round asks of a client; may be None when that has the digest `seen`.

        Raises:
            HostUnavailableError: it cannot be read now.
        """
        ...

    def gone(self, client: ClientId) -> Departure | None:
        """Why a client was dropped, as far as this process knows."""
        ...

    async def take(self, entry: Entry, digest: bytes, size: int) -> Receipt:
        """Hand in an entry; returns when it is durable and the session has seen it.

        Args:
            entry: what is to be appended; the file of an UPLOAD is removed if it does not get into the log.
            digest: SHA-256 of the message.
            size: bytes reserved for it.

        Raises:
            QuotaExceededError: too many wait, or the client has sent too many different messages.
            HostUnavailableError: it is not durable; try again.
        """
        ...

    def observe_answer(self, client: ClientId, receipt: Receipt) -> None:
        """Tell the observer what a client was answered."""
        ...

    def status(self) -> SessionStatus:
        """The session as its operator sees it."""
        ...

    async def look(self) -> None:
        """See to it that the end and the outcome are those of the store, where others may change them.

        Raises:
            HostUnavailableError: it cannot be read now.
        """
        ...

    async def hold_result(self, seconds: float) -> None:
        """See to it that no other process takes the result for expired within so long.

        Raises:
            HostUnavailableError: they cannot be told now.
        """
        ...

    def count_stored(self, size: int) -> None:
        """Count bytes that the store has of the session."""
        ...

    def released(self) -> None:
        """Note that the result is gone from the store."""
        ...

    async def stop(self) -> None:
        """Stop after the step that is being made; whoever waits is told to come again."""
        ...
