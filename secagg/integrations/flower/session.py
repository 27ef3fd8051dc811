"""One secure sum over Flower's Grid: from the instructions that a strategy made to the mean of what nodes answer.

Asks nodes which client they are, offers a session to those that answer, and plays its rounds; whoever does not answer
a round in time, or refuses, is dropped, and the session goes on while enough are left. Learns nothing of a client but
its id, the sum it is in, and what its node shows on purpose. Must not know strategies.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

import secagg
from secagg.errors import AbortReason, DecodeError, DropReason, ParameterError, SessionAbortedError
from secagg.integrations.contribution import Report, with_report
from secagg.integrations.flower import records
from secagg.integrations.flower.config import METRIC_BITS, SecAggConfig
from secagg.integrations.flower.exchange import Clock, SystemClock, address, exchange
from secagg.integrations.flower.plan import ModelPlan, Plan, arrays_of
from secagg.integrations.flower.private import PrivateModel
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ClientDropped, ServerEvent

_LOG: Final = logging.getLogger("flwr.secagg")
DEFAULT_TRAINING_TIMEOUT: Final = 3600.0
DEFAULT_WEIGHT: Final = "num-examples"
DEFAULT_ARRAYS: Final = "arrays"
_LONGEST_REASON: Final = 500


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
        events: everything the session reported, drops and their reasons among it.
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
    plan: PrivacyPlan | None = None
    release: Release | None = None

    @property
    def drops(self) -> tuple[ClientDropped, ...]:
        """Who was dropped, in which round, and why."""
        return tuple(event for event in self.events if isinstance(event, ClientDropped))


class Directory:
    """Which client each node is, as the nodes say; asked once for each node.

    A node that names a client it is not gains nothing in the active model, whose messages are signed. It can keep
    the other from taking part: when two nodes name one client, neither does.
    """

    def __init__(self) -> None:
        self._said: dict[int, tuple[int, bytes]] = {}
        self._asked: set[int] = set()

    def resolve(
        self, grid: Grid, instructions: Mapping[int, Message], config: SecAggConfig, clock: Clock
    ) -> tuple[Mapping[int, int], bytes]:
        """Return client to node, for the nodes that answered, and the digest of their run configuration.

        Asks those that are new, and again those that did not answer, which have no more than a round's time then. A
        node whose run configuration is not that of most would refuse, and takes no part.

        Args:
            grid: of the ServerApp.
            instructions: node id to the message that it would be sent, whose type and group the question takes.
            config: how long to wait.
            clock: where time comes from.
        """
        new = any(node not in self._asked for node in instructions)
        seconds = config.hello_timeout if new else config.round_timeout
        self._asked.update(instructions)
        unknown = {
            node: address(
                records.hello_content(), node, message.metadata.message_type, message.metadata.group_id, seconds
            )
            for node, message in instructions.items()
            if node not in self._said
        }
        if unknown:
            silent = set(unknown)

            def on_reply(node: int, reply: Message) -> None:
                silent.discard(node)
                self._note(node, reply)

            exchange(grid, unknown, seconds, clock, on_reply)
            for node in sorted(silent):
                _LOG.warning("node %d did not say within %g s which client it is, and takes no part", node, seconds)
        found: dict[int, list[int]] = {}
        common = Counter(self._said[node][1] for node in instructions if node in self._said).most_common(1)
        run_config = common[0][0] if common else b""
        for node in instructions:
            if node not in self._said:
                continue
            client, got = self._said[node]
            if got != run_config:
                _LOG.warning(
                    "node %d (client %d) has another run configuration than most; it is left out", node, client
                )
                continue
            found.setdefault(client, []).append(node)
        for client, nodes in found.items():
            if len(nodes) > 1:
                _LOG.warning("nodes %s all say that they are client %d; none of them takes part", nodes, client)
        return {client: nodes[0] for client, nodes in found.items() if len(nodes) == 1}, run_config

    def _note(self, node: int, reply: Message) -> None:
        if reply.has_error():
            said = str(reply.error.reason)[:_LONGEST_REASON]
            if reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION:
                # The mod answers this question without the app.
                said = f"its app got what is for the mod; add mods=[secagg_mod()] to its ClientApp. It raised {said}"
            _LOG.warning("node %d takes no part: %s", node, said)
            return
        try:
            self._said[node] = records.read_hello_reply(reply.content)
        except DecodeError as error:
            _LOG.warning("node %d takes no part: %s", node, error)


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
        directory: which client each node is; pass the same one again to ask each node once.
        arrays_key: name of the ArrayRecord of the instruction.
        weight_key: name of the metric that weighs a client.
        clock: where time comes from.

    Raises:
        ParameterError: instructions that differ, or settings that no session can have.
        SessionAbortedError: too few nodes were left; says in which round.
    """
    by_node = {message.metadata.dst_node_id: message for message in instructions}
    if not by_node:
        raise ParameterError("there is no instruction to send; sample some nodes first")
    first = next(iter(by_node.values()))
    plan, model = _plans(first, config, arrays_key, weight_key)
    run = _Run(grid, by_node, first, config, plan, model, clock or SystemClock())
    if timeout is not None:
        run.training_seconds = timeout
    return run.play(directory or Directory())


