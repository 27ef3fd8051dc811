"""What replicas share about logins, by way of their store: whoever logs in at one is known to all."""

from __future__ import annotations

from secagg.hosting.replicas.exchange import Exchange
from secagg.hosting.tools import STORE_FAILURES, Tools


class SharedLogins:
    """See `Logins`.

    Args:
        tools: of the host.
        exchange: with the store that the replicas share.
        secret: of that store, read once.
    """

    def __init__(self, tools: Tools, exchange: Exchange, secret: bytes) -> None:
        self._tools = tools
        self._exchange = exchange
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
            return await self._exchange.spend(nonce, seconds)
        except STORE_FAILURES as error:
            raise self._tools.unavailable("", error) from error
