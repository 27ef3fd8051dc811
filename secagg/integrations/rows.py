"""A model as one row, as judges of cells see it, and what they make of a round, whatever framework carries the model.

Must not know frameworks, cells' sessions, nor which judge it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.errors import ParameterError
from secagg.robust import CellSums, Judge, Verdict

Root = Callable[[dict[str, Any]], float]
"""A model's accuracy, 0 to 1, on data that the server owns and trusts."""
NOTHING_TO_JUDGE: Final = (
    "array {!r} is of whole numbers or truth values, which no judge can weigh against others; leave it out by only="
)
NO_PART_OF_A_NORM: Final = (
    "array {!r} is of whole numbers or truth values, and what training does to these is no part of an update's norm; "
    "leave it out by only=, or give no Cells(norm=...)"
)


def row_of(plan: secagg.VectorPlan, arrays: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return a model's entries that are summed, float64 (d,), in session order.

    Raises:
        ParameterError: arrays that are not of the plan.
    """
    packed = plan.pack(arrays, None)
    return np.concatenate([np.ravel(packed[name]).astype(np.float64) for name in plan.specs])


def vectors_of_row(plan: secagg.VectorPlan, row: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return vector name to its part of a row, in the shape of its specification."""
    ends = np.cumsum([spec.size for spec in plan.specs.values()])[:-1]
    parts = zip(plan.specs.items(), np.split(row, ends), strict=True)
    return {name: part.reshape(spec.shape) for (name, spec), part in parts}


def whole_arrays(plan: secagg.VectorPlan) -> tuple[str, ...]:
    """Return the names of the arrays that are summed and are counters or truth values."""
    summed = {name: planned for name, planned in plan.arrays.items() if planned.vector is not None}
    return tuple(name for name, planned in summed.items() if planned.dtype.kind != "f")


def judged_model(
    judge: Judge, root: Root | None, plan: secagg.VectorPlan, arrays: Mapping[str, Any], sums: CellSums
) -> tuple[dict[str, Any], Verdict]:
    """Return the model that a judge makes of a round, each array in its own dtype, and its verdict.

    Args:
        judge: takes the entries that are summed as one vector.
        root: evaluates whole models; None for judges that do not.
        plan: of the arrays.
        arrays: of the model that the clients started from; those that are not summed stay as they are.
        sums: rows are means of differences.

    Raises:
        ParameterError: counters among what is summed, or a judge that evaluates and has no root.
    """
    if whole := whole_arrays(plan):
        raise ParameterError(NOTHING_TO_JUDGE.format(whole[0]))

    def model(row: NDArray[np.float64]) -> dict[str, Any]:
        return {**arrays, **plan.unpack(vectors_of_row(plan, row), None)}

    verdict = judge.judge(row_of(plan, arrays), sums, None if root is None else lambda row: float(root(model(row))))
    return model(verdict.model), verdict
