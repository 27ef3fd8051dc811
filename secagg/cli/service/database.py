"""`secagg database upgrade`: brings the database of several servers to the layout of this release.

Servers refuse a database that waits for it, and never change a layout themselves: several start at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import secagg
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import needs_service

app = typer.Typer(no_args_is_help=True, help="Look after the database that several servers share.")


@app.callback()
def database() -> None:
    """Look after the database that several servers share."""


@app.command()
def upgrade(
    config: Annotated[Path, typer.Option(metavar="FILE.toml", help="The configuration of the servers.")],
    as_json: JsonFlag = False,
) -> None:
    """Bring the database to the layout of this release; does nothing to one that has it."""
    with needs_service("database upgrade"):
        from secagg.cli.service.server_config import load_config
    conninfo = load_config(config).storage.postgres
    if conninfo is None:
        raise secagg.ParameterError(f"{config} has no storage.postgres; other stores are upgraded by a start")
    try:
        from secagg.store.layout import upgrade as bring
    except ImportError as error:
        raise secagg.MissingExtraError("storage.postgres needs psycopg: pip install 'secagg[postgres]'") from error
    before, layout = bring(conninfo)
    if as_json:
        print_json({"upgraded": before != layout, "before": before or None, "layout": layout})
    elif before == layout:
        print_sentences(f"The database had the layout of this release, {layout}, already; nothing was changed.")
    elif before:
        print_sentences(f"The database had layout {before}, and has that of this release now, {layout}.")
    else:
        print_sentences(f"The database was empty, and has the tables of this release now, layout {layout}.")
