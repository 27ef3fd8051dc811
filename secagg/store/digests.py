"""Digests of what a store keeps: made when it is written, compared when it is read back.

A disk returns other bytes than it was given more often than it says so. Each digest is kept where a damage of what it
is about cannot reach it: that of an upload in its id, which the log or the outcome holds; that of a log entry in the
next entry. They find damage and no forgery: who can write to the store can write digests, too. Knows no disks.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

_ID: Final = re.compile(r"[0-9a-f]{32}-[0-9a-f]{64}")
_SHA256_CHARACTERS: Final = 64

_KINDS: Final = {kind: kind.__name__.encode() for kind in (bytes, str, int, float, type(None))}

Value = bytes | str | int | float | None


def digest_of(*values: Value) -> bytes:
    """SHA-256 over values, their kinds and lengths: other values, or as many in other places, have another one."""
    hashed = hashlib.sha256()
    for value in values:
        data = value if isinstance(value, bytes) else b"" if value is None else repr(value).encode()
        hashed.update(b"%b %d %b" % (_KINDS[type(value)], len(data), data))
    return hashed.digest()


def new_upload_id(sha256: bytes) -> str:
    """An id that no other upload has, for bytes with this digest."""
    return f"{secrets.token_hex(16)}-{sha256.hex()}"


def is_upload_id(upload: str) -> bool:
    """Whether this can be the id of an upload."""
    return _ID.fullmatch(upload) is not None


def upload_digest(upload: str) -> bytes:
    """The SHA-256 that the bytes of an upload have; `upload` is an id."""
    return bytes.fromhex(upload[-_SHA256_CHARACTERS:])
