"""A strategy that sees only means: any Flower strategy that needs no more, over secure sums.

The grid it works with answers a round of training with one reply, whose arrays are the mean and whose weight is the
total; a strategy that averages replies then has what it would have computed from all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Result, Strategy

from secagg.errors import ParameterError, SessionAbortedError
from secagg.integrations.flower import records
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock, SystemClock
from secagg.integrations.flower.plan import in_the_dtypes_of
from secagg.integrations.flower.session import (
    DEFAULT_ARRAYS,
    DEFAULT_WEIGHT,
    SessionOutcome,
    run_session,
)

_LOG: Final = logging.getLogger("flwr.secagg")
_NEEDS_EACH_REPLY: Final = (
    flower.Bulyan,
    flower.FedMedian,
    flower.FedTrimmedAvg,
    flower.FedXgbBagging,
    flower.FedXgbCyclic,
    flower.Krum,
    flower.MultiKrum,
    flower.QFedAvg,
    flower.DifferentialPrivacyServerSideFixedClipping,
    flower.DifferentialPrivacyServerSideAdaptiveClipping,
    flower.DifferentialPrivacyClientSideFixedClipping,
    flower.DifferentialPrivacyClientSideAdaptiveClipping,
)


class SecAgg(Strategy):
    """Runs a strategy over secure sums: `SecAgg(FedAvg(...), SecAggConfig(...)).start(grid=grid, ...)`.

    A round whose session ends without a sum gives the strategy no replies: FedAvg keeps its model and goes on, unless
    the config says on_failure="raise". This wrapper is the outermost one: only its `start` puts sums in the place of
    replies.

    Args:
        strategy: what samples nodes and uses the mean.
        config: settings of the sessions.
        clock: where time comes from.

    Attributes:
        outcomes: of every session that ended with a sum, in order.

    Raises:
        ParameterError: a strategy of Flower that needs each client's reply.
    """

    def __init__(self, strategy: Strategy, config: SecAggConfig, *, clock: Clock | None = None) -> None:
        if isinstance(strategy, _NEEDS_EACH_REPLY):
            raise ParameterError(
                f"{type(strategy).__name__} needs the reply of each client, or how many there are; secure aggregation "
                "shows their weighted mean only. Use a strategy that averages, as FedAvg, FedAdam or FedAvgM; for "
                "differential privacy, SecAggConfig(privacy=...)"
            )
        self.strategy = strategy
        self.config = config
        self.outcomes: list[SessionOutcome] = []
        self._clock = clock or SystemClock()
        self._model: ArrayRecord | None = None

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the strategy as its own `start` does; `timeout` is what nodes have for training and evaluation.

        Raises:
            ParameterError: settings or arrays that no session can have.
            SessionAbortedError: a session ended without a sum, and the config says on_failure="raise"; or all did.
        """
        before = len(self.outcomes)
        failures: list[SessionAbortedError] = []
        secure = SecureGrid(
            grid,
            self.config,
            arrays_key=getattr(self.strategy, "arrayrecord_key", DEFAULT_ARRAYS),
            weight_key=getattr(self.strategy, "weighted_by_key", DEFAULT_WEIGHT),
            on_outcome=self.outcomes.append,
            on_failure=failures.append,
            clock=self._clock,
        )
        # Flower's own loop calls this wrapper's methods; a strategy that has a loop of its own keeps it.
        start = super().start if type(self.strategy).start is Strategy.start else self.strategy.start
        result = start(
            grid=secure,
            initial_arrays=initial_arrays,
            num_rounds=num_rounds,
            timeout=timeout,
            train_config=train_config,
            evaluate_config=evaluate_config,
            evaluate_fn=evaluate_fn,
        )
        if failures and len(self.outcomes) == before:
            raise SessionAbortedError(
                f"none of the {len(failures)} secure sums of this run was released, so there is no model; the last: "
                f"{failures[-1]}",
                failures[-1].reason,
            )
        return result

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make the strategy's messages."""
        self._model = arrays
        return self.strategy.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Hand the one reply of a :class:`SecureGrid` to the strategy; its model has the dtypes of the one before.

        Flower's strategies make floating numbers of counters and masks. What is not summed is what it was.
        """
        arrays, metrics = self.strategy.aggregate_train(server_round, replies)
        last = self.outcomes[-1] if self.outcomes else None
        if arrays is not None and self._model is not None and last is not None and last.arrays is not None:
            arrays = in_the_dtypes_of(self._model, arrays, last.arrays, last.summed)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make the strategy's messages."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Hand the one reply of a :class:`SecureGrid` to the strategy."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log what the strategy is set to."""
        self.strategy.summary()


