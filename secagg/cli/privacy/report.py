"""`secagg privacy report`: one page with pictures of what sums tell, what noise does about it, and what it costs.

Reads options and writes files. Must not know how anything is measured or drawn.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from secagg.cli.options import MaybeInt, MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.privacy.lab import page
from secagg.privacy.lab import report as lab
from secagg.privacy.lab.captions import accuracy_table, sections

EXIT_EXCEEDED: Final = 1


def report(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the page, the pictures and the numbers.")],
    epsilon: Annotated[float, typer.Option(help="Of one client, over all rounds, in the plan of the page.")] = 8.0,
    delta: Annotated[float, typer.Option(help="Beside epsilon; below 1 / 100.")] = 1e-5,
    rounds: Annotated[int, typer.Option(help="Of the plan, which is for 100 clients that read digits.")] = 15,
    quick: Annotated[bool, typer.Option("--quick", help="Few tries: to see the page, not for its numbers.")] = False,
    workers: Annotated[MaybeInt, typer.Option(help="Processes that measure; one for each processor.")] = None,
    into: Annotated[
        MaybePath, typer.Option("--into", metavar="PAGE", help="Write the table of accuracy between this page's marks.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure and draw what sums tell about a person, and what noise does about it: HTML, PNG, SVG and JSON."""
    started = time.perf_counter()
    chosen = replace(lab.QUICK, rounds=min(rounds, lab.QUICK.rounds)) if quick else lab.Settings(rounds=rounds)
    settings = replace(chosen, epsilon=epsilon, delta=delta)
    plan = lab.plan_of(settings)
    page.prepare(out)
    if into is not None:
        _filled(into, lambda: "", dry=True)
    processes = workers if workers is not None else os.cpu_count() or 1
    with _progress() as on_step:
        measured = lab.measure(settings, processes, on_step)
    shown = sections(measured)
    record = {
        "plan": plan.statement.to_json(),
        "pictures": {section.name: section.to_json() for section in shown},
        "wall_seconds": time.perf_counter() - started,
    }
    files = page.write(shown, record, str(plan.statement), out)
    if into is not None:
        _filled(into, partial(accuracy_table, measured["accuracy"]))
    if as_json:
        print_json(record | {"files": [str(file) for file in files]})
    else:
        for section in shown:
            print_sentences(f"{section.title}: {section.sentence}")
        print_sentences("\n".join(str(file) for file in files))
    if _exceeded(measured["audit"]):
        raise typer.Exit(EXIT_EXCEEDED)


def _exceeded(audit: Mapping[str, Any]) -> bool:
    """Whether the code as it is gives away more than it promises."""
    return any(bar["exceeded"] for bar in audit["bars"] if bar["fault"] is None)


def _filled(into: Path, table: Callable[[], str], *, dry: bool = False) -> None:
    from secagg.bench.blocks import fill, rewrite

    def change(text: str) -> str:
        filled = fill(text, {"accuracy": table})
        return text if dry else filled

    rewrite(into, change)


@contextmanager
def _progress() -> Iterator[lab.OnStep | None]:
    """Show a bar on standard error while it measures; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("measurements"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("")
        yield lambda done, total: bars.update(bar, completed=done, total=total)
