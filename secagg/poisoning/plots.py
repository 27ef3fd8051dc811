"""NO SECURITY: pictures of what a run of attacks measured, as PNG and SVG: who wins, SIREN round by round, what leaks.

Draws what the rows hold; measures nothing. Figures stand in the fields, and lines differ in form, so that no picture
needs its colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle, groupby
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

from secagg.errors import ParameterError
from secagg.poisoning.grids import Line, attacked, grid, named, scenarios, seen
from secagg.poisoning.results import AttackRow, LeakRow, Results
from secagg.privacy.lab.drawing import BLUE, GREEN, INK, ORANGE, PALE, PINK, RED, SKY, SMALL, save

# Of even steps in lightness, and the same to colour-blind people.
_COLOURS: Final = "cividis"
_DARK: Final = 0.55
_LIARS: Final = {"cell": ", cell lie", "ring": ", ring lie", "weight": ", weight lie"}
_FORMS: Final = (
    (BLUE, "-", "o"),
    (RED, "--", "s"),
    (GREEN, "-.", "^"),
    (ORANGE, ":", "D"),
    (INK, (0, (5, 1)), "v"),
    (SKY, (0, (3, 1, 1, 1)), "P"),
    (PINK, (0, (1, 1)), "X"),
    (PALE, "-", "d"),
)
_EVERY: Final = 5
_CLIPPED: Final = "siren_clipped"  # stands in the table alone
# So do rules that are near others: three that are near the median, and two near the same with or without a memory.
_ALIKE: Final = ("trimmed_mean", "geometric_median", "norm_clipped_mean", "cell_siren", "root_check_trained")

PICTURES: Final = {
    "robustness": "Accuracy by rule and attack, % of the tests",
    "backdoors": "Success of backdoors by rule and attack, % of the tests",
    "siren": "Accuracy round by round: SIREN and other rules, in clear",
    "leak": "How well sums of many rounds tell which labels a client has",
}
"""Names of the pictures, and their titles."""


def draw(results: Results, folder: Path) -> tuple[Path, ...]:
    """Draw every picture that there are rows for; returns the files, PNG and SVG.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
        ParameterError: there is nothing to draw, or the folder cannot be written.
    """
    found = scenarios(results.attacks)
    main = [row for row in next(iter(found.values()), []) if row.defence not in _ALIKE]
    wanted: dict[str, tuple[float, Callable[[Any], None]]] = {}
    if main:
        lines, attacks, cells = grid(main)
        height = 2.4 + 0.24 * (len(lines) + len({line[:2] for line in lines}))
        accuracy = {at: _mean(row.accuracy for row in rows) for at, rows in cells.items()}
        success = {at: _mean(_success(rows)) for at, rows in cells.items() if _success(rows)}
        backdoors = [attack for attack in attacks if any(at[1] == attack for at in success)]
        wanted["robustness"] = (height, partial(_field, lines, attacks, accuracy, _COLOURS))
        if backdoors:
            wanted["backdoors"] = (height, partial(_field, lines, backdoors, success, f"{_COLOURS}_r"))
    if results.siren:
        wanted["siren"] = (2.4 + 2.0 * -(-len(_panels(results.siren)) // 2), partial(_siren, results.siren))
    if _series(results.leak):
        wanted["leak"] = (5.6, partial(_leak, results.leak))
    if not wanted:
        raise ParameterError("the results have nothing to draw; run the suites attacks, siren and leak")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"pictures cannot be written to {folder}: {error.strerror}") from error
    return tuple(
        file for name, (height, paint) in wanted.items() for file in save(folder / name, PICTURES[name], height, paint)
    )


def _field(
    lines: Sequence[Line], attacks: Sequence[str], values: Mapping[tuple[Line, str], float], colours: str, figure: Any
) -> None:
    """A field of numbers: a line is a rule, below what it judges, and a column an attack; light is good."""
    axes = figure.subplots()
    labels: list[tuple[str, bool]] = []
    table: list[list[float]] = []
    for where, below in groupby(lines, key=lambda line: seen(*line[:2])):
        labels.append((where, True))
        table.append([np.nan] * len(attacks))
        for line in below:
            labels.append((f"{named(line[2])}{_LIARS.get(line[3], '')}", False))
            table.append([values.get((line, attack), np.nan) for attack in attacks])
    axes.pcolormesh(np.array(table), cmap=colours, vmin=0.0, vmax=1.0, edgecolors="white", linewidth=0.5)
    for (y, x), value in np.ndenumerate(np.array(table)):
        lightness = 1.0 - value if colours.endswith("_r") else value
        if not np.isnan(value):
            axes.text(
                *(x + 0.5, y + 0.5, f"{100 * value:.0f}"),
                ha="center",
                va="center",
                fontsize=SMALL,
                color=INK if lightness > _DARK else "white",
            )
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(attacks)) + 0.5, [named(attack) for attack in attacks], rotation=90)
    axes.set_yticks(np.arange(len(labels)) + 0.5, [text for text, _ in labels])
    for tick, (_, heads) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if heads else "normal")
    axes.tick_params(length=0)
    axes.set_ylim(len(labels), 0)
    axes.spines[:].set_visible(False)


def _siren(rows: Sequence[AttackRow], figure: Any) -> None:
    """A panel for each attack and part of liars: accuracy by round of the first seed, since a mean hides swings."""
    panels, drawn = _panels(rows), [row for row in rows if attacked(row) and row.defence != _CLIPPED]
    lines = list(dict.fromkeys(map(_ruled, drawn)))
    grid_of = figure.subplots(-(-len(panels) // 2), 2, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid_of.flat, panels, strict=False):
        for line, (colour, form, marker) in zip(lines, cycle(_FORMS), strict=False):
            curve = next((row.curve for row in drawn if _panel(row) == panel and _ruled(row) == line), ())
            if curve:
                axes.plot(
                    np.arange(1, len(curve) + 1),
                    100 * np.array(curve),
                    color=colour,
                    linestyle=form,
                    marker=marker,
                    markersize=5,
                    markevery=_EVERY,
                    label=line,
                )
        axes.set_title(f"{named(panel[0])}, {100 * panel[1]:.3g} % lie")
        axes.set_ylim(0, 100)
        axes.grid(visible=True, alpha=0.3)
    for axes in list(grid_of.flat)[len(panels) :]:
        axes.set_axis_off()
    for axes in list(grid_of.flat)[: len(panels)][-2:]:
        axes.set_xlabel("round")
        axes.tick_params(labelbottom=True)
    for axes in grid_of[:, 0]:
        axes.set_ylabel("accuracy, %")
    told = {name: line for axes in grid_of.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(told.values(), told.keys(), loc="outside lower center", ncols=2, frameon=False)


def _leak(rows: Sequence[LeakRow], figure: Any) -> None:
    """Guesses that are right, against the rounds whose sums are seen."""
    axes = figure.subplots()
    series = _series(rows)
    for ((g, discipline, dropout), points), (colour, form, marker) in zip(series.items(), cycle(_FORMS), strict=False):
        rounds = sorted(points)
        away = f", {100 * dropout:.3g} % away" if dropout else ""
        axes.plot(
            rounds,
            [fmean(points[each]) for each in rounds],
            color=colour,
            linestyle=form,
            marker=marker,
            markersize=7,
            label=f"{discipline}, sums of {g}{away}",
        )
    axes.axhline(0.5, color=PALE, linewidth=1)
    axes.text(1, 0.505, "a coin", color=PALE, fontsize=SMALL, va="bottom")
    ticks = sorted({each for points in series.values() for each in points})
    axes.set(
        xscale="log", ylim=(0.45, 1.03), xlabel="rounds whose sums are seen", ylabel="right guesses, part of all (AUC)"
    )
    axes.set_xticks(ticks, [str(each) for each in ticks])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=1, frameon=False)


def _series(rows: Iterable[LeakRow]) -> dict[tuple[int, str, float], dict[int, list[float]]]:
    """Disciplines that were followed over time: AUC by rounds."""
    found: dict[tuple[int, str, float], dict[int, list[float]]] = {}
    for row in rows:
        points = found.setdefault((row.g, row.discipline, row.dropout), {})
        points.setdefault(row.rounds, []).append(row.auc)
    return {key: points for key, points in found.items() if len(points) > 2}


def _panels(rows: Iterable[AttackRow]) -> list[tuple[str, float]]:
    return list(dict.fromkeys(_panel(row) for row in rows if row.curve and attacked(row)))


def _panel(row: AttackRow) -> tuple[str, float]:
    return row.attack, row.fraction


def _ruled(row: AttackRow) -> str:
    alarms = {True: ", liars alarm", False: ", liars silent", None: ""}[row.alarming]
    return f"{named(row.defence)}{alarms}"


def _success(rows: Iterable[AttackRow]) -> list[float]:
    return [row.backdoor for row in rows if row.backdoor is not None and attacked(row)]


def _mean(figures: Iterable[float]) -> float:
    """Their mean; not a number for none."""
    listed = list(figures)
    return fmean(listed) if listed else float("nan")
