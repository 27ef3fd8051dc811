"""Waiting for something that may never come: a limit on the time without progress, never on the whole.

A machine with much to do is slow, but it gets on; a hang does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """Ends a wait in which nothing has happened for so long.

    Args:
        seconds: without a call of `progress()`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waits: set[asyncio.Timeout] = set()

    def progress(self) -> None:
        """Something has happened: all waits begin anew."""
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(self._end())

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Raise TimeoutError when nothing has happened for so long."""
        async with asyncio.timeout_at(self._end()) as wait:
            self._waits.add(wait)
            try:
                yield
            finally:
                self._waits.discard(wait)

    def _end(self) -> float:
        return asyncio.get_running_loop().time() + self.seconds
