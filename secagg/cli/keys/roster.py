"""`secagg roster show`: who is in a roster, under which key, and until when. Must not know sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from secagg.cli.options import MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences, result_console
from secagg.identity.directory import Directory, load_directory, read_roster
from secagg.identity.fingerprints import fingerprint

app = typer.Typer(help="Look at a roster.", no_args_is_help=True)


@app.callback()
def _describe() -> None:
    """Look at a roster."""


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A roster of `secagg enroll`, or certificates in PEM.")],
    authority: Annotated[
        MaybePath,
        typer.Option(metavar="FILE", help="Public key, or certificates, of the authority that must have signed it."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the ids and fingerprints of a roster, who signed it and when it expires."""
    found = read_roster(file) if authority is None else load_directory(file, authority)
    expired = found.expires is not None and found.expires <= datetime.now(UTC)
    if as_json:
        print_json(
            {
                "roster": str(file),
                "verified": authority is not None,
                "authority": None if found.authority is None else fingerprint(found.authority),
                "serial": found.serial,
                "expires": None if found.expires is None else found.expires.isoformat(),
                "expired": expired,
                "clients": [
                    {"id": client, "key": key.hex(), "fingerprint": fingerprint(key)}
                    for client, key in found.keys.items()
                ],
            }
        )
        return
    table = Table()
    table.add_column("client", justify="right")
    table.add_column("fingerprint")
    for client, key in found.keys.items():
        table.add_row(str(client), fingerprint(key))
    result_console().print(table)
    print_sentences(f"{len(found.keys)} clients{_validity(found, expired)}")
    if authority is None and found.authority is not None:
        print_sentences(
            f"Signed by the authority with fingerprint {fingerprint(found.authority)}, as the roster itself says: "
            "compare it, or give --authority."
        )


def _validity(found: Directory, expired: bool) -> str:
    if found.expires is None:
        return "; certificates expire one by one."
    return f", serial {found.serial}, {'EXPIRED since' if expired else 'valid until'} {found.expires}."
