"""What a caller of the network service signs to prove who it is (Specification §3.2).

A purpose label, then everything the signature is good for: the role, the server's name as the caller dialled it,
whom the caller claims to be and the server's nonce. So it is worthless to another server, for another session, and a
second time. Must not know tokens, connections or where keys come from.
"""

from __future__ import annotations

from typing import Final

from secagg.canonical import encode_fields
from secagg.crypto.labels import Label

FEWEST_NONCE_BYTES: Final = 32
MOST_NONCE_BYTES: Final = 512
"""What a caller signs of a server's choice: its form is the server's business."""


def client_login_text(server_name: str, session: str, client: int, nonce: bytes) -> bytes:
    """What a member of a session's cohort signs; `session` is the session's name on that server."""
    return encode_fields(Label.LOGIN, "client", server_name, session, client, nonce)


def member_login_text(server_name: str, client: int, nonce: bytes) -> bytes:
    """What somebody in a server's roster signs who waits for a session."""
    return encode_fields(Label.LOGIN, "member", server_name, client, nonce)


def operator_login_text(server_name: str, public_key: bytes, nonce: bytes, *, reads_only: bool = False) -> bytes:
    """What an operator of a server signs; one that asks to look only signs for nothing else, whosever the nonce is."""
    role = "reading operator" if reads_only else "operator"
    return encode_fields(Label.LOGIN, role, server_name, public_key, nonce)
