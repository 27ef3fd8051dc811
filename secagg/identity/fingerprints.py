"""Public keys as people compare them: one form, wherever a key is shown."""

from __future__ import annotations

import hashlib


def fingerprint(public: bytes) -> str:
    """Return the first 16 bytes of SHA-256 of a public key in groups of four digits, for people to read out.

    Args:
        public: 32 bytes.
    """
    digest = hashlib.sha256(public).hexdigest()[:32]
    return "-".join(digest[at : at + 4] for at in range(0, len(digest), 4))
