"""A grid that shows a strategy, or a loop of one's own, only means: of a session, or of cells.

Must not know which strategy it is that sees them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

from secagg.errors import SessionAbortedError
from secagg.integrations.cells import CellsOfRun
from secagg.integrations.flower import records
from secagg.integrations.flower.cells import CellsOutcome, cells_of_run, run_cells
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock, SystemClock
from secagg.integrations.flower.judging import Fewest, Root, common_metrics, judge_cells, means_of
from secagg.integrations.flower.session import DEFAULT_ARRAYS, DEFAULT_WEIGHT, SessionOutcome, run_session
from secagg.robust import Judge

_LOG: Final = logging.getLogger("flwr.secagg")


class SecureGrid(Grid):
    """A grid whose `send_and_receive` gives the mean of the nodes' answers, as one reply; or of each cell, as many.

    Training and evaluation messages become a session; other messages pass as they are. For strategies, and for loops
    that are written against `send_and_receive`.

    Args:
        grid: of the ServerApp.
        config: settings of the sessions.
        arrays_key: name of the ArrayRecord of an instruction, and of the reply.
        weight_key: name of the metric that weighs a client; in the reply, it has the total.
        on_outcome: called with the outcome of each session that ended with a sum.
        on_cells: with cells, called with the outcome of each round in which a cell had a sum.
        on_failure: called with the error of each other one, unless the config has it raised.
        judge: with cells, what makes one model of their means, and so one reply.
        root: what a judge evaluates models with.
        cells: of the run, where another grid of it had them, too.
        fewest: how many cells a round must have.
        directory: which client each node is, and who takes no part any more; None begins a new one.
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
        on_cells: Callable[[CellsOutcome], object] | None = None,
        on_failure: Callable[[SessionAbortedError], object] | None = None,
        judge: Judge | None = None,
        root: Root | None = None,
        cells: CellsOfRun | None = None,
        fewest: Fewest | None = None,
        directory: Directory | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._judge = judge
        self._root = root
        self._cells = cells_of_run(config) if cells is None and config.cells is not None else cells
        self._fewest = fewest
        self._grid = grid
        self._config = config
        self._arrays_key = arrays_key
        self._weight_key = weight_key
        self._on_outcome = on_outcome
        self._on_cells = on_cells
        self._on_failure = on_failure
        self._clock = clock or SystemClock()
        self._directory = directory or Directory()

    def set_run(self, run: Any) -> None:
        """Set the run of the grid below.

        Args:
            run: Flower's description of it.
        """
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """The run of the grid below."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message as the grid below does.

        Args:
            content, message_type, dst_node_id, group_id: as of Flower's `Grid.create_message`.
            ttl: seconds for which the message may wait; None takes Flower's own.
        """
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that are connected."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push messages as they are; nodes refuse what would show their answer in clear.

        Args:
            messages: any.

        Returns:
            Their ids.
        """
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull replies as they are.

        Args:
            message_ids: what `push_messages` returned.

        Returns:
            Replies that have come.
        """
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Have nodes carry out an instruction; one reply with the mean, or none when the session had no sum.

        With cells, a reply for each cell that has a sum and is not proven to have a liar in it; with a judge, one.

        Args:
            messages: one for each node, all with the same content.
            timeout: seconds that nodes have for the instruction itself; None takes the config's.

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
        play = self._one_session if self._cells is None else partial(self._over_cells, self._cells)
        try:
            return play(instructions, timeout)
        except SessionAbortedError as error:
            if self._config.on_failure == "raise":
                raise
            if self._on_failure is not None:
                self._on_failure(error)
            _LOG.warning("secure aggregation of this round ended without a sum: %s", error)
            return []

    def _one_session(self, instructions: list[Message], timeout: float | None) -> list[Message]:
        outcome = run_session(self._grid, instructions, self._config, **self._how(timeout))
        _LOG.info("secure aggregation: the mean over %d clients", len(outcome.contributors))
        if self._on_outcome is not None:
            self._on_outcome(outcome)
        # A strategy divides by it, and a total of 0 came with a mean that changes nothing.
        total = len(outcome.contributors) if outcome.total_weight is None else outcome.total_weight or 1
        return [self._reply(instructions[0], outcome.arrays, total, outcome.metrics)]

    def _over_cells(self, cells: CellsOfRun, instructions: list[Message], timeout: float | None) -> list[Message]:
        outcome = run_cells(self._grid, instructions, self._config, cells, **self._how(timeout))
        if self._fewest is not None:
            self._fewest.require_this_round(outcome)
        model = None
        if self._judge is not None and outcome.arrays:
            first = instructions[0]
            model, verdict = judge_cells(self._judge, self._root, self._config, first, self._arrays_key, outcome)
            outcome = replace(outcome, verdict=verdict)
        there, drawn = len(outcome.sums.cells), len(outcome.partition.cells)
        _LOG.info("secure aggregation: the means of %d of %d cells", there, drawn)
        if self._on_cells is not None:
            self._on_cells(outcome)
        if outcome.verdict is not None:
            metrics = means_of(common_metrics(outcome, outcome.verdict.kept))
            return [self._reply(instructions[0], model, max(1, len(outcome.verdict.kept)), metrics)]
        return [
            # A record of its own: FedTrimmedAvg takes the arrays out of those that it is given.
            self._reply(message, ArrayRecord(dict(outcome.arrays[cell])) if outcome.arrays else None, 1, metrics)
            for message, (cell, metrics) in zip(
                instructions, common_metrics(outcome, outcome.sums.cells).items(), strict=False
            )
        ]

    def _how(self, timeout: float | None) -> dict[str, Any]:
        return {
            "timeout": timeout,
            "directory": self._directory,
            "arrays_key": self._arrays_key,
            "weight_key": self._weight_key,
            "clock": self._clock,
        }

    def _reply(
        self, instruction: Message, arrays: ArrayRecord | None, weight: int, metrics: Mapping[str, float]
    ) -> Message:
        content = RecordDict({"metrics": MetricRecord({self._weight_key: weight, **metrics})})
        if arrays is not None:
            content[self._arrays_key] = arrays
        return Message(content, reply_to=instruction)
