"""Whether a picture says what one sees: a title, axes with words, and letters that can be read on a phone."""

from __future__ import annotations

from typing import Any, Final

import pytest

PHONE_PIXELS: Final = 390
LEAST_PIXELS: Final = 9.0


def drawn_into(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that gets each figure once that is saved, instead of a file."""
    from matplotlib.figure import Figure

    figures: list[Any] = []

    def keep(figure: Any, *_: object, **__: object) -> None:
        if not figures or figures[-1] is not figure:
            figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def title(figure: Any) -> str:
    """What stands above a figure, without its breaks of lines."""
    return " ".join(str(figure.get_suptitle()).split())


def faults(figure: Any) -> list[str]:
    """What is wrong with a figure, in words."""
    from matplotlib.text import Text

    found = [] if title(figure) else ["it has no title"]
    figure.draw_without_rendering()
    for axes in figure.axes:
        sides = (("x", axes.get_xlabel(), axes.get_xticks()), ("y", axes.get_ylabel(), axes.get_yticks()))
        numbered = [
            side for side, label, ticks in sides if axes.axison and len(ticks) and not label and not _named(axes, side)
        ]
        found += [f"its {side} axis of {axes.get_title()!r} says nothing" for side in numbered]
    undrawn = _undrawn(figure)
    for text in figure.findobj(Text):
        if not text.get_text() or not text.get_visible() or text in undrawn:
            continue
        pixels = text.get_fontsize() / 72 * PHONE_PIXELS / figure.get_figwidth()
        if pixels < LEAST_PIXELS:
            found.append(f"{text.get_text()!r} has {pixels:.1f} pixels where the picture has {PHONE_PIXELS}")
        if text not in _ticks(figure) and not _inside(figure.bbox, text.get_window_extent()):
            found.append(f"{text.get_text()!r} goes beyond the edge")
    return found


def _named(axes: Any, side: str) -> bool:
    """Whether the ticks of a side are words, which need no label, or stand at another field that shares them."""
    labels = axes.get_xticklabels() if side == "x" else axes.get_yticklabels()
    texts = [label.get_text() for label in labels if label.get_visible() and label.get_text()]
    return not any(text.replace("\N{MINUS SIGN}", "-").replace(".", "").isdigit() for text in texts)


def _ticks(figure: Any) -> list[Any]:
    """Their texts, of which some stand beyond an axis and are not drawn."""
    return [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]


def _inside(whole: Any, box: Any) -> bool:
    across = whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1
    return bool(across and whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1)


def _undrawn(figure: Any) -> list[Any]:
    """Texts of axes that are switched off, but for their titles and what was written into them."""
    return [
        text
        for axes in figure.axes
        if not axes.axison
        for each in (axes.xaxis, axes.yaxis)
        for text in (each.label, each.get_offset_text(), *each.get_ticklabels(), *each.get_ticklabels(minor=True))
    ]
