"""Connections to a server of HTTP on which a test writes what it likes, and what it writes there."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from secagg.transport.grpc import ServiceLimits
from secagg.transport.http.contexts import client_context
from tests.transport.grpc.network import client_tls
from tests.transport.grpc.test_answers import metadata_of
from tests.transport.http.web import PROTOBUF, Web

TYPE: Final = {"content-type": PROTOBUF}
HASTY: Final = ServiceLimits(stall_seconds=1.0)


async def token(web: Web, client: int = 1) -> dict[str, str]:
    """The headers of a client that has logged in."""
    async with web.connection(client) as connection:
        return dict(await metadata_of(connection))


class Line:
    """A connection on which a test writes what it likes; a handshake that takes the server too long is begun anew."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def __aenter__(self) -> Line:
        context: ssl.SSLContext = client_context(client_tls())
        while True:
            try:
                self.reader, self.writer = await asyncio.open_connection("localhost", self._web.web_port, ssl=context)
            except OSError:
                continue
            return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self) -> bytes:
        """All that comes until the other side hangs up."""
        heard = b""
        try:
            while data := await self.reader.read(1 << 16):
                heard += data
        except ConnectionError:
            pass
        return heard


def head(name: str, *headers: str) -> bytes:
    lines = (f"POST /secagg/v1/{name} HTTP/1.1", "host: localhost", f"content-type: {PROTOBUF}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
