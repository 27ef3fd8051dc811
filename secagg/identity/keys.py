"""Identity keys in files: a private key for its owner alone, a public one for whoever makes the roster.

Both are PEM, so that OpenSSL and other implementations read and make them. Must not know rosters.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secagg.crypto.pem import private_pem, public_pem, read_private_pem, read_public_pem
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.files import MAX_KEY_BYTES, create_private, create_public, read_private, read_public


def create_identity(private: Path, public: Path) -> IdentityKey:
    """Draw a fresh Ed25519 key and write it to two new files.

    Args:
        private: gets the private key, PKCS #8 in PEM, mode 0600.
        public: gets the public key, SubjectPublicKeyInfo in PEM.

    Raises:
        ParameterError: one of the files exists or cannot be written; neither is left behind.
    """
    if public.exists():
        raise ParameterError(f"{public} exists already and is not overwritten; give another path")
    key = IdentityKey.generate()
    create_private(private, private_pem(key))
    try:
        create_public(public, public_pem(key.public))
    except ParameterError:
        private.unlink()
        raise
    return key


def load_identity(path: Path) -> IdentityKey:
    """Read a private key.

    Raises:
        ParameterError: no such file, one that others may open, or no Ed25519 private key in PEM.
    """
    content = read_private(path)
    try:
        return read_private_pem(content)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error
    finally:
        content.wipe()


def load_public_key(path: Path) -> bytes:
    """Read a public key; returns its 32 bytes.

    Raises:
        ParameterError: no such file, or no Ed25519 public key in PEM.
    """
    content = read_public(path, MAX_KEY_BYTES)
    try:
        return read_public_pem(content)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error


def fingerprint(public: bytes) -> str:
    """Return the first 16 bytes of SHA-256 of a public key in groups of four digits, for people to read out."""
    digest = hashlib.sha256(public).hexdigest()[:32]
    return "-".join(digest[at : at + 4] for at in range(0, len(digest), 4))
