"""What came out of a run: verdicts of cases, and what they say about the requirements of Specification §8 and §11.

Plain data with the rules of counting. Must know neither how cases are played nor how a report looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    HUNG = "hung"
    SKIPPED = "skipped"

    @property
    def bad(self) -> bool:
        """Whether the testee did something else than the case expects."""
        return self in (Verdict.FAILED, Verdict.CRASHED, Verdict.HUNG)

    @property
    def ran(self) -> bool:
        """Whether the case was played at all."""
        return self is not Verdict.SKIPPED


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of Specification §8 or §11.

    Attributes:
        id: such as C26 or R53.
        name: a short name; a row of §11 has none but its rule.
        role: who keeps it: client, server or both.
        section: where the specification says it.
        rule: what must hold.
        observed: "vectors", "primitives" where only cases of single functions tell, or "inspection: ..." with the
            reason why no run can.
    """

    id: str
    name: str
    role: str
    section: str
    rule: str
    observed: str

    @property
    def testable(self) -> bool:
        """Whether a run can tell if it is kept."""
        return not self.observed.startswith("inspection")

    def concerns(self, roles: Iterable[str]) -> bool:
        """Whether an implementation with these roles has to keep it."""
        offered = set(roles)
        return self.role in offered or (self.role == "both" and bool(offered))


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, played or skipped.

    Attributes:
        case: its id.
        requirements: ids of what it checks.
        verdict: how it ended.
        detail: one sentence: which step expected what, and what came; empty for a passed case.
        missed: ids of the rules that the step which went wrong was there to show.
        stderr: the last lines that the testee wrote to standard error, when it crashed or hung.
        seconds: how long it took.
        known: whether it stands in the list of known failures.
        not_offered: whether the case needs a capability that the testee describes as missing.
    """

    case: str
    requirements: tuple[str, ...]
    verdict: Verdict
    detail: str = ""
    missed: tuple[str, ...] = ()
    stderr: str = ""
    seconds: float = 0.0
    known: bool = False
    not_offered: bool = False

    @property
    def unexpected(self) -> bool:
        """Whether it makes the run fail: a failure that is not known, or a known failure that passes."""
        return self.verdict.bad is not self.known and self.verdict.ran


@dataclass(frozen=True, slots=True)
class Coverage:
    """Requirement ids by what the cases say about them, each list in the order of the specification.

    Attributes:
        covered: a case that checks it was played.
        broken: a step that was there to show it went wrong, or all cases that check it and were played did.
        touched: some cases that check it went wrong; others passed, and no step says that it is this one.
        uncovered: no case that checks it was played.
        not_applicable: all cases that check it need a capability that the testee does not offer.
    """

    covered: tuple[str, ...]
    broken: tuple[str, ...]
    touched: tuple[str, ...]
    uncovered: tuple[str, ...]
    not_applicable: tuple[str, ...] = ()

    @property
    def counted(self) -> int:
        """How many requirements are counted at all."""
        return len(self.covered) + len(self.uncovered)


@dataclass(frozen=True, slots=True)
class Report:
    """All of a run.

    Attributes:
        testee: name and version, as the testee describes itself.
        roles: the roles that it offers.
        results: of every case, in the order of playing.
        requirements: all rows, by id.
        coverage: what the results say about them.
        filtered: whether some cases were left out on purpose; then uncovered requirements are no failure.
    """

    testee: str
    roles: tuple[str, ...]
    results: tuple[CaseResult, ...]
    requirements: dict[str, Requirement]
    coverage: Coverage
    filtered: bool = False

    @property
    def passed(self) -> bool:
        """Whether something was played, nothing came out unexpectedly and, unless cases were left out, every
        requirement was covered."""
        complete = self.filtered or not self.coverage.uncovered
        return self.played and complete and not any(result.unexpected for result in self.results)

    @property
    def played(self) -> bool:
        """Whether any case was played."""
        return any(result.verdict.ran for result in self.results)

    def count(self, verdict: Verdict) -> int:
        """Return how many cases ended so."""
        return sum(result.verdict is verdict for result in self.results)


def coverage_of(results: Iterable[CaseResult], requirements: Iterable[Requirement], roles: Iterable[str]) -> Coverage:
    """Count the requirements that a run can tell and that concern these roles."""
    offered = tuple(roles)
    counted = [each.id for each in requirements if each.testable and each.concerns(offered)]
    seen: set[str] = set()
    optional: set[str] = set()
    wanted: set[str] = set()
    went_wrong: set[str] = set()
    went_well: set[str] = set()
    missed: set[str] = set()
    for result in results:
        skipped = result.not_offered and not result.verdict.ran
        (optional if skipped else wanted).update(result.requirements)
        if result.verdict.ran:
            seen.update(result.requirements)
            (went_wrong if result.verdict.bad else went_well).update(result.requirements)
            missed.update(result.missed)
    optional -= wanted
    broken = went_wrong & (missed | (went_wrong - went_well))
    return Coverage(
        covered=tuple(id_ for id_ in counted if id_ in seen),
        broken=tuple(id_ for id_ in counted if id_ in broken),
        touched=tuple(id_ for id_ in counted if id_ in went_wrong - broken),
        uncovered=tuple(id_ for id_ in counted if id_ not in seen and id_ not in optional),
        not_applicable=tuple(id_ for id_ in counted if id_ in optional),
    )
