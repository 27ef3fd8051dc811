"""TLS as Python's own module takes it. Must not know sessions, logins or calls."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from secagg.errors import ParameterError
from secagg.transport.tls import ClientTls, ServerTls


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return what a server shows and asks for.

    Raises:
        ParameterError: a certificate that is none, or another one's key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show(context, tls.certificate_chain, tls.private_key)
    if tls.client_authority is not None:
        context.load_verify_locations(cadata=tls.client_authority.decode("ascii"))
        context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return what a client believes and shows; the system's list of authorities unless it has one of its own.

    Raises:
        ParameterError: a certificate that is none, or another one's key.
    """
    authority = None if tls.authority is None else tls.authority.decode("ascii")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=authority)
    if tls.certificate_chain is not None and tls.private_key is not None:
        _show(context, tls.certificate_chain, tls.private_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _show(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """OpenSSL reads files only: these are for this user, and gone at once."""
    with TemporaryDirectory(prefix="secagg-") as directory:
        path = Path(directory) / "shown.pem"
        path.touch(0o600)
        path.write_bytes(key.rstrip() + b"\n" + chain)
        try:
            context.load_cert_chain(path, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise ParameterError(
                f"certificate and key cannot be used ({error}); give a certificate and its own key, not encrypted"
            ) from None