def _plans(
    first: Message, config: SecAggConfig, arrays_key: str, weight_key: str
) -> tuple[Plan, ModelPlan | PrivateModel | None]:
    weight = weight_key if config.max_weight > 1 else None
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
            return Plan(arrays_key, model.selected, tuple(config.metrics), weight, config.difference), model
        case "evaluate":
            return Plan(None, (), tuple(config.evaluate_metrics), weight, difference=False), None
        case other:
            raise ParameterError(f"a {other!r} message is summed by nothing; send it over the grid itself")


class _Run:
    """One session in progress; see :func:`run_session`."""

    def __init__(
        self,
        grid: Grid,
        by_node: Mapping[int, Message],
        first: Message,
        config: SecAggConfig,
        plan: Plan,
        model: ModelPlan | PrivateModel | None,
        clock: Clock,
    ) -> None:
        self.training_seconds = DEFAULT_TRAINING_TIMEOUT
        self._grid = grid
        self._by_node = by_node
        self._instruction: RecordDict = first.content
        self._type: str = first.metadata.message_type
        self._group: str = first.metadata.group_id
        self._config = config
        self._plan = plan
        self._model = model
        self._clock = clock
        self._digest = _common_digest(by_node.values(), plan)
        self._events: list[ServerEvent] = []
        self._clear: dict[int, MetricRecord] = {}

    def play(self, directory: Directory) -> SessionOutcome:
        """Play all rounds."""
        nodes, run_config = directory.resolve(self._grid, self._by_node, self._config, self._clock)
        context = records.session_context(self._digest, run_config)
        server = secagg.ServerSession(self._parameters(self._cohort(nodes), context), roster=self._config.roster)
        offer: bytes | None = server.offer
        tag = records.session_tag(server.offer)
        while (round_ := server.round) is not None:
            self._play_round(server, round_, nodes, tag, offer)
            server.close_round()
            self._report(server.take_events())
            offer = None
        self._say_goodbye(server, nodes, tag)
        result = server.result
        if isinstance(self._model, PrivateModel):
            return self._private_outcome(self._model, server, nodes)
        report, contributors = Report.of(result.vectors), len(result.contributors)
        for sentence in report.sentences(contributors, server.parameters.max_weight):
            _LOG.warning("secure aggregation: %s", sentence)
        if result.total_weight == 0:
            _LOG.warning("secure aggregation: all weights are 0, so nothing changes")
        return SessionOutcome(
            arrays=None if self._model is None else self._model.decode(result.vectors),
            summed=self._plan.selected,
            metrics={} if result.total_weight == 0 else self._plan.decode_metrics(result.vectors),
            total_weight=result.total_weight,
            contributors=result.contributors,
            nodes={client: nodes[client] for client in server.parameters.cohort},
            clear_metrics=self._clear,
            report=report,
            events=tuple(self._events),
        )

    def _private_outcome(
        self, model: PrivateModel, server: secagg.ServerSession, nodes: Mapping[int, int]
    ) -> SessionOutcome:
        result, parameters = server.result, server.parameters
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
            nodes={client: nodes[client] for client in parameters.cohort},
            clear_metrics=self._clear,
            report=Report(),
            events=tuple(self._events),
            plan=model.plan,
            release=release,
        )

    def _cohort(self, nodes: Mapping[int, int]) -> Sequence[int]:
        roster = self._config.roster
        cohort = sorted(nodes)
        if self._config.model is secagg.ThreatModel.ACTIVE and roster is not None:
            strangers = [client for client in cohort if client not in roster]
            if strangers:
                _LOG.warning("clients %s are not in the roster, and take no part", strangers)
            cohort = [client for client in cohort if client in roster]
        least, called = self._config.minimum_cohort, "minimum_cohort"
        if isinstance(self._model, PrivateModel) and self._model.plan.floor > least:
            least, called = self._model.plan.floor, "the floor of the privacy plan"
        if len(cohort) < least:
            raise SessionAbortedError(
                f"{len(cohort)} nodes are there for a session, and {called} is {least}", AbortReason.TOO_FEW_ADVERTISED
            )
        return cohort

    def _parameters(self, cohort: Sequence[int], context: bytes) -> secagg.SessionParameters:
        config = self._config
        if isinstance(self._model, PrivateModel):
            choices = {"max_dropout": config.max_dropout, "suite": config.suite}
            return self._model.plan.parameters(cohort, context, **choices)
        specs = dict(self._model.specs) if self._model is not None else {}
        metric_clips = config.evaluate_metrics if self._model is None else config.metrics
        return secagg.SessionParameters.choose(
            clients=cohort,
            vectors=with_report({**specs, **self._plan.metric_specifications(metric_clips, METRIC_BITS)}),
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

    def _play_round(
        self,
        server: secagg.ServerSession,
        round_: secagg.Round,
        nodes: Mapping[int, int],
        tag: bytes,
        offer: bytes | None,
    ) -> None:
        due = round_ is secagg.Round.MASKED_INPUT
        seconds = self._config.round_timeout
        if due:
            seconds = self._config.training_timeout or self.training_seconds
        clients = {nodes[client]: client for client in server.requests}
        messages = {}
        for client, request in server.requests.items():
            asked = records.Asked(tag, request, offer, round_.value)
            plan = self._plan if due or (offer is not None and self._plan.privacy is not None) else None
            content = records.request_content(asked, self._instruction if due else None, plan)
            messages[nodes[client]] = address(content, nodes[client], self._type, self._group, seconds)
        exchange(
            self._grid,
            messages,
            seconds,
            self._clock,
            lambda node, reply: self._take(server, clients[node], reply),
        )
        if server.round is round_ and not server.ready:
            _LOG.warning(
                "%s: %g s were too few for some nodes; give more %s, if they are alive",
                round_.value,
                seconds,
                "training_timeout" if due else "round_timeout",
            )

    def _take(self, server: secagg.ServerSession, client: int, reply: Message) -> None:
        if reply.has_error():
            self._report(server.drop(client, DropReason.CLIENT_ABORTED, f"client {client}: {reply.error.reason}"))
            return
        try:
            answer, clear_metrics = records.read_answer(reply.content)
        except DecodeError as error:
            self._report(server.drop(client, DropReason.MESSAGE_MALFORMED, f"client {client}: {error}"))
            return
        self._report(server.receive(client, answer))
        if clear_metrics is not None:
            self._clear[client] = clear_metrics

    def _report(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self._events.append(event)
            if isinstance(event, ClientDropped):
                _LOG.warning("dropped in %s: %s [%s]", event.round.value, event.detail, event.reason.name)

    def _say_goodbye(self, server: secagg.ServerSession, nodes: Mapping[int, int], tag: bytes) -> None:
        """After an abort, tell the clients, so that they erase their secrets now; nobody waits for replies."""
        seconds = self._config.round_timeout
        notices = [
            address(
                records.request_content(records.Asked(tag, notice, None, "abort"), None, None),
                nodes[client],
                self._type,
                self._group,
                seconds,
            )
            for client, notice in server.requests.items()
        ]
        if notices:
            self._grid.push_messages(notices)


def _common_digest(messages: Iterable[Message], plan: Plan) -> bytes:
    """The digest of what all nodes are sent.

    Raises:
        ParameterError: they are sent different things, which no sum is over.
    """
    digests: dict[tuple[int, ...], bytes] = {}
    for message in messages:
        # A strategy gives all nodes the same records; each distinct set of objects is digested once.
        same = tuple(id(record) for record in message.content.values())
        if same not in digests:
            metadata = message.metadata
            digests[same] = records.instruction_digest(
                metadata.run_id, metadata.message_type, metadata.group_id, plan, message.content
            )
    if len(set(digests.values())) > 1:
        raise ParameterError(
            "the nodes would be sent different instructions, and a secure sum is over one model and one configuration; "
            "put what differs into the nodes' own configuration"
        )
    return next(iter(digests.values()))
