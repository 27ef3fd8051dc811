"""One measured figure, and a file of them: what `secagg bench run` writes and everything else reads.

A row carries its own verdict, so that a reader of the file needs no table of ours. Must not know how anything is
measured or shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any, Final

from secagg.errors import ParameterError

FORMAT: Final = 1
HALF: Final = 0.5
Scalar = str | int | float | bool | None


class Better(StrEnum):
    """Which way a figure improves."""

    MORE = "more"
    LESS = "less"


class TargetOn(StrEnum):
    """What a target bounds: the figure itself, or how many times better it is than its floor or its peer."""

    MEASURED = "measured"
    RATIO = "ratio"
    PEER_RATIO = "peer_ratio"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        suite: the suite that measured it.
        name: what was measured, unique within the suite; sizes included.
        unit: of `measured`, `floor`, `peer` and `samples`.
        better: whether more or less is better.
        measured: the median of the samples; None when it was not measured.
        samples: every sample.
        floor: the best that this machine could do, from rates of the same run; None when there is no such bound.
        floor_name: how the floor was computed.
        ratio: how near the floor is: 1 at the floor, below 1 short of it, whichever way the unit improves.
        peer: what somebody else's implementation needs, in the same unit.
        peer_name: whose, where and how measured.
        peer_ratio: how many times better than the peer.
        target: first bound that the figure should keep; None when it has none.
        target_on: what that bound is on.
        target_text: all its bounds in words.
        reached: whether all are kept; None without a target, or when what it compares with was not measured.
        details: sizes and choices: clients, entries, degree, threshold.
        why: where the rest goes, in words, of a row that is further from its floor than HALF; empty otherwise.
        skipped: why nothing was measured, in one sentence; empty otherwise.
    """

    suite: str
    name: str
    unit: str
    better: Better
    measured: float | None = None
    samples: tuple[float, ...] = ()
    floor: float | None = None
    floor_name: str = ""
    ratio: float | None = None
    peer: float | None = None
    peer_name: str = ""
    peer_ratio: float | None = None
    target: float | None = None
    target_on: TargetOn | None = None
    target_text: str = ""
    reached: bool | None = None
    details: Mapping[str, Scalar] = field(default_factory=dict)
    why: str = ""
    skipped: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Suite and name: the same in every file."""
        return self.suite, self.name

    def beside(self, peer: float, peer_name: str) -> Row:
        """Return the row with a peer's figure beside it."""
        ratio = None if self.measured is None else times_better(self.measured, peer, self.better)
        return replace(self, peer=peer, peer_name=peer_name, peer_ratio=ratio)


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run, and where they were measured.

    Attributes:
        date: when the run began, ISO 8601 with the zone.
        version: of the library.
        quick: whether it was a quick run.
        machine: processor, cores, versions, load.
        rows: the figures, in the order of their measurement.
        began: suite to when it began, as `date`; other programs than `secagg bench run` leave it empty.
    """

    date: str
    version: str
    quick: bool
    machine: Mapping[str, Scalar]
    rows: tuple[Row, ...]
    began: Mapping[str, str] = field(default_factory=dict)

    def find(self, suite: str, name: str) -> Row | None:
        """Return the measured row of this key, or None."""
        return next((row for row in self.rows if row.key == (suite, name) and row.measured is not None), None)


def measured_row(
    suite: str,
    name: str,
    unit: str,
    better: Better,
    samples: tuple[float, ...],
    *,
    floor: float | None = None,
    floor_name: str = "",
    details: Mapping[str, Scalar] | None = None,
    why: str = "",
) -> Row:
    """Make a row from samples: their median, and its ratio to the floor; `why` stays if that is below HALF."""
    measured = median(samples)
    ratio = None if floor is None else times_better(measured, floor, better)
    return Row(
        suite=suite,
        name=name,
        unit=unit,
        better=better,
        measured=measured,
        samples=samples,
        floor=floor,
        floor_name=floor_name,
        ratio=ratio,
        details=details or {},
        why=why if ratio is not None and ratio < HALF else "",
    )


def skipped_row(suite: str, name: str, unit: str, better: Better, why: str) -> Row:
    """Make the row of something that was not measured."""
    return Row(suite=suite, name=name, unit=unit, better=better, skipped=why)


def times_better(measured: float, other: float, better: Better) -> float | None:
    """Return how many times better `measured` is than `other`; None when there is nothing to divide by."""
    above, below = (measured, other) if better is Better.MORE else (other, measured)
    return above / below if below else None


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON.

    Raises:
        ParameterError: the file cannot be written.
    """
    text = json.dumps({"format": FORMAT, **asdict(report)}, allow_nan=False, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"the results cannot be written to {path}: {error.strerror}") from error


def read_report(path: Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        ParameterError: no such file, or not a report of this format.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"{path} cannot be read: {error.strerror}; give a file that `secagg bench run --json` wrote"
        ) from error
    except ValueError as error:
        raise ParameterError(f"{path} is no JSON file; give one that `secagg bench run --json` wrote") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ParameterError(
            f"{path} holds no benchmark results of format {FORMAT}; run `secagg bench run --json` anew"
        )
    try:
        rows = tuple(_row(entry) for entry in data["rows"])
        return Report(data["date"], data["version"], data["quick"], data["machine"], rows, data.get("began", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"{path} holds damaged benchmark results ({error}); run the benchmarks anew") from error


def _row(entry: dict[str, Any]) -> Row:
    names = {known.name for known in fields(Row)}
    given: dict[str, Any] = {name: value for name, value in entry.items() if name in names}
    given["better"] = Better(given["better"])
    given["samples"] = tuple(given["samples"])
    given["target_on"] = None if given["target_on"] is None else TargetOn(given["target_on"])
    return Row(**given)
