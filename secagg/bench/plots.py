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
    CLIENTS: ("Server CPU time by number of clients", "SecAgg+, {entries} entries, 10 % dropped", "clients", True),
    COHORTS: ("Server CPU time by number of clients", "SecAgg+, {entries} entries, 5 % dropped", "clients", True),
    LENGTH: ("Server CPU time by length of the vector", "{clients} clients, 10 % dropped", "entries", True),
    DROPPED: (
        "Server CPU time by number of dropouts",
        "{clients} clients, {entries} entries",
        "dropped after sharing keys, % of the clients",
        False,
    ),
}
_FLOORS: Final = "Masking and packing beside the floors of this machine"
# So wide that the smallest letters have 9 pixels on a page of 390.
_WIDTH: Final = 6.2
_HEIGHT: Final = 4.2
_SMALL: Final = 10.5
_STYLE: Final = {"svg.hashsalt": "secagg", "font.size": 11, "legend.fontsize": _SMALL, "axes.titlesize": 11}
_NEAR_FLOOR: Final = ("masking", "packing")


def draw(report: Report, folder: Path) -> tuple[Path, ...]:
    """Draw every picture that the report has rows for; returns the files, PNG and SVG.

    Raises:
        ParameterError: matplotlib is not installed, no row can be drawn, or the folder cannot be written.
    """
    figures = _figures()
    drawn: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for series in _SERIES:
            rows = series_of(report.rows, series)
            if len(rows) > 1:
                paint = partial(_scaling, series, rows)
                drawn += _save(figures, folder / f"scaling-{series}", _SERIES[series][0], _HEIGHT, paint)
        near = [row for row in report.rows if row.suite in _NEAR_FLOOR and row.ratio is not None]
        if near:
            drawn += _save(figures, folder / "floors", _FLOORS, 1.4 + 0.42 * len(near), partial(_floors, near))
    except OSError as error:
        raise ParameterError(f"pictures cannot be written to {folder}: {error.strerror}") from error
    if not drawn:
        raise ParameterError("the results have nothing to draw; run the suites scaling and masking")
    return tuple(drawn)


def _figures() -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("`secagg bench plot` needs the 'bench' extra: pip install 'secagg[bench]'") from error
    return Figure, rc_context


def _save(
    figures: tuple[Callable[..., Any], Callable[..., Any]],
    stem: Path,
    title: str,
    height: float,
    paint: Callable[[Any], None],
) -> list[Path]:
    figure_of, rc_context = figures
    files = [stem.with_suffix(f".{kind}") for kind in FORMATS]
    with rc_context(_STYLE):
        figure = figure_of(figsize=(_WIDTH, height), layout="constrained")
        figure.suptitle(title, fontsize=12, fontweight="bold")
        paint(figure.add_subplot())
        for file in files:
            left_out = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(file, dpi=150, metadata={"Title": title, **left_out})
    return files


def _scaling(series: str, rows: Sequence[Row], axes: Any) -> None:
    _, of_what, label, logarithmic = _SERIES[series]
    at = [at_of(row) for row in rows]
    axes.plot(at, [row.measured for row in rows], "o-", label="measured", color="tab:blue")
    if all(row.floor is not None for row in rows):
        axes.plot(at, [row.floor for row in rows], "--", label="operations alone (floor)", color="tab:gray")
    if logarithmic:
        axes.set(xscale="log", yscale="log")
    axes.set(title=of_what.format(**rows[0].details), xlabel=label, ylabel="server CPU, ms")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()


def _floors(rows: Sequence[Row], axes: Any) -> None:
    """Bars below their names, which are too long to stand beside them where a page is narrow."""
    bars = axes.barh(range(len(rows)), [row.ratio for row in rows], height=0.38, color="tab:blue")
    axes.axvline(1.0, color="tab:gray", linestyle="--", zorder=0)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=_SMALL, bbox=ground)
    for at, row in enumerate(rows):
        axes.text(0.0, at - 0.24, f"{row.suite}: {row.name}", fontsize=_SMALL, va="bottom", bbox=ground)
    axes.set(xlabel="times the speed of the floor; above 1 beats it", yticks=())
    axes.margins(x=0.12)
    axes.set_ylim(len(rows) - 0.4, -0.9)
    axes.spines[["top", "right"]].set_visible(False)
