"""`secagg audit verify`: whether an audit log is whole, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import secagg
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import needs_service

app = typer.Typer(help="Look at audit logs.", no_args_is_help=True)


@app.command(short_help="Say whether an audit log is whole.")
def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The log's files, the oldest first.")],
    after: Annotated[
        str, typer.Option(help="The digest of the last line before these files, as noted elsewhere.")
    ] = "",
    head: Annotated[
        str | None, typer.Option(help="The digest of the last line, as noted elsewhere: says what was cut off.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Follow the digests of an audit log through its files; exit code 1 and the first line that does not follow."""
    with needs_service("audit verify"):
        from secagg.telemetry.audit import verify_audit
    sequence, digest = verify_audit(files, after)
    if head is not None and head != digest:
        raise secagg.DecodeError(
            f"{files[-1]} ends at line {sequence} with the digest {digest} and not {head}: lines were cut off, or added"
        )
    if as_json:
        print_json({"lines": sequence, "head": digest})
    else:
        print_sentences(f"Whole up to line {sequence}, whose digest is {digest}.")
