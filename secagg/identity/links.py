"""Links that invite one client: whoever opens one can name a key of its own for that client, once.

The invitation stands behind the `#` of the link, which browsers keep to themselves: neither the page's server nor the
service sees it. It is an Ed25519 private key, and whom, where and under which authority it invites. Must not know
files, nor what became of an invitation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from secagg.canonical import Reader, encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import PUBLIC_BYTES, SEED_BYTES, IdentityKey
from secagg.errors import DecodeError, ParameterError
from secagg.identity.claims import Claim, claim_text
from secagg.store.base import check_session_name

MARK: Final = "secagg="
"""Begins the fragment of a link that has an invitation."""
MAX_ADDRESS_BYTES: Final = 255
"""Longest address of a service in a link."""
_MAX_LINK_CHARACTERS: Final = 4096
_CHECKSUM_BYTES: Final = 4
_MAX_LABEL_BYTES: Final = 64
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
_PAGE: Final = re.compile(r"(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])[^\s#]+")
_LOOPBACK: Final = r"http://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"
_ADDRESS: Final = re.compile(rf"(https://[^/?#@]+|{_LOOPBACK})(/[^?#]*)?|[^/?#@]+:\d{{1,5}}", re.IGNORECASE | re.ASCII)
_COPY: Final = "copy the whole link as it was sent"


@dataclass(frozen=True, slots=True)
class Invitation:
    """One client's invitation; as secret as a password until it is redeemed.

    Attributes:
        server: the service's address: `https://host:port`, or `host:port` where clients come by gRPC.
        session: the name of the session that it is for.
        client: whom it invites.
        authority: the 32-byte public key of the authority that will sign the roster.
        secret: the 32 bytes of the invitation's private key.

    Raises:
        ParameterError: no address, no session's name, or a key of another length.
    """

    server: str
    session: str
    client: int
    authority: bytes
    secret: SecretBytes = field(repr=False)

    def __post_init__(self) -> None:
        check_address(self.server)
        check_session_name(self.session)
        if len(self.authority) != PUBLIC_BYTES or len(self.secret) != SEED_BYTES:
            raise ParameterError(f"an authority's key has {PUBLIC_BYTES} bytes, and an invitation's {SEED_BYTES}")

    def link(self, page: str) -> str:
        """Return the link that a person opens.

        Args:
            page: the address of the page that takes part, without a `#`.

        Raises:
            ParameterError: a page that is not served over TLS, or has a `#`.
        """
        if _PAGE.fullmatch(page) is None:
            raise ParameterError(
                f"{page!r:.200} is no page for invitations; give https://… without a #, such as "
                "https://app.example.org/survey/"
            )
        invitation = bytes(self.secret.expose())
        fields = encode_fields(Label.INVITATION, self.server, self.session, self.client, self.authority, invitation)
        return f"{page}#{MARK}{_word(fields + _checksum(fields))}"

    @classmethod
    def parse(cls, link: str) -> Invitation:
        """Read a link.

        Args:
            link: as somebody copied it; spaces around it do not matter.

        Raises:
            ParameterError: it has no invitation, or one that is cut short or changed.
        """
        _, mark, word = link.strip().partition(f"#{MARK}")
        if not mark:
            raise ParameterError(f"this link has no invitation behind its #; {_COPY}")
        data = _decoded(word)
        fields, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if checksum != _checksum(fields):
            raise ParameterError(f"the invitation of this link is cut short or changed; {_COPY}")
        reader = Reader(fields)
        try:
            if reader.data(maximum=_MAX_LABEL_BYTES) != Label.INVITATION:
                raise DecodeError("another label")
            server, session, client = reader.text(MAX_ADDRESS_BYTES), reader.text(), reader.integer()
            authority, secret = reader.data(PUBLIC_BYTES), reader.data(SEED_BYTES)
            reader.finish()
        except DecodeError:
            raise ParameterError("the invitation of this link is of a kind that this release does not know") from None
        return cls(server, session, client, authority, SecretBytes(secret))

    @property
    def key(self) -> IdentityKey:
        """The key that signs the claim; its public half stands in the file of invitations."""
        return IdentityKey.from_seed(self.secret)

    def claim(self, identity: IdentityKey) -> Claim:
        """Name the key with which this client will take part.

        Args:
            identity: the client's own key, drawn by itself; the same one whenever it claims.

        Raises:
            ParameterError: it is the invitation's own key, which others have seen.
        """
        key = self.key
        if identity.public == key.public:
            raise ParameterError("the key of an invitation is known to whoever sent it; draw a key of your own")

        def text(role: str) -> bytes:
            return claim_text(role, self.server, self.session, self.client, self.authority, key.public, identity.public)

        return Claim(
            self.session, self.client, identity.public, key.sign(text("invitation")), identity.sign(text("key"))
        )


def check_address(server: str) -> str:
    """Return the address of a service.

    Args:
        server: what somebody gave as one.

    Raises:
        ParameterError: it is none, too long, without TLS beyond loopback, or has spaces or characters that are not
            printable.
    """
    # What is printable has an encoding.
    shown = server.isprintable() and " " not in server
    if not (shown and len(server.encode()) <= MAX_ADDRESS_BYTES and _ADDRESS.fullmatch(server)):
        raise ParameterError(f"{server!r:.80} is no address of a service; give https://host:port, or host:port")
    return server


def _decoded(word: str) -> bytes:
    """The bytes of a word, of which there is one spelling; none for what is no word."""
    if len(word) > _MAX_LINK_CHARACTERS or _WORD.fullmatch(word) is None:
        return b""
    try:
        data = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
    except binascii.Error:
        return b""
    return data if _word(data) == word else b""


def _word(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _checksum(fields: bytes) -> bytes:
    """Tells people that they lost a part of the link; it protects from nobody."""
    return hashlib.sha256(fields).digest()[:_CHECKSUM_BYTES]
