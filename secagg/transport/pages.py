"""Pages of sessions: where one ends, and how the next one is asked for. Must not know who asks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from secagg.errors import ParameterError
from secagg.hosting import SessionStatus
from secagg.hosting.listing import STATES, Place

MOST_IN_PAGE: Final = 1000
_MOST_CONTRIBUTORS: Final = 1 << 18
"""In all sessions of a page together: 2 MiB, on a connection that others use as well."""


def require_states(states: Iterable[str]) -> frozenset[str]:
    """Return states to look for.

    Raises:
        ParameterError: one that there is not.
    """
    wanted = frozenset(states)
    strange = sorted(wanted.difference(STATES))
    if strange:
        raise ParameterError(f"there is no state {strange[0][:40]!r}; the states are {', '.join(STATES)}")
    return wanted


def filled(statuses: Sequence[SessionStatus]) -> Sequence[SessionStatus]:
    """Return as many statuses as a page holds, from the first on; one always fits."""
    total = 0
    for index, status in enumerate(statuses):
        total += len(status.contributors or ())
        if index and total > _MOST_CONTRIBUTORS:
            return statuses[:index]
    return statuses


def token_of(status: SessionStatus) -> str:
    """Return what asks for the page behind a session."""
    return f"{status.created_at!r} {status.name}"


def place_in(token: str) -> Place:
    """Read what `token_of` wrote; nothing is the first page.

    Raises:
        ParameterError: another text.
    """
    if not token:
        return Place()
    created_at, _, name = token.partition(" ")
    try:
        place = Place(float(created_at), name)
        # Nothing is behind such a time, and the list would seem to end there.
        if not math.isfinite(place.created_at):
            raise ValueError(created_at)
        return place
    except ValueError:
        raise ParameterError(f"{token[:40]!r} is no page; give the token of the page before") from None
