"""One secure sum over Flower's Grid: from the instructions that a strategy made to the mean of what nodes answer.

Asks nodes which client they are, offers a session to those that answer, and plays its rounds; whoever does not answer
a round in time, or refuses, is dropped, and the session goes on while enough are left. Must not know strategies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import Grid

import secagg
from secagg.errors import AbortReason, ParameterError, SessionAbortedError
from secagg.integrations.contribution import Report, with_report
from secagg.integrations.flower import records
from secagg.integrations.flower.config import METRIC_BITS, SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock, SystemClock
from secagg.integrations.flower.plan import ModelPlan, Plan, arrays_of
from secagg.integrations.flower.play import Play, Task, play_side_by_side
from secagg.integrations.flower.private import PrivateModel
from secagg.integrations.restarts import Culprits, Played, play_with_restarts
from secagg.integrations.restarts import Report as BlameReport
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ClientDropped, ServerEvent

_LOG: Final = logging.getLogger("flwr.secagg")
DEFAULT_TRAINING_TIMEOUT: Final = 3600.0
DEFAULT_WEIGHT: Final = "num-examples"
DEFAULT_ARRAYS: Final = "arrays"
Model = ModelPlan | PrivateModel


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """What one session released.

    Attributes:
        arrays: the mean of the contributors' arrays, weighted if the session has weights, in the dtypes and shapes of
            the instruction; None in evaluation.
        summed: names of the arrays that were summed; the others are as they were.
        metrics: the mean of each metric that was summed, over the clients that have it; what nobody has is left out.
        total_weight: sum of the contributors' weights, or None when the session has none.
        contributors: clients whose inputs are in the mean, ascending.
        nodes: Flower's node id of each client of the cohort.
        clear_metrics: by client, metrics that its node shows in clear on purpose.
        report: how many clients had no input, and how much was limited; what matters of it was logged as a warning.
        events: everything the sessions reported, drops and their reasons among it.
        blame: for each session of the round that ended with complaints before this one, who was to blame and is not in
            this one, with evidence where there is some.
        plan: what was promised to the clients; None without privacy settings.
        release: the noisy mean under it, and the noisy total weight.
    """

    arrays: ArrayRecord | None
    summed: tuple[str, ...]
    metrics: Mapping[str, float]
    total_weight: int | None
    contributors: tuple[int, ...]
    nodes: Mapping[int, int]
    clear_metrics: Mapping[int, MetricRecord]
    report: Report
    events: tuple[ServerEvent, ...] = field(repr=False)
    blame: tuple[tuple[secagg.Blame, ...], ...] = ()
    plan: PrivacyPlan | None = None
    release: Release | None = None

    @property
    def drops(self) -> tuple[ClientDropped, ...]:
        """Who was dropped, in which round, and why."""
        return tuple(event for event in self.events if isinstance(event, ClientDropped))


def run_session(
    grid: Grid,
    instructions: Iterable[Message],
    config: SecAggConfig,
    *,
    timeout: float | None = None,
    directory: Directory | None = None,
    arrays_key: str = DEFAULT_ARRAYS,
    weight_key: str = DEFAULT_WEIGHT,
    clock: Clock | None = None,
) -> SessionOutcome:
    """Have nodes carry out one instruction, and return the mean of their answers.

    Args:
        grid: of the ServerApp.
        instructions: a message for each node, as a strategy's `configure_train` or `configure_evaluate` makes them:
            of one type ("train" or "evaluate", perhaps with an action), and with the same content for all.
        config: settings.
        timeout: seconds that nodes have for the instruction itself, unless the config has a training_timeout.
        directory: which client each node is, and who takes no part any more; pass the same one again to ask each node
            once, and to keep them out.
        arrays_key: name of the ArrayRecord of the instruction.
        weight_key: name of the metric that weighs a client.
        clock: where time comes from.

    Raises:
        ParameterError: instructions that differ, or settings that no session can have.
        SessionAbortedError: too few nodes were left; says in which round.
        ComplaintsError: one more session ended with complaints than may, or too few nodes are left for a restart.
    """
    task, model = task_of(
        grid, instructions, config, timeout=timeout, arrays_key=arrays_key, weight_key=weight_key, clock=clock
    )
    digest = task.digest()
    directory = directory or Directory()
    nodes, run_config = directory.resolve(grid, task.by_node, config, task.clock)
    context = records.session_context(digest, run_config)
    played = _played(task, model, nodes, context, directory.culprits)
    play = played.last
    if isinstance(model, PrivateModel):
        return _private_outcome(model, played)
    result = play.server.result
    report = Report.of(result.vectors)
    for sentence in report.sentences(len(result.contributors), play.server.parameters.max_weight):
        _LOG.warning("secure aggregation: %s", sentence)
    if result.total_weight == 0:
        _LOG.warning("secure aggregation: all weights are 0, so nothing changes")
    return SessionOutcome(
        arrays=None if model is None else model.decode(result.vectors),
        summed=task.plan.selected,
        metrics={} if result.total_weight == 0 else task.plan.decode_metrics(result.vectors),
        total_weight=result.total_weight,
        contributors=result.contributors,
        nodes=play.nodes,
        clear_metrics=play.clear_metrics,
        report=report,
        events=_events(played),
        blame=played.blame,
    )


def _played(
    task: Task, model: Model | None, nodes: Mapping[int, int], context: bytes, culprits: Culprits
) -> Played[Play]:
    config = task.config

    def play(parameters: secagg.SessionParameters) -> Play:
        play = Play(task, secagg.ServerSession(parameters, roster=config.roster), nodes)
        play_side_by_side(task, [play])
        return play

    def fits(parameters: secagg.SessionParameters) -> None:
        if isinstance(model, PrivateModel):
            model.plan.check(parameters)

    return play_with_restarts(
        play,
        lambda cohort: _parameters(task, model, cohort, context),
        _cohort(config, model, nodes, culprits),
        config.restarts,
        blame_report(config, nodes, culprits),
        least=config.minimum_cohort,
        fits=fits,
    )


def blame_report(config: SecAggConfig, nodes: Mapping[int, int], culprits: Culprits) -> BlameReport:
    """Return where it is said who is to blame."""

    def called(client: int) -> str:
        return f"client {client} (node {nodes[client]})"

    return BlameReport(_LOG, called, config.evidence_folder, culprits, config.stay_out)


def _events(played: Played[Play]) -> tuple[ServerEvent, ...]:
    return tuple(event for play in played.plays for event in play.events)


def task_of(
    grid: Grid,
    instructions: Iterable[Message],
    config: SecAggConfig,
    *,
    timeout: float | None,
    arrays_key: str,
    weight_key: str,
    clock: Clock | None,
) -> tuple[Task, Model | None]:
    """Return what nodes are to do, and the model that their answers change; the arguments are those of a session.

    Raises:
        ParameterError: there is no instruction, or no sum is over such.
    """
    by_node = {message.metadata.dst_node_id: message for message in instructions}
    if not by_node:
        raise ParameterError("there is no instruction to send; sample some nodes first")
    plan, model = _plans(next(iter(by_node.values())), config, arrays_key, weight_key)
    seconds = DEFAULT_TRAINING_TIMEOUT if timeout is None else timeout
    return Task(grid, by_node, config, plan, seconds, clock or SystemClock()), model


def _plans(first: Message, config: SecAggConfig, arrays_key: str, weight_key: str) -> tuple[Plan, Model | None]:
    weight = weight_key if config.weighted else None
    norm = None if config.cells is None or config.cells.norm is None else float(config.cells.norm)
    match records.category(first):
        case "train" if config.privacy is not None:
            private = PrivateModel(arrays_of(first.content, arrays_key, "the instruction"), config)
            weight = weight_key if config.privacy.weights is not None else None
            return Plan(arrays_key, private.selected, (), weight, True, private.plan.to_bytes()), private
        case "evaluate" if config.privacy is not None:
            raise ParameterError("an evaluation is no part of a privacy plan; evaluate on data of the server's own")
        case "train":
            record = arrays_of(first.content, arrays_key, "the instruction")
            model = ModelPlan(
                record, clip=config.clip, bits=config.bits, only=config.only, difference=config.difference
            )
            return Plan(arrays_key, model.selected, tuple(config.metrics), weight, config.difference, norm=norm), model
        case "evaluate":
            return Plan(None, (), tuple(config.evaluate_metrics), weight, difference=False), None
        case other:
            raise ParameterError(f"a {other!r} message is summed by nothing; send it over the grid itself")


def vectors_of(
    task: Task, model: ModelPlan | None, beside: Mapping[str, secagg.Integers] | None = None
) -> dict[str, secagg.FixedPoint | secagg.Integers]:
    """Return the vectors of a session: arrays, metrics, what is beside them, and the report."""
    config = task.config
    specs = dict(model.specs) if model is not None else {}
    clips = config.evaluate_metrics if model is None else config.metrics
    return with_report({**specs, **task.plan.metric_specifications(clips, METRIC_BITS), **(beside or {})})


def _private_outcome(model: PrivateModel, played: Played[Play]) -> SessionOutcome:
    play = played.last
    result, parameters = play.server.result, play.server.parameters
    try:
        release = model.plan.decode(result, parameters=parameters)
    except ParameterError as error:
        # A total weight that may be noise alone: this round has no mean.
        raise SessionAbortedError(str(error), AbortReason.RESULT_NOT_DECODABLE) from error
    return SessionOutcome(
        arrays=model.decode(release),
        summed=model.selected,
        metrics={},
        total_weight=None,
        contributors=result.contributors,
        nodes=play.nodes,
        clear_metrics=play.clear_metrics,
        report=Report(),
        events=_events(played),
        blame=played.blame,
        plan=model.plan,
        release=release,
    )


def in_roster(config: SecAggConfig, clients: Iterable[int]) -> list[int]:
    """Return clients that may take part, ascending: in the active model, those that the roster has."""
    roster = config.roster
    cohort = sorted(clients)
    if config.model is not secagg.ThreatModel.ACTIVE or roster is None:
        return cohort
    if strangers := [client for client in cohort if client not in roster]:
        _LOG.warning("clients %s are not in the roster, and take no part", strangers)
    return [client for client in cohort if client in roster]


def _cohort(config: SecAggConfig, model: Model | None, nodes: Mapping[int, int], culprits: Culprits) -> Sequence[int]:
    cohort = in_roster(config, nodes)
    if out := culprits.among(cohort):
        _LOG.info("clients %s made a session of an earlier round end, and take no part", out)
        cohort = [client for client in cohort if client not in out]
    least, called = config.minimum_cohort, "minimum_cohort"
    if isinstance(model, PrivateModel) and model.plan.floor > least:
        least, called = model.plan.floor, "the floor of the privacy plan"
    if len(cohort) < least:
        raise SessionAbortedError(
            f"{len(cohort)} nodes are there for a session, and {called} is {least}", AbortReason.TOO_FEW_ADVERTISED
        )
    return cohort


def _parameters(task: Task, model: Model | None, cohort: Sequence[int], context: bytes) -> secagg.SessionParameters:
    config = task.config
    if isinstance(model, PrivateModel):
        return model.plan.parameters(cohort, context, max_dropout=config.max_dropout, suite=config.suite)
    return secagg.SessionParameters.choose(
        clients=cohort,
        vectors=vectors_of(task, model),
        threat_model=config.model,
        max_dropout=config.max_dropout,
        max_corrupt=config.max_corrupt,
        minimum_contributors=config.minimum_contributors,
        topology=config.topology,
        degree=config.degree,
        threshold=config.threshold,
        max_weight=config.max_weight,
        suite=config.suite,
        context=context,
    )
