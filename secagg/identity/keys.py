"""Identity keys in files: a private key for its owner alone, a public one for whoever makes the roster.

Both are PEM, so that OpenSSL and other implementations read and make them. Must not know rosters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from secagg.crypto.pem import private_pem, public_pem, read_private_pem, read_public_pem
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.files import MAX_KEY_BYTES, create_private, create_public, read_private, read_public

_PRIVATE: Final = b"PRIVATE KEY-----"
_PUBLIC: Final = b"BEGIN PUBLIC KEY-----"


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
        create_public_key(public, key.public)
    except ParameterError:
        private.unlink()
        raise
    return key


def create_public_key(path: Path, public: bytes) -> None:
    """Write somebody's public key of 32 bytes to a new file, in PEM.

    Args:
        path: of a file that does not exist.
        public: 32-byte Ed25519 key.

    Raises:
        ParameterError: the file exists or cannot be written.
    """
    create_public(path, public_pem(public))


def load_identity(path: Path) -> IdentityKey:
    """Read a private key.

    Args:
        path: of a file in PEM.

    Raises:
        ParameterError: no such file, one that others may open, or no Ed25519 private key in PEM.
    """
    try:
        content = read_private(path)
    except ParameterError:
        # Public keys may be read by everybody: the mode is not what is wrong with one.
        if _has(path, _PUBLIC):
            raise ParameterError(f"{path} holds a public key; give the file of the private one") from None
        raise
    try:
        return read_private_pem(content)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error
    finally:
        content.wipe()


def names_private_key(path: Path) -> bool:
    """Whether a file says that it holds a private key, whatever else is wrong with it.

    Args:
        path: of any file.

    Raises:
        ParameterError: it cannot be read.
    """
    return _has(path, _PRIVATE)


def load_public_key(path: Path) -> bytes:
    """Read a public key; returns its 32 bytes.

    Args:
        path: of a file in PEM.

    Raises:
        ParameterError: no such file, or no Ed25519 public key in PEM.
    """
    content = read_public(path, MAX_KEY_BYTES)
    try:
        return read_public_pem(content)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error


def _has(path: Path, mark: bytes) -> bool:
    content = SecretBytes(read_public(path, MAX_KEY_BYTES))
    try:
        return mark in bytes(content.expose())
    finally:
        content.wipe()
