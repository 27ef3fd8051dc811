"""What the `secagg` commands write, and where: results to standard output, all else to standard error.

One JSON object or one table is the whole of standard output. Progress appears on a terminal only, so that a pipe
or a log holds nothing but the result. Must know neither commands nor sessions, only how to show what they give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

import secagg

if TYPE_CHECKING:
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object, and nothing else.")]
"""The option of commands that give a result; what goes wrong is an object with `error`, then."""

OnProgress = Callable[["secagg.Round", int, int], None]
"""Called with (round, clients done, clients in the round), as `simulate(progress=...)` wants it."""


def print_json(record: Mapping[str, object]) -> None:
    """Print one JSON object on one line of standard output; raises ValueError for NaN and infinity."""
    sys.stdout.write(json.dumps(record, allow_nan=False) + "\n")


def shown(text: str) -> str:
    """Return text as a terminal may have it: what another machine said must not move the cursor or hide a line."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def print_problem(sentence: str) -> None:
    """Print one sentence on one line of standard error."""
    sys.stderr.write(f"secagg: {shown(' '.join(sentence.split()))}\n")


def result_console() -> Console:
    """Return the console of standard output, which is plain text when that is a pipe."""
    from rich.console import Console

    terminal = None if sys.stdout.isatty() else False
    return Console(file=sys.stdout, highlight=False, markup=False, force_terminal=terminal)


def print_sentences(text: str) -> None:
    """Print sentences on standard output: wrapped on a terminal, on one line in a pipe."""
    lines = "\n".join(shown(line) for line in text.split("\n"))
    result_console().print(lines, soft_wrap=not sys.stdout.isatty())


@contextmanager
def session_progress(title: str) -> Iterator[OnProgress | None]:
    """Show a bar for each round on standard error while a session runs; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        shown = {}

        def advance(round_: secagg.Round, done: int, clients: int) -> None:
            if round_ not in shown:
                shown[round_] = bars.add_task(f"{title}: {round_name(round_)}", total=clients)
            bars.update(shown[round_], completed=done)

        yield advance


def round_name(round_: secagg.Round) -> str:
    """Return a round's name for people: "masked input"."""
    return round_.value.replace("_", " ")


def rounds_of(threat_model: secagg.ThreatModel) -> tuple[secagg.Round, ...]:
    """Return the rounds of a session, in order."""
    active = threat_model is secagg.ThreatModel.ACTIVE
    return tuple(round_ for round_ in secagg.Round if active or round_ is not secagg.Round.CONSISTENCY_CHECK)


def readable_bytes(count: float) -> str:
    """Return a size as people read it: 1023 B, 1.0 KiB, 12.3 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
