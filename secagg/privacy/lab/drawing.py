"""NO SECURITY: how pictures look and are kept, as PNG and SVG. The same numbers give the same bytes.

Colours are those of Okabe and Ito, which colour-blind people tell apart. Must not know what is drawn.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from secagg.errors import MissingExtraError, ParameterError

FORMATS: Final = ("png", "svg")
WIDTH: Final = 6.2
"""Of every picture, in inches: on a page of 390 pixels a letter of the least size has 9 then."""
SMALL: Final = 10.5
"""The least size of letters, in points."""
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, PALE = "#222222", "#8a8a8a"
_DOTS_PER_INCH: Final = 150
_TITLE_SIZE: Final = 12
_TITLE_COLUMNS: Final = 60
_STYLE: Final = {
    "svg.hashsalt": "secagg",
    "font.size": 11,
    "axes.titlesize": 11,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "hatch.linewidth": 1.2,
}


def save(stem: Path, title: str, height: float, paint: Callable[[Any], None]) -> tuple[Path, ...]:
    """Draw one picture into a folder that exists; returns its files, PNG and SVG.

    Args:
        stem: of the files, without a suffix.
        title: what one sees; stands above it, and in the files for programs.
        height: in inches, with the title.
        paint: called with a matplotlib figure.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
        ParameterError: the folder cannot be written.
    """
    figure_of, rc_context = figures()
    files = tuple(stem.with_name(f"{stem.name}.{kind}") for kind in FORMATS)
    with rc_context(_STYLE):
        figure = figure_of(figsize=(WIDTH, height), layout="constrained")
        figure.suptitle("\n".join(textwrap.wrap(title, _TITLE_COLUMNS)), fontsize=_TITLE_SIZE, fontweight="bold")
        paint(figure)
        try:
            for file in files:
                left_out = {"Date": None} if file.suffix == ".svg" else {"Software": None}
                figure.savefig(file, dpi=_DOTS_PER_INCH, metadata={"Title": title, **left_out})
        except OSError as error:
            raise ParameterError(f"{stem.parent} cannot be written: {error.strerror or error}") from error
    return files


def figures() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return matplotlib's figure, and what sets its style for a while.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it announces its caches on first use
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a picture needs matplotlib, to be drawn: pip install 'secagg[demo]'") from error
    return Figure, rc_context
