"""What is made of the means of cells: by Flower's own robust strategies, or by a judge of ours.

To either of them a cell is what a node is elsewhere. Knows strategies and models, nothing of sessions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from flwr.app import ArrayRecord, Message
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from secagg.errors import AbortReason, ParameterError, SessionAbortedError
from secagg.integrations.flower.cells import CellsOutcome
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.plan import ModelPlan, arrays_of
from secagg.integrations.rows import NOTHING_TO_JUDGE
from secagg.robust import Judge, Verdict

ROBUST: Final = (flower.Bulyan, flower.FedMedian, flower.FedTrimmedAvg, flower.Krum, flower.MultiKrum)
"""Strategies of Flower that judge replies by one another: over cells they work as they are."""
Root = Callable[[ArrayRecord], float]
"""A model's accuracy, 0 to 1, on data that the server owns and trusts."""


@dataclass(frozen=True, slots=True)
class Fewest:
    """How many cells a strategy needs, so that it bears as many dirty ones as it was told of.

    Attributes:
        cells: that number.
        why: the strategy and its setting, in words.
    """

    cells: int
    why: str

    @classmethod
    def of(cls, strategy: Strategy) -> Fewest:
        """Return what a strategy needs; 1 for those that do not judge.

        Raises:
            ParameterError: a strategy that would judge nothing, whatever it is given.
        """
        name = type(strategy).__name__
        match strategy:
            case flower.Bulyan():
                dirty = strategy.num_malicious_nodes
                return cls(4 * dirty + 3, f"{name} with num_malicious_nodes={dirty}")
            case flower.MultiKrum():
                dirty, kept = strategy.num_malicious_nodes, strategy.num_nodes_to_select
                # Of more than all but the dirty ones, it would average dirty ones.
                why = f"{name} with num_malicious_nodes={dirty}" + (
                    f" and num_nodes_to_select={kept}" if kept > 1 else ""
                )
                return cls(max(2 * dirty + 3, dirty + kept), why)
            case flower.FedTrimmedAvg():
                beta = strategy.beta
                if beta <= 0:
                    raise ParameterError(
                        f"{name} with beta={beta} cuts no cell off; give the fraction that may be dirty"
                    )
                least = math.ceil(1 / beta)
                return cls(least if int(beta * least) else least + 1, f"{name} with beta={beta}")
            case flower.FedMedian():
                return cls(3, name)
        return cls(1, name)

    def require(self, cells: int) -> None:
        """Refuse a partition with too few cells.

        Raises:
            ParameterError: it has.
        """
        if cells < self.cells:
            raise ParameterError(
                f"{self.why} needs {self.cells} cells, and there are {cells}: over cells it counts cells, of which one "
                "liar spoils one, and not nodes; have more nodes, make smaller cells, or expect fewer dirty ones"
            )

    def require_this_round(self, outcome: CellsOutcome) -> None:
        """Refuse a round of which too few cells are left.

        Raises:
            SessionAbortedError: too few are.
        """
        left, cells = len(outcome.sums.cells), len(outcome.partition.cells)
        if left < self.cells:
            raise SessionAbortedError(
                f"{left} of {cells} cells have a sum this round, and {self.why} needs {self.cells}",
                AbortReason.TOO_FEW_CONTRIBUTORS,
            )


def require_judge(strategy: Strategy, config: SecAggConfig, judge: Judge | None, root: Root | None) -> None:
    """Refuse a judge where there is nothing for it to judge.

    Raises:
        ParameterError: settings that do not go together.
    """
    if judge is None:
        if root is not None:
            raise ParameterError("root= is what a judge evaluates models on, and there is none; give judge=, too")
        return
    if config.cells is None:
        raise ParameterError("a judge judges cells, and the config has none; give SecAggConfig(cells=Cells(size=...))")
    if isinstance(strategy, ROBUST):
        raise ParameterError(
            f"{type(strategy).__name__} judges cells itself, and would get one model from the judge; take FedAvg"
        )
    if not config.difference:
        raise ParameterError("a judge adds updates to the model, and difference=False sums models; leave it out")


def judge_cells(
    judge: Judge,
    root: Root | None,
    config: SecAggConfig,
    instruction: Message,
    arrays_key: str,
    outcome: CellsOutcome,
) -> tuple[ArrayRecord, Verdict]:
    """Return the next model that a judge makes of a round, and its verdict.

    Args:
        judge: takes the model's summed entries as one vector.
        root: evaluates; None for judges that do not.
        config: settings.
        instruction: what a node was sent.
        arrays_key: name of its ArrayRecord.
        outcome: of the round.

    Raises:
        ParameterError: a model with counters among what is summed, or a judge that evaluates and has no root.
    """
    record = arrays_of(instruction.content, arrays_key, "the instruction")
    model = ModelPlan(record, clip=config.clip, bits=config.bits, only=config.only, difference=True)
    if model.whole:
        raise ParameterError(NOTHING_TO_JUDGE.format(model.whole[0]))
    evaluate = None if root is None else lambda flat: float(root(model.of(flat)))
    verdict = judge.judge(model.flat(), outcome.sums, evaluate)
    return model.of(verdict.model), verdict


def common_metrics(outcome: CellsOutcome, cells: Iterable[int]) -> dict[int, dict[str, float]]:
    """Return cell to the metrics that all of these cells have: strategies of Flower take no others."""
    taken = {cell: outcome.metrics[cell] for cell in cells}
    shared = set.intersection(*(set(metrics) for metrics in taken.values())) if taken else set()
    return {cell: {key: value for key, value in metrics.items() if key in shared} for cell, metrics in taken.items()}


def means_of(metrics: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over cells of each metric, from metrics by cell that have the same names."""
    keys = next(iter(metrics.values()), {})
    return {key: math.fsum(of_cell[key] for of_cell in metrics.values()) / len(metrics) for key in keys}
