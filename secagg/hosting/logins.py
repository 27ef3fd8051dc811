"""What replicas of one service share about logins: a secret that marks what they give away, and what was spent of it.

A transport makes nonces and tokens that need no table: whoever has the secret knows them again. Only that a nonce was
used has to be remembered. Must not know callers, keys, or how a mark is made.
"""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

SECRET_BYTES: Final = 32
_MOST_SPENT: Final = 1 << 16


class Logins(Protocol):
    """Common to all replicas of a service."""

    def now(self) -> float:
        """Seconds by which nonces and tokens grow old, the same for all replicas but for what their clocks differ."""
        ...

    def secret(self) -> bytes:
        """32 random bytes; whoever may log in keeps its token for as long as they stay the same. Does not block."""
        ...

    async def spend(self, nonce: bytes, seconds: float) -> bool:
        """Whether nobody has spent this nonce before; it is remembered for as long as it is good.

        Args:
            nonce: at most 32 bytes.
            seconds: from now on, how long it is good: the same moment each time that the nonce comes.

        Raises:
            HostUnavailableError: nobody can say now.
        """
        ...


class OwnLogins:
    """Those of one process, in memory: a restart asks everybody to log in again.

    What is too old is forgotten, and above `most` the oldest; a nonce as old as what was forgotten counts as spent. So
    a clock that was set back would keep everybody out: it goes by running time.

    Args:
        now: seconds that only grow.
        most: nonces that are remembered.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = _MOST_SPENT) -> None:
        self._now = now
        self._most = most
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._spent: set[bytes] = set()
        self._by_age: list[tuple[int, bytes]] = []
        self._forgotten = 0

    def now(self) -> float:
        """Seconds of this process."""
        return self._now()

    def secret(self) -> bytes:
        """32 random bytes, drawn when this was made."""
        return self._secret

    async def spend(self, nonce: bytes, seconds: float) -> bool:
        """Whether nobody has spent this nonce before; it is remembered for as long as it is good."""
        now = self._now()
        until = round(now + seconds)
        if until <= self._forgotten or nonce in self._spent:
            return False
        self._spent.add(nonce)
        heapq.heappush(self._by_age, (until, nonce))
        while self._by_age and (len(self._by_age) > self._most or self._by_age[0][0] < now):
            self._forgotten, oldest = heapq.heappop(self._by_age)
            self._spent.remove(oldest)
        return True

    def __repr__(self) -> str:
        return f"OwnLogins({len(self._spent)} spent)"
