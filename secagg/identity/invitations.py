"""The invitations of one session, as an authority signs them: who is invited, each by the public half of a link's key.

Nothing of the file is secret: a server is given it to turn strangers away at once, and the authority believes no claim
that it has not checked again itself. It is signed so that a file that came by way of others invites nobody else. Must
not know who keeps claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from secagg.canonical import CanonicalValue, encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES, IdentityKey, verify
from secagg.errors import ParameterError
from secagg.identity.claims import Claim, ClaimRefusal, ClaimRefusedError, claim_text
from secagg.identity.fingerprints import fingerprint
from secagg.identity.links import Invitation, check_address
from secagg.identity.roster import checked_keys
from secagg.identity.signed_json import TIME, Kind, whole_seconds
from secagg.store.base import check_session_name

VERSION: Final = 1
"""Of the file's form."""
MAX_INVITATIONS_BYTES: Final = 1 << 24
"""Longest file of invitations."""
MOST_INVITATIONS: Final = 100_000
"""Most invitations in one file."""
_KIND: Final = Kind(
    "invitation list",
    VERSION,
    frozenset({"session", "server", "issued", "expires", "clients", "authority", "signature"}),
    "secagg invite",
    "the authority",
)


@dataclass(frozen=True, slots=True)
class Invitations:
    """Who is invited to a session; the signature was verified, or just made.

    Attributes:
        session: the name that the session will have.
        server: the service's address, as links have it.
        issued: when it was signed, UTC, whole seconds.
        expires: until when claims are taken, UTC, whole seconds.
        keys: client id to the 32-byte public key of its invitation, by ascending id.
        authority: the 32-byte public key of the authority.
        signature: 64 bytes over the other values.
    """

    session: str
    server: str
    issued: datetime
    expires: datetime
    keys: Mapping[int, bytes]
    authority: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Return the file's content: JSON, one client a line."""
        values = {
            "session": self.session,
            "server": self.server,
            "issued": self.issued.strftime(TIME),
            "expires": self.expires.strftime(TIME),
            "authority": self.authority.hex(),
            "signature": self.signature.hex(),
        }
        return _KIND.encode(values, self.keys)

    def check(self, claim: Claim) -> None:
        """Demand that somebody invited made this claim, and has the key that it names.

        Args:
            claim: of anybody.

        Raises:
            ClaimRefusedError: NOT_INVITED; SIGNATURE_INVALID, one that was made for another session, server, client or
                authority included.
        """
        invitation = self.keys.get(claim.client)
        if claim.session != self.session or invitation is None:
            raise ClaimRefusedError(
                f"client {claim.client} is not invited to session {claim.session[:80]!r}; use the link as it was sent",
                ClaimRefusal.NOT_INVITED,
            )

        def text(role: str) -> bytes:
            return claim_text(role, self.server, self.session, claim.client, self.authority, invitation, claim.key)

        if claim.key == invitation:
            raise ClaimRefusedError(
                f"client {claim.client} claims with the key of its invitation, which others have seen; draw a key",
                ClaimRefusal.SIGNATURE_INVALID,
            )
        if not verify(invitation, text("invitation"), claim.invitation_signature):
            raise ClaimRefusedError(
                f"the claim is not signed by the invitation of client {claim.client} to session {self.session!r} at "
                f"{self.server}; use the newest link, as it was sent",
                ClaimRefusal.SIGNATURE_INVALID,
            )
        if not verify(claim.key, text("key"), claim.key_signature):
            raise ClaimRefusedError(
                f"the claim of client {claim.client} is not signed with the key that it names; sign it with both keys",
                ClaimRefusal.SIGNATURE_INVALID,
            )


def invite(
    session: str,
    clients: Iterable[int],
    *,
    server: str,
    issued: datetime,
    expires: datetime,
    authority: IdentityKey,
) -> tuple[Invitations, Mapping[int, Invitation]]:
    """Draw an invitation for each of some clients.

    Args:
        session: the name that the session will have.
        clients: ids that the roster does not have yet.
        server: the service's address: `https://host:port` where pages take part, or `host:port`.
        issued: the time now, with a time zone.
        expires: until when claims are taken.
        authority: signs the invitations, and the roster later.

    Returns:
        The file for server and authority, and client id to the invitation that it alone is sent.

    Raises:
        ParameterError: no name, no address, an id outside 0 .. 2^64-1 or twice, no client or more than
            `MOST_INVITATIONS`, times without a zone, or an expiry that is not after the issue.
    """
    issued, expires = whole_seconds(issued), whole_seconds(expires)
    if expires <= issued:
        raise ParameterError(f"invitations that expire at {expires} and are issued at {issued} are never valid")
    check_session_name(session)
    check_address(server)
    listed = list(clients)
    if not 1 <= len(listed) <= MOST_INVITATIONS:
        raise ParameterError(f"{len(listed)} clients are not within 1 .. {MOST_INVITATIONS}; invite so many at once")
    drawn = [(client, IdentityKey.generate()) for client in listed]
    keys = checked_keys(((client, key.public) for client, key in drawn), "invitation list")
    signature = authority.sign(_signed_text(session, server, issued, expires, authority.public, keys))
    file = Invitations(session, server, issued, expires, keys, authority.public, signature)
    return file, {client: Invitation(server, session, client, authority.public, key.seed) for client, key in drawn}


def verify_invitations(content: bytes, authority: bytes) -> Invitations:
    """Read a file of invitations, expired or not, and verify that the authority signed exactly this.

    Args:
        content: of the file.
        authority: its 32-byte Ed25519 key.

    Raises:
        ParameterError: no such file, another authority, or a wrong signature.
    """
    fields = _KIND.read(content)
    named = fields.hexadecimal("authority", PUBLIC_BYTES)
    if named != authority:
        raise ParameterError(
            f"the invitations are signed by the authority with fingerprint {fingerprint(named)}, and the one to trust "
            f"has {fingerprint(authority)}; get those of this deployment"
        )
    session, server = check_session_name(fields.text("session")), check_address(fields.text("server"))
    issued, expires = fields.time("issued"), fields.time("expires")
    keys = checked_keys(fields.clients(PUBLIC_BYTES), "invitation list")
    signature = fields.hexadecimal("signature", SIGNATURE_BYTES)
    if not verify(authority, _signed_text(session, server, issued, expires, authority, keys), signature):
        raise ParameterError(
            "the invitations' signature does not fit their content: they were changed after the authority signed them; "
            "get them again from the authority"
        )
    return Invitations(session, server, issued, expires, keys, authority, signature)


def _signed_text(
    session: str, server: str, issued: datetime, expires: datetime, authority: bytes, keys: Mapping[int, bytes]
) -> bytes:
    entries: list[CanonicalValue] = [(client, key) for client, key in keys.items()]
    times = (int(issued.timestamp()), int(expires.timestamp()))
    return encode_fields(Label.INVITATIONS, VERSION, authority, session, server, *times, entries)
