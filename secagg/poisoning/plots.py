"""NO SECURITY: pictures of what a run of attacks measured, as PNG and SVG: who wins, SIREN round by round, what leaks.

Draws what the rows hold; measures nothing. Figures stand in the fields, and lines differ in form, so that no picture
needs its colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

from secagg.errors import ParameterError
from secagg.poisoning.grids import Line, attacked, grid, named, scenarios, seen
from secagg.poisoning.results import AttackRow, LeakRow, Results
from secagg.privacy.lab.drawing import BLUE, GREEN, INK, ORANGE, PALE, PINK, RED, SKY, save

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
    "robustness": "Accuracy and success of backdoors, by defence and attack",
    "siren": "SIREN in clear, round by round",
    "leak": "How well sums of many rounds tell which labels a client has",
}
"""Names of the pictures, and what each shows."""


def draw(results: Results, folder: Path) -> tuple[Path, ...]:
    """Draw every picture that there are rows for; returns the files, PNG and SVG.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
        ParameterError: there is nothing to draw, or the folder cannot be written.
    """
    found = scenarios(results.attacks)
    main = [row for row in next(iter(found.values()), []) if row.defence not in _ALIKE]
    wanted: dict[str, tuple[tuple[float, float], Callable[[Any], None]]] = {}
    if main:
        lines, attacks, _ = grid(main)
        wanted["robustness"] = ((4.2 + 0.95 * len(attacks), 1.6 + 0.31 * len(lines)), partial(_robustness, main))
    if results.siren:
        wanted["siren"] = ((10.0, 2.6 + 2.4 * len(_panels(results.siren)) / 2), partial(_siren, results.siren))
    if _series(results.leak):
        wanted["leak"] = ((8.4, 4.6), partial(_leak, results.leak))
    if not wanted:
        raise ParameterError("the results have nothing to draw; run the suites attacks, siren and leak")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"pictures cannot be written to {folder}: {error.strerror}") from error
    return tuple(file for name, (size, paint) in wanted.items() for file in save(folder / name, size, paint))


def _robustness(rows: Sequence[AttackRow], figure: Any) -> None:
    """Two fields of numbers: lines are defences, columns attacks; light is good in both."""
    lines, attacks, cells = grid(rows)
    backdoors = [attack for attack in attacks if any(_success(cells.get((line, attack), [])) for line in lines)]
    accuracy = [[_mean(row.accuracy for row in cells.get((line, attack), [])) for attack in attacks] for line in lines]
    success = [[_mean(_success(cells.get((line, attack), []))) for attack in backdoors] for line in lines]
    widths = {"width_ratios": [len(attacks), max(len(backdoors), 1)]}
    left, right = figure.subplots(1, 2, gridspec_kw=widths, sharey=True)
    borders = [at for at in range(1, len(lines)) if lines[at][:2] != lines[at - 1][:2]]
    labels = [_label(line) for line in lines]
    _field(left, accuracy, labels, [named(attack) for attack in attacks], _COLOURS)
    left.set_title("accuracy", fontsize=11)
    if backdoors:
        _field(right, success, labels, [named(attack) for attack in backdoors], f"{_COLOURS}_r")
        right.set_title("backdoor works", fontsize=11)
    else:
        right.set_axis_off()
    for axes in (left, right):
        axes.hlines(borders, 0, 1, transform=axes.get_yaxis_transform(), color="white", linewidth=5)


def _field(axes: Any, values: list[list[float]], down: list[str], across: list[str], colours: str) -> None:
    table = np.array(values, dtype=np.float64)
    axes.pcolormesh(table, cmap=colours, vmin=0.0, vmax=1.0, edgecolors="white", linewidth=0.5)
    for (y, x), value in np.ndenumerate(table):
        lightness = 1.0 - value if colours.endswith("_r") else value
        if not np.isnan(value):
            axes.text(
                *(x + 0.5, y + 0.5, f"{value:.2f}"),
                ha="center",
                va="center",
                fontsize=9,
                color=INK if lightness > _DARK else "white",
            )
    axes.set_xticks(np.arange(len(across)) + 0.5, across, rotation=35, ha="right", fontsize=9)
    axes.set_yticks(np.arange(len(down)) + 0.5, down, fontsize=9)
    axes.tick_params(length=0)
    axes.set_ylim(len(down), 0)
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
                    curve,
                    color=colour,
                    linestyle=form,
                    marker=marker,
                    markersize=5,
                    markevery=_EVERY,
                    label=line,
                )
        axes.set_title(f"{named(panel[0])}, {100 * panel[1]:.3g} % liars", fontsize=11)
        axes.set_ylim(0.0, 1.0)
        axes.grid(visible=True, alpha=0.3)
    for axes in list(grid_of.flat)[len(panels) :]:
        axes.set_axis_off()
    for axes in list(grid_of.flat)[: len(panels)][-2:]:
        axes.set_xlabel("round")
        axes.tick_params(labelbottom=True)
    for axes in grid_of[:, 0]:
        axes.set_ylabel("accuracy")
    told = {name: line for axes in grid_of.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(told.values(), told.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=10)


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
    axes.text(1, 0.505, "a coin", color=PALE, fontsize=10, va="bottom")
    ticks = sorted({each for points in series.values() for each in points})
    axes.set(xscale="log", ylim=(0.45, 1.03), xlabel="rounds whose sums are seen", ylabel="right guesses (AUC)")
    axes.set_xticks(ticks, [str(each) for each in ticks])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10)


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


def _label(line: Line) -> str:
    setting, g, defence, power = line
    where = {"clear": "in clear"}.get(setting, seen(setting, g))
    return f"{where}: {named(defence)}{_LIARS.get(power, '')}"


def _success(rows: Iterable[AttackRow]) -> list[float]:
    return [row.backdoor for row in rows if row.backdoor is not None and attacked(row)]


def _mean(figures: Iterable[float]) -> float:
    """Their mean; not a number for none."""
    listed = list(figures)
    return fmean(listed) if listed else float("nan")
