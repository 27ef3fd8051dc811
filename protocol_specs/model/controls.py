"""What is searched: the protocol as it is, and with one thing changed, which the search must notice.

A control is a pair of searches that differ in one thing. The first finds nothing, so that it is this one thing that
the second is about. `REDUNDANT` are changes that break no property of any cohort here: other checks imply them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol_specs.model.cohort import Cohort, Rules
from protocol_specs.model.knowledge import Property
from protocol_specs.model.search import Task
from secagg.errors import AbortReason, Violation
from secagg.parameters import ThreatModel

P1 = Property.ONE_KIND_OF_SHARE
P2 = Property.SUM_ABOVE_THE_FLOOR
P5 = Property.ONE_CONTRIBUTOR_SET
P6 = Property.ONE_SUM
LYING: Final = frozenset({P1, P2, P5, P6})

_ACTIVE: Final = Rules()
_NO_ROUND: Final = Rules(ThreatModel.SEMI_HONEST)


def without(*violations: Violation) -> Rules:
    """Return the rules of the active model, less these checks."""
    return Rules(without=frozenset(violations))


@dataclass(frozen=True, slots=True)
class Control:
    """One change, and the property that it breaks.

    Attributes:
        name: of the change.
        sound: the search before the change, which finds nothing.
        changed: the search after it.
        breaks: the property of the breach that must be found.
        large: it takes seconds.
    """

    name: str
    sound: Task
    changed: Task
    breaks: Property
    large: bool


def _control(
    name: str,
    breaks: Property,
    cohort: Cohort,
    changed: Rules,
    *,
    sound: Rules = _ACTIVE,
    sound_cohort: Cohort | None = None,
    after_input: bool = False,
) -> Control:
    looked_at = frozenset({breaks})
    return Control(
        name,
        Task(sound_cohort or cohort, sound, looked_at, after_input=after_input),
        Task(cohort, changed, looked_at, after_input=after_input),
        breaks,
        after_input,
    )


PROTOCOL: Final = (
    Task(Cohort(4, 3), _ACTIVE, LYING, withholds=True),
    Task(Cohort(4, 3, 1), _ACTIVE, LYING, withholds=True),
    Task(Cohort(5, 3), _ACTIVE, LYING, withholds=True),
    Task(Cohort(5, 3, 0, 5), _ACTIVE, LYING),
    Task(Cohort(5, 4, 2), _ACTIVE, LYING, withholds=True),
    Task(Cohort(6, 4, 1), _ACTIVE, LYING),
    Task(Cohort(7, 4), _ACTIVE, LYING, after_input=True),
)
"""The active model with a lying server. n=5 t=3 and n=6 t=4 are the least that bear a dropout (c = 0, c = 1)."""

RING: Final = Cohort(6, 1, 0, 3, degree=2)
"""The least ring of which late clients can leave two parts of two, with a floor above that."""

HONEST: Final = (
    (RING, ThreatModel.SEMI_HONEST),
    (Cohort(4, 3), ThreatModel.SEMI_HONEST),
    (Cohort(4, 3, 1), ThreatModel.ACTIVE),
    (Cohort(5, 3, 2), ThreatModel.SEMI_HONEST),
    (Cohort(5, 3), ThreatModel.ACTIVE),
    (Cohort(5, 3, 0, 5), ThreatModel.ACTIVE),
    (Cohort(6, 4, 1), ThreatModel.ACTIVE),
)
"""An honest server and all patterns of dropouts; the corrupt clients only pool what they hold."""

UNCONNECTED: Final = frozenset({AbortReason.CONTRIBUTORS_NOT_CONNECTED})
"""Without this check of an honest server, late clients make it read a part of the ring alone."""

WEIGHED: Final = (Cohort(4, 3, 1), ThreatModel.ACTIVE)
"""A corrupt client that sends a wrong weight reads the others' off what it hears of A13."""

_FEW: Final = Cohort(5, 3)
_SPLIT: Final = Cohort(7, 4)

CONTROLS: Final = (
    _control("no consistency round", P5, _FEW, _NO_ROUND),
    _control("no consistency round", P2, _SPLIT, _NO_ROUND, after_input=True),
    _control("signatures not counted (C60)", P5, _FEW, without(Violation.CONFIRMATIONS_BELOW_THRESHOLD)),
    _control(
        "signatures not counted (C60)",
        P2,
        _SPLIT,
        without(Violation.CONFIRMATIONS_BELOW_THRESHOLD),
        after_input=True,
    ),
    _control(
        "shares for another set than the confirmed one (C57)",
        P5,
        _FEW,
        without(Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS),
    ),
    _control(
        "survivors and dropped may overlap (C50)",
        P1,
        Cohort(4, 3),
        without(Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED),
    ),
    _control(
        "second request answered (C62), no consistency round",
        P1,
        _FEW,
        Rules(ThreatModel.SEMI_HONEST, answers_again=True),
        sound=_NO_ROUND,
    ),
    _control("threshold too low: 2t = n + c", P2, Cohort(4, 2), _ACTIVE, sound_cohort=Cohort(4, 3)),
    _control("threshold too low: 2t < n + c", P1, Cohort(4, 2, 1), _ACTIVE, sound_cohort=Cohort(4, 3, 1)),
    _control("a share for oneself, 2t = n + c", P1, Cohort(4, 2), Rules(self_share=True)),
    _control(
        "minimum_contributors unchecked (C41, C56)",
        P2,
        Cohort(5, 3, 0, 5),
        without(Violation.CONTRIBUTORS_BELOW_MINIMUM, Violation.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS),
    ),
)
"""Each must be caught."""

REDUNDANT: Final = (
    ("own confirmation not required (C61)", Task(_FEW, without(Violation.OWN_CONFIRMATION_MISSING), LYING)),
    (
        "own confirmation not required (C61)",
        Task(Cohort(4, 3, 1), without(Violation.OWN_CONFIRMATION_MISSING), LYING),
    ),
    ("second request answered (C62), active", Task(_FEW, Rules(answers_again=True), LYING)),
    ("a share for oneself, 2t > n + c", Task(_FEW, Rules(self_share=True), frozenset({P1}))),
    ("a share for oneself, 2t > n + c", Task(Cohort(4, 3, 1), Rules(self_share=True), frozenset({P1}))),
    (
        "survivors not counted (C55)",
        Task(_FEW, without(Violation.SURVIVORS_BELOW_THRESHOLD), LYING),
    ),
)
"""None of these is caught: the search says that they are a second line of defence."""

SINGLE_CHECKS: Final = tuple(
    Violation(number)
    for number in (
        "C22",
        "C27",
        "C33",
        "C40",
        "C41",
        "C42",
        "C43",
        "C50",
        "C51",
        "C52",
        "C53",
        "C54",
        "C55",
        "C56",
        "C57",
        "C58",
        "C60",
        "C61",
    )
)
"""The checks that can be left out of the model; C11, C26, C30, C59 and C62 are what its messages mean."""


def each_left_out() -> tuple[tuple[Violation, Task], ...]:
    """One search for each check, without it, in the least cohort that bears a dropout. Takes a minute."""
    return tuple((check, Task(_FEW, without(check), LYING)) for check in SINGLE_CHECKS)
