"""What replicas share about logins, by way of their store: whoever logs in at one is known to all."""

from __future__ import annotations

from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.store.shared import SharedStore


class SharedLogins:
    """See `Logins`.

    Args:
        tools: of the host.
        store: that the replicas share.
        secret: of the store, read once.
    """

    def __init__(self, tools: Tools, store: SharedStore, secret: bytes) -> None:
        self._tools = tools
        self._store = store
        self._secret = secret

    def now(self) -> float:
        """Seconds since 1970."""
        return self._tools.wall_clock()

    def secret(self) -> bytes:
        """32 random bytes, the same for all replicas."""
        return self._secret

    async def spend(self, nonce: bytes, seconds: float) -> bool:
        """Whether nobody has spent this nonce before, at any replica."""
        try:
            return await self._tools.run(self._store.spend, nonce, seconds)
        except STORE_FAILURES as error:
            raise self._tools.unavailable("", error) from error
