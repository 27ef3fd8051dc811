"""Files of a TLS certificate for a trial on this machine. Must not know who serves with them."""

from __future__ import annotations

from pathlib import Path

from secagg.crypto.loopback import loopback_certificate
from secagg.crypto.secret import SecretBytes
from secagg.identity.files import create_private, create_public


def create_loopback_certificate(certificate: Path, key: Path) -> None:
    """Make a self-signed certificate for localhost and 127.0.0.1, good for a day, and write it to two new files.

    Args:
        certificate: gets the certificate, PEM; a client that is given it believes this server and no other.
        key: gets its private key, PEM, mode 0600.

    Raises:
        ParameterError: one of the files exists or cannot be written.
    """
    chain, private = loopback_certificate()
    create_private(key, SecretBytes(private))
    create_public(certificate, chain)
