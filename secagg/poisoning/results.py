"""NO SECURITY: what a run of attacks measured, and a file of it: what `secagg poisoning run` writes and all else reads.

Plain data. Must not know how anything is measured or shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from secagg.errors import ParameterError

FORMAT: Final = 1
SUITES: Final = ("attacks", "siren", "sessions", "privacy", "leak")
Scalar = str | int | float | None
_Row = TypeVar("_Row", "AttackRow", "LeakRow")


@dataclass(frozen=True, slots=True)
class AttackRow:
    """One federation under one attack with one defence, or without.

    Attributes:
        task: the data set.
        split: how its examples are dealt out: "iid", or by label.
        n: clients.
        fraction: part of them that attack.
        attack: what these do; "none" without any.
        power: what they may send: "update", one vector each; "cell", one of them sets its cell's mean; "ring", one
            sets the sum of the session; "none" without any.
        defence: the rule over clients' updates or cells' means.
        setting: what the rule sees: "one session", "cells", or "clear", every single update.
        g: clients of a cell; None without cells.
        seed: of data, first model, cells and attackers.
        rounds: how many.
        accuracy: of the model on test examples, 0 to 1, mean of the last five rounds.
        backdoor: part of marked test examples that are read as the attackers want; None where nothing is marked.
        curve: accuracy after each round; of a run in the suite siren only, which is drawn.
        dirty: cells with an attacker, in the mean over the rounds; None without cells.
        cells: how many; None without cells.
        false_rejections: part of the honest rows that the rule left out; None where it leaves none out.
        alarming: of SIREN, whether attackers raise alarms; None elsewhere.
        threat_model: of the sessions that were played; None where means were worked on directly.
        epsilon: of the privacy plan in the cells' sums, over all rounds; None without.
    """

    task: str
    split: str
    n: int
    fraction: float
    attack: str
    power: str
    defence: str
    setting: str
    g: int | None
    seed: int
    rounds: int
    accuracy: float
    backdoor: float | None = None
    curve: tuple[float, ...] = ()
    dirty: float | None = None
    cells: int | None = None
    false_rejections: float | None = None
    alarming: bool | None = None
    threat_model: str | None = None
    epsilon: float | None = None


@dataclass(frozen=True, slots=True)
class LeakRow:
    """What the sums of some rounds tell about single clients.

    Attributes:
        g: clients of a sum.
        discipline: who is summed with whom from round to round.
        dropout: chance of a client to be away from a round.
        rounds: how many.
        rank: of the sums, as equations about the clients, at most the number of clients; mean over partitions.
        auc: of guesses which labels a client has: 0.5 for a coin, 1 when they are all right.
        cosine: between what the sums tell about a client and its own average update, both less the mean of all.
        smallest_atom: the fewest clients that no sum tells apart; mean over partitions.
        seed: of data, first model and partitions.
    """

    g: int
    discipline: str
    dropout: float
    rounds: int
    rank: float
    auc: float
    cosine: float
    smallest_atom: float
    seed: int


@dataclass(frozen=True, slots=True)
class Results:
    """All rows of one run, and what they were measured on.

    Attributes:
        version: of the library.
        date: when the run began, ISO 8601 with the zone.
        quick: whether it was a quick run.
        machine: processor, cores, versions.
        attacks: of the suite of this name, as are the others.
        siren: federations under SIREN and beside it.
        sessions: federations whose sums come from real sessions.
        privacy: federations whose sums carry noise.
        leak: what sums tell.
    """

    version: str
    date: str
    quick: bool
    machine: Mapping[str, Scalar] = field(default_factory=dict)
    attacks: tuple[AttackRow, ...] = ()
    siren: tuple[AttackRow, ...] = ()
    sessions: tuple[AttackRow, ...] = ()
    privacy: tuple[AttackRow, ...] = ()
    leak: tuple[LeakRow, ...] = ()


def write_results(results: Results, path: Path) -> None:
    """Write a run as JSON.

    Raises:
        ParameterError: the file cannot be written.
    """
    record = {
        "format": FORMAT,
        "secagg": results.version,
        "date": results.date,
        "quick": results.quick,
        "machine": dict(results.machine),
    }
    suites = ",\n".join(f'"{name}": {_lines(getattr(results, name))}' for name in SUITES)
    text = f'{json.dumps(record, allow_nan=False)[:-1]}, "suites": {{\n{suites}\n}}}}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"the results cannot be written to {path}: {error.strerror}") from error


def read_results(path: Path) -> Results:
    """Read what :func:`write_results` wrote.

    Raises:
        ParameterError: no such file, or no results of this format.
    """
    give = "give a file that `secagg poisoning run --json` wrote"
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}; {give}") from error
    except ValueError as error:
        raise ParameterError(f"{path} is no JSON file; {give}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "suites" not in data:
        raise ParameterError(f"{path} holds no results of format {FORMAT}; {give}")
    try:
        suites = data["suites"]
        return Results(
            version=str(data["secagg"]),
            date=str(data["date"]),
            quick=bool(data["quick"]),
            machine=dict(data["machine"]),
            attacks=_rows(AttackRow, suites["attacks"]),
            siren=_rows(AttackRow, suites["siren"]),
            sessions=_rows(AttackRow, suites["sessions"]),
            privacy=_rows(AttackRow, suites["privacy"]),
            leak=_rows(LeakRow, suites["leak"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"{path} holds damaged results ({error}); run `secagg poisoning run` anew") from error


def _lines(rows: tuple[AttackRow | LeakRow, ...]) -> str:
    """A JSON list with a line for each row, without what is as it is unless given: short, and readable still."""
    listed = ",\n".join(json.dumps(_given(row), allow_nan=False) for row in rows)
    return f"[\n{listed}\n]"


def _given(row: AttackRow | LeakRow) -> dict[str, object]:
    return {each.name: getattr(row, each.name) for each in fields(row) if getattr(row, each.name) != each.default}


def _rows(kind: type[_Row], entries: list[dict[str, Any]]) -> tuple[_Row, ...]:
    listed: list[dict[str, Any]] = [
        {name: tuple(each) if isinstance(each, list) else each for name, each in row.items()} for row in entries
    ]
    return tuple(kind(**entry) for entry in listed)
