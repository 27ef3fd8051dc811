"""Takes answers in that come in chunks, with memory for one chunk and a bound on everything.

The header is checked before a byte is stored; an upload that pauses, crawls, grows beyond its header or does not
have its digest is refused and leaves nothing. A client has one place, and none once its answer cannot count. Must
not know who the caller is, nor what the bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from secagg.hosting import HostedSession, Receipt
from secagg.parameters import ClientId
from secagg.protocol.messages import Round
from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal
from secagg.transport.limits import MAX_CHUNK_BYTES, SHA256_BYTES, ServiceLimits
from secagg.transport.refusals import CallRefusedError
from secagg.transport.turns import Turns


class UploadDesk:
    """Takes in so many uploads of a session at once; others wait, and flow control holds their bytes back.

    Args:
        limits: how many, how slow.
        now: seconds that only grow.
    """

    def __init__(self, limits: ServiceLimits, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now = now
        self._turns = Turns(limits.uploads, limits.uploads_of_session)
        self._taking: dict[tuple[str, ClientId], asyncio.Task[Receipt]] = {}

    async def header(self, parts: AsyncIterator[pb.UploadPart]) -> pb.UploadHeader:
        """Read what an upload begins with.

        Raises:
            CallRefusedError: MALFORMED, UPLOAD_STALLED.
        """
        part = await self._next(parts)
        if part is None or part.WhichOneof("part") != "header":
            raise CallRefusedError(Refusal.MALFORMED, "an upload begins with its header; send it first")
        require_digest(part.header)
        return part.header

    async def take(
        self, session: HostedSession, client: ClientId, header: pb.UploadHeader, parts: AsyncIterator[pb.UploadPart]
    ) -> Receipt:
        """Read one upload to its end and hand it to the session. A newer one of the same client ends it.

        Raises:
            CallRefusedError: MALFORMED, UPLOAD_DAMAGED, UPLOAD_STALLED; TRY_AGAIN when a newer one took its place.
            HostError: what the session says.
        """
        foreseen = session.foresee(client, header.sha256)
        if foreseen is not None:
            return foreseen
        key = session.name, client
        taking = asyncio.get_running_loop().create_task(self._take(session, client, header, parts))
        older, self._taking[key] = self._taking.get(key), taking
        if older is not None:
            # Who begins many uploads would otherwise hold the places of all.
            older.cancel()
        try:
            return await taking
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or caller.cancelling():
                raise
            # Not for good: the newer one may be a copy that a network made, and this one the client itself.
            raise CallRefusedError(
                Refusal.TRY_AGAIN, f"a newer upload of client {client} took this one's place; send it again"
            ) from None
        finally:
            if self._taking.get(key) is taking:
                del self._taking[key]

    async def _take(
        self, session: HostedSession, client: ClientId, header: pb.UploadHeader, parts: AsyncIterator[pb.UploadPart]
    ) -> Receipt:
        async with self.turn(session):
            foreseen = session.foresee(client, header.sha256)
            if foreseen is not None:
                return foreseen
            pace = self.least_pace(session.seconds_left, header.total_bytes)
            upload = await session.begin_upload(client, header.total_bytes)
            try:
                begun = self._now()
                while (part := await self._next(parts)) is not None:
                    await upload.write(self._chunk(part))
                    foreseen = session.foresee(client, header.sha256)
                    if foreseen is not None:
                        return foreseen
                    self.check_pace(upload.received, self._now() - begun, pace)
                if upload.received == header.total_bytes and upload.sha256 != header.sha256:
                    raise CallRefusedError(
                        Refusal.UPLOAD_DAMAGED, "the upload's bytes do not have its digest; send them again"
                    )
                return await session.submit_upload(client, upload)
            finally:
                await upload.discard()

    def _chunk(self, part: pb.UploadPart) -> bytes:
        if part.WhichOneof("part") != "chunk" or not 0 < len(part.chunk) <= MAX_CHUNK_BYTES:
            raise CallRefusedError(
                Refusal.MALFORMED, f"behind an upload's header come chunks of 1 .. {MAX_CHUNK_BYTES} bytes"
            )
        chunk: bytes = part.chunk
        return chunk

    def turn(self, session: HostedSession) -> AbstractAsyncContextManager[None]:
        """Wait for a place of a session, and hold it."""
        return self._turns.turn(session.name, shares=lambda: _collects(session))

    def least_pace(self, seconds_left: float | None, total_bytes: int) -> float:
        """Bytes a second below which an upload that begins now would miss its round, or holds a place for too long."""
        least = self._limits.upload_bytes_per_second
        return max(least, total_bytes / seconds_left) if seconds_left else least

    def check_pace(self, received: int, seconds: float, pace: float) -> None:
        """Demand so many bytes a second, once there was time for them.

        Raises:
            CallRefusedError: UPLOAD_STALLED.
        """
        if seconds > self._limits.stall_seconds and received < seconds * pace:
            raise CallRefusedError(
                Refusal.UPLOAD_STALLED,
                f"{received} bytes in {seconds:.0f} s are slower than {pace:.0f} bytes a second; "
                "use a faster connection",
            )

    async def _next(self, parts: AsyncIterator[pb.UploadPart]) -> pb.UploadPart | None:
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                return await anext(parts, None)
        except TimeoutError:
            raise CallRefusedError(
                Refusal.UPLOAD_STALLED, f"nothing came for {self._limits.stall_seconds:g} s; send the upload again"
            ) from None


def require_digest(header: pb.UploadHeader) -> None:
    """Demand a header whose digest can be one.

    Raises:
        CallRefusedError: MALFORMED.
    """
    if len(header.sha256) != SHA256_BYTES:
        raise CallRefusedError(Refusal.MALFORMED, f"an upload's header has a digest of {SHA256_BYTES} bytes")


def _collects(session: HostedSession) -> bool:
    return session.status().state == Round.MASKED_INPUT.value
