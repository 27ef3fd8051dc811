"""What the server and the corrupt clients can work out, and the properties that it must not break (§10).

A share is known when its holder is corrupt or has revealed it; a secret is rebuildable with t shares. A masked input
is one equation. Its unknown terms are its self mask, unless the seed is rebuildable, and its pairwise masks, unless
one of the two mask keys is rebuildable or corrupt. All unknown masks are independent, so a combination of inputs is
readable exactly when it is constant on connected parts of the graph of unknown pairwise masks in which every edge has
both its ends and no self mask is unknown. Each such part is a sum that the server reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from protocol_specs.model.client import Client
from protocol_specs.model.cohort import Cohort, members, text


class Property(Enum):
    """What is checked, by its name in reports."""

    ONE_KIND_OF_SHARE = "P1"
    """Never both secrets of one honest client are rebuildable."""

    SUM_ABOVE_THE_FLOOR = "P2"
    """No sum is readable over fewer than max(minimum_contributors, t + 1) - c honest contributors."""

    NO_DEADLOCK = "P3"
    """Every live state of both roles leads to COMPLETED or ABORTED, and these absorb."""

    HONEST_RUNS = "P4"
    """With an honest server: a sum over exactly the contributors, or an abort for a named reason."""

    ONE_CONTRIBUTOR_SET = "P5"
    """All honest clients that reveal shares reveal them for one set of contributors."""

    ONE_SUM = "P6"
    """At most one sum is readable in a session."""

    NO_DIFFERENCE = "P7"
    """No combination of sums of one context is over few inputs, when every client admits one (`participation.py`)."""

    NOTHING_OF_WEIGHTS = "P8"
    """Clients hear the same whether or not a sum can be decoded."""


class Player(NamedTuple):
    """An honest client in a search.

    Attributes:
        client: what it remembers.
        stopped: it gets no message any more.
        seeds, mask_keys: how many honest holders revealed a share of its seed, of its mask key; at most t counts.
    """

    client: Client = Client()
    stopped: bool = False
    seeds: int = 0
    mask_keys: int = 0


class State(NamedTuple):
    """The honest clients, and the contributor sets for which shares were revealed (if that is asked for)."""

    players: tuple[Player, ...]
    answered: frozenset[int] = frozenset()


class Breach(NamedTuple):
    """A property that does not hold in a state: honest client `owner` (P1), or the sets of clients it is about."""

    broken: Property
    owner: int = -1
    sets: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = " and ".join(text(clients) for clients in self.sets)
        if self.broken is Property.ONE_KIND_OF_SHARE:
            return f"both secrets of client {self.owner + 1} are rebuildable"
        if self.broken is Property.SUM_ABOVE_THE_FLOOR:
            return f"the sum of the inputs of {shown} alone is readable"
        if self.broken is Property.ONE_SUM:
            return f"the sums over {shown} are readable"
        return f"shares were revealed for the contributor sets {shown}"


def rebuildable(cohort: Cohort, state: State) -> tuple[int, int]:
    """Honest clients whose seed, and whose mask key, is rebuildable."""
    seeds = mask_keys = 0
    for i, player in enumerate(state.players):
        given = (player.client.advertised & cohort.pool).bit_count()
        if player.seeds + given >= cohort.threshold:
            seeds |= 1 << i
        if player.mask_keys + given >= cohort.threshold:
            mask_keys |= 1 << i
    return seeds, mask_keys


def readable_sums(cohort: Cohort, players: Sequence[Player], seeds: int, mask_keys: int) -> set[int]:
    """The sets of honest clients the sum of whose inputs is readable, the smallest such sets."""
    known = mask_keys | cohort.pool
    unknown = [0 if mask_keys >> i & 1 else player.client.sharers & ~known for i, player in enumerate(players)]
    found: set[int] = set()
    for i, player in enumerate(players):
        if not player.client.sharers:
            continue
        part, todo, good = 0, 1 << i, True
        while todo and good:
            part |= todo
            reached = 0
            for j in members(todo):
                two_ended = all(unknown[k] >> j & 1 for k in members(unknown[j]))
                good = good and bool(seeds >> j & 1) and two_ended
                reached |= unknown[j]
            todo = reached & ~part
        if good:
            found.add(part)
    return found


def first_breach(cohort: Cohort, state: State, properties: frozenset[Property]) -> Breach | None:
    """Return a property of a state with a lying server that does not hold, if there is one."""
    seeds, mask_keys = rebuildable(cohort, state)
    if seeds & mask_keys and Property.ONE_KIND_OF_SHARE in properties:
        return Breach(Property.ONE_KIND_OF_SHARE, owner=next(members(seeds & mask_keys)))
    if Property.ONE_CONTRIBUTOR_SET in properties and len(state.answered) > 1:
        return Breach(Property.ONE_CONTRIBUTOR_SET, sets=tuple(sorted(state.answered)))
    if not seeds:
        return None
    sums = readable_sums(cohort, state.players, seeds, mask_keys)
    if Property.SUM_ABOVE_THE_FLOOR in properties:
        small = [part for part in sums if part.bit_count() < cohort.floor - cohort.corrupt]
        if small:
            return Breach(Property.SUM_ABOVE_THE_FLOOR, sets=(min(small),))
    if Property.ONE_SUM in properties and len(sums) > 1:
        return Breach(Property.ONE_SUM, sets=tuple(sorted(sums)))
    return None
