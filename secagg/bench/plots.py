"""Pictures of a report, as PNG and SVG: cost against clients, entries and dropouts, and how near rows are to floors.

Draws what the rows hold; measures nothing. Files of the same report are the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from secagg.bench.rows import Report, Row
from secagg.bench.suites.scaling import CLIENTS, COHORTS, DROPPED, LENGTH, at_of, series_of
from secagg.errors import MissingExtraError, ParameterError

FORMATS: Final = ("png", "svg")
_SERIES: Final = {
    CLIENTS: ("clients (SecAgg+, {entries} entries, 10 % dropped)", True),
    COHORTS: ("clients (SecAgg+, {entries} entries, 5 % dropped)", True),
    LENGTH: ("entries ({clients} clients, 10 % dropped)", True),
    DROPPED: ("percent of {clients} clients dropped ({entries} entries)", False),
}
_SIZE: Final = (6.4, 4.0)
_NEAR_FLOOR: Final = ("masking", "packing")


def draw(report: Report, folder: Path) -> tuple[Path, ...]:
    """Draw every picture that the report has rows for; returns the files, PNG and SVG.

    Raises:
        ParameterError: matplotlib is not installed, no row can be drawn, or the folder cannot be written.
    """
    figure_of = _figures()
    drawn: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for series in _SERIES:
            rows = series_of(report.rows, series)
            if len(rows) > 1:
                drawn += _save(figure_of, folder / f"scaling-{series}", partial(_scaling, series, rows))
        near = [row for row in report.rows if row.suite in _NEAR_FLOOR and row.ratio is not None]
        if near:
            drawn += _save(figure_of, folder / "floors", partial(_floors, near))
    except OSError as error:
        raise ParameterError(f"pictures cannot be written to {folder}: {error.strerror}") from error
    if not drawn:
        raise ParameterError("the results have nothing to draw; run the suites scaling and masking")
    return tuple(drawn)


def _figures() -> Callable[..., Any]:
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("`secagg bench plot` needs the 'bench' extra: pip install 'secagg[bench]'") from error
    rcParams["svg.hashsalt"] = "secagg"
    return Figure


def _save(figure_of: Callable[..., Any], stem: Path, paint: Callable[[Any], None]) -> list[Path]:
    figure = figure_of(figsize=_SIZE, layout="constrained")
    paint(figure.add_subplot())
    files = [stem.with_suffix(f".{kind}") for kind in FORMATS]
    for file in files:
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else {"Software": None})
    return files


def _scaling(series: str, rows: Sequence[Row], axes: Any) -> None:
    label, logarithmic = _SERIES[series]
    at = [at_of(row) for row in rows]
    axes.plot(at, [row.measured for row in rows], "o-", label="measured", color="tab:blue")
    if all(row.floor is not None for row in rows):
        axes.plot(at, [row.floor for row in rows], "--", label="operations alone (floor)", color="tab:gray")
    if logarithmic:
        axes.set(xscale="log", yscale="log")
    axes.set(xlabel=label.format(**rows[0].details), ylabel="server CPU, ms")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()


def _floors(rows: Sequence[Row], axes: Any) -> None:
    names = [f"{row.suite}: {row.name}" for row in rows]
    axes.barh(names, [row.ratio for row in rows], color="tab:blue")
    axes.axvline(1.0, color="tab:gray", linestyle="--")
    axes.set(xlabel="measured over floor")
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
