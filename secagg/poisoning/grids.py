"""NO SECURITY: rows of attacks in the order in which people read them: by scenario, by defence and by attack.

Must not know how they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from secagg.poisoning.results import AttackRow

_NAMES: Final = {
    "none": "no attack",
    "alie": "ALIE",
    "ipm": "IPM",
    "min_max": "min-max",
    "min_sum": "min-sum",
    "gaussian": "Gaussian",
    "multi_krum": "multi-Krum",
    "norm_clipped_mean": "norm-clipped mean",
    "dnc": "DnC",
    "fltrust": "FLTrust",
    "siren": "SIREN",
    "root_check_trained": "root check, own direction",
    "siren_clipped": "SIREN, updates clipped",
    "cell_siren": "CellSiren",
    "cell_siren_trained": "CellSiren, own direction",
    "rfa": "RFA",
    "iid": "alike",
    "skew": "with labels of their own",
}
Scenario = tuple[str, str, int, float]
"""Task, split, clients, and the part of them that attack."""
Line = tuple[str, int | None, str, str]
"""Setting, clients of a cell, defence, and what liars may send."""


def named(name: str) -> str:
    """Return what an attack, a defence or a split is called."""
    return _NAMES.get(name, name.replace("_", " "))


def seen(setting: str, g: int | None) -> str:
    """Return what a defence judges: the sum, each update, or the means of cells."""
    return {"clear": "each update, in clear", "cells": f"cells of {g}"}.get(setting, setting)


def scenarios(rows: Iterable[AttackRow]) -> dict[Scenario, list[AttackRow]]:
    """Return attacked rows by scenario, the one with the most rows first; rows without attack go to each of theirs."""
    every, found = list(rows), dict[Scenario, list[AttackRow]]()
    for row in every:
        if attacked(row):
            found.setdefault((row.task, row.split, row.n, row.fraction), []).append(row)
    for (task, split, n, _), listed in found.items():
        listed += [row for row in every if not attacked(row) and (row.task, row.split, row.n) == (task, split, n)]
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def grid(rows: Iterable[AttackRow]) -> tuple[list[Line], list[str], dict[tuple[Line, str], list[AttackRow]]]:
    """Return rows of one scenario as a table: its lines, its attacks, and the rows of each cell.

    A defence without attack belongs to every power of its line.
    """
    cells: dict[tuple[Line, str], list[AttackRow]] = {}
    lines: dict[Line, None] = {}
    quiet: list[AttackRow] = []
    for row in rows:
        if not attacked(row):
            quiet.append(row)
            continue
        line = (row.setting, row.g, row.defence, row.power)
        lines[line] = None
        cells.setdefault((line, row.attack), []).append(row)
    for line in lines:
        cells[line, "none"] = [row for row in quiet if (row.setting, row.g, row.defence) == line[:3]]
    order = {"one session": 0, "clear": 1, "cells": 2}
    attacks = dict.fromkeys(attack for _, attack in cells if attack != "none")
    ordered = sorted(lines, key=lambda line: (order.get(line[0], 3), -(line[1] or 0), line[3] == "cell"))
    return ordered, ["none", *attacks], cells


def attacked(row: AttackRow) -> bool:
    """Whether anybody attacks."""
    return row.attack != "none"


def untroubled(rows: Iterable[AttackRow]) -> float | None:
    """Return the best accuracy that anything leaves without attack; None when nothing was measured without."""
    return max((row.accuracy for row in rows if not attacked(row)), default=None)
