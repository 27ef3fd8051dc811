"""`secagg join --all`: stays with a server, and takes part in each session that is open to this client, one by one.

The file of inputs is read anew for each. What one session refuses, or is refused, ends nothing else. Each leaves a
line, and one whose offer was accepted a file that says what was answered. So of those that come to nothing only a few
are taken up at once, and then one now and then: a server that names one after another would fill this client's disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import secagg
from secagg.transport.grpc import Attendance, Participation
from secagg.transport.participant import Inputs

_FAILURES: Final = 64  # at once
_FAILURE_SECONDS: Final = 10.0


async def attend(
    attendance: Attendance,
    read: Callable[[], Inputs],
    weight: int | None,
    took_part: Callable[[Participation], None],
    failed: Callable[[str, secagg.SecAggError], None],
) -> None:
    """Take part until the server cannot be reached for too long, or refuses this client.

    Args:
        attendance: not entered yet.
        read: gives the inputs; called in a thread, for each session.
        weight: of them all.
        took_part: told of each session that completed.
        failed: told of each in which this client did not take part to the end, by name.

    Raises:
        SecAggError: of the connection, not of a session.
    """
    patience = _Patience(asyncio.get_running_loop().time())
    async with attendance:
        async for session in attendance:
            try:
                took_part(await session.participate(await asyncio.to_thread(read), weight=weight))
            except secagg.SecAggError as error:
                failed(session.name, error)
                await asyncio.sleep(patience.pause(asyncio.get_running_loop().time()))


class _Patience:
    """How long to wait after a session that came to nothing.

    Args:
        now: seconds that only grow.
    """

    def __init__(self, now: float) -> None:
        self._left = float(_FAILURES)
        self._at = now

    def pause(self, now: float) -> float:
        """Seconds until the next one may fail."""
        self._left = min(_FAILURES, self._left + (now - self._at) / _FAILURE_SECONDS) - 1
        self._at = now
        return max(0.0, -self._left * _FAILURE_SECONDS)
