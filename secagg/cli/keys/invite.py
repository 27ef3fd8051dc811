"""`secagg invite`: draws invitations under the authority's key, one link for each client.

Runs on the machine that holds the authority's key. Must not know who redeems them, nor the server that takes claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

import secagg
from secagg.cli.keys.enroll import LONGEST_DAYS, client_in
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.identity.files import create_private, create_public
from secagg.identity.fingerprints import fingerprint
from secagg.identity.invitations import MOST_INVITATIONS, invite
from secagg.identity.keys import load_identity

_RANGE: Final = re.compile(r"(?P<first>[^.]+)\.\.(?P<last>[^.]+)")


def invite_clients(
    authority: Annotated[Path, typer.Option(metavar="FILE", help="The private key of the roster's authority.")],
    server: Annotated[
        str, typer.Option(metavar="URL", help="The service, as clients reach it: https://HOST:PORT, or HOST:PORT.")
    ],
    page: Annotated[str, typer.Option(metavar="URL", help="The page that links open; the invitation is behind its #.")],
    session: Annotated[str, typer.Option(metavar="NAME", help="The name that the session will have.")],
    clients: Annotated[
        str, typer.Option(metavar="IDS", help="Whom to invite, such as 1..20 or 3,5,8..12; ids that no roster has yet.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file of the invitations, for the server.")],
    links: Annotated[
        Path, typer.Option(metavar="FILE", help="New file of the links, an id and a link a line; mode 0600.")
    ],
    days: Annotated[float, typer.Option(help="How long claims are taken from now.")] = 14.0,
    as_json: JsonFlag = False,
) -> None:
    """Invite clients that have no key yet: each link is for one of them, once."""
    if not 0 < days <= LONGEST_DAYS:
        raise secagg.ParameterError(
            f"--days {days:g} is not above 0 and at most {LONGEST_DAYS}; give how many days claims are taken"
        )
    now = datetime.now(UTC)
    listed = list(_ids(clients))
    key = load_identity(authority)
    invitations, sent = invite(
        session, listed, server=server, issued=now, expires=now + timedelta(days=days), authority=key
    )
    lines = "".join(f"{client}\t{invitation.link(page)}\n" for client, invitation in sent.items())
    create_private(links, secagg.SecretBytes(lines.encode()))
    try:
        create_public(out, invitations.encode())
    except secagg.ParameterError:
        links.unlink()
        raise
    if as_json:
        print_json(
            {
                "invitations": str(out),
                "links": str(links),
                "session": session,
                "clients": len(sent),
                "expires": invitations.expires.isoformat(),
                "fingerprint": fingerprint(key.public),
            }
        )
        return
    print_sentences(
        f"{out}: {len(sent)} invitations to session {session} at {server}, open until {invitations.expires}; give the "
        "file to the server."
    )
    print_sentences(f"{links}: a link for each client; send it to nobody else, since the first who opens it counts.")


def _ids(words: str) -> Iterator[int]:
    count = 0
    for word in words.split(","):
        found = _RANGE.fullmatch(word.strip())
        first = client_in("--clients", word.strip() if found is None else found["first"])
        last = first if found is None else client_in("--clients", found["last"])
        if last < first:
            raise secagg.ParameterError(f"--clients {word.strip()!r:.60} goes backwards; give the lower id first")
        count += last - first + 1
        if count > MOST_INVITATIONS:
            raise secagg.ParameterError(
                f"--clients {words!r:.60} are more than {MOST_INVITATIONS} clients; invite fewer at once"
            )
        yield from range(first, last + 1)
