"""A wire between a store and its PostgreSQL that is cut in the middle of a commit."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from threading import Thread


class Cut(Enum):
    """What is lost of the next commit."""

    COMMIT = "the commit does not arrive"
    ANSWER = "the commit is made, and its answer does not arrive"
    SILENCE = "the commit does not arrive, and the server does not hear that its client is gone"


class Wire:
    """Passes on what a client and a server say to each other.

    Attributes:
        port: of 127.0.0.1, for clients.
        cut: where to cut next, once.
    """

    def __init__(self, server: int) -> None:
        self.cut: Cut | None = None
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        for each in self._open:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            self._open += [client, server]
            lost: list[Cut] = []
            Thread(target=self._ask, args=(client, server, lost), daemon=True).start()
            Thread(target=self._answer, args=(client, server, lost), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, lost: list[Cut]) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.cut is not None and data.endswith(b"COMMIT\x00"):
                    lost.append(self.cut)
                    self.cut = None
                    if lost[0] is not Cut.ANSWER:
                        break
                server.sendall(data)
        if Cut.ANSWER not in lost:
            _end(client)
        if not lost:
            _end(server)
        if Cut.COMMIT in lost:
            _end(server)

    def _answer(self, client: socket.socket, server: socket.socket, lost: list[Cut]) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if Cut.ANSWER in lost:
                    break
                client.sendall(data)
        _end(client)
        _end(server)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextmanager
def wire_to(server: int) -> Iterator[Wire]:
    """A wire for a while."""
    wire = Wire(server)
    try:
        yield wire
    finally:
        wire.close()
