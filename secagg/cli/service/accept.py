"""`secagg accept`: makes this client's key, claims the place of a link, and waits for the roster.

What it writes are the files that `secagg join` takes. The same command again goes on with the same key.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import secagg
from secagg.cli.keys.keygen import public_path
from secagg.cli.options import MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences, shown
from secagg.cli.service.connecting import (
    CaFile,
    CertificateFile,
    GiveUp,
    KeyFile,
    Plaintext,
    ServerName,
    client_tls,
    needs_service,
    retry_policy,
)
from secagg.identity.files import read_public, replace_public
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity, create_public_key, load_identity, load_public_key
from secagg.identity.links import Invitation
from secagg.identity.roster import MAX_ROSTER_BYTES, verify_roster

_GIVE_UP_SECONDS: Final = 300.0


def accept(
    link: Annotated[str, typer.Option(metavar="URL", help="The whole link, as it was sent; - reads it from a pipe.")],
    identity: Annotated[
        Path, typer.Option(metavar="FILE", help="This client's private key; made when it is not there.")
    ],
    roster: Annotated[Path, typer.Option(metavar="FILE", help="Gets the signed roster.")],
    authority: Annotated[
        MaybePath,
        typer.Option(
            metavar="FILE", help="Gets the authority's public key; authority.pub beside the roster unless given."
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Claim, and ask for the roster once, instead of waiting until it is signed."),
    ] = False,
    ca: CaFile = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    server_name: ServerName = None,
    plaintext: Plaintext = False,
    give_up: GiveUp = _GIVE_UP_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Redeem an invitation: the server hears a key that is made here, and the roster with it is written to a file."""
    with needs_service("accept"):
        from secagg.transport.enrolling import redeem, redeem_and_wait
    invitation = Invitation.parse(sys.stdin.readline() if link == "-" else link)
    trusted = roster.with_name("authority.pub") if authority is None else authority
    _require_same(trusted, invitation.authority)
    serial = _serial_in(roster, invitation.authority)
    tls = client_tls(ca, certificate, key, server_name, plaintext)
    retry = retry_policy(give_up)
    own = load_identity(identity) if identity.exists() else create_identity(identity, public_path(identity))
    how: dict[str, Any] = {"tls": tls, "insecure": plaintext, "minimum_serial": serial, "retry": retry}
    if no_wait:
        signed = asyncio.run(redeem(invitation, own, **how))
    else:
        signed = asyncio.run(redeem_and_wait(invitation, own, **how, waiting=_Waiting()))
    if signed is not None:
        replace_public(roster, signed.encode())
        if not trusted.exists():
            create_public_key(trusted, invitation.authority)
    if as_json:
        print_json(
            {
                "server": invitation.server,
                "session": invitation.session,
                "client": invitation.client,
                "identity": str(identity),
                "fingerprint": fingerprint(own.public),
                "authority": fingerprint(invitation.authority),
                "roster": None if signed is None else str(roster),
                "clients": None if signed is None else len(signed.keys),
                "expires": None if signed is None else signed.expires.isoformat(),
            }
        )
        return
    print_sentences(
        f"The server keeps the key {fingerprint(own.public)} of {identity} for client {invitation.client} of session "
        f"{invitation.session}."
    )
    if signed is None:
        print_sentences("The authority has not signed the roster yet; give the same command again later.")
        return
    print_sentences(f"{roster}: {len(signed.keys)} clients, valid until {signed.expires}. To take part:")
    # What a link says may mean something to the shell into which people copy this.
    words = ["secagg", "join", "--server", invitation.server, "--session", invitation.session]
    words += ["--identity", str(identity), "--roster", str(roster), "--authority", str(trusted), "--input", "FILE.npz"]
    connecting = {"--ca": ca, "--certificate": certificate, "--key": key, "--server-name": server_name}
    words += [word for option, value in connecting.items() if value is not None for word in (option, str(value))]
    print_sentences(shlex.join(words + ["--plaintext"] * plaintext))


def _require_same(file: Path, authority: bytes) -> None:
    """Demand that the file of an authority has the link's, if it is there."""
    if file.exists() and load_public_key(file) != authority:
        raise secagg.ParameterError(
            f"{file} has another authority than the one of this link, {fingerprint(authority)}; give --authority "
            "another file, or ask whoever sent the link"
        )


def _serial_in(roster: Path, authority: bytes) -> int:
    """Return the serial of the roster that is there, which an older one must not replace; 1 where none is."""
    if not roster.exists():
        return 1
    content = read_public(roster, MAX_ROSTER_BYTES)
    try:
        return verify_roster(content, authority, at=None).serial
    except secagg.ParameterError as error:
        raise secagg.ParameterError(f"{roster} is not written over, give another --roster: {error}") from error


class _Waiting:
    """Says once, on a terminal, what is waited for."""

    def __init__(self) -> None:
        self._said = not sys.stderr.isatty()

    def __call__(self) -> None:
        if not self._said:
            since = datetime.now(UTC)
            sys.stderr.write(
                shown(f"claimed; waiting since {since:%H:%M} UTC for the roster, an interrupt loses nothing") + "\n"
            )
            self._said = True
