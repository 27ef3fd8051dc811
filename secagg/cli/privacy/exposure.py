"""`secagg privacy exposure`: whose input follows from who was in which sums, if it stays the same.

Reads a history and shows what it determines. Must not know how that is found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import secagg
from secagg.cli.options import MaybeInt
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.parameters import ClientId
from secagg.privacy import exposure as privacy

_SHAPE = "JSON: what `secagg status --json` or `secagg result --json` printed, or a list of ids for each sum"


def exposure(
    history: Annotated[
        Path, typer.Argument(metavar="HISTORY", help="Released sums as JSON (secagg status --json), or a ledger.")
    ],
    client: Annotated[
        MaybeInt, typer.Option(metavar="ID", help="HISTORY is a participation ledger; take this client's cohorts.")
    ] = None,
    groups: Annotated[
        MaybeInt, typer.Option(metavar="K", help="Propose groups of at least K clients that always join together.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say whose input follows from many sums, if it stays the same: a warning for operators, and no bound."""
    if not history.is_file():
        raise secagg.ParameterError(f"{history} is no file; give a history of sums")
    rounds = list(_released(history)) if client is None else _joined(history, client)
    participation = privacy.Participation.of(rounds)
    found = privacy.exposure(participation)
    proposed = () if groups is None else privacy.fixed_groups(participation.clients, groups)
    if as_json:
        record = found.to_json()
        print_json(record if groups is None else record | {"groups": [list(group) for group in proposed]})
        return
    print_sentences(str(found))
    for number, group in enumerate(proposed, start=1):
        print_sentences(f"group {number}: {', '.join(map(str, group))}")


def _joined(ledger: Path, client: ClientId) -> list[tuple[ClientId, ...]]:
    from secagg.store.participations import ParticipationFile

    return ParticipationFile(ledger).cohorts(client)


def _released(file: Path) -> Iterator[list[Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise secagg.ParameterError(f"{file} cannot be read as text; give {_SHAPE}") from error
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise secagg.ParameterError(f"{file} is no JSON from character {error.pos} on; give {_SHAPE}") from error
        yield from _sums(value, file)


def _sums(value: object, file: Path) -> Iterator[list[Any]]:
    """The contributors of each sum in one JSON value; sessions without a result have none."""
    if isinstance(value, dict) and isinstance(value.get("sessions"), list):
        for session in value["sessions"]:
            yield from _sums(session, file)
    elif isinstance(value, dict) and "contributors" in value:
        if value["contributors"] is not None:
            yield from _sums(value["contributors"], file)
    elif isinstance(value, list) and value and all(isinstance(entry, list) for entry in value):
        yield from value
    elif isinstance(value, list):
        yield value
    else:
        raise secagg.ParameterError(f"{file} has a {type(value).__name__} where a sum belongs; give {_SHAPE}")