class SecureGrid(Grid):
    """A grid whose `send_and_receive` gives the mean of the nodes' answers, as one reply.

    Training and evaluation messages become a session; other messages pass as they are. For strategies, and for loops
    that are written against `send_and_receive`.

    Args:
        grid: of the ServerApp.
        config: settings of the sessions.
        arrays_key: name of the ArrayRecord of an instruction, and of the reply.
        weight_key: name of the metric that weighs a client; in the reply, it has the total.
        on_outcome: called with the outcome of each session that ended with a sum.
        on_failure: called with the error of each other one, unless the config has it raised.
        clock: where time comes from.
    """

    def __init__(
        self,
        grid: Grid,
        config: SecAggConfig,
        *,
        arrays_key: str = DEFAULT_ARRAYS,
        weight_key: str = DEFAULT_WEIGHT,
        on_outcome: Callable[[SessionOutcome], object] | None = None,
        on_failure: Callable[[SessionAbortedError], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._grid = grid
        self._config = config
        self._arrays_key = arrays_key
        self._weight_key = weight_key
        self._on_outcome = on_outcome
        self._on_failure = on_failure
        self._clock = clock or SystemClock()
        self._directory = Directory()

    def set_run(self, run: Any) -> None:
        """Set the run of the grid below."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """The run of the grid below."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message as the grid below does."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that are connected."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push messages as they are; nodes refuse what would show their answer in clear."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull replies as they are."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Have nodes carry out an instruction; one reply with the mean, or none when the session had no sum.

        Raises:
            ParameterError: instructions that differ, or settings that no session can have.
            SessionAbortedError: there is no sum, and the config says on_failure="raise".
        """
        instructions = list(messages)
        if not instructions:
            return []
        kind = records.category(instructions[0])
        evaluation = kind == "evaluate"
        if kind not in ("train", "evaluate") or (evaluation and self._config.evaluate_in_clear):
            return self._grid.send_and_receive(instructions, timeout=timeout)
        if evaluation and not self._config.evaluate_metrics:
            _LOG.info("no evaluation on the nodes: the config names no evaluate_metrics to sum")
            return []
        try:
            outcome = run_session(
                self._grid,
                instructions,
                self._config,
                timeout=timeout,
                directory=self._directory,
                arrays_key=self._arrays_key,
                weight_key=self._weight_key,
                clock=self._clock,
            )
        except SessionAbortedError as error:
            if self._config.on_failure == "raise":
                raise
            if self._on_failure is not None:
                self._on_failure(error)
            _LOG.warning("secure aggregation of this round ended without a sum: %s", error)
            return []
        _LOG.info("secure aggregation: the mean over %d clients", len(outcome.contributors))
        if self._on_outcome is not None:
            self._on_outcome(outcome)
        return [self._reply(outcome, instructions[0])]

    def _reply(self, outcome: SessionOutcome, instruction: Message) -> Message:
        # A strategy divides by it, and a total of 0 came with a mean that changes nothing.
        total = len(outcome.contributors) if outcome.total_weight is None else outcome.total_weight or 1
        content = RecordDict({"metrics": MetricRecord({self._weight_key: total, **outcome.metrics})})
        if outcome.arrays is not None:
            content[self._arrays_key] = outcome.arrays
        return Message(content, reply_to=instruction)
