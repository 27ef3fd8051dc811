"""HAProxy with the deployed configuration: TLS goes through to the end, and nothing else does."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@dataclass
class Health:
    """What a replica says when it is asked at /ready, and at which port."""

    port: int
    status: int = 200


@pytest.fixture
def health() -> Iterator[Health]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Health(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@pytest.fixture
def balancer(tmp_path: Path, health: Health) -> Iterator[tuple[Balancer, ssl.SSLContext]]:
    """Two servers, of which one is not there, and what a client believes."""
    authority, port = CertificateAuthority(), free_port()
    servers = [(port, health.port), (free_port(), free_port())]
    with tls_server(authority, tmp_path, port), balancing(tmp_path, servers) as found:
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
        assert turned_away(found)
        kept.pop().close()
        assert once_there_is_room(found, context) == b"unknown"
    finally:
        for each in kept:
            each.close()


def test_a_server_that_is_not_ready_gets_nobody(balancer: tuple[Balancer, ssl.SSLContext], health: Health) -> None:
    found, context = balancer
    until(lambda: found.up() == ["replica-1"])
    health.status = 503
    until(lambda: found.up() == [])
    with pytest.raises(OSError, match=r"reset|EOF"):
        said(found, context)
    health.status = 200
    until(lambda: found.up() == ["replica-1"])
    assert said(found, context) == b"unknown"


def until(condition: Callable[[], bool]) -> None:
    """Wait for what HAProxy finds out in its own time."""
    end = time.monotonic() + _LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def once_there_is_room(balancer: Balancer, context: ssl.SSLContext) -> bytes:
    """HAProxy hears of a closed connection a moment later."""
    end = time.monotonic() + _LIMIT
    while True:
        try:
            return said(balancer, context)
        except ConnectionResetError:
            assert time.monotonic() < end, "the room of a connection that ended is not given to another"


def turned_away(balancer: Balancer) -> bool:
    """Whether there is no room for one more connection, which its opener may hear before it is open."""
    try:
        with socket.create_connection(("127.0.0.1", balancer.port), timeout=_LIMIT) as one_more:
            return gone(one_more)
    except ConnectionResetError:
        return True


def gone(plain: socket.socket) -> bool:
    """Whether the other side has ended the connection."""
    try:
        return plain.recv(1) == b""
    except ConnectionResetError:
        return True
