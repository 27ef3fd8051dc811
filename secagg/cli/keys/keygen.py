"""`secagg keygen`: a fresh identity key in two files, for a client, an operator or a roster's authority.

Must not know what the key will be used for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import secagg
from secagg.cli.options import MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity

PUBLIC_SUFFIX = ".pub"


def keygen(
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file for the private key; mode 0600.")],
    public: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="New file for the public key; FILE with .pub unless given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an Ed25519 identity key: keep the private file, and give the public one to whoever makes the roster."""
    written = public_path(out) if public is None else public
    key = create_identity(out, written)
    if as_json:
        record = {"private": str(out), "public": str(written)}
        print_json({**record, "key": key.public.hex(), "fingerprint": fingerprint(key.public)})
        return
    print_sentences(f"Private key: {out}, for you alone.")
    print_sentences(f"Public key: {written}, fingerprint {fingerprint(key.public)}.")


def public_path(private: Path) -> Path:
    """Return where the public half of a private key goes: alice.key has alice.pub.

    Raises:
        ParameterError: that is the same file.
    """
    public = private.with_suffix(PUBLIC_SUFFIX)
    if public == private:
        raise secagg.ParameterError(f"{private} is a name for a public key; give the private one another, such as .key")
    return public
