"""Which logins are worth a line: the first of a caller in a day, and how often it came again, in one more line.

Whoever has a key may log in without end, and a client on a bad network does. So a caller makes at most two lines a day,
and none of its logins is unsaid. Must not know what a line is, nor where it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from secagg.parameters import ClientId

DAY_SECONDS: Final = 24 * 3600.0
MOST_CALLERS: Final = 1 << 16
"""Of a few hundred bytes each; above that, the day of whoever came first is over."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who logged in.

    Attributes:
        actor: fingerprint of the caller's key; empty without one.
        session: its name; empty for members and operators.
        client: its id; None for operators.
    """

    actor: str
    session: str
    client: ClientId | None


@dataclass(slots=True)
class _Day:
    began: float
    again: int = 0


class LoginDays:
    """The days of all who logged in.

    Args:
        now: seconds that only grow.
        most: callers that are remembered.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = MOST_CALLERS) -> None:
        self._now = now
        self._most = most
        self._days: dict[Login, _Day] = {}  # the oldest first

    def again(self, login: Login) -> bool:
        """Count a login in the day of its caller, after `over`; False when that has none."""
        day = self._days.get(login)
        if day is None:
            return False
        day.again += 1
        return True

    def begin(self, login: Login) -> None:
        """Begin the day of a caller, once its line is sure to be written."""
        self._days[login] = _Day(self._now())

    def over(self, coming: Login | None) -> Iterator[tuple[Login, int]]:
        """End the days that are over, and make room; yields who came again in theirs, and how often.

        Args:
            coming: who logs in now; None when nobody will any more, which ends all days.
        """
        before = self._now() - DAY_SECONDS
        while self._days:
            login, day = next(iter(self._days.items()))
            room = len(self._days) < self._most or coming in self._days
            if coming is not None and day.began > before and room:
                return
            del self._days[login]
            if day.again:
                yield login, day.again
