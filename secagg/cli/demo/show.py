"""What the demo prints: a growing table on a terminal, plain lines in a pipe, one table at the end.

Shows what it is given; knows no learning and no files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import secagg
from secagg.cli.demo.federated import FederatedRound
from secagg.cli.output import result_console, round_name

_SHORT_NAMES: Final = {
    secagg.Round.ADVERTISE_KEYS: "keys",
    secagg.Round.SHARE_KEYS: "shares",
    secagg.Round.MASKED_INPUT: "input",
    secagg.Round.CONSISTENCY_CHECK: "check",
    secagg.Round.UNMASKING: "unmask",
}

OnRound = Callable[[FederatedRound], None]


@contextmanager
def rounds_shown(rounds: int, *, quiet: bool) -> Iterator[OnRound]:
    """Show each round as it ends.

    On a terminal a table grows above a bar. In a pipe each round is a line. Quiet (for JSON) leaves standard
    output alone and shows the bar only, on standard error, if that is a terminal.
    """
    stream = sys.stderr if quiet else sys.stdout
    if not stream.isatty():
        yield (lambda each: None) if quiet else (lambda each: print(_line(each, rounds), flush=True))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns)
    task = bar.add_task("federated rounds", total=rounds)
    table = _empty_table()
    shown = bar if quiet else Group(table, bar)
    with Live(shown, console=Console(file=stream, highlight=False), transient=quiet, refresh_per_second=8):

        def add(each: FederatedRound) -> None:
            table.add_row(*_cells(each))
            bar.update(task, completed=each.number)

        yield add


def print_comparison(rounds: Sequence[FederatedRound]) -> None:
    """Print secure beside plain: accuracy after the last round, and how far the models are apart."""
    last = rounds[-1]
    table = Table(title=f"After round {last.number}", title_justify="left")
    table.add_column("training")
    table.add_column("test accuracy", justify="right")
    table.add_column("the server sees")
    table.add_row("secure aggregation", f"{last.secure_accuracy:.2%}", "masked uploads and their sum")
    table.add_row("plain averaging", f"{last.plain_accuracy:.2%}", "every client's update")
    table.add_row("largest difference", f"{last.difference:.1e}", "")
    result_console().print(table)


def _empty_table() -> Table:
    title = "Who left (#id) in which protocol round, how many are in the sum, test accuracy"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("round", "cohort", *_SHORT_NAMES.values(), "sum", "secure", "plain"):
        table.add_column(heading, justify="right")
    return table


def _cells(each: FederatedRound) -> list[str]:
    return [
        str(each.number),
        str(each.cohort),
        *(_named(each.left[round_]) for round_ in _SHORT_NAMES),
        str(len(each.contributors)),
        f"{each.secure_accuracy:.1%}",
        f"{each.plain_accuracy:.1%}",
    ]


def _line(each: FederatedRound, rounds: int) -> str:
    left = ", ".join(f"{round_name(round_)} {_named(clients)}" for round_, clients in each.left.items())
    return (
        f"round {each.number:>{len(str(rounds))}}/{rounds}: cohort {each.cohort}, left in {left}; "
        f"{len(each.contributors)} contributors with {each.examples} examples; "
        f"accuracy {each.secure_accuracy:.2%} secure, {each.plain_accuracy:.2%} plain"
    )


def _named(clients: Iterable[int]) -> str:
    """Ids that nobody takes for counts."""
    return " ".join(f"#{client}" for client in clients)
