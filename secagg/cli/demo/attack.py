"""`secagg demo --attack sign-flip --defence siren`: what liars do to one session, and to cells whose sums are judged.

Plays the trainings of `liars` and shows them on one screen. Must not know how they are played.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Final

from rich.table import Table

import secagg
from secagg.cli.demo.liars import ATTACKS, CellRecord, Learned, Scenario, learn, plan
from secagg.cli.output import print_json, print_sentences, result_console, step_progress

CLIENTS: Final = 50
ROUNDS: Final = 8


def attack_demo(
    attack: str | None,
    defence: str | None,
    malicious: float | None,
    rounds: int | None,
    clients: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train with and without liars, in one session and in cells, and say who was left out.

    Raises:
        ParameterError: options that do not go together, or out of their range.
        MissingExtraError: scikit-learn is not installed.
    """
    if attack is None:
        raise secagg.ParameterError(
            f"--defence and --malicious are about an attack; add --attack sign-flip, or another of {', '.join(ATTACKS)}"
        )
    scenario = Scenario.of(
        attack,
        "siren" if defence is None else defence,
        CLIENTS if clients is None else clients,
        malicious,
        ROUNDS if rounds is None else rounds,
        seed,
    )
    started = time.perf_counter()
    learned = _play(scenario)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_record(scenario, learned) | {"wall_seconds": seconds})
        return
    _print(scenario, learned)


def _play(scenario: Scenario) -> dict[tuple[str, bool], Learned]:
    trainings = plan(scenario)
    learned: dict[tuple[str, bool], Learned] = {}
    with step_progress() as show:
        for index, (who, cells) in enumerate(trainings):
            for done, each in enumerate(learn(scenario, who, cells=cells), 1):
                learned[who, cells] = each
                if show is not None:
                    text = f"{_who(scenario, who)}; {'cells' if cells else 'one session'}"
                    show(text, index * scenario.rounds + done, len(trainings) * scenario.rounds)
    return learned


def _print(scenario: Scenario, learned: dict[tuple[str, bool], Learned]) -> None:
    shown = "liars" if scenario.liars else "nobody"
    cells = learned[shown, True].cells
    print_sentences(
        f"{scenario.clients} clients learn digits in {scenario.rounds} rounds of real sessions: all in one session, or "
        f"in {len(cells)} cells, each a session of its own. {_why(scenario)}"
    )
    table = Table(title="Accuracy on test digits", title_justify="left")
    table.add_column("")
    for heading in ("one session", "cells, unjudged" if scenario.choice is None else f"cells, {scenario.defence}"):
        table.add_column(heading, justify="right")
    for who in dict.fromkeys(who for who, _ in learned):
        table.add_row(_who(scenario, who), *(f"{learned[who, each].accuracy:.1%}" for each in (False, True)))
    result_console().print(table)
    if any(each.rejected for each in cells):
        result_console().print(_cells_table(scenario, shown, cells))
    else:
        print_sentences(f"When {_who(scenario, shown)}, no cell was left out as a whole.")
    if scenario.liars:
        print_sentences(_about_words(scenario, learned["words", True].cells))
    good = "" if scenario.limit is None else f", and at a penalty of {scenario.limit} for the rest of the run"
    print_sentences(
        f"A cell is judged as a whole: with it, its honest clients lose their voice{good}. What is protected is "
        "accuracy; a backdoor that is good on clean data passes. Sizes for your cohort: secagg params --cells."
    )


def _why(scenario: Scenario) -> str:
    if scenario.choice is None:
        return f"Cells of {scenario.size}, whose sums nobody judges."
    return f"Why so many: {scenario.choice.explanation}"


def _about_words(scenario: Scenario, cells: tuple[CellRecord, ...]) -> str:
    (cell,) = (each for each in cells if each.liars)
    out = f", which was left out of {len(cell.rejected)} of {scenario.rounds} rounds" if cell.rejected else ""
    return (
        "One client that changes its words, after they are encoded and before they are masked, makes its sum what it "
        f"wants, and nobody can see that: in one session the mean of all {scenario.clients} clients, in cells the mean "
        f"of its cell {cell.cell} only{out}."
    )


def _cells_table(scenario: Scenario, who: str, cells: tuple[CellRecord, ...]) -> Table:
    table = Table(title=f"Cells, when {_who(scenario, who)}", title_justify="left")
    for heading in ("cell", "liars", "left out", "penalty"):
        table.add_column(heading, justify="right")
    table.add_column("why, the first time")
    for each in cells:
        liars, rounds = f"{each.liars} of {each.clients}", f"{len(each.rejected)} of {scenario.rounds}"
        table.add_row(str(each.cell), liars, rounds, f"{each.penalty:g}", each.reason or "")
    return table


def _who(scenario: Scenario, who: str) -> str:
    if who == "nobody":
        return "nobody lies"
    if who == "words":
        return "1 lies about its words, not its update"
    one = scenario.liars == 1
    return f"{scenario.liars} {'lies' if one else 'lie'}: {ATTACKS[scenario.attack]}"


def _record(scenario: Scenario, learned: dict[tuple[str, bool], Learned]) -> dict[str, Any]:
    return {
        "attack": scenario.attack,
        "defence": scenario.defence,
        "clients": scenario.clients,
        "liars": scenario.liars,
        "rounds": scenario.rounds,
        "seed": scenario.seed,
        "penalty_limit": scenario.limit,
        "choice": None if scenario.choice is None else asdict(scenario.choice),
        "trainings": [
            {
                "who": who,
                "setting": "cells" if cells else "one session",
                "accuracy": each.accuracy,
                "curve": list(each.curve),
                "cells": [asdict(cell) for cell in each.cells],
            }
            for (who, cells), each in learned.items()
        ],
    }
