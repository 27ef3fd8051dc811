"""How long a host keeps what has ended, and the task that lets go of what was kept long enough.

Ages are by the wall clock, from when an end was stored, so that a restart begins nothing anew; of what is damaged, from
when this process found it so. Must not know what is in a result, nor how a store removes it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol

from secagg.errors import ParameterError
from secagg.hosting.errors import HostError
from secagg.hosting.replies import Expired
from secagg.hosting.restarting import name_first
from secagg.hosting.session import HostedSession
from secagg.hosting.tools import Tools
from secagg.parameters.arguments import as_real
from secagg.store.base import Completed

LOOK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended sessions are kept, in seconds; None keeps them.

    Attributes:
        results_seconds: a result that nobody fetched, from the end of its session on.
        ended_seconds: an ended session without a result, from its end on.
        failed_seconds: a session that the store has damaged, from when it was found so.

    Raises:
        ParameterError: a duration that is no positive number.
    """

    results_seconds: float | None = None
    ended_seconds: float | None = None
    failed_seconds: float | None = None

    def __post_init__(self) -> None:
        for duration in fields(self):
            value = getattr(self, duration.name)
            real = None if value is None else as_real(value)
            if value is not None and (real is None or not math.isfinite(real) or real <= 0):
                raise ParameterError(f"retention {duration.name} is {value!r}; give seconds above 0, or None to keep")

    @property
    def look_seconds(self) -> float | None:
        """How often to look; None when everything is kept."""
        given = [seconds for seconds in (self.results_seconds, self.ended_seconds, self.failed_seconds) if seconds]
        return min(LOOK_SECONDS, *given) if given else None


class Keeping(Protocol):
    """What the task needs of a host."""

    pinned: Collection[str]

    @property
    def damaged(self) -> Mapping[str, str]:
        """Sessions that cannot be taken up."""
        ...

    def sessions(self) -> Sequence[HostedSession]:
        """All others."""
        ...

    async def discard(self, name: str) -> bool:
        """Forget a session that has ended or is damaged; says whether it was still there."""
        ...


class Expiry:
    """Lets go of what a host has kept long enough.

    Args:
        tools: of the host.
        host: whose sessions these are.
        retention: how long they are kept.
    """

    def __init__(self, tools: Tools, host: Keeping, retention: Retention) -> None:
        self._tools = tools
        self._host = host
        self._retention = retention
        self._changed = asyncio.Event()
        self._began = tools.wall_clock()
        self._found: dict[str, float] = {}

    def change(self, retention: Retention) -> None:
        """Keep what has ended for so long from now on."""
        self._retention = retention
        self._changed.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        clock = self._tools.clock
        while True:
            self._changed.clear()
            await self.look()
            seconds = self._retention.look_seconds
            await clock.wait(self._changed, None if seconds is None else clock.now() + seconds)

    async def look(self) -> None:
        """Let go of what is old enough now. What cannot be removed now is tried again."""
        for session in self._host.sessions():
            if not session.damaged:
                await self._look_at(session)
        await self._look_at_damaged()

    async def _look_at(self, session: HostedSession) -> None:
        outcome, keep = session.outcome, self._retention
        if outcome is None:
            return
        # Whose end has no time, from an earlier layout or another host, is kept as if it were from this start.
        age = self._tools.wall_clock() - (outcome.ended_at or self._began)
        try:
            if isinstance(outcome, Completed) and outcome.result is not None:
                if keep.results_seconds is not None and age >= keep.results_seconds and await session.expire_result():
                    self._tools.observer.session_expired(session.name, Expired.RESULT)
            elif keep.ended_seconds is None or age < keep.ended_seconds or self._is_pinned(session.name):
                return
            elif await self._host.discard(session.name):
                self._tools.observer.session_expired(session.name, Expired.SESSION)
        except HostError:
            return  # told by whoever raised it

    async def _look_at_damaged(self) -> None:
        now, keep = self._tools.clock.now(), self._retention.failed_seconds
        damaged = [*self._host.damaged, *(session.name for session in self._host.sessions() if session.damaged)]
        self._found = {name: self._found.get(name, now) for name in damaged}
        for name, since in self._found.items():
            if keep is None or now - since < keep or self._is_pinned(name):
                continue
            try:
                removed = await self._host.discard(name)
            except HostError:
                continue
            if removed:
                self._tools.observer.session_expired(name, Expired.DAMAGED)

    def _is_pinned(self, name: str) -> bool:
        return name_first(name) in self._host.pinned
