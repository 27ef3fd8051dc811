"""Which sessions of a host somebody is shown, page by page. Must not know how a host comes by its sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from secagg.hosting.replies import EndKind, SessionStatus
from secagg.protocol.messages import Round

STATES: Final = (
    *(round_.value for round_ in Round),
    EndKind.COMPLETED.value,
    EndKind.ABORTED.value,
    "starting",
    "failed",
)
"""What `SessionStatus.state` may be."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a session stands in a list: by its creation, then by its name, whatever is removed meanwhile.

    Attributes:
        created_at: seconds since 1970; 0 where that is not known any more.
        name: its name.
    """

    created_at: float = 0.0
    name: str = ""


def page(
    sessions: Iterable[tuple[Place, Callable[[], SessionStatus]]],
    after: Place,
    most: int | None,
    states: Collection[str],
    newest_first: bool = False,
) -> list[SessionStatus]:
    """Return the statuses that come next.

    Args:
        sessions: what there is, in any order.
        after: the place of the last one that was shown; Place() for the beginning.
        most: how many at most; None for all.
        states: only these; empty for all.
        newest_first: the other way round.
    """
    found: list[SessionStatus] = []
    first = Place()

    def follows(place: Place) -> bool:
        return after == first or (place < after if newest_first else place > after)

    left = (each for each in sessions if follows(each[0]))
    for _, ask in sorted(left, key=lambda each: each[0], reverse=newest_first):
        status = ask()
        if not states or status.state in states:
            found.append(status)
            if len(found) == most:
                break
    return found
