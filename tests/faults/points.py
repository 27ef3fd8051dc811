"""The instants at which a trial kills the server, by name. Shared by the server's process and by what arms it.

A point of a round is `<round>/<what>/<how far>`. Points of messages and uploads wait until a quorum of the round is
at stake, so that there are acknowledged inputs to lose. That an answer has reached its client is a point only the
client sees: `Trial.kill_when_acknowledged`.
"""

from __future__ import annotations

from typing import Final

from tests.harness import ROUNDS as ACTIVE_ROUNDS

ROUNDS: Final = tuple(round_.value for round_ in ACTIVE_ROUNDS)
MESSAGE: Final = ("unwritten", "uncommitted", "durable", "seen")
PUBLISH: Final = ("unwritten", "uncommitted", "durable")
CLOSE: Final = ("unwritten", "uncommitted", "durable", "seen")
UPLOAD: Final = ("upload/begun", "upload/partial", "upload/whole", "upload/committed")
FINISH: Final = ("finish/begun", "finish/partial", "finish/whole", "finish/committed", "finish/uncommitted")
ENDED: Final = ("finish/durable", "finish/tidied")
CREATE: Final = ("create/unwritten", "create/uncommitted", "create/durable")
RELEASE: Final = ("release/unwritten", "release/uncommitted", "release/durable")
REPLAY: Final = ("replay/first", "replay/last")


def message_points(how_far: str) -> tuple[str, ...]:
    """One point in each round: a message that came so far."""
    return tuple(f"{round_}/message/{how_far}" for round_ in ROUNDS)


def close_points(how_far: str) -> tuple[str, ...]:
    """One point in each round: its end came so far."""
    return tuple(f"{round_}/close/{how_far}" for round_ in ROUNDS)


def publish_points(how_far: str) -> tuple[str, ...]:
    """One point in each round: news of it to other replicas that came so far."""
    return tuple(f"{round_}/publish/{how_far}" for round_ in ROUNDS)


ALL: Final = (
    *(point for how_far in MESSAGE for point in message_points(how_far)),
    *(point for how_far in CLOSE for point in close_points(how_far)),
    *(*UPLOAD, *FINISH, *ENDED, *CREATE, *RELEASE, *REPLAY),
)
