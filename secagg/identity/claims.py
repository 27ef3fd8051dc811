"""A claim: the holder of an invitation names the key with which it will take part (Specification §3.2).

Two keys sign it: the invitation's, which shows that this client was invited, and the client's own, which shows that it
has it. Each signs its role, the service, the session, the client, and the keys of authority, invitation and client: so
a claim is worthless for another service, session, client or authority. Must not know links, lists and files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES
from secagg.errors import ParameterError
from secagg.identity.signed_json import Kind

MAX_CLAIM_BYTES: Final = 4096
"""Longest file of a claim."""
_KIND: Final = Kind(
    "claim",
    1,
    frozenset({"session", "client", "key", "invitation_signature", "key_signature"}),
    "secagg serve",
    "the server",
)


class ClaimRefusal(Enum):
    """Why a claim is not taken."""

    NOT_INVITED = "NOT_INVITED"
    """No invitation is for this session and client."""
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    """The claim is not signed with the invitation's key, or not by the key that it names."""
    USED = "USED"
    """The invitation was redeemed with another key."""
    CLOSED = "CLOSED"
    """Claims are not taken, or not any more."""


class ClaimRefusedError(ParameterError):
    """A claim is not taken.

    Attributes:
        refusal: why, for programs.
    """

    def __init__(self, message: str, refusal: ClaimRefusal) -> None:
        super().__init__(message)
        self.refusal = refusal

    def __reduce__(self) -> tuple[type[ClaimRefusedError], tuple[str, ClaimRefusal]]:
        return type(self), (str(self), self.refusal)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client sends; nothing of it is secret.

    Attributes:
        session: the session that the invitation is for.
        client: whom it invites.
        key: the client's own Ed25519 public key, 32 bytes.
        invitation_signature: 64 bytes by the invitation's key.
        key_signature: 64 bytes by the client's own.
    """

    session: str
    client: int
    key: bytes
    invitation_signature: bytes = field(repr=False)
    key_signature: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the claim as a file."""
        values = {
            "session": self.session,
            "client": self.client,
            "key": self.key.hex(),
            "invitation_signature": self.invitation_signature.hex(),
            "key_signature": self.key_signature.hex(),
        }
        return _KIND.encode(values)

    @classmethod
    def decode(cls, content: bytes) -> Claim:
        """Read the file of a claim; whether it is one of somebody invited, `Invitations.check` says.

        Args:
            content: of the file.

        Raises:
            ParameterError: it is none.
        """
        fields = _KIND.read(content)
        return cls(
            fields.text("session"),
            fields.number("client", 0),
            fields.hexadecimal("key", PUBLIC_BYTES),
            fields.hexadecimal("invitation_signature", SIGNATURE_BYTES),
            fields.hexadecimal("key_signature", SIGNATURE_BYTES),
        )


def claim_text(
    role: str, server: str, session: str, client: int, authority: bytes, invitation: bytes, key: bytes
) -> bytes:
    """What the keys of a claim sign.

    Args:
        role: "invitation" or "key", whichever signs.
        server: the service's address, as the link has it.
        session, client: what the invitation is for.
        authority, invitation, key: the 32-byte public keys of the authority, the invitation and the client.
    """
    return encode_fields(Label.INVITATION_CLAIM, role, server, session, client, authority, invitation, key)
