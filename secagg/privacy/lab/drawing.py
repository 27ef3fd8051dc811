"""NO SECURITY: how pictures look and are kept, as PNG and SVG. The same numbers give the same bytes.

Colours are those of Okabe and Ito, which colour-blind people tell apart. Must not know what is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from secagg.errors import MissingExtraError, ParameterError

FORMATS: Final = ("png", "svg")
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, PALE = "#222222", "#8a8a8a"
_DOTS_PER_INCH: Final = 150
_STYLE: Final = {
    "svg.hashsalt": "secagg",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "hatch.linewidth": 1.2,
}


def save(stem: Path, size: tuple[float, float], paint: Callable[[Any], None]) -> tuple[Path, ...]:
    """Draw one picture into a folder that exists; returns its files, PNG and SVG.

    Args:
        stem: of the files, without a suffix.
        size: in inches.
        paint: called with a matplotlib figure.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
        ParameterError: the folder cannot be written.
    """
    figure_of, rc_context = figures()
    files = tuple(stem.with_name(f"{stem.name}.{kind}") for kind in FORMATS)
    with rc_context(_STYLE):
        figure = figure_of(figsize=size, layout="constrained")
        paint(figure)
        try:
            for file in files:
                metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
                figure.savefig(file, dpi=_DOTS_PER_INCH, metadata=metadata)
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
