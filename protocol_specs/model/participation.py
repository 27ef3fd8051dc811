"""Several sessions of one context, and clients that count in how many of them their input is (Specification §9).

The server offers as it likes, side by side too, to any cohorts; it drops whom it likes, and reads the sum of each
session with enough contributors. All inputs stay as they are, so what it learns are the combinations of these sums.
Rounds, masks and lies within one session are the other searches' business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import cache
from itertools import combinations, combinations_with_replacement, product
from typing import Final, NamedTuple

from protocol_specs.model.cohort import members, subsets, text


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client holds against sessions of a context that it has an input in.

    Attributes:
        sums: most of them; None for any number.
        change: least number of clients by which their cohorts differ from a new one; None for any.
        at_offer, with_input: when it looks (§9: both).
    """

    sums: int | None = None
    change: int | None = None
    at_offer: bool = True
    with_input: bool = True

    def admit(self, cohort: int, earlier: Sequence[int]) -> bool:
        """Whether a session of this cohort may have the input, when sessions of these cohorts were noted."""
        if self.sums is not None and len(earlier) >= self.sums:
            return False
        return self.change is None or all((cohort ^ other).bit_count() >= self.change for other in earlier)


@dataclass(frozen=True, slots=True)
class Offers:
    """What is searched.

    Attributes:
        clients: n; all of them are honest.
        floor: `minimum_contributors` of every session; cohorts have as many clients at least.
        sessions: how many there are.
        limits: of all clients.
        unlimited: those that have no limits.
    """

    clients: int
    floor: int
    sessions: int
    limits: Limits
    unlimited: int = 0

    def __str__(self) -> str:
        return f"n={self.clients} minimum={self.floor} sessions={self.sessions}"


class Difference(NamedTuple):
    """Contributors of sums that combine to the sum over so few."""

    sums: tuple[int, ...]
    shown: int

    def __str__(self) -> str:
        return (
            f"the sums over {' and '.join(map(text, self.sums))} give the sum of the inputs of {text(self.shown)} alone"
        )


class Place(IntEnum):
    """How far a client is in a session."""

    NOTHING = 0
    ACCEPTED = 1
    CONTRIBUTED = 2
    LEFT = 3


ONE_SUM: Final = Limits(sums=1)
TOGETHER: Final = (Offers(4, 2, 3, ONE_SUM), Offers(6, 3, 2, ONE_SUM))
"""Every client admits one sum of a context: nothing but these sums is readable."""

APART: Final = (
    ("sums not counted", Offers(4, 3, 2, Limits())),
    ("sums counted at the offer only", Offers(4, 3, 2, Limits(1, with_input=False))),
    ("two sums admitted", Offers(4, 3, 2, Limits(2))),
    ("the others have no limit", Offers(4, 3, 2, ONE_SUM, unlimited=0b0111)),
    ("cohorts far apart, clients dropped", Offers(5, 2, 2, Limits(change=3))),
)
"""Each gives the sum of few: the first two break a rule of §9, the others are what limits cannot do."""


def find_difference(offers: Offers) -> tuple[int, Difference | None]:
    """Search all cohorts, orders and dropouts: how many sets of sums there are, and one that shows too few."""
    everyone = (1 << offers.clients) - 1
    cohorts = [cohort for cohort in subsets(everyone) if cohort.bit_count() >= offers.floor]
    seen: set[frozenset[int]] = set()
    for offered in combinations_with_replacement(cohorts, offers.sessions):
        ways = [
            outcomes(offered, client, Limits() if offers.unlimited >> client & 1 else offers.limits)
            for client in range(offers.clients)
        ]
        for taken in product(*ways):
            sums = frozenset(_contributors(taken, offers.sessions)) - {0}
            read = frozenset(contributors for contributors in sums if contributors.bit_count() >= offers.floor)
            if read in seen:
                continue
            seen.add(read)
            shown = _fewest(sorted(read), everyone, offers.floor)
            if shown is not None:
                return len(seen), Difference(tuple(sorted(read, reverse=True)), shown)
    return len(seen), None


@cache
def outcomes(offered: tuple[int, ...], client: int, limits: Limits) -> tuple[int, ...]:
    """The sets of sessions, as bits, that a client's input can be in, in whatever order it is asked."""
    first = (Place.NOTHING,) * len(offered), 0
    seen, todo = {first}, deque([first])
    while todo:
        for following in asked(offered, client, limits, *todo.popleft()):
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return tuple(
        sorted(
            {sum(1 << s for s, place in enumerate(at) if place is Place.CONTRIBUTED) for at, _ in seen}, reverse=True
        )
    )


def asked(
    offered: tuple[int, ...], client: int, limits: Limits, at: tuple[Place, ...], noted: int
) -> Iterator[tuple[tuple[Place, ...], int]]:
    """The steps of one client: an offer that it takes or not, or an input that is due; with the sessions it noted."""
    for session, place in enumerate(at):
        if not offered[session] >> client & 1:
            continue
        earlier = [offered[other] for other in members(noted & ~(1 << session))]
        admitted = limits.admit(offered[session], earlier)
        if place is Place.NOTHING:
            after = Place.ACCEPTED if admitted or not limits.at_offer else Place.LEFT
            yield (*at[:session], after, *at[session + 1 :]), noted
        elif place is Place.ACCEPTED:
            after = Place.CONTRIBUTED if admitted or not limits.with_input else Place.LEFT
            yield (*at[:session], after, *at[session + 1 :]), noted | 1 << session


def _contributors(taken: Iterable[int], sessions: int) -> Iterator[int]:
    for session in range(sessions):
        yield sum(1 << client for client, inside in enumerate(taken) if inside >> session & 1)


def _fewest(sums: list[int], everyone: int, floor: int) -> int | None:
    """Fewer than `floor` clients the sum of whose inputs, with some factors, is a combination of these sums."""
    rank = _rank(sums, everyone)
    for size in range(1, floor):
        for few in combinations(members(everyone), size):
            shown = sum(1 << client for client in few)
            if _rank(sums, everyone & ~shown) < rank:
                return shown
    return None


def _rank(sums: list[int], columns: int) -> int:
    """The rank of the sums' rows of zeros and ones, in these columns."""
    rows = [[Fraction(contributors >> column & 1) for column in members(columns)] for contributors in sums]
    rank = 0
    for column in range(columns.bit_count()):
        pivot = next((row for row in range(rank, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for row in range(rank + 1, len(rows)):
            factor = rows[row][column] / rows[rank][column]
            rows[row] = [value - factor * top for value, top in zip(rows[row], rows[rank], strict=True)]
        rank += 1
    return rank
