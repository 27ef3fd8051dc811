"""Whether a host can do what it is there for: asked of the store itself, since a file that was open is no proof.

A store that hangs is as good as none, and whatever else a host lacks is told the same way: who looks at the log, at a
metric or at what was found last hears of it all. Knows no transports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from secagg.hosting.tools import STORE_FAILURES, Tools

PATIENCE_SECONDS: Final = 4.0


class Readiness:
    """What keeps a host from taking in answers.

    Args:
        tools: of the host.
        lacking: what the host lacks although its store can be written, in one sentence, or nothing.
    """

    def __init__(self, tools: Tools, lacking: Callable[[], str]) -> None:
        self._tools = tools
        self._lacking = lacking
        self._probing: asyncio.Task[str] | None = None
        # Its own: all threads of the host may be at work for longer than a store may hang.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="secagg-probe")
        self._told: str | None = None
        self._told_at = 0.0
        self._reasons: set[str] = set()

    def known(self, seconds: float) -> str | None:
        """What was found last, if that was in the last `seconds`: an event loop that hangs does not ask. Any thread."""
        return self._told if time.monotonic() - self._told_at < seconds else None

    async def check(self) -> str:
        """Ask the store to make a write durable; returns what is wrong, in one sentence, or nothing.

        Takes `PATIENCE_SECONDS` at most, whatever the store does. The observer hears when that has changed: of each
        reason once until there is none, since a store that is away may fail in turns.
        """
        probing = self._probing
        if probing is None or probing.done():  # What it found when nobody waited any more is no news.
            probing = self._probing = asyncio.get_running_loop().create_task(self._probe())
        done, _ = await asyncio.wait([probing], timeout=PATIENCE_SECONDS)
        found = probing.result() if done else f"the store has not answered for {PATIENCE_SECONDS:g} s"
        found = found or self._lacking()
        changed = found not in self._reasons if found else self._told != ""
        if not found:
            self._reasons.clear()
        else:
            self._reasons.add(found)
        self._told, self._told_at = found, time.monotonic()
        if changed:
            self._tools.observer.readiness_changed(found)
        return found

    def close(self) -> None:
        """Wait for what is asked, and ask no more."""
        self._thread.shutdown()

    async def _probe(self) -> str:
        # Whatever is raised is what is wrong: whoever watches must not end of it.
        (found,) = await asyncio.gather(
            self._tools.run_in(self._thread, self._tools.store.probe), return_exceptions=True
        )
        if isinstance(found, STORE_FAILURES):
            return str(found)
        if isinstance(found, BaseException):
            return f"the store cannot be asked: {type(found).__name__}: {found}"
        return self._tools.observer.trouble()
