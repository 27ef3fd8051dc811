"""Suite `rules`: robust rules over the means of many cells, beside what NumPy needs for the core of each.

The median's peer is NumPy's over slices of the same array, Krum's the product of the rows with themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.rows import Better, Row, measured_row
from secagg.bench.sessions import made_up
from secagg.bench.targets import KRUM, MEDIAN, RULE_ROWS
from secagg.robust import rules

SUITE: Final = "rules"
_LIARS: Final = RULE_ROWS // 5
_COLUMNS: Final = 2**15
_QUICK_PART: Final = 8
_MILLI: Final = 1e-3
_SECONDS_PER_ENTRY: Final = 3e-7


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds + RULE_ROWS * _entries(shared) * _SECONDS_PER_ENTRY
    return (Benchmark("rules", seconds, partial(_rules, shared)),)


def _rules(shared: Shared) -> list[Row]:
    entries = _entries(shared)
    rows = np.empty((RULE_ROWS, entries))
    for number, row in enumerate(rows):
        row[:] = made_up(entries, number)
    works: dict[str, Callable[[], object]] = {
        "NumPy's median, slice by slice": lambda: [np.median(piece, axis=0) for piece in _slices(rows)],
        MEDIAN: lambda: rules.median(rows),
        "the rows' inner products": lambda: sum(piece @ piece.T for piece in _slices(rows)),
        KRUM: lambda: rules.krum(rows, _LIARS),
    }
    taken = {
        name: tuple(seconds / _MILLI for seconds in each) for name, each in in_turns(works, shared.plan.seconds).items()
    }
    names = list(works)
    return [
        measured_row(
            SUITE, name, "ms", Better.LESS, taken[name], details={"rows": RULE_ROWS, "entries": entries}
        ).beside(median(taken[peer]), peer)
        for peer, name in zip(names[::2], names[1::2], strict=True)
    ]


def _entries(shared: Shared) -> int:
    return shared.plan.entries // _QUICK_PART if shared.plan.quick else shared.plan.entries


def _slices(rows: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, rows.shape[1], _COLUMNS):
        yield rows[:, start : start + _COLUMNS]
