"""Ed25519 keys as PEM text, as other tools read and write it: PKCS #8 and SubjectPublicKeyInfo (Specification §3.5).

The private form is not encrypted: what protects it are the permissions of its file. This module must not know
files, nor what a key is used for.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError


def private_pem(key: IdentityKey) -> SecretBytes:
    """Return a private key as unencrypted PKCS #8 in PEM."""
    loaded = Ed25519PrivateKey.from_private_bytes(bytes(key.seed.expose()))
    return SecretBytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def read_private_pem(text: SecretBytes) -> IdentityKey:
    """Read what :func:`private_pem` or `openssl genpkey -algorithm ed25519` wrote.

    Raises:
        ParameterError: no PEM, an encrypted key, a public key, or a key of another algorithm.
    """
    if b"BEGIN PUBLIC KEY" in bytes(text.expose()):
        raise ParameterError("this is a public key where a private key belongs; give the file of the private one")
    try:
        key = load_pem_private_key(bytes(text.expose()), password=None)
    except TypeError:
        raise ParameterError(
            "the private key is encrypted; store it without a password, readable by you only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ParameterError("this is no private key in PEM; make one with `secagg keygen`") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ParameterError("the private key is not an Ed25519 key; make one with `secagg keygen`")
    return IdentityKey(SecretBytes(key.private_bytes_raw()))


def public_pem(public: bytes) -> bytes:
    """Return a 32-byte public key as SubjectPublicKeyInfo in PEM; raises ParameterError for another length."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
    except ValueError:
        raise ParameterError(f"an Ed25519 public key has 32 bytes, not {len(public)}") from None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public_pem(text: bytes) -> bytes:
    """Read a public key in PEM and return its 32 bytes.

    Raises:
        ParameterError: no public key in PEM, or one of another algorithm; a private key is named as such.
    """
    if b"PRIVATE KEY" in text:
        raise ParameterError("this is a private key where a public key belongs; give the .pub file")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise ParameterError("this is no public key in PEM; give the .pub file that `secagg keygen` wrote") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ParameterError("the public key is not an Ed25519 key; give the .pub file that `secagg keygen` wrote")
    return key.public_bytes_raw()
