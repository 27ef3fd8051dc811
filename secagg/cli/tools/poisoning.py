"""`secagg poisoning`: plays liars against rules over sums, shows who won, and writes tables and pictures into pages.

Reads options and shows results. Must not know what is played or how it is judged.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from secagg.bench.blocks import fill, rewrite
from secagg.cli.options import Paths
from secagg.cli.output import JsonFlag, print_files, print_tables
from secagg.poisoning.plots import draw
from secagg.poisoning.results import Results, read_results
from secagg.poisoning.tables import BLOCKS, everything

app = typer.Typer(help="Play liars against rules over sums: a test tool, on small data sets.", no_args_is_help=True)


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
    """Fill the marked blocks of a page; returns whether that changed it."""
    contents = {name: partial(block, results) for name, block in BLOCKS.items()}
    return rewrite(page, lambda text: fill(text, contents))
