"""`/ready` and `/live` over HTTP, for balancers that do not speak gRPC: a status code and a word.

Answered by a few threads, each with a limit of time, and nobody else is taken in meanwhile: who floods the port takes
neither files nor memory of the service. Must not know what a host is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import BoundedSemaphore, Thread, Timer
from typing import Any, Final

from secagg.errors import ParameterError

_THREADS: Final = 4
_PATIENCE_SECONDS: Final = 2.0


@contextmanager
def pages_endpoint(pages: Mapping[str, Callable[[], bool]], host: str, port: int) -> Iterator[int]:
    """Serve pages while the block runs; gives the port, which is a free one for port 0.

    Args:
        pages: path to what says whether it is well: status 200, or 503. Called in other threads.
        host, port: where to listen.

    Raises:
        ParameterError: the address cannot be listened on.
    """
    try:
        server = _Pages(pages, host, port)
    except OSError as error:
        raise ParameterError(f"cannot serve pages on {host}:{port}: {error.strerror}; give a free address") from error
    thread = Thread(target=server.serve_forever, args=(0.1,), name="secagg pages", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.threads.shutdown()


class _Pages(TCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, pages: Mapping[str, Callable[[], bool]], host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="secagg-page")
        self._free = BoundedSemaphore(_THREADS)
        super().__init__((host, port), _Page)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        self.threads.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        # Not a timeout of the socket, which begins anew with every byte.
        patience = Timer(_PATIENCE_SECONDS, _hang_up, (request,))
        patience.start()
        try:
            with suppress(OSError):  # who went away, or said nothing
                self.finish_request(request, client_address)
        finally:
            patience.cancel()
            self.shutdown_request(request)
            self._free.release()


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Page(BaseHTTPRequestHandler):
    server_version = "secagg"
    sys_version = ""
    server: _Pages

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        if page is None:
            self._say(HTTPStatus.NOT_FOUND)
        else:
            self._say(HTTPStatus.OK if page() else HTTPStatus.SERVICE_UNAVAILABLE)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _say(self, status: HTTPStatus) -> None:
        text = f"{status.phrase.lower()}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
        """Say nothing: whoever asks is no event."""
