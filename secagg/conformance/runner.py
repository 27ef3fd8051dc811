"""Runs every case against one testee and says what came out (protocol_specs/conformance.md).

A crash or a hang is the result of the case at hand; the testee is started anew for the next one. Must not know what a
case does, nor how a report looks.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case, Desk, Deviation, Table, lacks_capability, reason_to_skip, roles_of
from secagg.conformance.driving import (
    InProcessTestee,
    Testee,
    TesteeCrashed,
    TesteeFailure,
    TesteeHung,
    TesteeUnsupported,
    describe,
    has_processes,
)
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.long_messages import long_message_cases
from secagg.conformance.long_streams import long_stream_cases
from secagg.conformance.mutations import live_cases
from secagg.conformance.primitives import primitive_cases
from secagg.conformance.remembering import RememberingTestee
from secagg.conformance.results import CaseResult, Report, Verdict, coverage_of
from secagg.conformance.rounding import rounding_cases
from secagg.conformance.scripts import script_case
from secagg.conformance.sessions import session_cases
from secagg.conformance.vectors import Vectors
from secagg.errors import ParameterError
from secagg.parameters import SuiteId

OnCase = Callable[[CaseResult, int, int], None]
"""Called with (result, cases done, cases in all)."""


GIVE_UP_AFTER: Final = 20
"""So many cases in a row that hung or crashed end a run: each may take as long as a reply may."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cases are played, and which failures are known.

    Attributes:
        only: ids of cases, globs or parts of ids: what is the whole id of a case chooses that case alone. Empty: all.
        requirements: ids; a case that checks one of them is played. Empty: all.
        known_failures: ids of cases that may fail, and must not pass.
    """

    only: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    known_failures: frozenset[str] = frozenset()

    @property
    def filtered(self) -> bool:
        """Whether cases are left out."""
        return bool(self.only or self.requirements)

    def of(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that are played."""
        whole = {case.id for case in cases}.intersection(self.only)

        def fits(pattern: str, id_: str) -> bool:
            return pattern == id_ if pattern in whole else pattern in id_ or fnmatch.fnmatch(id_, pattern)

        named = [case for case in cases if not self.only or any(fits(pattern, case.id) for pattern in self.only)]
        wanted = set(self.requirements)
        return [case for case in named if not wanted or not wanted.isdisjoint(case.requirements)]


