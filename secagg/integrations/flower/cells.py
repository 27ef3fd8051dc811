"""One round over cells of nodes: a session for each cell, side by side, and what their sums say of liars.

A cell that loses a node has no sum this round, and the others go on. Must not know strategies, nor what is made of the
cells' means.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import Grid

import secagg
from secagg.errors import InternalError, ParameterError
from secagg.integrations.cell_sessions import Released, servers_of
from secagg.integrations.cells import ROUND, SEED_BYTES, CellsOfRun, Said, require_clients_of_a_plan
from secagg.integrations.contribution import Report
from secagg.integrations.flower import records
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock
from secagg.integrations.flower.plan import ModelPlan
from secagg.integrations.flower.play import Play, Task, play_side_by_side
from secagg.integrations.flower.private import PrivateModel
from secagg.integrations.flower.session import (
    DEFAULT_ARRAYS,
    DEFAULT_WEIGHT,
    Model,
    blame_report,
    in_roster,
    task_of,
    vectors_of,
)
from secagg.integrations.restarts import Culprits
from secagg.integrations.rows import NO_PART_OF_A_NORM
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ClientDropped, ServerEvent
from secagg.robust import ALARM_VECTOR, CellRound, CellSums, Partition, Verdict, alarm_spec

_LOG: Final = logging.getLogger("flwr.secagg")


@dataclass(frozen=True, slots=True)
class CellsOutcome:
    """What the sessions of one round over cells released.

    Attributes:
        partition: who shares a cell.
        sums: a row for each cell that has one, and which cells are proven to have a liar in them, with the proof. Of
            training, a row is the mean of the cell's arrays in session order, as the difference from the model unless
            the config has another; of an evaluation, of the metrics.
        arrays: cell to the model that its mean makes, for the rows; empty in evaluation.
        metrics: cell to the mean of each metric that was summed, for the rows.
        missing: cell to why it has no sum.
        summed: names of the arrays that were summed; the others are as they were.
        nodes: Flower's node id of each client of cells that had a session.
        clear_metrics: by client, metrics that its node shows in clear on purpose.
        reports: cell to how many of its clients had no input, and how much was limited, for the rows; none under a
            privacy plan.
        events: cell to everything that its session reported.
        blame: cell to who is to blame for its having no sum, with evidence where there is some.
        plan: what was promised to the clients; None without privacy settings.
        releases: cell to the noisy mean under it.
        verdict: of the judge, where there is one.
    """

    partition: Partition
    sums: CellSums = field(repr=False)
    arrays: Mapping[int, ArrayRecord] = field(repr=False)
    metrics: Mapping[int, Mapping[str, float]]
    missing: Mapping[int, str]
    summed: tuple[str, ...]
    nodes: Mapping[int, int]
    clear_metrics: Mapping[int, MetricRecord]
    reports: Mapping[int, Report]
    events: Mapping[int, tuple[ServerEvent, ...]] = field(repr=False)
    blame: Mapping[int, tuple[secagg.Blame, ...]] = field(default_factory=dict)
    plan: PrivacyPlan | None = None
    releases: Mapping[int, Release] = field(default_factory=dict, repr=False)
    verdict: Verdict | None = None

    @property
    def contributors(self) -> tuple[int, ...]:
        """Clients whose inputs are in a row, ascending."""
        return tuple(sorted(client for cell in self.sums.cells for client in self.partition.cells[cell]))

    @property
    def drops(self) -> tuple[ClientDropped, ...]:
        """Who was dropped, in which round, and why."""
        return tuple(e for events in self.events.values() for e in events if isinstance(e, ClientDropped))

    def without_rows(self) -> CellsOutcome:
        """Return it without what is as large as a model for each cell."""
        verdict = self.verdict and replace(self.verdict, model=self.verdict.model[:0].copy())
        sums = replace(self.sums, rows=self.sums.rows[:, :0].copy())
        return replace(self, sums=sums, arrays={}, releases={}, verdict=verdict)


def cells_of_run(config: SecAggConfig, require: Callable[[int], object] | None = None) -> CellsOfRun:
    """Return the cells of a run under a config with cells; the same object for all rounds of the run.

    Args:
        config: settings.
        require: is given the number of cells when they are drawn, and raises if that is too few.

    Raises:
        ParameterError: the config has no cells.
    """
    if config.cells is None:
        raise ParameterError("the config has no cells; give SecAggConfig(cells=Cells(size=...))")
    active = config.model is secagg.ThreatModel.ACTIVE
    return CellsOfRun(config.cells, config.roster if active else None, os.urandom(SEED_BYTES), require)


def run_cells(
    grid: Grid,
    instructions: Iterable[Message],
    config: SecAggConfig,
    cells: CellsOfRun,
    *,
    timeout: float | None = None,
    directory: Directory | None = None,
    arrays_key: str = DEFAULT_ARRAYS,
    weight_key: str = DEFAULT_WEIGHT,
    clock: Clock | None = None,
) -> CellsOutcome:
    """Have nodes carry out one instruction, and return the mean of the answers of each cell.

    Args:
        grid: of the ServerApp.
        instructions: a message for each node, as of `run_session`. A cell of which one node has none has no sum.
        config: settings, with cells.
        cells: of the run, from :func:`cells_of_run`.
        timeout: seconds that nodes have for the instruction itself, unless the config has a training_timeout.
        directory: which client each node is; pass the same one again to ask each node once.
        arrays_key: name of the ArrayRecord of the instruction.
        weight_key: name of the metric that would weigh a client; cells weigh all alike.
        clock: where time comes from.

    Raises:
        ParameterError: instructions that differ, too few nodes for a cell, or settings that no session can have.
        SessionAbortedError: no cell had a sum; says why the first had none.
    """
    task, model = task_of(
        grid, instructions, config, timeout=timeout, arrays_key=arrays_key, weight_key=weight_key, clock=clock
    )
    if isinstance(model, ModelPlan) and task.plan.norm is not None and model.whole:
        raise ParameterError(NO_PART_OF_A_NORM.format(model.whole[0]))
    digest = task.digest()
    directory = directory or Directory()
    nodes, run_config = directory.resolve(grid, task.by_node, config, task.clock)
    here = frozenset(in_roster(config, nodes))
    partition = cells.partition(here)
    if late := sorted(here.difference(partition.clients)):
        _LOG.warning("clients %s came after the cells were drawn, or are not named in them; they take no part", late)
    round_ = _round(task, model, partition, records.session_context(digest, run_config))
    plays, missing = _plays(task, round_, here, nodes, directory.culprits)
    play_side_by_side(task, list(plays.values()))
    return _outcome(task, model, round_, plays, missing, directory.culprits)


def _round(task: Task, model: Model | None, partition: Partition, digest: bytes) -> CellRound:
    config = task.config
    if isinstance(model, PrivateModel):
        require_clients_of_a_plan(partition, model.plan.clients)
        return CellRound(
            partition, model.plan.vectors, digest, ROUND, config.model, suite=config.suite, plan=model.plan.digest
        )
    alarms = model is not None and config.cells is not None and config.cells.alarms
    # All slots of alarms count as what may be limited, as they do for the nodes.
    beside = {ALARM_VECTOR: alarm_spec(len(partition.cells[0]))} if alarms else {}
    vectors = vectors_of(task, model, beside)
    vectors.pop(ALARM_VECTOR, None)
    return CellRound(partition, vectors, digest, ROUND, config.model, alarms=alarms, suite=config.suite)


def _plays(
    task: Task, round_: CellRound, here: frozenset[int], nodes: Mapping[int, int], culprits: Culprits
) -> tuple[dict[int, Play], dict[int, str]]:
    said = Said.of(round_.partition, round_.model).to_bytes()
    servers, missing = servers_of(round_, here, task.config.roster, culprits)
    plays = {index: Play(task, server, nodes, name=f"cell {index}: ", cells=said) for index, server in servers.items()}
    return plays, missing


def _outcome(
    task: Task,
    model: Model | None,
    round_: CellRound,
    plays: Mapping[int, Play],
    missing: Mapping[int, str],
    culprits: Culprits,
) -> CellsOutcome:
    private = model if isinstance(model, PrivateModel) else None
    plan = None if private is None else private.plan
    servers = {index: play.server for index, play in plays.items()}
    nodes = {client: node for play in plays.values() for client, node in play.nodes.items()}
    released = Released.of(servers, missing, plan, blame_report(task.config, nodes, culprits))
    # Of arrays alone: metrics and the report are no part of an update.
    rows_of = replace(round_, vectors=dict(model.specs)) if isinstance(model, ModelPlan) else round_
    names = () if private is None else private.selected
    sums = released.sums(rows_of, _LOG, norm=None if private else task.plan.norm, names=names)
    results, releases = released.results, released.releases
    return CellsOutcome(
        partition=round_.partition,
        sums=sums,
        arrays={index: _model(model, results[index], releases.get(index)) for index in sums.cells} if model else {},
        metrics={index: {} if private else task.plan.decode_metrics(results[index].vectors) for index in sums.cells},
        missing=released.missing,
        summed=task.plan.selected,
        nodes=nodes,
        clear_metrics={client: shown for play in plays.values() for client, shown in play.clear_metrics.items()},
        reports=released.reports(round_, sums, _LOG),
        events={index: tuple(play.events) for index, play in plays.items()},
        blame=released.blame,
        plan=plan,
        releases=releases,
    )


def _model(model: Model, result: secagg.SessionResult, release: Release | None) -> ArrayRecord:
    if isinstance(model, ModelPlan):
        return model.decode(result.vectors)
    if release is None:
        raise InternalError("a cell with a sum under a privacy plan has no release")
    return model.decode(release)
