"""A strategy that sees only means: any Flower strategy that needs no more, over secure sums.

The grid it works with answers a round of training with one reply, whose arrays are the mean and whose weight is the
total; a strategy that averages replies then has what it would have computed from all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Result, Strategy

from secagg.errors import ParameterError, SessionAbortedError
from secagg.integrations.flower.cells import CellsOutcome, cells_of_run
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock, SystemClock
from secagg.integrations.flower.grid import SecureGrid
from secagg.integrations.flower.judging import ROBUST, Fewest, Root, require_judge
from secagg.integrations.flower.plan import in_the_dtypes_of
from secagg.integrations.flower.session import DEFAULT_ARRAYS, DEFAULT_WEIGHT, SessionOutcome
from secagg.robust import Judge

_LOG: Final = logging.getLogger("flwr.secagg")
_NEEDS_EACH_REPLY: Final = (
    *ROBUST,
    flower.FedXgbBagging,
    flower.FedXgbCyclic,
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
        strategy: what samples nodes and uses the mean, or the means of cells.
        config: settings of the sessions.
        judge: with cells, what makes one model of their means, which the strategy then gets as one reply: a
            :class:`secagg.robust.CellSiren`, or another rule as a `RuleJudge`.
        root: what a judge evaluates models with: their accuracy, 0 to 1, on data that the server owns and trusts.
        clock: where time comes from.

    Attributes:
        outcomes: of every session that ended with a sum, in order.
        cell_outcomes: with cells, of every round in which a cell had a sum; only the last one has rows and arrays.

    Raises:
        ParameterError: a strategy of Flower that needs each client's reply, or a judge that has nothing to judge.
    """

    def __init__(
        self,
        strategy: Strategy,
        config: SecAggConfig,
        *,
        judge: Judge | None = None,
        root: Root | None = None,
        clock: Clock | None = None,
    ) -> None:
        over_cells = config.cells is not None and isinstance(strategy, ROBUST)
        if isinstance(strategy, _NEEDS_EACH_REPLY) and not over_cells:
            others = (
                "; or give SecAggConfig(cells=...), whose means it can judge" if isinstance(strategy, ROBUST) else ""
            )
            raise ParameterError(
                f"{type(strategy).__name__} needs the reply of each client, or how many there are; secure aggregation "
                "shows their weighted mean only. Use a strategy that averages, as FedAvg, FedAdam or FedAvgM; for "
                f"differential privacy, SecAggConfig(privacy=...){others}"
            )
        require_judge(strategy, config, judge, root)
        if config.cells is not None and judge is None and not over_cells:
            _LOG.warning(
                "%s averages cells, or is not known to do else, so that a liar in one still moves the model; take "
                "FedMedian, Krum or their like, or give judge=",
                type(strategy).__name__,
            )
        self.strategy = strategy
        self.config = config
        self.outcomes: list[SessionOutcome] = []
        self.cell_outcomes: list[CellsOutcome] = []
        self._judge = judge
        self._root = root
        self._clock = clock or SystemClock()
        self._model: ArrayRecord | None = None
        self._fewest = Fewest.of(strategy) if over_cells else None
        self._directory = Directory()
        # Of all calls of start: nodes that are in cells are in these, and in no others.
        require = None if self._fewest is None else self._fewest.require
        self._cells = None if config.cells is None else cells_of_run(config, require)

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
        """Run the strategy as its own `start` does.

        Args:
            grid: of the ServerApp; it is wrapped in a :class:`SecureGrid`.
            initial_arrays, num_rounds, train_config, evaluate_config, evaluate_fn: as Flower's own strategies take
                them.
            timeout: seconds that nodes have for training and evaluation.

        Raises:
            ParameterError: settings or arrays that no session can have.
            SessionAbortedError: a session ended without a sum, and the config says on_failure="raise"; or all did.
        """
        before = len(self.outcomes) + len(self.cell_outcomes)
        failures: list[SessionAbortedError] = []
        secure = SecureGrid(
            grid,
            self.config,
            arrays_key=getattr(self.strategy, "arrayrecord_key", DEFAULT_ARRAYS),
            weight_key=getattr(self.strategy, "weighted_by_key", DEFAULT_WEIGHT),
            on_outcome=self.outcomes.append,
            on_cells=self._keep,
            on_failure=failures.append,
            judge=self._judge,
            root=self._root,
            cells=self._cells,
            fewest=self._fewest,
            directory=self._directory,
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
        if failures and len(self.outcomes) + len(self.cell_outcomes) == before:
            raise SessionAbortedError(
                f"none of the {len(failures)} secure sums of this run was released, so there is no model; the last: "
                f"{failures[-1]}",
                failures[-1].reason,
            )
        return result

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make the strategy's messages.

        Args:
            server_round, arrays, config, grid: as Flower calls its strategies.
        """
        self._model = arrays
        return self.strategy.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Hand the one reply of a :class:`SecureGrid` to the strategy; its model has the dtypes of the one before.

        Flower's strategies make floating numbers of counters and masks. What is not summed is what it was.

        Args:
            server_round, replies: as Flower calls its strategies.

        Returns:
            The strategy's new model and metrics; None where it has none.
        """
        arrays, metrics = self.strategy.aggregate_train(server_round, replies)
        if arrays is None or self._model is None:
            return arrays, metrics
        if self.outcomes and (last := self.outcomes[-1]).arrays is not None:
            arrays = in_the_dtypes_of(self._model, arrays, last.arrays, last.summed)
        elif self.cell_outcomes:
            arrays = in_the_dtypes_of(self._model, arrays, None, self.cell_outcomes[-1].summed)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Make the strategy's messages.

        Args:
            server_round, arrays, config, grid: as Flower calls its strategies.
        """
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Hand the one reply of a :class:`SecureGrid` to the strategy.

        Args:
            server_round, replies: as Flower calls its strategies.

        Returns:
            The strategy's metrics, or None.
        """
        return self.strategy.aggregate_evaluate(server_round, replies)

    def _keep(self, outcome: CellsOutcome) -> None:
        self.cell_outcomes[-1:] = [last.without_rows() for last in self.cell_outcomes[-1:]]
        self.cell_outcomes.append(outcome)

    def summary(self) -> None:
        """Log what the strategy is set to."""
        self.strategy.summary()
