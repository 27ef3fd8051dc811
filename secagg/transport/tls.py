"""Who may listen to a connection: TLS, mutual TLS when asked for, plaintext on loopback when allowed.

PEM bytes and addresses. Must not know sessions, logins or calls, nor what makes connections of them.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from secagg.crypto.certificates import expiry_of
from secagg.errors import ParameterError
from secagg.identity.files import read_public

CERTIFICATE: Final = b"CERTIFICATE"
PRIVATE_KEY: Final = b"PRIVATE KEY"
_MAX_PEM_BYTES: Final = 1 << 20
_LAST_PORT: Final = (1 << 16) - 1
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
ADDRESSES: Final = f"host:port or [IPv6 address]:port, the port from 0 to {_LAST_PORT}"
"""Which addresses there are, in words."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server shows its clients, and what it asks of them.

    Attributes:
        certificate_chain: the server's certificate and intermediates, PEM.
        private_key: its key, PEM, not encrypted.
        client_authority: certificates of the authority that signs client certificates, PEM; with it, a client without
            such a certificate is refused (mutual TLS). The login by identity key stays as it is.

    Raises:
        ParameterError: a field that is no PEM text of its kind.
    """

    certificate_chain: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    client_authority: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_pem("certificate_chain", self.certificate_chain, CERTIFICATE)
        _check_pem("private_key", self.private_key, PRIVATE_KEY)
        if self.client_authority is not None:
            _check_pem("client_authority", self.client_authority, CERTIFICATE)

    @classmethod
    def from_files(cls, certificate_chain: Path, private_key: Path, client_authority: Path | None = None) -> ServerTls:
        """Read the PEM files.

        Raises:
            ParameterError: one cannot be read or is of another kind, or the key is another certificate's.
        """
        authority = None if client_authority is None else pem_file(client_authority, CERTIFICATE)
        made = cls(pem_file(certificate_chain, CERTIFICATE), pem_file(private_key, PRIVATE_KEY), authority)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_chain, private_key, lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise ParameterError(
                f"{private_key} is not the key of {certificate_chain}, or one of them cannot be used ({error}); give a "
                "certificate and its own key, not encrypted"
            ) from None
        return made

    @property
    def expires(self) -> datetime:
        """When the server's certificate ends, UTC; raises ParameterError for one that cannot be read."""
        return expiry_of(self.certificate_chain)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What a client believes about servers, and what it shows them.

    Attributes:
        authority: certificates of the authority that signs server certificates, PEM; None takes gRPC's own list, or the
            system's over HTTP.
        certificate_chain: this client's certificate and intermediates, PEM, for mutual TLS; None shows none.
        private_key: its key, PEM, not encrypted; goes with `certificate_chain`.
        server_name: the name that the server's certificate must carry and that is signed in the login; None takes the
            host of the address.

    Raises:
        ParameterError: a field that is no PEM text of its kind, or half of a certificate and key.
    """

    authority: bytes | None = field(default=None, repr=False)
    certificate_chain: bytes | None = field(default=None, repr=False)
    private_key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        if self.authority is not None:
            _check_pem("authority", self.authority, CERTIFICATE)
        if (self.certificate_chain is None) != (self.private_key is None):
            raise ParameterError("certificate_chain and private_key belong together; give both or neither")
        if self.certificate_chain is not None and self.private_key is not None:
            _check_pem("certificate_chain", self.certificate_chain, CERTIFICATE)
            _check_pem("private_key", self.private_key, PRIVATE_KEY)

    @classmethod
    def from_files(
        cls,
        authority: Path | None = None,
        certificate_chain: Path | None = None,
        private_key: Path | None = None,
        server_name: str | None = None,
    ) -> ClientTls:
        """Read the PEM files that are given.

        Raises:
            ParameterError: a file that is not there, or of another kind.
        """
        wanted = ((authority, CERTIFICATE), (certificate_chain, CERTIFICATE), (private_key, PRIVATE_KEY))
        trusted, chain, key = (None if path is None else pem_file(path, kind) for path, kind in wanted)
        return cls(trusted, chain, key, server_name)


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[IPv6]:port`.

    Raises:
        ParameterError: another form.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    fits = colon and host and port.isascii() and port.isdigit() and int(port) <= _LAST_PORT
    if not fits or "/" in host or (":" in host) != bracketed:
        raise ParameterError(f"{address!r} is no address; give {ADDRESSES}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether a host can be nothing but this machine: `localhost`, 127.0.0.0/8 or ::1."""
    return host == "localhost" or (is_literal(host) and ipaddress.ip_address(host).is_loopback)


def is_literal(host: str) -> bool:
    """Whether a host is an IP address, and no name, which may have several."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_origin(origin: str) -> str:
    """Return an origin as browsers write it.

    Raises:
        ParameterError: another text, "*" for instance.
    """
    try:
        parts = urlsplit(origin)
        whole = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    # What browsers would never send: a page of such an origin would wait for a permission that it does not get.
    written = whole and _ORIGIN.fullmatch(origin) is not None and parts.port != _DEFAULT_PORTS[parts.scheme]
    if not written or origin != f"{parts.scheme}://{parts.netloc}":
        raise ParameterError(
            f"{origin!r} is no origin as browsers write it; give scheme and host, such as https://app.example.org, "
            "in lower case and ASCII, and a port where it is not the usual one"
        )
    return origin


def check_security(address: str, tls: ServerTls | ClientTls | None, insecure: bool) -> bool:
    """Decide on TLS; returns whether the connection is encrypted.

    Raises:
        ParameterError: neither or both were asked for, or plaintext beyond loopback.
    """
    host, _ = split_address(address)
    if not insecure:
        if tls is None:
            raise ParameterError(f"{address} has no TLS; give tls=, or insecure=True on a loopback address")
        return True
    if tls is not None:
        raise ParameterError("tls= and insecure=True exclude each other; leave one out")
    if not is_loopback(host):
        raise ParameterError(
            f"{address} is not a loopback address, and without TLS everybody on the way reads and changes messages; "
            "give tls= instead of insecure=True"
        )
    return False


def pem_file(path: Path, kind: bytes) -> bytes:
    """Read a PEM file with a block of this kind.

    Raises:
        ParameterError: it cannot be read, or has no such block; names the file.
    """
    content = read_public(path, _MAX_PEM_BYTES)
    if not _is_pem(content, kind):
        raise ParameterError(f"{path} holds no {kind.decode()} block in PEM; give a file of TLS, which has one")
    return content


def _is_pem(text: object, kind: bytes) -> bool:
    return isinstance(text, bytes) and b"-----BEGIN " in text and kind + b"-----" in text


def _check_pem(name: str, text: bytes, kind: bytes) -> None:
    if not _is_pem(text, kind):
        raise ParameterError(f"{name} holds no {kind.decode()} block in PEM; give the content of a .pem file")
