"""One masked input on its way from a client to its file, piece by piece. Knows bytes and bounds, not messages."""

from __future__ import annotations

import asyncio

from secagg.hosting.errors import HostUnavailableError, UploadRefusedError
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.parameters import ClientId
from secagg.store.base import Upload


class HostedUpload:
    """Takes in what was announced and not a byte more, with memory for one piece.

    Made by `HostedSession.begin_upload`, ended by `HostedSession.submit_upload` or `discard`.

    Attributes:
        name: of the session.
        client: who sends it.
        total_bytes: how many bytes were announced.
    """

    def __init__(self, tools: Tools, name: str, client: ClientId, total_bytes: int, upload: Upload) -> None:
        self.name = name
        self.client = client
        self.total_bytes = total_bytes
        self._tools = tools
        self._upload: Upload | None = upload
        self._received = 0
        # One call at a time: a newer upload of the client discards this one in the middle of a write.
        self._turn = asyncio.Lock()

    @property
    def received(self) -> int:
        """How many bytes came."""
        return self._received

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the bytes that came; empty after the end of the upload."""
        return b"" if self._upload is None else self._upload.sha256

    async def write(self, chunk: bytes | memoryview) -> None:
        """Append a piece.

        Args:
            chunk: any number of bytes.

        Raises:
            UploadRefusedError: more bytes than were announced.
            HostUnavailableError: the store failed, or the upload was ended (by a newer one of the same client, for
                instance); begin again later.
        """
        async with self._turn:
            upload = self._opened()
            if self._received + len(chunk) > self.total_bytes:
                await self._drop()
                raise UploadRefusedError(
                    f"client {self.client} announced {self.total_bytes} bytes and sends more; announce what is sent"
                )
            try:
                await self._tools.run(upload.write, chunk)
            except STORE_FAILURES as error:
                await self._drop()
                raise self._tools.unavailable(self.name, error) from error
            self._received += len(chunk)
            self._tools.observer.bytes_received(self.name, self.client, len(chunk))

    async def commit(self) -> str:
        """Make the bytes durable; the session does this.

        Raises:
            UploadRefusedError: fewer bytes than were announced.
            HostUnavailableError: the store failed, or the upload was ended; begin again later.
        """
        async with self._turn:
            upload = self._opened()
            if self._received != self.total_bytes:
                await self._drop()
                raise UploadRefusedError(
                    f"client {self.client} announced {self.total_bytes} bytes and sent {self._received}; send it again"
                )
            try:
                number = await self._tools.run(upload.commit)
            except STORE_FAILURES as error:
                await self._drop()
                raise self._tools.unavailable(self.name, error) from error
            self._upload = None
            return number

    async def discard(self) -> None:
        """Forget the bytes; does nothing after the end of the upload. To be called when a stream breaks off."""
        async with self._turn:
            await self._drop()

    def _opened(self) -> Upload:
        if self._upload is None:
            raise HostUnavailableError(f"this upload of client {self.client} has ended; begin another")
        return self._upload

    async def _drop(self) -> None:
        upload, self._upload = self._upload, None
        if upload is None:
            return
        self._tools.space.add(-self.total_bytes)
        try:
            await self._tools.run(upload.discard)
        except STORE_FAILURES as error:
            self._tools.observer.store_failed(self.name, error)
