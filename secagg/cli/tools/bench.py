"""`secagg bench`: runs the benchmarks, compares two runs, draws them and writes their tables into pages.

Reads options and shows results. Must not know what is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

import secagg
from secagg.bench.blocks import write_into
from secagg.bench.comparing import DEFAULT_TOLERANCE, Change, Verdict, compare, machines_differ
from secagg.bench.plan import FULL, HUGE_CLIENTS, QUICK
from secagg.bench.plots import draw
from secagg.bench.registry import SUITES
from secagg.bench.rows import read_report, write_report
from secagg.bench.runner import run_benchmarks
from secagg.bench.tables import everything
from secagg.cli.options import MaybeInt, MaybePath, Paths, Words
from secagg.cli.output import (
    JsonFlag,
    print_files,
    print_json,
    print_sentences,
    print_tables,
    result_console,
    step_progress,
)

Numbers = Optional[list[int]]  # noqa: UP045 - typer 0.12.0 knows no `list[int] | None`

EXIT_WORSE = 1

app = typer.Typer(help="Measure the library against the floors of this machine.", no_args_is_help=True)


@app.command("run")
def run(
    suites: Annotated[
        Words, typer.Argument(metavar="SUITE", help=f"Suites to run; all unless given: {', '.join(SUITES)}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what is long: under two minutes in all.")] = False,
    json_file: Annotated[
        MaybePath, typer.Option("--json", metavar="FILE", help="Also write the results there, after each suite.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep what that file has of suites that are not run now; with whole suites.")
    ] = False,
    only: Annotated[
        Words,
        typer.Option(metavar="TEXT", help="Run benchmarks with a word in suite/name that begins so; may be repeated."),
    ] = None,
    clients: Annotated[
        Numbers, typer.Option(metavar="N", help="Measure cohorts of this size instead; may be repeated.")
    ] = None,
    length: Annotated[MaybeInt, typer.Option(metavar="D", help="Measure vectors of this length instead.")] = None,
    huge: Annotated[
        bool,
        typer.Option("--huge", help="In the suite scaling, cohorts up to 100 000 clients, too: 5 minutes and 3 GB."),
    ] = False,
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="S", help="Time for each group of short benchmarks instead."),
    ] = None,
) -> None:
    """Run benchmarks, each beside the floor that this machine shows in the same run, and print them as a table."""
    if add and (json_file is None or only):
        raise secagg.ParameterError("--add keeps what a file has of other suites: give it with --json, without --only")
    plan = (QUICK if quick else FULL).resized(tuple(clients or ()), length, seconds)
    if huge:
        plan = replace(plan, huge=HUGE_CLIENTS)
    before = read_report(json_file) if add and json_file is not None and json_file.exists() else None
    write = None if json_file is None else partial(write_report, path=json_file)
    with step_progress() as progress:
        report = run_benchmarks(plan, secagg.__version__, suites or (), only or (), progress, before, write)
    sys.stdout.write(everything(report) + "\n")


@app.command("compare")
def compare_files(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json", help="Results to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json", help="Results to judge.")],
    tolerance: Annotated[
        float, typer.Option(metavar="PART", help="A figure may move by this part.")
    ] = DEFAULT_TOLERANCE,
    as_json: JsonFlag = False,
) -> None:
    """Say what became better or worse from one run to another; exit code 1 when something became worse."""
    if not 0 <= tolerance < 1:
        raise secagg.ParameterError(f"--tolerance {tolerance} is outside 0 .. 1; give a part such as 0.1")
    old, new = read_report(before), read_report(after)
    changes = compare(old, new, tolerance)
    worse = sum(change.verdict is Verdict.WORSE for change in changes)
    differing = machines_differ(old, new)
    if as_json:
        print_json(
            {"worse": worse, "tolerance": tolerance, "machines_differ": differing, "changes": [*map(_record, changes)]}
        )
    else:
        _print_changes(changes, worse, tolerance, differing)
    if worse:
        raise typer.Exit(EXIT_WORSE)


def _print_changes(changes: Sequence[Change], worse: int, tolerance: float, differing: Sequence[str]) -> None:
    table = Table()
    for heading in ("suite", "what"):
        table.add_column(heading)
    for heading in ("before", "after", "times better", ""):
        table.add_column(heading, justify="right")
    for change in changes:
        table.add_row(*_cells(change))
    result_console().print(table)
    where = f" The machines differ in {', '.join(differing)}: compare their ratios only." if differing else ""
    print_sentences(f"{worse} of {len(changes)} figures became worse by more than {tolerance:.0%}.{where}")


@app.command("plot")
def plot(
    results: Annotated[Path, typer.Argument(metavar="FILE.json", help="Results to draw.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the pictures.")],
    as_json: JsonFlag = False,
) -> None:
    """Draw how cost grows with clients, entries and dropouts, and how near the floors are: PNG and SVG."""
    print_files(draw(read_report(results), out), as_json)


@app.command("table")
def table(
    results: Annotated[Path, typer.Argument(metavar="FILE.json", help="Results to show.")],
    into: Annotated[
        Paths, typer.Option("--into", metavar="PAGE", help="Fill the marked blocks of this page; may be repeated.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the results as Markdown tables, or write them between the marks of pages."""
    report = read_report(results)
    print_tables(partial(everything, report), partial(write_into, report=report), into or (), as_json)


def _record(change: Change) -> dict[str, object]:
    row, before, after = change.row, change.before, change.after
    return {
        "suite": row.suite,
        "name": row.name,
        "unit": row.unit,
        "before": None if before is None else before.measured,
        "after": None if after is None else after.measured,
        "times_better": change.factor,
        "verdict": change.verdict.lower(),
    }


def _cells(change: Change) -> tuple[str, ...]:
    row = change.row
    figures = (
        "-" if side is None or side.measured is None else f"{side.measured:.4g}"
        for side in (change.before, change.after)
    )
    factor = "-" if change.factor is None else f"{change.factor:.2f}"
    return row.suite, f"{row.name} [{row.unit}]", *figures, factor, change.verdict.value
