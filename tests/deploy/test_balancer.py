"""HAProxy with the deployed configuration: TLS goes through to the end, and nothing else does."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests import haproxy
from tests.haproxy import Balancer, balancing
from tests.identity.authority import CertificateAuthority
from tests.ports import free_port

_LIMIT: Final = 60.0
pytestmark = pytest.mark.skipif(haproxy.missing() != "", reason=haproxy.missing())


@contextmanager
def tls_server(authority: CertificateAuthority, directory: Path, port: int) -> Iterator[None]:
    """Says whose certificate a client has shown, once for each connection."""
    certificate, key = authority.server()
    (directory / "server.pem").write_bytes(certificate + key)
    (directory / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(plain,), daemon=True).start()

    def answer(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as encrypted:
                shown = encrypted.getpeercert()
                encrypted.sendall(b"known" if shown else b"unknown")
                encrypted.recv(1)
        except OSError:
            plain.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.close()


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[tuple[Balancer, ssl.SSLContext]]:
    """Two servers, of which one is not there, and what a client believes."""
    authority, ports = CertificateAuthority(), [free_port(), free_port()]
    with tls_server(authority, tmp_path, ports[0]), balancing(tmp_path, ports) as found:
        (tmp_path / "client.pem").write_bytes(b"".join(authority.client()))
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.set_alpn_protocols(["h2"])
        yield found, context


def said(balancer: Balancer, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", balancer.port), timeout=_LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        return encrypted.recv(100)


def test_tls_ends_at_the_server_with_the_clients_certificate(
    balancer: tuple[Balancer, ssl.SSLContext], tmp_path: Path
) -> None:
    found, context = balancer
    # Whichever it is sent to: a server that is not there costs a client nothing.
    assert {said(found, context) for _ in range(4)} == {b"unknown"}
    context.load_cert_chain(tmp_path / "client.pem")
    assert {said(found, context) for _ in range(4)} == {b"known"}


def test_who_does_not_begin_with_tls_is_sent_away(balancer: tuple[Balancer, ssl.SSLContext]) -> None:
    found, _ = balancer
    with socket.create_connection(("127.0.0.1", found.port), timeout=_LIMIT) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert gone(plain)


def test_one_address_has_so_many_connections(balancer: tuple[Balancer, ssl.SSLContext]) -> None:
    found, context = balancer
    kept = [socket.create_connection(("127.0.0.1", found.port), timeout=_LIMIT) for _ in range(200)]
    try:
        with socket.create_connection(("127.0.0.1", found.port), timeout=_LIMIT) as one_more:
            assert gone(one_more)
        kept.pop().close()
        assert once_there_is_room(found, context) == b"unknown"
    finally:
        for each in kept:
            each.close()


def once_there_is_room(balancer: Balancer, context: ssl.SSLContext) -> bytes:
    """HAProxy hears of a closed connection a moment later."""
    end = time.monotonic() + _LIMIT
    while True:
        try:
            return said(balancer, context)
        except ConnectionResetError:
            assert time.monotonic() < end, "the room of a connection that ended is not given to another"


def gone(plain: socket.socket) -> bool:
    """Whether the other side has ended the connection."""
    try:
        return plain.recv(1) == b""
    except ConnectionResetError:
        return True
