"""`secagg key show`: which key a file holds, and its fingerprint. Never shows anything of a private key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import load_identity, load_public_key, names_private_key

app = typer.Typer(help="Look at a key.", no_args_is_help=True)


@app.callback()
def _describe() -> None:
    """Look at a key."""


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A private or a public key of `secagg keygen`.")],
    as_json: JsonFlag = False,
) -> None:
    """Show whether a key is private or public, and the fingerprint to compare with another person's."""
    kind = "private" if names_private_key(file) else "public"
    public = load_identity(file).public if kind == "private" else load_public_key(file)
    if as_json:
        print_json({"file": str(file), "kind": kind, "key": public.hex(), "fingerprint": fingerprint(public)})
        return
    print_sentences(f"{file}: {kind} key, fingerprint {fingerprint(public)}.")
