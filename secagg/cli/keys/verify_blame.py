"""`secagg verify-blame`: whether a file shows that a client of a session lied. Must not know sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

import secagg
from secagg.cli.options import MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.identity.directory import load_directory, read_roster
from secagg.identity.files import read_public
from secagg.identity.fingerprints import fingerprint

_MAX_EVIDENCE_BYTES: Final = 1 << 25
_DID: Final = {
    secagg.DropReason.DEALT_UNREADABLE_PAIR: "signed shares that nobody can read",
    secagg.DropReason.DEALT_INCONSISTENT_SHARES: "signed shares that contradict each other or what it advertised",
    secagg.DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR: "complained of shares that it could read",
}


def verify_blame(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Evidence: the bytes of `Blame.evidence`.")],
    roster: Annotated[
        Path, typer.Option(metavar="FILE", help="The roster of the session, or certificates of its clients in PEM.")
    ],
    authority: Annotated[
        MaybePath,
        typer.Option(metavar="FILE", help="Public key, or certificates, of the authority that must have signed it."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which client a piece of evidence is against, by the roster alone; exit code 1 when it shows nothing."""
    known = read_roster(roster) if authority is None else load_directory(roster, authority)
    found = secagg.verify_evidence(read_public(file, _MAX_EVIDENCE_BYTES), known.keys)
    key = fingerprint(known.keys[found.client])
    if as_json:
        print_json(
            {
                "file": str(file),
                "client": found.client,
                "fingerprint": key,
                "rule": found.reason.value,
                "name": found.reason.name,
                "session": found.session.hex(),
            }
        )
        return
    print_sentences(
        f"Client {found.client}, whose key has fingerprint {key}, {_DID[found.reason]}, in the session with digest "
        f"{found.session.hex()} [{found.reason.value} {found.reason.name}]."
    )
