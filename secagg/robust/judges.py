"""Who turns a round's sums into the next model: anything with a `judge` method, and the rules as such.

A judge sees the sums of cells and nothing of any client. What it says of a cell it says of all its clients. Rules have
their sources with them; what a cell proves against itself is protocol_specs/robust-v1.md §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole
from secagg.robust import rules
from secagg.robust.root import Evaluate, Train, fltrust, root_check, trained
from secagg.robust.round import CellSums
from secagg.robust.rules import RuleResult, check_vector
from secagg.robust.sizing import RULES, most_dirty

_NUMBERED: Final[Mapping[str, Callable[[NDArray[np.float64], int], RuleResult]]] = {
    "krum": rules.krum,
    "multi_krum": rules.multi_krum,
    "trimmed_mean": rules.trimmed_mean,
}
_PLAIN: Final[Mapping[str, Callable[[NDArray[np.float64]], RuleResult]]] = {
    "geometric_median": rules.geometric_median,
    "median": rules.median,
    "norm_clipped_mean": rules.norm_clipped_mean,
}
_NOT_BUILT: Final[Mapping[str, str]] = {
    "bulyan": "it needs 4b + 3 rows, which cells large enough to hide anybody do not leave",
    "dnc": "that it helps over the means of cells has not been shown",
    "flame": "that it helps over the means of cells has not been shown",
}


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What became of one round.

    Attributes:
        model: float64 (d,), what the next round starts from.
        kept: cells that have a part in it, ascending.
        rejected: cell to why it has none; cells without a sum are not named.
        penalties: cell to its penalty after this round; empty for a judge that gives none.
        rolled_back: whether the model is that of the round before, and this round's sums were dropped.
        alarms: about how many clients raised an alarm.
        unconfirmed: whether there were alarms enough for a rollback, and the root data did not confirm them: something
            to tell the operator, and nothing else.
    """

    model: NDArray[np.float64] = field(repr=False)
    kept: tuple[int, ...]
    rejected: Mapping[int, str]
    penalties: Mapping[int, float]
    rolled_back: bool
    alarms: float
    unconfirmed: bool


class Judge(Protocol):
    """Decides what the sums of a round make of the model."""

    def judge(self, model: NDArray[np.float64], sums: CellSums, evaluate: Evaluate | None = None) -> Verdict:
        """Judge one round.

        Args:
            model: float64 (d,), what the clients of this round started from.
            sums: of `CellRound.collect`, rows as long as the model.
            evaluate: the accuracy of a model on the server's root data; for judges that ask for it.

        Returns:
            The next model, and what became of each cell.
        """
        ...


class RuleJudge:
    """A rule as a judge, without memory: every round stands alone.

    Cells that are proven to lie, and have no row, count among the `b` that may. Missing cells may leave too few rows
    for the rule; then the model stays as it is, and every cell's reason says so.

    Args:
        rule: "median", "geometric_median", "trimmed_mean", "norm_clipped_mean", "krum", "multi_krum", "root_check" or
            "fltrust".
        b: cells that may lie; demanded by krum, multi_krum and trimmed_mean, and never guessed. For other rules it is
            only held against their condition.
        train: what `fltrust` compares with, see :data:`Train`; for `root_check` it gives the direction. None elsewhere.

    Raises:
        ParameterError: a rule that is unknown or not built, or an argument that it lacks or does not take.
    """

    def __init__(self, rule: str, *, b: int | None = None, train: Train | None = None) -> None:
        liars = 0 if b is None else as_whole(b)
        if liars is None or liars < 0:
            raise ParameterError(f"b={b!r:.40} is no number of cells that may lie; give a whole number from 0")
        self._rule, self._b, self._train = _known(rule), liars, train
        if b is None and rule in _NUMBERED:
            raise ParameterError(f"{rule} must be told how many cells may lie, and does not guess it; give b=...")
        if rule == "fltrust" and train is None:
            raise ParameterError("fltrust compares with an update of the server's own; give train=, or use root_check")
        if train is not None and rule not in ("fltrust", "root_check"):
            raise ParameterError(f"{rule} has no use for data of the server's own; leave train= out")

    def judge(self, model: NDArray[np.float64], sums: CellSums, evaluate: Evaluate | None = None) -> Verdict:
        """Add what the rule makes of the rows to the model.

        Args:
            model: float64 (d,).
            sums: of `CellRound.collect`, rows as long as the model.
            evaluate: demanded by root_check, and not looked at by others.

        Returns:
            The model with what the rule adds, or as it was; and what became of each cell.

        Raises:
            ParameterError: arguments that do not fit each other, or a `b` that the rule does not bear with all cells.
        """
        check_vector("model", model, sums.rows.shape[1])
        rules.require_condition(self._rule, len(sums.cells) + len(sums.rejected) + len(sums.missing), self._b)
        left = max(0, self._b - len(sums.rejected))
        if left > most_dirty(self._rule, len(sums.cells)):
            few = f"{self._rule} cannot bear b={left} among the {len(sums.cells)} cells that are left"
            rejected = dict.fromkeys(sums.cells, few) | dict(sums.rejected)
            return _verdict(model.copy(), (), rejected, sums)
        result = self._apply(model, sums.rows, left, evaluate)
        kept = tuple(cell for cell, keep in zip(sums.cells, result.kept, strict=True) if keep)
        reason = f"{self._rule} left it out"
        rejected = {cell: reason for cell in sums.cells if cell not in kept} | dict(sums.rejected)
        return _verdict(model + result.vector, kept, rejected, sums)

    def _apply(
        self, model: NDArray[np.float64], rows: NDArray[np.float64], b: int, evaluate: Evaluate | None
    ) -> RuleResult:
        if self._rule in _NUMBERED:
            return _NUMBERED[self._rule](rows, b)
        if self._rule in _PLAIN:
            return _PLAIN[self._rule](rows)
        update = None if self._train is None else trained(model, self._train)
        if self._rule == "fltrust" and update is not None:
            return fltrust(rows, update)
        if evaluate is None:
            raise ParameterError(f"{self._rule} scores models on data of the server's own; give evaluate")
        return root_check(model, rows, evaluate, direction=update)


def total_alarms(sums: CellSums) -> float:
    """Return about how many clients raised an alarm."""
    return float(sum(sums.alarms.values()))


def _verdict(model: NDArray[np.float64], kept: tuple[int, ...], rejected: Mapping[int, str], sums: CellSums) -> Verdict:
    return Verdict(model, kept, rejected, {}, rolled_back=False, alarms=total_alarms(sums), unconfirmed=False)


def _known(rule: str) -> str:
    name = rule.lower() if isinstance(rule, str) else ""
    if name in _NOT_BUILT:
        raise ParameterError(f"{rule} is not built: {_NOT_BUILT[name]}; take one of {', '.join(RULES)}")
    most_dirty(rule, 1)
    return rule
