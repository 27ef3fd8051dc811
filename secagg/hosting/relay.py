"""What a keeper does for other processes that host the same session: it takes in their letters, and tells them news.

They must hear of a round before its own callers do: a client may ask here first, and there next. Knows no stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from secagg.hosting.inbox import Inbox
from secagg.hosting.replies import Departure, Ended, SessionStatus
from secagg.parameters import ClientId
from secagg.protocol.messages import Round


@dataclass(frozen=True, slots=True)
class Account:
    """A session as its keeper tells others of it.

    Attributes:
        round: the open round, or None.
        requests: of the open round, by client.
        gone: why each client was dropped.
        end: how it ended, or None.
        damage: as in `Seat`.
        status: as its operator sees it.
        open_seconds: how long the round has been open.
    """

    round: Round | None
    requests: Mapping[ClientId, bytes] = field(repr=False)
    gone: Mapping[ClientId, Departure]
    end: Ended | None
    damage: str
    status: SessionStatus
    open_seconds: float


class Relay(Protocol):
    """Between a keeper and those who follow it.

    Attributes:
        due: whether letters may have come.
    """

    due: bool

    @property
    def holds(self) -> bool:
        """Whether nobody else can have gone on with the session meanwhile."""
        ...

    def open_before(self, round_: Round | None) -> float:
        """Seconds that this round was open under keepers before."""
        ...

    async def collect(self, inbox: Inbox) -> None:
        """Put letters that came into the keeper's inbox."""
        ...

    async def publish(self, account: Account, urgent: bool) -> None:
        """Tell others what is new, and answer letters, however often the store refuses it.

        Args:
            account: the session now.
            urgent: whether clients are asked something else; otherwise it may be left for later.

        Raises:
            FencedError: somebody else goes on with the session.
            InDoubtError: what the store has of it is damaged; only a replay under a new lease tells how much.
        """
        ...

    async def mention(self, account: Account) -> None:
        """Say how far the end of the last round is, which others may miss."""
        ...

    async def hold_result(self, seconds: float) -> None:
        """See to it that nobody else takes the result for expired within so long.

        Raises:
            HostUnavailableError: they cannot be told now.
        """
        ...

    def left(self, error: Exception | None) -> None:
        """The keeper keeps the session no longer: because of this, or because it has ended and that is stored."""
        ...

    def failed(self) -> None:
        """The keeper stopped on an unexpected exception."""
        ...
