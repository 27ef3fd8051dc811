"""Calls that wait for news, none of them beyond the end of the server. Must not know what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from secagg.transport.errors import Refusal
from secagg.transport.refusals import CallRefusedError

_T = TypeVar("_T")


class Waits:
    """What is waited for; costs no task of its own for each call, since each client has one that waits."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._ended = False

    async def until_end(self, news: Awaitable[_T]) -> _T:
        """Wait for something that ends by itself.

        Raises:
            CallRefusedError: TRY_AGAIN, the server ends before.
        """
        # The time is over already when the server has ended: what need not wait is still given.
        until = asyncio.timeout(0 if self._ended else None)
        try:
            async with until:
                self._open.add(until)
                return await news
        except TimeoutError:
            raise CallRefusedError(Refusal.TRY_AGAIN, "the server is stopping; ask again soon") from None
        finally:
            self._open.discard(until)

    def end(self) -> None:
        """Nobody waits any longer."""
        self._ended = True
        now = asyncio.get_running_loop().time()
        while self._open:
            self._open.pop().reschedule(now)
