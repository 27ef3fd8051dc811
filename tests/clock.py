"""Clocks that a test moves or sets: deadlines come when it says so, however slow the machine is."""

from __future__ import annotations

import asyncio


class MovedClock:
    """The event loop's clock, which goes on by itself and can be moved."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, event: asyncio.Event, until: float | None) -> bool:
        while not event.is_set():
            left = None if until is None else until - self.now()
            if left is not None and left <= 0:
                break
            waiting = [asyncio.ensure_future(each.wait()) for each in (event, self._moved)]
            try:
                await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        return event.is_set()


class SetClock:
    """A wall clock, seconds since 1970, which stands unless it is set."""

    def __init__(self, time: float = 1.7e9) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time
