"""One round over Flower's Grid: push a message to each node, pull replies as they come, stop at the deadline.

Replies are handed on one by one, so that no more than one is in memory. Knows no sessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_SPARE_SECONDS: Final = 5.0


class Clock(Protocol):
    """Where time comes from, so that tests need none."""

    def now(self) -> float:
        """Seconds, from anywhere, that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait.

        Args:
            seconds: how long, at least 0.
        """


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def address(content: RecordDict, node: int, message_type: str, group: str, seconds: float) -> Message:
    """Make a message to a node that nobody delivers long after the round in which it was to be answered."""
    return Message(content, node, message_type, ttl=seconds + _SPARE_SECONDS, group_id=group)


def exchange(
    grid: Grid,
    messages: Mapping[int, Message],
    seconds: float,
    clock: Clock,
    on_reply: Callable[[int, Message], None],
) -> None:
    """Send messages and hand on the replies that come in time.

    Args:
        grid: of the ServerApp.
        messages: node id to message.
        seconds: how long to wait.
        clock: where time comes from.
        on_reply: called with each node and its reply, which may carry an error.
    """
    deadline = clock.now() + seconds
    pushed = set(grid.push_messages(list(messages.values())))
    # Not by position: a grid may leave out a message that it could not send, or have None in its place.
    waiting = {m.metadata.message_id: node for node, m in messages.items() if m.metadata.message_id in pushed}
    pause = _FIRST_PAUSE
    while waiting:
        replies = list(grid.pull_messages(list(waiting)))
        for reply in replies:
            node = waiting.pop(reply.metadata.reply_to_message_id, None)
            if node is not None:
                on_reply(node, reply)
        left = deadline - clock.now()
        if not waiting or left <= 0:
            return
        pause = _FIRST_PAUSE if replies else min(2 * pause, _LONGEST_PAUSE)
        clock.sleep(min(pause, left))
