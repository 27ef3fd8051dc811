"""NO SECURITY: the pictures of the report on privacy, as PNG and SVG, from its numbers alone.

Where two colours mean different things, shape or hatching does, too. Must not know how anything is measured.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from secagg.privacy.lab.captions import NAMED, Section, tile_title
from secagg.privacy.lab.drawing import BLUE, GREEN, INK, ORANGE, PALE, RED, SKY, SMALL, save

_VERDICTS: Final = {"yes": "#cfe8f6", "partly": "#fbeecb", "no": "#f9d5c0", None: "#ffffff"}
_SIGNS: Final = {"yes": "\N{CHECK MARK} ", "partly": "", "no": "\N{BALLOT X} ", None: ""}
_LABEL: Final = {"facecolor": "white", "edgecolor": "none", "pad": 2.0}
_EPSILON: Final = "\N{GREEK SMALL LETTER EPSILON}"
_SIDE: Final = 8
_TILES_IN_A_ROW: Final = 4
_HEADING_COLUMNS, _QUESTION_COLUMNS, _ANSWER_COLUMNS = 16, 21, 17

Numbers = Mapping[str, Any]


def draw(section: Section, folder: Path) -> tuple[Path, ...]:
    """Draw one picture into a folder that exists; returns its files, PNG and SVG.

    Raises:
        MissingExtraError: matplotlib is not installed; says how to install it.
        ParameterError: the folder cannot be written.
    """
    height, paint = _PAINTERS[section.name]
    return save(folder / section.name, section.title, height, lambda figure: paint(figure, section.numbers))


def _strip(figure: Any, numbers: Numbers) -> None:
    tiles = numbers["tiles"]
    places = list(figure.subplots(-(-len(tiles) // _TILES_IN_A_ROW), _TILES_IN_A_ROW).flat)
    for axes in places[len(tiles) :]:
        axes.set_axis_off()
    for axes, tile in zip(places, tiles, strict=False):
        pixels = np.array(tile["pixels"]).reshape(_SIDE, _SIDE)
        # Squares instead of an image, because viewers smooth images of 8 x 8 pixels.
        axes.pcolormesh(pixels[::-1], cmap="gray_r", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
        axes.set_title(tile_title(tile, numbers["epsilon"]), fontsize=11)
        axes.set(aspect="equal", xticks=(), yticks=())
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(PALE)
        if tile["tries"] is not None:
            axes.set_xlabel(f"recognised\n{tile['right']} of {tile['tries']} times", fontsize=SMALL)


def _guesses(figure: Any, numbers: Numbers) -> None:
    axes, sums = figure.subplots(), numbers["sums"]
    places = [*range(len(sums)), len(sums) + 0.7, len(sums) + 2.7]
    bars = [*sums, numbers["insider"], numbers["insider_with_noise"]]
    heights = [100 * bar["right"] / bar["tries"] for bar in bars]
    colours, hatches = [BLUE] * len(sums) + [ORANGE, GREEN], [""] * len(sums) + ["//", ".."]
    drawn = axes.bar(places, heights, width=0.75, color=colours, edgecolor="white")
    for patch, hatch in zip(drawn, hatches, strict=True):
        patch.set_hatch(hatch)
    axes.bar_label(drawn, [f"{height:.3g} %" for height in heights], padding=2)
    most = sums[-1]["sum"]
    labels = ["one\nupdate" if each["sum"] == 1 else f"sum\nof {each['sum']}" for each in sums]
    labels += [f"{most - 1} others\nare known", f"the same,\nwith noise\n({_EPSILON} = {numbers['epsilon']:g})"]
    axes.set_xticks(places, labels)
    axes.set(ylim=(0, 109), ylabel=f"right picture picked\nof {numbers['of']}, % of tries")


def _coin(figure: Any, numbers: Numbers) -> None:
    games, x, y = numbers["games"], np.tile(np.arange(10), 10), np.repeat(np.arange(10), 10)
    for axes, game in zip(figure.subplots(1, len(games), squeeze=False)[0], games, strict=True):
        by_luck, right = np.arange(100) < 50, np.arange(100) < game["right"]
        for dots, marker, colour, edge, label in (
            (by_luck, "o", SKY, SKY, "right by luck alone: a coin"),
            (right & ~by_luck, "s", RED, RED, "right because of what the sums tell, at most"),
            (~right, "o", "none", PALE, "wrong"),
        ):
            axes.scatter(x[dots], -y[dots], s=26, marker=marker, facecolors=colour, edgecolors=edge, label=label)
        own = " (this plan)" if game["plan"] else ""
        axes.set_title(
            f"{_EPSILON} = {game['epsilon']:g}{own}\nat most {game['right']} of 100",
            fontweight="bold" if own else "normal",
        )
        axes.set(aspect="equal", xlim=(-0.7, 9.7), ylim=(-9.7, 0.7))
        axes.set_axis_off()
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False)


def _budget(figure: Any, numbers: Numbers) -> None:
    axes, rounds = figure.subplots(), numbers["rounds"]
    for granted, colour, hatch, label in (
        (True, BLUE, "", "spent after the round"),
        (False, "white", "//", "refused"),
    ):
        chosen = [each for each in rounds if each["granted"] is granted]
        axes.bar(
            [each["round"] for each in chosen],
            [each["epsilon"] for each in chosen],
            color=colour,
            edgecolor="white" if granted else RED,
            hatch=hatch,
            label=label,
        )
    axes.axhline(numbers["limit"], color=INK, linestyle="--", label=f"limit: {_EPSILON} = {numbers['limit']:g}")
    last = rounds[-1]
    axes.set(xlabel="round", ylabel=f"{_EPSILON} spent in all", ylim=(0, 1.1 * last["epsilon"]))
    axes.set_xticks([each["round"] for each in rounds if len(rounds) <= 20 or not each["round"] % (len(rounds) // 10)])
    figure.legend(loc="outside lower center", ncols=3, frameon=False)


def _audit(figure: Any, numbers: Numbers) -> None:
    axes, bars = figure.subplots(), numbers["bars"]
    top = max(max(bar["claimed"], bar["measured"] or 0.0) for bar in bars) * 1.15
    for at, bar in enumerate(bars):
        planted = bar["fault"] is not None
        measured = top if bar["measured"] is None else bar["measured"]
        colour, label = (RED, "measured, half of the noise left out on purpose") if planted else (BLUE, None)
        axes.bar(
            *(at, measured, 0.5),
            color="white" if planted else colour,
            edgecolor=colour,
            hatch="//" if planted else "",
            label=label if at else "measured, at least",
        )
        level = [bar["claimed"]] * 2
        said = None if at else "promised, at most"
        axes.plot([at - 0.42, at + 0.42], level, color=INK, linewidth=3, solid_capstyle="butt", label=said)
        text = "without bound" if bar["measured"] is None else f"{bar['measured']:.2f}"
        if measured > 0.15 * top:
            axes.text(at, measured / 2, text, ha="center", va="center", fontsize=SMALL, bbox=_LABEL)
        else:
            axes.text(at + 0.27, 0.01 * top, text, ha="left", va="bottom", fontsize=SMALL)
        more = "more than " if measured > bar["claimed"] else ""
        above = max(bar["claimed"], measured) + 0.02 * top
        axes.text(at, above, f"{more}promised: {bar['claimed']:.3g}", ha="center", va="bottom")
    names = ["the code\nas it is" if bar["fault"] is None else "half of the noise\nleft out" for bar in bars]
    axes.set_xticks(range(len(bars)), names)
    axes.set(ylabel=_EPSILON, ylim=(0, top))
    figure.legend(loc="outside lower center", ncols=1, frameon=False)


def _accuracy(figure: Any, numbers: Numbers) -> None:
    axes, (none, *rows) = figure.subplots(), numbers["rows"]
    epsilons = sorted({row["epsilon"] for row in rows})
    axes.axhline(100 * none["accuracy"], color=INK, linestyle="--", label="no noise")
    series = {
        ("server", False): (ORANGE, "s", "-", -0.045),
        ("clients", False): (BLUE, "o", "-", 0.0),
        ("clients", True): (BLUE, "o", ":", 0.045),
        ("each", False): (RED, "v", "-", 0.0),
    }
    for (noise, fewer), (colour, marker, line, shift) in series.items():
        chosen = [row for row in rows if row["noise"] == noise and bool(row["dropouts"]) is fewer]
        gone = f", {chosen[0]['dropouts']} of {numbers['clients']} gone" if fewer else ""
        axes.errorbar(
            [epsilons.index(row["epsilon"]) + shift for row in chosen],
            [100 * row["accuracy"] for row in chosen],
            [100 * row["spread"] for row in chosen],
            color=colour,
            marker=marker,
            markersize=8,
            markerfacecolor="white" if fewer else colour,
            linestyle=line,
            capsize=3,
            label=f"{NAMED[noise]}{gone}",
        )
    axes.axhline(10, color=PALE, linestyle=":", label="guessing")
    axes.set_xticks(range(len(epsilons)), [f"{epsilon:g}" for epsilon in epsilons])
    axes.set(xlabel=f"{_EPSILON} (smaller: more private)", ylabel="digits read right, %", ylim=(0, 100))
    axes.set_xlim(-0.3, len(epsilons) - 0.7)
    figure.legend(loc="outside lower center", ncols=1, frameon=False)


def _models(figure: Any, numbers: Numbers) -> None:
    axes, rows, columns = figure.subplots(), numbers["rows"], numbers["columns"]
    left, width = 1.35, 1.15
    for at, noise in enumerate(columns):
        heading = textwrap.fill(f"noise: {NAMED[noise]}", _HEADING_COLUMNS)
        axes.text(left + (at + 0.5) * width, -0.6, heading, ha="center", va="center", fontweight="bold", fontsize=SMALL)
    for line, row in enumerate(rows):
        question = textwrap.fill(row["question"], _QUESTION_COLUMNS)
        axes.text(left - 0.06, line + 0.5, question, ha="right", va="center", fontsize=SMALL)
        for at, answer in enumerate(row["answers"]):
            axes.add_patch(_rectangle(left + at * width, line, width, _VERDICTS[answer["verdict"]]))
            text = textwrap.fill(_SIGNS[answer["verdict"]] + answer["text"], _ANSWER_COLUMNS)
            axes.text(left + (at + 0.5) * width, line + 0.5, text, ha="center", va="center", fontsize=SMALL)
    axes.set(xlim=(0, left + len(columns) * width + 0.02), ylim=(len(rows) + 0.05, -1.25))
    axes.set_axis_off()


def _rectangle(x: float, y: float, width: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, 1.0, facecolor=colour, edgecolor=PALE, linewidth=0.8)


_PAINTERS: Final[dict[str, tuple[float, Callable[[Any, Numbers], None]]]] = {
    "strip": (5.4, _strip),
    "guesses": (4.4, _guesses),
    "coin": (4.0, _coin),
    "budget": (4.2, _budget),
    "audit": (4.8, _audit),
    "accuracy": (5.6, _accuracy),
    "models": (6.4, _models),
}
