"""Who lies, from sums of overlapping groups of one round: FedGT, for at most 20 clients and semi-honest servers.

Each client is in several groups, with the same update in all, and each group is one session; a test on the server's own
data says of each sum whether it is bad, and the pattern says who. What it costs: the server can combine the sums of all
groups. A design's *distance* is the fewest clients that any such combination, but that of nothing, is about. It stands
for the size of a cell, each colluding client lowers it by up to one, and any further sum of the round would lower it
further: summing the clients that were not flagged can bring 4 down to 2. So a round uses one design and nothing
besides, groups that passed are averaged as they are, and whoever is flagged is left out of the *next* round. On small
test data it finds few, see :func:`flag`, and a liar may send each of its groups another update. Not for an active
server.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.cohort import cohort_of
from secagg.robust.sizing import default_floor

MAX_CLIENTS: Final = 20
_LABEL: Final = b"secagg/robust/v1 group place"
_SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Design:
    """Which places are tested together.

    Attributes:
        name: n x m, as :data:`DESIGNS` has it.
        groups: the places of each group, ascending.
        clients: how many places there are.
        distance: the fewest places in the support of a real combination of groups that is not 0, proved exactly.
    """

    name: str
    groups: tuple[tuple[int, ...], ...]
    clients: int
    distance: int


def _design(rows: Sequence[str], distance: int) -> Design:
    groups = tuple(tuple(place for place, bit in enumerate(row) if bit == "1") for row in rows)
    return Design(f"{len(rows[0])}x{len(rows)}", groups, len(rows[0]), distance)


DESIGNS: Final = {
    design.name: design
    for design in (
        _design([("0" * shift + "11010001" + "0" * 7)[:15] for shift in range(8)], distance=4),
        _design(["100110101111000", "010011010111100", "001001101011110", "000100110101111"], distance=8),
    )
}
"""Designs by name: parity checks of cyclic codes, after Xhemrishi et al., "FedGT" (2023)."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of one round of a run.

    Attributes:
        design: which places are tested together.
        places: the client at each place.
    """

    design: Design
    places: tuple[ClientId, ...]

    @classmethod
    def draw(
        cls, design: str, clients: Iterable[ClientId], *, seed: bytes, colluding: int = 0, floor: int | None = None
    ) -> Grouping:
        """Put clients on a design's places, by the hash of a seed and their ids. **Once in a run.**

        Another grouping of the same clients, or this one in another round, adds sums that the distance does not count.
        Nothing but the server keeps that: no `CellGuard` admits overlapping groups.

        Args:
            design: a name of :data:`DESIGNS`.
            clients: exactly as many ids as the design has places.
            seed: 32 bytes.
            colluding: clients that may tell the server their update.
            floor: the fewest clients that any combination of sums may be about; None takes `default_floor`, as for
                cells, and 15x8 is below it.

        Raises:
            ParameterError: an unknown design, arguments out of their range, or a distance below the floor.
        """
        if design not in DESIGNS:
            raise ParameterError(
                f"design={design!r:.40} is unknown; take one of {', '.join(DESIGNS)}, whose distances are proved "
                "(a random or adaptive one may give single clients away)"
            )
        wanted, cohort = DESIGNS[design], cohort_of(clients)
        if len(cohort) != wanted.clients:
            raise ParameterError(f"design {design} has {wanted.clients} places, and there are {len(cohort)} clients")
        if not isinstance(seed, bytes) or len(seed) != _SEED_BYTES:
            raise ParameterError(f"the seed is no byte string of {_SEED_BYTES}; draw one when the clients are known")
        spies, least = as_whole(colluding), as_whole(default_floor() if floor is None else floor)
        if spies is None or spies < 0 or least is None or least < 2:
            raise ParameterError(
                f"colluding={colluding!r:.40} and floor={floor!r:.40}: give whole numbers from 0 and from 2"
            )
        if wanted.distance - spies < least:
            raise ParameterError(
                f"with {spies} colluding, a combination of the sums of {design} may be about {wanted.distance - spies} "
                f"clients, below the floor of {least}; take a design of a larger distance, or cells"
            )
        order = sorted(
            cohort, key=lambda client: (hashlib.sha256(encode_fields(_LABEL, seed, client)).digest(), client)
        )
        return cls(wanted, tuple(order))

    @property
    def groups(self) -> tuple[tuple[ClientId, ...], ...]:
        """The clients of each group, ascending: the cohorts of the round's sessions, all or nothing each."""
        return tuple(tuple(sorted(self.places[place] for place in group)) for group in self.design.groups)


def flag(
    grouping: Grouping,
    bad: Sequence[bool],
    *,
    prevalence: float = 0.1,
    false_alarm: float = 0.05,
    missed: float = 0.05,
) -> tuple[ClientId, ...]:
    """Return the clients that rather lie than not, given which groups' sums were bad; ascending.

    The posterior over all 2^n patterns of liars: a group with a liar tests bad but for `missed`, one without does not
    but for `false_alarm`. If no test errs, a single liar is found; of several, and with tests that err, only some are,
    and an honest client now and then in their place. A test on few examples errs often; it does not see backdoors.

    Args:
        grouping: of the round.
        bad: one truth value for each group, from a root check; a group whose session had no sum may not be guessed.
        prevalence: how likely a client is to lie, before the round.
        false_alarm: how likely the sum of a clean group tests bad; above 0.
        missed: how likely the sum of a group with a liar tests good; above 0.

    Raises:
        ParameterError: other numbers of groups, or probabilities that are not above 0 and below 1.
    """
    tests = np.asarray(bad)
    groups = grouping.design.groups
    if tests.dtype != np.bool_ or tests.shape != (len(groups),):
        raise ParameterError(f"bad has shape {tests.shape}; give one truth value for each of {len(groups)} groups")
    prior, alarm, miss = (
        _probability(name, value)
        for name, value in (("prevalence", prevalence), ("false_alarm", false_alarm), ("missed", missed))
    )
    patterns = np.arange(2**grouping.design.clients, dtype=np.uint32)
    size = sum((patterns >> np.uint32(place)) & np.uint32(1) for place in range(grouping.design.clients))
    evidence = np.asarray(size) * math.log(prior / (1 - prior))
    for group, tested in zip(groups, tests, strict=True):
        dirty = patterns & np.uint32(sum(1 << place for place in group)) != 0
        likely = np.where(dirty, 1 - miss, alarm)
        evidence += np.log(likely if tested else 1 - likely)
    chances = np.exp(evidence - evidence.max())
    return tuple(sorted(client for place, client in enumerate(grouping.places) if _guilty(patterns, chances, place)))


def passed_mean(rows: NDArray[np.float64], bad: Sequence[bool]) -> NDArray[np.float64] | None:
    """Return the mean of the groups' means that tested good, float64 (d,); None if none did.

    It is a combination of sums that the server has, and so tells it nothing new; the sum of the clients that were not
    flagged would.
    """
    good = ~np.asarray(bad, dtype=np.bool_)
    return np.asarray(rows[good].mean(axis=0)) if good.any() else None


def _guilty(patterns: NDArray[np.uint32], chances: NDArray[np.float64], place: int) -> bool:
    lies = (patterns >> np.uint32(place)) & np.uint32(1) == 1
    return bool(chances[lies].sum() > chances[~lies].sum())


def _probability(name: str, value: float) -> float:
    real = as_real(value)
    if real is None or not 0 < real < 1:
        raise ParameterError(f"{name}={value!r:.40} is no probability above 0 and below 1; give one")
    return real
