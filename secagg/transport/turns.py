"""Which upload is taken in next, so that no session waits for another's slow clients.

Each session has a few places of its own. The others are for sessions that collect masked inputs: a place that becomes
free goes to the session that has least, among those that wait. Knows no uploads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
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
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], Callable[[], bool]]]] = {}

    @asynccontextmanager
    async def turn(self, session: str, *, shares: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait for a place and hold it.

        Args:
            session: whose.
            shares: whether the session may have more than its own places; asked whenever a place is free, since who
                came before a round has to wait no longer for it, and keeps nobody behind.
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
        """Give what is free to those who wait, one by one: each to the session that has least."""
        while True:
            for session, queue in tuple(self._waiting.items()):
                while queue and queue[0][0].done():
                    queue.popleft()
                if not queue:
                    del self._waiting[session]
            able = [session for session, queue in self._waiting.items() if self._may(session, queue[0][1]())]
            if not able:
                return
            session = min(able, key=lambda each: self._held[each])
            given, _ = self._waiting[session].popleft()
            given.set_result(None)
            self._held[session] += 1

    def _may(self, session: str, shares: bool) -> bool:
        if self._held[session] < self._own:
            return True
        return shares and sum(max(0, held - self._own) for held in self._held.values()) < self._shared
