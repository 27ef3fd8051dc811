"""`secagg poisoning`: plays liars against rules over sums, shows who won, and writes tables and pictures into pages.

Reads options and shows results. Must not know what is played or how it is judged.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import secagg
from secagg.bench.blocks import fill, rewrite
from secagg.cli.options import MaybeInt, MaybePath, Paths, Words
from secagg.cli.output import JsonFlag, print_files, print_tables, step_progress
from secagg.poisoning.plots import draw
from secagg.poisoning.results import SUITES, Results, read_results, write_results
from secagg.poisoning.runner import run as play
from secagg.poisoning.tables import BLOCKS, SUITE_OF, everything

app = typer.Typer(help="Play liars against rules over sums: a test tool, on small data sets.", no_args_is_help=True)


@app.command("run")
def run(
    suites: Annotated[
        Words,
        typer.Option("--suite", metavar="SUITE", help=f"May be repeated; all unless given: {', '.join(SUITES)}."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what is long: under three minutes in all.")] = False,
    json_file: Annotated[
        MaybePath, typer.Option("--json", metavar="FILE", help="Also write the results there.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of data, first models, cells and liars; runs with the same are alike.")
    ] = 0,
    workers: Annotated[MaybeInt, typer.Option(help="Processes that play; one for each processor.")] = None,
) -> None:
    """Let clients lie and rules judge, say how sums of many rounds give clients away, and print it all as tables."""
    if json_file is not None and json_file.is_dir():
        raise secagg.ParameterError(f"--json {json_file} is a folder; name a file, in it or elsewhere")
    processes = workers if workers is not None else os.cpu_count() or 1
    with step_progress() as on_step:
        results = play(
            suites or (), quick=quick, version=secagg.__version__, on_step=on_step, workers=processes, seed=seed
        )
    if json_file is not None:
        write_results(results, json_file)
    sys.stdout.write(everything(results) + "\n")


@app.command("table")
def table(
    results: Annotated[Path, typer.Argument(metavar="FILE.json", help="Results to show.")],
    into: Annotated[
        Paths, typer.Option("--into", metavar="PAGE", help="Fill the marked blocks of this page; may be repeated.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the results as Markdown tables, or write them between the marks of pages."""
    found = read_results(results)
    print_tables(partial(everything, found), partial(_filled, found), into or (), as_json)


@app.command("plot")
def plot(
    results: Annotated[Path, typer.Argument(metavar="FILE.json", help="Results to draw.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the pictures.")],
    as_json: JsonFlag = False,
) -> None:
    """Draw who wins against which rule, SIREN round by round, and what sums of many rounds tell: PNG and SVG."""
    print_files(draw(read_results(results), out), as_json)


def _filled(results: Results, page: Path) -> bool:
    """Fill the marked blocks of a page, all or none; returns whether that changed it."""
    contents = {name: partial(block, results) for name, block in BLOCKS.items()}

    def absent(suite: str) -> str:
        raise secagg.ParameterError(
            f"{page} has tables of the suite {suite}, which these results have not; give results of a run with it"
        )

    for name, suite in SUITE_OF.items():
        if not getattr(results, suite):
            contents[name] = partial(absent, suite)
    return rewrite(page, lambda text: fill(text, contents))
