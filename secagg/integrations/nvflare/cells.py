"""One round over cells of sites: a session for each cell, side by side, and what their sums say of liars.

A cell that loses a site has no sum this round, and the others go on. Must not know controllers, nor what is made of the
cells' means.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

import secagg
from secagg.errors import ParameterError
from secagg.integrations.cell_sessions import Released, servers_of
from secagg.integrations.cells import ROUND, Cells, CellsOfRun, Said, require_clients_of_a_plan
from secagg.integrations.contribution import Report, with_report
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction, Plan, instruction_digest
from secagg.integrations.nvflare.play import Play
from secagg.integrations.nvflare.session import (
    Attendance,
    SumSettings,
    blame_report,
    plan_of,
    play_with_attendance,
    required_roster,
)
from secagg.integrations.restarts import Culprits
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ServerEvent
from secagg.robust import ALARM_VECTOR, CellRound, CellSums, Partition, Verdict, alarm_spec

_LOG: Final = logging.getLogger("secagg.nvflare")
_Spec = secagg.FixedPoint | secagg.Integers


@dataclass(frozen=True, slots=True)
class CellsOutcome:
    """What the sessions of one round over cells released.

    Attributes:
        partition: who shares a cell.
        sums: a row for each cell that has one, and which cells are proven to have a liar in them, with the proof. A row
            is the cell's means in session order; sums and counts are in `arrays` alone.
        arrays: cell to name to sum or mean, for the rows, in the shape of its specification: float64 for FixedPoint,
            int64 for Integers; under a privacy plan, noisy means.
        missing: cell to why it has no sum.
        contributors: names of the sites whose inputs are in a row, ascending.
        cohort: name of each site that is there and in a cell to its client id.
        reports: cell to how many of its sites had no input, and how much was limited, for the rows.
        events: cell to everything that its session reported.
        blame: cell to who is to blame for its having no sum, with evidence where there is some.
        plan: what was promised to the sites; None without a privacy plan.
        releases: cell to what its sum says under it.
        verdict: of a judge, where there is one.
    """

    partition: Partition
    sums: CellSums = field(repr=False)
    arrays: Mapping[int, Mapping[str, NDArray[Any]]] = field(repr=False)
    missing: Mapping[int, str]
    contributors: tuple[str, ...]
    cohort: Mapping[str, int]
    reports: Mapping[int, Report]
    events: Mapping[int, tuple[ServerEvent, ...]] = field(repr=False)
    blame: Mapping[int, tuple[secagg.Blame, ...]] = field(default_factory=dict)
    plan: PrivacyPlan | None = None
    releases: Mapping[int, Release] = field(default_factory=dict, repr=False)
    verdict: Verdict | None = None


def run_cells(
    exchange: Exchange,
    attendance: Attendance,
    job: str,
    sites: Sequence[str],
    vectors: Mapping[str, _Spec],
    instruction: Instruction,
    settings: SumSettings,
    cells: CellsOfRun,
    *,
    roster: Mapping[int, bytes] | None = None,
    difference: bool = False,
    privacy: PrivacyPlan | None = None,
    evidence: Path | None = None,
) -> CellsOutcome:
    """Play the sessions of one round.

    Args:
        exchange: to the sites.
        attendance: of the job so far.
        job: the job's id, which every site knows.
        sites: names of the sites to ask.
        vectors: name of an array of the learners' results to what it holds; none under a privacy plan.
        instruction: what the learners are given.
        settings: of the sessions, with cells.
        cells: of the job, the same object for all its rounds.
        roster: client id to 32-byte Ed25519 key; active model.
        difference: sum result minus instruction, array by array.
        privacy: sum the differences of its arrays under this plan; the vectors are the plan's.
        evidence: a directory for evidence against those that are blamed; None leaves it in the outcome.

    Raises:
        ParameterError: vectors, instruction, settings and cells that do not fit each other.
        SessionAbortedError: no cell had a sum (says why the first had none), or the job was aborted.
    """
    if settings.cells is None:
        raise ParameterError("the settings have no cells; give SumSettings(cells=Cells(size=...))")
    _require_fitting(settings.cells, settings, vectors, privacy)
    norm = None if settings.cells.norm is None else float(settings.cells.norm)
    plan = plan_of(vectors, instruction, difference=difference, privacy=privacy, norm=norm)
    digest = instruction_digest(job, instruction, plan)
    cohort = attendance.call(exchange, sites, settings.attendance_timeout, required_roster(settings, roster))
    partition = cells.partition(cohort)
    if late := sorted(site for client, site in cohort.items() if client not in partition.clients):
        _LOG.warning("sites %s came after the cells were drawn, or are not named in them; they take no part", late)
    round_ = _round(plan, vectors, partition, digest, settings, privacy)
    plays, missing = _plays(round_, cohort, roster, instruction, plan, settings, attendance.culprits)
    play_with_attendance(exchange, attendance, list(plays.values()))
    servers = {index: play.server for index, play in plays.items()}
    report = blame_report(cohort, evidence, attendance.culprits, settings)
    released = Released.of(servers, missing, privacy, report)
    return _outcome(plan, round_, plays, released, cohort, privacy, norm)


def _require_fitting(
    cells: Cells, settings: SumSettings, vectors: Mapping[str, _Spec], privacy: PrivacyPlan | None
) -> None:
    if privacy is not None:
        cells.require_no_part_in_a_plan()
        return
    # The noise of a plan counts on those that are not corrupt; a cell without one has no use for the setting.
    cells.require_alone(settings, ("max_corrupt",))
    for name, spec in vectors.items():
        if cells.norm is not None and (isinstance(spec, secagg.Integers) or spec.aggregate != "mean"):
            raise ParameterError(
                f"vector {name!r} is no mean, and Cells(norm=...) is of means; sum it elsewhere, or give no norm"
            )


def _round(
    plan: Plan,
    vectors: Mapping[str, _Spec],
    partition: Partition,
    digest: bytes,
    settings: SumSettings,
    privacy: PrivacyPlan | None,
) -> CellRound:
    model, suite = settings.threat_model, settings.suite
    if privacy is not None:
        require_clients_of_a_plan(partition, privacy.clients)
        return CellRound(partition, privacy.vectors, digest, ROUND, model, suite=suite, plan=privacy.digest)
    names = plan.vector_names()
    specs: dict[str, _Spec] = {names[name]: spec for name, spec in vectors.items()}
    alarms = settings.cells is not None and settings.cells.alarms
    if alarms:
        # All slots of alarms count as what may be limited, as they do for the sites.
        specs[ALARM_VECTOR] = alarm_spec(len(partition.cells[0]))
    specs = with_report(specs)
    specs.pop(ALARM_VECTOR, None)
    return CellRound(partition, specs, digest, ROUND, model, alarms=alarms, suite=suite)


def _plays(
    round_: CellRound,
    cohort: Mapping[int, str],
    roster: Mapping[int, bytes] | None,
    instruction: Instruction,
    plan: Plan,
    settings: SumSettings,
    culprits: Culprits,
) -> tuple[dict[int, Play], dict[int, str]]:
    said = Said.of(round_.partition, round_.model).to_bytes()
    servers, missing = servers_of(round_, cohort, roster, culprits)
    plays = {
        index: Play(server, cohort, instruction, plan, settings, name=f"cell {index}: ", cells=said)
        for index, server in servers.items()
    }
    return plays, missing


def _outcome(
    plan: Plan,
    round_: CellRound,
    plays: Mapping[int, Play],
    released: Released,
    cohort: Mapping[int, str],
    privacy: PrivacyPlan | None,
    norm: float | None,
) -> CellsOutcome:
    sums = released.sums(round_, _LOG, norm=norm, names=tuple(plan.names))
    results, releases, cells = released.results, released.releases, round_.partition.cells
    names = plan.vector_names()
    arrays = {
        cell: {name: results[cell].vectors[vector] for name, vector in names.items()}
        if privacy is None
        else dict(releases[cell].mean)
        for cell in sums.cells
    }
    return CellsOutcome(
        partition=round_.partition,
        sums=sums,
        arrays=arrays,
        missing=released.missing,
        contributors=tuple(sorted(cohort[client] for index in sums.cells for client in cells[index])),
        cohort={site: client for client, site in cohort.items() if client in round_.partition.clients},
        reports=released.reports(round_, sums, _LOG),
        events={index: tuple(play.events) for index, play in plays.items()},
        blame=released.blame,
        plan=privacy,
        releases=releases,
    )
