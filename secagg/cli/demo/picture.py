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
_HEADING: Final = 2
_COLUMN_STEP: Final = SIDE + _GAP
_LINE_STEP: Final = SIDE + _HEADING
_SECURE, _PLAIN, _NOISE = "#1f5fa8", "#e08214", "#7f7f7f"
_SIZE_INCHES: Final = (13.0, 7.4)
_DOTS_PER_INCH: Final = 130
_BINS: Final = 32


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
        "Federated learning on handwritten digits: the server learns the average and sees no update",
        fontsize=15,
        fontweight="bold",
        y=0.972,
    )
    curves = figure.add_gridspec(1, 3, left=0.06, right=0.985, top=0.865, bottom=0.475, wspace=0.22)
    _draw_accuracy(figure.add_subplot(curves[0, :2]), rounds)
    _draw_histogram(figure.add_subplot(curves[0, 2]), masked, exhibit)
    tiles = figure.add_gridspec(1, 3, left=0.02, right=0.985, top=0.315, bottom=0.02, wspace=0.07)
    labels = " and ".join(f"{label}s" for label in sorted(exhibit.labels))
    correlation = float(np.corrcoef(exhibit.update.ravel(), masked.ravel())[0, 1])
    _draw_tiles(
        figure.add_subplot(tiles[0, 0]),
        exhibit.update,
        f"Client {exhibit.client}'s update, which it keeps",
        f"{exhibit.examples} examples, mostly {labels}, and it shows",
    )
    _draw_tiles(
        figure.add_subplot(tiles[0, 1]),
        masked - 0.5,
        f"Client {exhibit.client}'s upload, which the server sees",
        f"the same update, masked: correlation {correlation:+.2f}",
    )
    _draw_tiles(
        figure.add_subplot(tiles[0, 2]),
        exhibit.mean,
        "The average, which the server learns",
        f"of {exhibit.contributors} clients' updates in round 1",
    )


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG.

    Raises:
        ParameterError: the file cannot be written.
    """
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise secagg.ParameterError(f"the picture cannot be written to {path}: {error.strerror or error}") from error


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
        [each.plain_accuracy for each in rounds],
        color=_PLAIN,
        linewidth=6,
        alpha=0.55,
        label="plain averaging",
    )
    axes.plot(
        numbers,
        [each.secure_accuracy for each in rounds],
        color=_SECURE,
        linewidth=1.8,
        marker="o",
        label="secure aggregation, clients leaving in every protocol round",
    )
    last = rounds[-1]
    axes.set_title(
        f"Accuracy on test digits: {last.secure_accuracy:.1%} secure, {last.plain_accuracy:.1%} plain; "
        f"models differ by {last.difference:.0e} at most",
        fontsize=11,
    )
    axes.set_xlabel("round of federated learning")
    axes.set_ylabel("accuracy")
    axes.set_xticks(numbers if len(numbers) <= 20 else numbers[:: -(-len(numbers) // 20)])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_histogram(axes: Axes, masked: NDArray[np.float64], exhibit: Exhibit) -> None:
    spec = exhibit.parameters.vectors[0][1]
    bound = spec.clip if isinstance(spec, secagg.FixedPoint) else 1.0
    bins = [index / _BINS for index in range(_BINS + 1)]
    axes.hist((exhibit.update.ravel() + bound) / (2 * bound), bins=bins, color=_SECURE, label="update")
    axes.hist(masked.ravel(), bins=bins, color=_NOISE, alpha=0.75, label="masked upload")
    axes.set_title(f"Client {exhibit.client}'s {masked.size} numbers", fontsize=11)
    axes.set_xlabel("value, as a fraction of its range")
    axes.set_ylabel("how many")
    axes.legend(loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_tiles(axes: Axes, rows: NDArray[np.float64], title: str, subtitle: str) -> None:
    bound = float(np.abs(rows).max()) or 1.0
    axes.imshow(tiled(rows), cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    axes.set_title(title, fontsize=12, fontweight="bold", pad=22)
    axes.text(0.5, 1.04, subtitle, transform=axes.transAxes, ha="center", va="bottom", fontsize=10)
    axes.set_axis_off()
    for index in range(CLASSES):
        top, left = _corner(index)
        middle = left + (SIDE - 1) / 2
        axes.text(middle, top - 0.8, f"digit {index}", fontsize=7, ha="center", va="bottom", color="#444444")
