"""`secagg params --cells`: how large cells may be, and the session of each (robust-v1 §1, §3).

Asks `choose_size` and shows what it says. Must not know why a size is a good one.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Final

from rich.table import Table

import secagg
from secagg.cli.output import print_json, print_sentences, result_console
from secagg.parameters.graph_conditions import count_of
from secagg.robust import CellRound, Partition, choose_size, default_floor

_FAILURE: Final = 1e-3


def print_cells(
    clients: int,
    malicious: float | None,
    rule: str | None,
    max_corrupt: float,
    max_dropout: float,
    threat_model: secagg.ThreatModel,
    failure: float | None,
    floor: int | None,
    *,
    as_json: bool,
) -> None:
    """Choose a size of cells and print it, or say why there is none.

    Raises:
        ParameterError: an argument out of its range, or no size of cells does.
    """
    if malicious is None or rule is None:
        raise secagg.ParameterError(
            "--cells needs to know which fraction of the clients may lie and which rule judges the sums of cells; give "
            "both, such as --malicious 0.1 --rule root_check"
        )
    for option, share in (("--max-corrupt", max_corrupt), ("--max-dropout", max_dropout)):
        count_of(clients, option, share)
    if clients > 0 and count_of(clients, "--malicious", malicious) == 0 < malicious:
        raise secagg.ParameterError(
            f"--malicious {malicious:g} of {clients} clients is nobody, since a part of a client does not count; give "
            "a larger fraction, or 0"
        )
    rule = rule.replace("-", "_")
    limit = _FAILURE if failure is None else failure
    least = default_floor(max_corrupt, threat_model) if floor is None else floor
    choice = choose_size(clients, malicious, max_corrupt, rule, limit, least, threat_model)
    smaller, larger = divmod(clients, choice.cells)
    kinds = [(smaller, choice.cells - larger)] + ([(smaller + 1, larger)] if larger else [])
    sessions = [
        _session(size, threat_model) | {"cells": count, "survival": (1 - max_dropout) ** size} for size, count in kinds
    ]
    record: dict[str, Any] = asdict(choice) | {
        "rule": rule,
        "clients": clients,
        "malicious": malicious,
        "max_corrupt": max_corrupt,
        "max_dropout": max_dropout,
        "threat_model": threat_model.value,
        "failure": limit,
        "floor": least,
        "sessions": sessions,
    }
    if as_json:
        print_json(record)
        return
    print_sentences(
        f"Partition.draw(clients, size={choice.size}, seed=...) puts {clients} clients into {choice.cells} "
        f"{'cell' if choice.cells == 1 else 'cells'}, each a session of its own."
    )
    table = Table(show_header=False)
    table.add_row("rule", f"{rule}, bears up to {choice.bears} spoiled cells of {choice.cells}")
    table.add_row("no more are spoiled", f"with probability {_rounded_down(choice.probability)}")
    for session in sessions:
        size = session["clients"]
        table.add_row(
            f"{session['cells']} {'cell' if session['cells'] == 1 else 'cells'} of {size} clients",
            f"{session['topology']}, threshold {session['threshold']}, minimum_contributors "
            f"{session['minimum_contributors']}",
        )
        table.add_row("", f"a sum in {session['survival']:.1%} of rounds, if {max_dropout:g} leave")
    result_console().print(table)
    print_sentences(
        f"{choice.explanation}\nA cell gives its sum if all of its clients answer, and else nothing: the sums of two "
        "rounds, one without a client, would give that client away. So put clients that are often away into cells of "
        "their own, with a partition for them alone."
    )


def _rounded_down(probability: float) -> str:
    """A probability as people read it, and never better than it is."""
    return f"{math.floor(probability * 1e6) / 1e6:g}"


def _session(size: int, threat_model: secagg.ThreatModel) -> dict[str, Any]:
    """What the session of a cell of so many clients is like: asked of one, whose model and round do not matter."""
    cell = Partition.draw(size, size=size, seed=bytes(32))
    vectors = {"update": secagg.FixedPoint(1, clip=1.0, aggregate="mean")}
    session = CellRound(cell, vectors, bytes(32), 0, threat_model).parameters(0)
    return {
        "clients": session.clients,
        "topology": session.topology.kind.value,
        "degree": session.topology.degree,
        "threshold": session.threshold,
        "minimum_contributors": session.minimum_contributors,
    }