def read_known_failures(path: Path) -> frozenset[str]:
    """Read the ids of cases that are known to fail: one a line, `#` starts a comment.

    Raises:
        ParameterError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ParameterError(f"the known failures {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"the known failures {path} are no text in UTF-8") from error
    return frozenset(line.partition("#")[0].strip() for line in lines) - {""}


def all_cases(vectors: Vectors) -> tuple[Case, ...]:
    """Return every case that can be made of these vectors, scripts first.

    Raises:
        ParameterError: two cases have one id.
    """
    rows = {row.id: row for row in vectors.requirements}
    cases = (
        *(script_case(script) for script in vectors.scripts),
        *(case for session in vectors.sessions for case in session_cases(session, rows)),
        *primitive_cases(vectors.primitives),
        *live_cases(vectors.sessions),
        *rounding_cases(),
        *long_message_cases(),
        *long_stream_cases(describe(InProcessTestee(LibraryTestee().handle)).suites),
        Case("live-suite-1-described", ("R09",), (), _hold_suite_1),
    )
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ParameterError(f"two cases have the id {case.id}")
        seen.add(case.id)
    return cases


def _hold_suite_1(table: Table) -> None:
    suites = list(table.testee.describe().suites)
    if SuiteId.X25519_AES128CTR not in suites:
        raise Deviation(f"the testee describes the suites {suites}, and not 1, which every implementation must have")


def run(
    testee: Testee,
    vectors: Vectors,
    selection: Selection | None = None,
    on_case: OnCase | None = None,
    give_up_after: int = GIVE_UP_AFTER,
) -> Report:
    """Play the selected cases against a testee.

    After `give_up_after` cases in a row that hung or crashed, the rest fail without being played.

    Raises:
        ParameterError: a filter or a known failure that fits no case, or a testee without a role.
        TesteeFailure: the testee does not even describe itself.
    """
    chosen = selection or Selection()
    cases = all_cases(vectors)
    _check_names(chosen, cases, {row.id for row in vectors.requirements})
    played = chosen.of(cases)
    if not played:
        asked = ", ".join(map(repr, (*chosen.only, *chosen.requirements)))
        raise ParameterError(f"no case fits {asked}; see the ids in the report of a whole run")
    try:
        description = describe(testee)
    except (TesteeCrashed, TesteeHung) as failure:
        *_, last = failure.stderr.splitlines() or [""]
        raise TesteeFailure(f"{failure}; its standard error ends with: {last}" if last else str(failure)) from None
    roles = roles_of(description)
    if not roles:
        raise ParameterError("the testee offers neither the client's role nor the server's; there is nothing to check")
    results = []
    for result in _play_all(testee, description, played, chosen.known_failures, give_up_after):
        results.append(result)
        if on_case is not None:
            on_case(result, len(results), len(played))
    return Report(
        testee=f"{description.name} {description.version}".strip(),
        roles=roles,
        results=tuple(results),
        requirements={row.id: row for row in vectors.requirements},
        coverage=coverage_of(results, vectors.requirements, roles),
        filtered=chosen.filtered,
    )


def _check_names(selection: Selection, cases: Sequence[Case], requirements: Collection[str]) -> None:
    unknown = sorted(selection.known_failures - {case.id for case in cases})
    if unknown:
        raise ParameterError(f"the known failures name {unknown[0]}, which is no case")
    for id_ in selection.requirements:
        if id_ not in requirements and not any(id_ in case.requirements for case in cases):
            raise ParameterError(f"{id_} is no requirement; ids are those of Specification §8 and §11, such as C26")


def _play_all(
    testee: Testee, description: pb.Description, cases: Iterable[Case], known: Collection[str], give_up_after: int
) -> Iterator[CaseResult]:
    ours = InProcessTestee(RememberingTestee(LibraryTestee().handle).handle)
    used, used_by_ours = set[int](), set[int]()
    lost = 0
    for case in cases:
        started = time.perf_counter()
        reason = reason_to_skip(case, description)
        if reason is None and case.processes and not has_processes(testee):
            reason = "the testee is no command: it cannot be started a second time"
        if reason is not None:
            ending = Ending(Verdict.SKIPPED, reason)
        elif lost >= give_up_after:
            ending = Ending(Verdict.FAILED, f"not played: the testee hung or crashed {give_up_after} times in a row")
        else:
            table = Table(Desk(testee, used), Desk(ours, used_by_ours))
            ending = judge(case, table)
            lost = lost + 1 if ending.verdict in (Verdict.CRASHED, Verdict.HUNG) else 0
        yield CaseResult(
            case=case.id,
            requirements=case.requirements,
            verdict=ending.verdict,
            detail=ending.detail,
            missed=tuple(id_ for id_ in case.requirements if id_ in ending.missed),
            stderr=ending.stderr,
            seconds=time.perf_counter() - started,
            known=case.id in known,
            not_offered=lacks_capability(case, description),
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How one case ended."""

    verdict: Verdict
    detail: str = ""
    missed: tuple[str, ...] = ()
    stderr: str = ""


def judge(case: Case, table: Table) -> Ending:
    """Play a case and free its sessions, but for those that a crash has taken."""
    try:
        ending = _played(case, table)
        table.testee.close()
    except TesteeFailure as failure:
        table.testee.forget()
        verdicts = {TesteeCrashed: Verdict.CRASHED, TesteeHung: Verdict.HUNG}
        stderr = failure.stderr if isinstance(failure, TesteeCrashed | TesteeHung) else ""
        verdict = verdicts.get(type(failure), Verdict.FAILED)
        return Ending(verdict, f"{table.testee.place}: {failure}", stderr=stderr)
    return ending


def _played(case: Case, table: Table) -> Ending:
    try:
        case.play(table)
    except Deviation as deviation:
        return Ending(Verdict.FAILED, str(deviation), deviation.missed)
    except TesteeUnsupported as refusal:
        detail = f"{table.testee.place}: the testee says that it does not support a call: {refusal}"
        return Ending(Verdict.FAILED, detail)
    finally:
        table.ours.close()
    return Ending(Verdict.PASSED)
