"""The host's clock: seconds that only grow, and waiting for an event until one of them.

Injected, so that tests of deadlines take no time. Never the time of day.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        ...

    async def wait(self, event: asyncio.Event, until: float | None) -> bool:
        """Wait until the event is set, or until a time has come; says whether the event is set."""
        ...


class LoopClock:
    """The clock of the running event loop."""

    def now(self) -> float:
        """Seconds of the loop's monotonic clock."""
        return asyncio.get_running_loop().time()

    async def wait(self, event: asyncio.Event, until: float | None) -> bool:
        """Wait until the event is set, or until a time has come; says whether the event is set."""
        try:
            async with asyncio.timeout_at(until):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True
