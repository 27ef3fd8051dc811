"""NO SECURITY: Markdown tables of what a run of attacks measured. Gives text; writes nothing.

Rows of several seeds become one cell: their mean, or from least to most where they differ by more than a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Final

from secagg.poisoning.grids import Line, Scenario, attacked, grid, named, scenarios, seen, untroubled
from secagg.poisoning.results import AttackRow, LeakRow, Results

NONE: Final = "\N{EN DASH}"
BROKEN: Final = 0.75
FOOLED: Final = 0.5
_APART: Final = 0.1
_SHOWN_ROUNDS: Final = (25, 100)
_TOLD: Final = 0.9
_POWERS: Final = {
    "update": "each its own vector",
    "cell": "one, the mean of its cell",
    "ring": "one, the whole sum",
    "weight": "the largest weight",
    "none": NONE,
}

_LEGEND: Final = (
    "Accuracy on test examples; after a slash, how often a backdoor works. Bold: the attack won, with less than three "
    "quarters of the accuracy without attack, or a backdoor that works more often than not. Two figures are the least "
    "and the most of the seeds, where these are far apart."
)
_LINE: Final = ("judged", "rule", "liars send")


def attacks_table(results: Results) -> str:
    """Accuracy, and how often backdoors work, of the scenario with the most rows."""
    found = list(scenarios(results.attacks).values())
    return f"{_scenario(found[0])} {_LEGEND}" if found else "No attack was run."


def summary_table(results: Results) -> str:
    """Of the same scenario, the worst that any of the attacks did to each defence."""
    found = list(scenarios(results.attacks).values())
    if not found:
        return "No attack was run."
    lines, attacks, cells = grid(found[0])
    best, body = untroubled(found[0]), []
    for line in lines:
        tried = {attack: cells[line, attack] for attack in attacks if attack != "none" and (line, attack) in cells}
        worst = min(tried, key=lambda attack: min(row.accuracy for row in tried[attack]))
        marked = {name: [row.backdoor for row in each if row.backdoor is not None] for name, each in tried.items()}
        fooled = max((name for name in marked if marked[name]), key=lambda name: max(marked[name]), default=None)
        body.append(
            [
                *_judging(line),
                _accuracy(cells[line, "none"], best),
                f"{_accuracy(tried[worst], best)} ({named(worst)})",
                NONE if fooled is None else f"{_success(marked[fooled])} ({named(fooled)})",
            ]
        )
    heading = (*_LINE, "without attack", "worst accuracy", "best backdoor")
    return f"{_table(heading, body, right=(3, 4, 5))}\n\n{_tried(found[0])} {_LEGEND}"


def others_table(results: Results) -> str:
    """The same for all other scenarios, each with a heading."""
    found = list(scenarios(results.attacks).items())[1:]
    return "\n\n".join(f"**{_heading(which)}**\n\n{_scenario(rows)}" for which, rows in found) or NONE


def rejections_table(results: Results) -> str:
    """How much of what is honest rules leave out where nobody attacks, and what that costs; those that leave any."""
    lines: dict[tuple[str, str, int, str, str], list[AttackRow]] = {}
    for row in results.attacks:
        if not attacked(row) and row.false_rejections is not None:
            lines.setdefault((row.task, row.split, row.n, seen(row.setting, row.g), row.defence), []).append(row)
    body = [
        (
            f"{named(task)}, {named(split)}",
            what,
            named(defence),
            _percent([row.false_rejections for row in rows]),
            _several([row.accuracy for row in rows]),
        )
        for (task, split, _, what, defence), rows in lines.items()
        if any(row.false_rejections for row in rows)
    ]
    return _table(("clients", "judged", "rule", "honest left out", "accuracy"), body, right=(3, 4))


def siren_table(results: Results) -> str:
    """SIREN in clear beside other rules: accuracy by attack, part of liars, and whether these raise alarms."""
    columns = dict.fromkeys((row.attack, row.fraction) for row in results.siren)
    lines = dict.fromkeys((row.defence, row.setting, row.g, row.alarming) for row in results.siren if attacked(row))
    best = untroubled(results.siren)
    body = []
    for defence, setting, g, alarming in lines:
        own = [row for row in results.siren if (row.defence, row.setting, row.g) == (defence, setting, g)]
        cells = {
            column: [
                row
                for row in own
                if (row.attack, row.fraction) == column and (row.alarming == alarming or not attacked(row))
            ]
            for column in columns
        }
        alarms = {True: "alarm", False: "are silent", None: NONE}[alarming]
        told = (_accuracy(cells[column], best) for column in columns)
        body.append([named(defence), seen(setting, g), alarms, *told])
    heading = ["rule", "judges", "liars", *(_attacked(*column) for column in columns)]
    return _table(heading, body, right=range(3, len(heading)))


def sessions_table(results: Results) -> str:
    """Federations whose sums come from real sessions, with clients in them that change their words."""
    lines: dict[tuple[str, ...], list[float]] = {}
    for row in results.sessions:
        liars = f"{row.fraction * row.n:.0f} of {row.n}"
        key = (liars, seen(row.setting, row.g), named(row.defence), row.threat_model or NONE)
        lines.setdefault(key, []).append(row.accuracy)
    body = [[*key, _several(figures)] for key, figures in lines.items()]
    return _table(("liars", "judged", "rule", "threat model", "accuracy"), body, right=(0, 4))


def privacy_table(results: Results) -> str:
    """Rules over cells whose sums carry noise, by the epsilon of one client over all rounds; a table for each task."""
    tables = []
    for task in dict.fromkeys(row.task for row in results.privacy):
        rows = [row for row in results.privacy if row.task == task]
        columns = dict.fromkeys((row.epsilon, row.attack, row.fraction) for row in rows)
        ordered = sorted(columns, key=lambda column: (column[0] or 0.0, column[2]))
        body = []
        for setting, g, defence in dict.fromkeys((row.setting, row.g, row.defence) for row in rows):
            own = [row for row in rows if (row.setting, row.g, row.defence) == (setting, g, defence)]
            cells = ([row for row in own if (row.epsilon, row.attack, row.fraction) == column] for column in ordered)
            body.append([seen(setting, g), named(defence), *(_outcome(cell, None) for cell in cells)])
        heading = [
            "judged",
            "rule",
            *(f"\N{GREEK SMALL LETTER EPSILON} = {e:g}: {_attacked(attack, part)}" for e, attack, part in ordered),
        ]
        title = f"{named(task)}, {rows[0].n} clients, {rows[0].rounds} rounds"
        tables.append(f"**{title}**\n\n{_table(heading, body, right=range(2, len(heading)))}")
    return "\n\n".join(tables) or NONE


def sizes_table(results: Results) -> str:
    """What the sums of one round tell, by how many clients are in each."""
    sizes: dict[int, list[float]] = {}
    for row in results.leak:
        if row.rounds == 1 and row.discipline == "one round alone":
            sizes.setdefault(row.g, []).append(row.auc)
    body = [("right guesses (AUC)", *map(_several, sizes.values()))]
    return _table(("clients of a sum", *map(str, sizes)), body, right=range(1, len(sizes) + 1))


def leak_table(results: Results) -> str:
    """What the sums of many rounds tell, by who is summed with whom."""
    lines: dict[tuple[int, str, float, int], list[LeakRow]] = {}
    for row in results.leak:
        if row.rounds in _SHOWN_ROUNDS:
            lines.setdefault((row.g, row.discipline, row.dropout, row.rounds), []).append(row)
    body = [
        (
            str(g),
            f"**{discipline}**" if fmean(row.auc for row in each) > _TOLD else discipline,
            f"{100 * dropout:.3g} %",
            str(rounds),
            _several([row.rank for row in each], 0),
            _several([row.smallest_atom for row in each], 0),
            _several([row.auc for row in each]),
            _several([row.cosine for row in each]),
        )
        for (g, discipline, dropout, rounds), each in lines.items()
    ]
    heading = ("clients of a sum", "who is summed", "away", "rounds", "rank", "smallest atom", "AUC", "cosine")
    return _table(heading, body, right=(0, *range(2, 8)))


def machine_line(results: Results) -> str:
    """Where and when, in one sentence."""
    kind = "a quick run" if results.quick else "a full run"
    versions = [f"{name} {value}" for name, value in results.machine.items()]
    where = f" on {', '.join(versions)}" if versions else ""
    return f"Measured by secagg {results.version}, {kind} of {results.date[:10]}{where}."


BLOCKS: Final[Mapping[str, Callable[[Results], str]]] = MappingProxyType(
    {
        "worst": summary_table,
        "attacks": attacks_table,
        "others": others_table,
        "rejections": rejections_table,
        "siren": siren_table,
        "sessions": sessions_table,
        "privacy": privacy_table,
        "sizes": sizes_table,
        "leak": leak_table,
        "machine": machine_line,
    }
)
"""What a marked block of a page may ask for: name to its text."""

_HEADINGS: Final = {
    "rejections": "Honest cells that rules leave out",
    "siren": "SIREN, in clear",
    "sessions": "With real sessions",
    "privacy": "With noise of differential privacy",
    "sizes": "What one round tells",
    "leak": "What many rounds tell",
}
SUITE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("worst", "attacks", "others", "rejections"), "attacks"),
        **dict.fromkeys(("sizes", "leak"), "leak"),
        **{name: name for name in ("siren", "sessions", "privacy")},
    }
)
"""The suite whose rows a block shows."""


def everything(results: Results) -> str:
    """All tables of what was run, with headings, and where it was measured."""
    parts = [f"### {_heading(which)}\n\n{_scenario(rows)}" for which, rows in scenarios(results.attacks).items()]
    parts += [_LEGEND] * bool(parts)
    parts += [
        f"### {title}\n\n{BLOCKS[name](results)}"
        for name, title in _HEADINGS.items()
        if getattr(results, SUITE_OF[name])
    ]
    return "\n\n".join((*parts, machine_line(results)))


def _scenario(rows: Sequence[AttackRow]) -> str:
    lines, attacks, cells = grid(rows)
    best = untroubled(rows)
    heading = [*_LINE, *map(named, attacks)]
    body = [[*_judging(line), *(_outcome(cells.get((line, attack), []), best) for attack in attacks)] for line in lines]
    return f"{_table(heading, body, right=range(3, len(heading)))}\n\n{_tried(rows)}"


def _judging(line: Line) -> tuple[str, str, str]:
    setting, g, defence, power = line
    return seen(setting, g), named(defence), _POWERS.get(power, power)


def _tried(rows: Sequence[AttackRow]) -> str:
    """What the figures of a scenario are of."""
    rounds, seeds = max(row.rounds for row in rows), len({row.seed for row in rows})
    return f"{rows[0].n} clients, {rounds} rounds, {seeds} {'seed' if seeds == 1 else 'seeds'}{_dirty(rows)}."


def _heading(which: Scenario) -> str:
    task, split, _, fraction = which
    return f"{named(task)}, clients {named(split)}, {100 * fraction:.3g} % liars"


def _dirty(rows: Sequence[AttackRow]) -> str:
    found: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        if row.g is not None and attacked(row) and row.dirty is not None and row.cells is not None:
            found.setdefault((row.g, row.cells), []).append(row.dirty)
    told = [f"{_several(dirty, 0)} of {cells} cells of {g} dirty" for (g, cells), dirty in sorted(found.items())]
    return f"; {', '.join(told)}" if told else ""


def _outcome(rows: Sequence[AttackRow], best: float | None) -> str:
    accuracy = _accuracy(rows, best)
    backdoors = [row.backdoor for row in rows if row.backdoor is not None and attacked(row)]
    if not backdoors:
        return accuracy
    return f"{accuracy} / {_success(backdoors)}"


def _success(backdoors: Sequence[float]) -> str:
    text = _several(backdoors, 2)
    return f"**{text}**" if max(backdoors) > FOOLED else text


def _accuracy(rows: Sequence[AttackRow], best: float | None) -> str:
    if not rows:
        return NONE
    figures = [row.accuracy for row in rows]
    text = _several(figures, 2)
    return f"**{text}**" if best is not None and min(figures) < BROKEN * best else text


def _attacked(attack: str, fraction: float) -> str:
    return named(attack) if attack == "none" else f"{named(attack)} {100 * fraction:.3g} %"


def _percent(figures: Sequence[float | None]) -> str:
    parts = [100 * figure for figure in figures if figure is not None]
    return f"{sum(parts) / len(parts):.0f} %"


def _several(figures: Sequence[float], digits: int = 2) -> str:
    """Their mean, or the least and the most where these are apart."""
    least, most = min(figures), max(figures)
    apart = _APART if digits else 1.0
    if most - least > apart:
        return f"{least:.{digits}f} to {most:.{digits}f}"
    return f"{sum(figures) / len(figures):.{digits}f}"


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    turned = set(right)
    rule = ["---:" if column in turned else "---" for column in range(len(heading))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heading, rule, *lines))
