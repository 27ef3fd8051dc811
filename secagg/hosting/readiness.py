"""Whether a host can do what it is there for: asked of the store itself, since a file that was open is no proof.

A store that hangs is as good as none. Knows no transports.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from secagg.hosting.tools import STORE_FAILURES, Tools

PATIENCE_SECONDS: Final = 4.0


class Readiness:
    """What keeps a host from taking in answers.

    Args:
        tools: of the host.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._probing: asyncio.Task[str] | None = None
        self._told: str | None = None
        self._told_at = 0.0

    def known(self, seconds: float) -> str | None:
        """What was found last, if that was in the last `seconds`: an event loop that hangs does not ask. Any thread."""
        return self._told if time.monotonic() - self._told_at < seconds else None

    async def check(self) -> str:
        """Ask the store to make a write durable; returns what is wrong, in one sentence, or nothing.

        The observer hears of it whenever it has changed.
        """
        if self._probing is None:
            self._probing = asyncio.get_running_loop().create_task(self._probe())
        probing = self._probing
        done, _ = await asyncio.wait([probing], timeout=PATIENCE_SECONDS)
        if done:
            found = probing.result()
            if self._probing is probing:  # and not of somebody else who waited for it
                self._probing = None
        else:
            found = f"the store has not answered for {PATIENCE_SECONDS:g} s"
        changed = found != self._told
        self._told, self._told_at = found, time.monotonic()
        if changed:
            self._tools.observer.readiness_changed(found)
        return found

    async def _probe(self) -> str:
        try:
            # Not in a thread of the host: all of them may be at work for longer than a store may hang.
            await asyncio.to_thread(self._tools.store.probe)
        except STORE_FAILURES as error:
            return str(error)
        return self._tools.observer.trouble()
