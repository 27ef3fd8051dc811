"""How a token travels with a call, whatever carries it. Must not know what tokens say."""

from __future__ import annotations

from typing import Final

AUTHORIZATION: Final = "authorization"
BEARER: Final = "Bearer "


def token_of(value: object) -> bytes:
    """Return the token in what stands under AUTHORIZATION; nothing when there is none."""
    if not isinstance(value, str) or not value.startswith(BEARER):
        return b""
    try:
        return bytes.fromhex(value.removeprefix(BEARER))
    except ValueError:
        return b""
