"""Two files of results, row by row: what became better, what became worse, and what is within the noise.

A change counts when it is larger than the tolerance and the middle halves of the samples do not overlap: on a busy
machine medians move, middle halves rarely pass each other. Runs nothing and prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import quantiles
from typing import Final

from secagg.bench.rows import Report, Row, times_better

DEFAULT_TOLERANCE: Final = 0.1
_SAMPLES_FOR_QUARTILES: Final = 4


class Verdict(StrEnum):
    """What became of a row."""

    BETTER = "better"
    SAME = "same"
    WORSE = "WORSE"
    GONE = "gone"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Change:
    """One row in both files.

    Attributes:
        before: the row of the first file, or None.
        after: the row of the second file, or None.
        factor: how many times better the second is; None when one is missing.
        verdict: what that means.
    """

    before: Row | None
    after: Row | None
    factor: float | None
    verdict: Verdict

    @property
    def row(self) -> Row:
        """The row, from whichever file has it."""
        row = self.after or self.before
        if row is None:
            raise ValueError("a change has a row on one side at least")
        return row


def compare(before: Report, after: Report, tolerance: float = DEFAULT_TOLERANCE) -> tuple[Change, ...]:
    """Compare all rows that were measured in one file at least, in the order of the second file.

    Args:
        before: what was.
        after: what is now.
        tolerance: part by which a figure may move before it counts.
    """
    old, new = _measured(before), _measured(after)
    changes = [_change(old.get(key), row, tolerance) for key, row in new.items()]
    changes += [_change(row, None, tolerance) for key, row in old.items() if key not in new]
    return tuple(changes)


def machines_differ(before: Report, after: Report) -> tuple[str, ...]:
    """Return what about the machines makes their figures incomparable: the names of the fields that differ."""
    fields = ("processor", "cores", "python", "numpy", "openssl", "pyaegis", "pynacl")
    return tuple(name for name in fields if before.machine.get(name) != after.machine.get(name))


def _measured(report: Report) -> Mapping[tuple[str, str], Row]:
    return {row.key: row for row in report.rows if row.measured is not None}


def _change(before: Row | None, after: Row | None, tolerance: float) -> Change:
    if before is None or after is None:
        return Change(before, after, None, Verdict.NEW if before is None else Verdict.GONE)
    if before.measured is None or after.measured is None:
        return Change(before, after, None, Verdict.SAME)
    factor = times_better(after.measured, before.measured, after.better)
    if factor is None or _overlap(before, after) or 1 / (1 + tolerance) <= factor <= 1 + tolerance:
        return Change(before, after, factor, Verdict.SAME)
    return Change(before, after, factor, Verdict.BETTER if factor > 1 else Verdict.WORSE)


def _overlap(before: Row, after: Row) -> bool:
    """Whether the middle halves of the two rows' samples overlap; too few samples have no middle half."""
    if min(len(before.samples), len(after.samples)) < _SAMPLES_FOR_QUARTILES:
        return False
    (low, _, high), (other_low, _, other_high) = quantiles(before.samples), quantiles(after.samples)
    return low <= other_high and other_low <= high
