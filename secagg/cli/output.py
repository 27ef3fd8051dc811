"""What the `secagg` commands write, and where: results to standard output, all else to standard error.

One JSON object or one table is the whole of standard output. Bars appear on a terminal only, so that a log holds lines
and nothing else. Must know neither commands nor sessions, only how to show what they give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import secagg

if TYPE_CHECKING:
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object, and nothing else.")]
"""The option of commands that give a result; what goes wrong is an object with `error`, then."""

OnProgress = Callable[["secagg.Round", int, int], None]
"""Called with (round, clients done, clients in the round), as `simulate(progress=...)` wants it."""

OnStep = Callable[[str, int, int], None]
"""Called with (what begins now, steps done, steps in all)."""


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


def print_tables(
    markdown: Callable[[], str], write: Callable[[Path], bool], pages: Sequence[Path], as_json: bool
) -> None:
    """Print results as Markdown, or write them between the marks of pages, and say which of these changed.

    Args:
        markdown: all of it.
        write: fills the marked blocks of a page; returns whether that changed it.
        pages: to fill; none to print.
        as_json: print one object.
    """
    changed = [(page, write(page)) for page in pages]
    if as_json:
        listed = [{"page": str(page), "written": written} for page, written in changed]
        print_json({"pages": listed} if changed else {"markdown": markdown()})
    elif not changed:
        sys.stdout.write(markdown() + "\n")
    else:
        for page, written in changed:
            sys.stdout.write(f"{page}: {'written' if written else 'as it was'}\n")


def print_files(files: Sequence[Path], as_json: bool) -> None:
    """Print the names of files, one a line, or as one object."""
    if as_json:
        print_json({"files": [str(file) for file in files]})
        return
    for file in files:
        sys.stdout.write(f"{file}\n")


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts in columns, the first row above a rule; of thousands of rows, too, in no time to speak of."""
    texts = [[shown(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    texts.insert(1, ["-" * width for width in widths])
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


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


@contextmanager
def step_progress() -> Iterator[OnStep | None]:
    """Show a bar on standard error while steps with names are taken; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("")
        yield lambda name, done, steps: bars.update(bar, completed=done, total=steps, description=name)


def round_name(round_: secagg.Round) -> str:
    """Return a round's name for people: "masked input"."""
    return round_.value.replace("_", " ")


def rounds_of(threat_model: secagg.ThreatModel) -> tuple[secagg.Round, ...]:
    """Return the rounds of a session that nobody complains in, in order."""
    left_out = {secagg.Round.DISCLOSURE}
    if threat_model is not secagg.ThreatModel.ACTIVE:
        left_out.add(secagg.Round.CONSISTENCY_CHECK)
    return tuple(round_ for round_ in secagg.Round if round_ not in left_out)


def readable_bytes(count: float) -> str:
    """Return a size as people read it: 1023 B, 1.0 KiB, 12.3 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
