"""The demo's picture: learning with and without secure aggregation, and what the server saw of one client.

Row `c` of the weights is drawn as a tile of 8 x 8 pixels, so that an update, a masked upload and the released
average can be compared by eye. Draws what it is given; knows no learning and no randomness.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.demo.data import CLASSES, SIDE
from secagg.cli.demo.federated import Exhibit, FederatedRound
from secagg.cli.demo.upload import field_width, masked_entries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TILE_COLUMNS: Final = 5
_GAP: Final = 1
_HEADING: Final = 4
_COLUMN_STEP: Final = SIDE + _GAP
_LINE_STEP: Final = SIDE + _HEADING
_SECURE, _PLAIN, _NOISE = "#1f5fa8", "#e08214", "#7f7f7f"
# So wide that the smallest letters have 9 pixels on a page of 390.
_SIZE_INCHES: Final = (6.2, 9.6)
_DOTS_PER_INCH: Final = 150
_SMALL: Final = 10.5
_BINS: Final = 32
_TICKS: Final = 15


def new_figure() -> Figure:
    """Return an empty figure that needs no screen.

    Raises:
        ParameterError: matplotlib is not installed; says how to install it.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it announces its caches on first use
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise secagg.MissingExtraError("the demo needs matplotlib, to draw: pip install 'secagg[demo]'") from error
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def draw(figure: Figure, rounds: Sequence[FederatedRound], exhibit: Exhibit) -> None:
    """Draw both accuracy curves, and one client's update, its masked upload and the released average."""
    masked = masked_entries(exhibit.message, exhibit.parameters) / 2.0 ** field_width(exhibit.parameters)
    figure.suptitle(
        "Federated learning on handwritten digits:\nthe server learns the average and sees no update",
        fontsize=13,
        fontweight="bold",
        y=0.985,
    )
    curves = figure.add_gridspec(1, 1, left=0.12, right=0.98, top=0.86, bottom=0.655)
    _draw_accuracy(figure.add_subplot(curves[0, 0]), rounds)
    numbers = figure.add_gridspec(1, 1, left=0.12, right=0.47, top=0.275, bottom=0.065)
    _draw_histogram(figure.add_subplot(numbers[0, 0]), masked, exhibit)
    labels = " and ".join(f"{label}s" for label in sorted(exhibit.labels))
    correlation = float(np.corrcoef(exhibit.update.ravel(), masked.ravel())[0, 1])
    tiles = figure.add_gridspec(1, 2, left=0.02, right=0.98, top=0.495, bottom=0.315, wspace=0.08)
    _draw_tiles(
        figure.add_subplot(tiles[0, 0]),
        exhibit.update,
        f"Client {exhibit.client}'s update, which it keeps",
        f"{exhibit.examples} examples, mostly {labels},\nand it shows",
    )
    _draw_tiles(
        figure.add_subplot(tiles[0, 1]),
        masked - 0.5,
        "Its upload, which the server sees",
        f"the same update, masked:\ncorrelation {correlation:+.2f}",
    )
    released = figure.add_gridspec(1, 1, left=0.52, right=0.98, top=0.215, bottom=0.035)
    _draw_tiles(
        figure.add_subplot(released[0, 0]),
        exhibit.mean,
        "The average, which it learns",
        f"of {exhibit.contributors} clients' updates\nin round 1",
    )


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, with its words as the description.

    Raises:
        ParameterError: the file cannot be written.
    """
    try:
        figure.savefig(path, format="png", metadata={"Description": words(figure)})
    except OSError as error:
        raise secagg.ParameterError(f"the picture cannot be written to {path}: {error.strerror or error}") from error


def words(figure: Figure) -> str:
    """What is written in a figure: its title, and what each field is called and says."""
    fields = [
        text
        for axes in figure.axes
        for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(each.get_text() for each in axes.texts))
    ]
    return "\n".join(text for text in (figure.get_suptitle(), *fields) if text)


def tiled(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Lay ten rows of 64 numbers out as two lines of five 8 x 8 tiles, with NaN between them and above."""
    lines = CLASSES // _TILE_COLUMNS
    canvas = np.full((lines * _LINE_STEP, _TILE_COLUMNS * _COLUMN_STEP - _GAP), np.nan)
    for index, row in enumerate(rows):
        top, left = _corner(index)
        canvas[top : top + SIDE, left : left + SIDE] = row.reshape(SIDE, SIDE)
    return canvas


def _corner(index: int) -> tuple[int, int]:
    """Return the line and column of a tile's first pixel."""
    line, column = divmod(index, _TILE_COLUMNS)
    return line * _LINE_STEP + _HEADING, column * _COLUMN_STEP


def _draw_accuracy(axes: Axes, rounds: Sequence[FederatedRound]) -> None:
    numbers = [each.number for each in rounds]
    axes.plot(
        numbers,
        [100 * each.plain_accuracy for each in rounds],
        color=_PLAIN,
        linewidth=6,
        alpha=0.55,
        label="plain averaging",
    )
    axes.plot(
        numbers,
        [100 * each.secure_accuracy for each in rounds],
        color=_SECURE,
        linewidth=1.8,
        marker="o",
        label="secure aggregation, while clients leave",
    )
    last = rounds[-1]
    axes.set_title(
        f"Accuracy on test digits: {last.secure_accuracy:.1%} secure, {last.plain_accuracy:.1%} plain;\n"
        f"models differ by {last.difference:.0e} at most",
        fontsize=11,
    )
    _say(axes, "round of federated learning", "accuracy, %")
    axes.set_xticks(numbers[:: -(-len(numbers) // _TICKS)])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_histogram(axes: Axes, masked: NDArray[np.float64], exhibit: Exhibit) -> None:
    spec = exhibit.parameters.vectors[0][1]
    bound = spec.clip if isinstance(spec, secagg.FixedPoint) else 1.0
    bins = [index / _BINS for index in range(_BINS + 1)]
    axes.hist((exhibit.update.ravel() + bound) / (2 * bound), bins=bins, color=_SECURE, label="update")
    axes.hist(masked.ravel(), bins=bins, color=_NOISE, alpha=0.75, label="masked upload")
    axes.set_title(f"Client {exhibit.client}'s {masked.size} numbers", fontsize=11)
    _say(axes, "value, part of its range", "how many")
    axes.set_ylim(0, 1.4 * axes.get_ylim()[1])  # room for the legend above the highest
    axes.legend(loc="upper right", fontsize=_SMALL, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _say(axes: Axes, across: str, up: str) -> None:
    """Say what the axes are, in letters that can be read on a phone."""
    axes.set_xlabel(across, fontsize=_SMALL)
    axes.set_ylabel(up, fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALL)


def _draw_tiles(axes: Axes, rows: NDArray[np.float64], title: str, subtitle: str) -> None:
    bound = float(np.abs(rows).max()) or 1.0
    axes.imshow(tiled(rows), cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    axes.set_title(title, fontsize=11, fontweight="bold", pad=36)
    axes.text(0.5, 1.04, subtitle, transform=axes.transAxes, ha="center", va="bottom", fontsize=_SMALL)
    axes.set_axis_off()
    for index in range(CLASSES):
        top, left = _corner(index)
        middle = left + (SIDE - 1) / 2
        axes.text(middle, top - 0.8, str(index), fontsize=_SMALL, ha="center", va="bottom", color="#444444")
