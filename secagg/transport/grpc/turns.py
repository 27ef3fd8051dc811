"""Which upload is taken in next, so that no session waits for another's slow clients.

Each session has a few places of its own. The others are shared out among the sessions that collect masked inputs and
have somebody who uploads or waits: none gets more than its part while others want theirs. Knows no uploads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Places for uploads.

    Args:
        shared: places for all sessions together.
        own: places of each session besides, which no other can take.
    """

    def __init__(self, shared: int, own: int) -> None:
        self._shared = shared
        self._own = own
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], bool]]] = {}

    @asynccontextmanager
    async def turn(self, session: str, *, shares: bool) -> AsyncIterator[None]:
        """Wait for a place and hold it.

        Args:
            session: whose.
            shares: whether the session may have more than its own places.
        """
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session, deque()).append((given, shares))
        self._hand_out()
        try:
            await given
            yield
        finally:
            if given.done() and not given.cancelled():
                self._held[session] -= 1
                if not self._held[session]:
                    del self._held[session]
            self._hand_out()

    def _hand_out(self) -> None:
        """Give what is free to those who wait: first to the session that has least."""
        for session, queue in sorted(self._waiting.items(), key=lambda item: self._held[item[0]]):
            while queue and (queue[0][0].done() or self._may(session, queue[0][1])):
                given, _ = queue.popleft()
                if not given.done():
                    given.set_result(None)
                    self._held[session] += 1
            if not queue:
                del self._waiting[session]

    def _may(self, session: str, shares: bool) -> bool:
        beyond = self._held[session] - self._own
        if beyond < 0:
            return True
        used = sum(max(0, held - self._own) for held in self._held.values())
        part = max(1, self._shared // len(self._held.keys() | self._waiting.keys()))
        return shares and used < self._shared and beyond < part
