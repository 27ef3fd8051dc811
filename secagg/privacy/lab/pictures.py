"""NO SECURITY: the sections of a report as pictures (PNG and SVG) and as one HTML page without scripts.

Draws what it is given; measures nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from secagg.errors import MissingExtraError, ParameterError
from secagg.privacy.lab.report import Section

FORMATS: Final = ("png", "svg")
_BLUE, _ORANGE, _GREY, _RED = "#1f5fa8", "#e08214", "#7f7f7f", "#c0392b"
_STYLE: Final = (
    "body{font:16px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;line-height:1.5}"
    "img{max-width:100%}pre{max-height:20rem;overflow:auto;background:#f6f8fa;padding:.5rem}"
)


def write_report(sections: Iterable[Section], folder: Path) -> tuple[Path, ...]:
    """Draw each section as it comes and write `index.html`; returns the files.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ParameterError: the folder cannot be written.
    """
    figure_of = _figures()
    files, done = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for section in sections:
            width = 12.0 if section.name == "strip" else 6.4
            figure = figure_of(figsize=(width, 2.6 if section.name == "strip" else 4.0), layout="constrained")
            _PAINTERS[section.name](figure, section.numbers)
            for kind in FORMATS:
                files.append(folder / f"{section.name}.{kind}")
                figure.savefig(files[-1], dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
            done.append(section)
        files.append(folder / "index.html")
        files[-1].write_text(page(done), encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"the report cannot be written to {folder}: {error.strerror}") from error
    return tuple(files)


def page(sections: Iterable[Section]) -> str:
    """Return the HTML page; its pictures are files beside it."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Privacy of the sum</title>',
        f"<style>{_STYLE}</style></head><body><h1>Privacy of the sum</h1>",
        "<p>Measured on this machine. Attacks give a floor under what leaks, and no proof; proofs are elsewhere.</p>",
    ]
    for section in sections:
        numbers = escape(json.dumps(section.numbers, allow_nan=False))
        parts.append(
            f"<h2>{escape(section.title)}</h2><p>{escape(section.sentence)}</p>"
            f'<img src="{section.name}.svg" alt="{escape(section.alt, quote=True)}">'
            f"<details><summary>Numbers</summary><pre>{numbers}</pre></details>"
        )
    return "\n".join([*parts, "</body></html>", ""])


def _figures() -> Callable[..., Any]:
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the report needs matplotlib, to draw: pip install 'secagg[demo]'") from error
    rcParams["svg.hashsalt"] = "secagg"
    return Figure


def _strip(figure: Any, numbers: dict[str, Any]) -> None:
    images = numbers["images"]
    axes = figure.subplots(1, len(images))
    for place, (name, image) in zip(axes, images.items(), strict=True):
        side = math.isqrt(len(image))
        place.imshow(np.clip(np.reshape(image, (side, side)), 0.0, 1.0), cmap="gray_r", vmin=0.0, vmax=1.0)
        place.set_title(name.replace(", ", ",\n"), fontsize=8)
        place.axis("off")


def _identification(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    rates = numbers["rates"]
    bars = axes.bar(list(rates), [100 * rate for rate in rates.values()], color=_BLUE)
    axes.bar_label(bars, fmt="%.0f %%")
    axes.set(xlabel="clients in the sum", ylabel="right picture, % of cases", ylim=(0, 112))


def _coin_game(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    places = np.arange(100)
    colours = [_RED if place < numbers["right_guesses"] else "#d0d0d0" for place in places]
    axes.scatter(places % 10, -(places // 10), c=colours, s=90)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(f"right in {numbers['right_guesses']} of 100 cases at most")


def _budget(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    axes.plot(range(1, len(numbers["epsilon"]) + 1), numbers["epsilon"], "o-", color=_BLUE, label="spent")
    axes.axhline(numbers["limit"], color=_RED, linestyle="--", label="limit")
    axes.set(xlabel="rounds", ylabel="epsilon", ylim=(0, None))
    axes.legend()


def _audit(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    pairs = numbers["pairs"]
    at = np.arange(len(pairs))
    axes.bar(at - 0.2, [pair["claimed"] for pair in pairs], 0.4, color=_GREY, label="claimed")
    axes.bar(at + 0.2, [pair["measured"] for pair in pairs], 0.4, color=_ORANGE, label="measured, at least")
    axes.set_xticks(at, [f"{pair['claimed']:.3g}" for pair in pairs])
    axes.set(xlabel="plan", ylabel="epsilon")
    axes.legend()


def _accuracy(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in numbers["rows"]:
        if row["epsilon"] is None:
            axes.axhline(row["accuracy"], color=_GREY, linestyle="--", label=row["kind"])
        else:
            curves.setdefault(row["kind"], []).append((row["epsilon"], row["accuracy"]))
    for kind, points in curves.items():
        axes.plot(*zip(*sorted(points), strict=True), "o-", label=kind)
    axes.set(xlabel="epsilon", ylabel="accuracy on test examples", ylim=(0, 1))
    axes.legend(fontsize=8)


def _who_sees_what(figure: Any, numbers: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    axes.axis("off")
    table = axes.table(
        cellText=list(numbers["rows"].values()),
        rowLabels=list(numbers["rows"]),
        colLabels=numbers["columns"],
        loc="center",
        cellLoc="center",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    table.scale(1.0, 2.0)


_PAINTERS: Final[dict[str, Callable[[Any, dict[str, Any]], None]]] = {
    "strip": _strip,
    "identification": _identification,
    "coin-game": _coin_game,
    "budget": _budget,
    "audit": _audit,
    "accuracy": _accuracy,
    "who-sees-what": _who_sees_what,
}
