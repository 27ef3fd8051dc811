"""Takes answers in that come in parts, each from where the last one ended, so that one that was cut off is resumed.

What a client has sent so far is kept for a while, in one place for each client of a session, and is nobody's answer
until it is whole and has its digest. Bounds are those of other uploads. Must not know who the caller is, what the bytes
mean, nor what carries them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from secagg.hosting import HostedSession, Receipt
from secagg.hosting.upload import HostedUpload
from secagg.parameters import ClientId
from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal
from secagg.transport.limits import CHUNK_BYTES, ServiceLimits
from secagg.transport.refusals import CallRefusedError
from secagg.transport.uploads import UploadDesk, require_digest

_T = TypeVar("_T")
_Key = tuple[str, ClientId]
_SEND_AGAIN: Final = "ask how far it is, and send the rest"


@dataclass(slots=True)
class _Kept:
    """An upload between its parts.

    Attributes:
        header: as it was announced last.
        upload: the bytes that came; None until a part has its turn, since each is a file that is open.
        turn: held by the part that is taken in.
        until: ends that part.
        timer: forgets the upload.
    """

    header: pb.UploadHeader
    upload: HostedUpload | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    until: asyncio.Timeout | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def received(self) -> int:
        """How many bytes came."""
        return 0 if self.upload is None else self.upload.received

    @property
    def ended(self) -> bool:
        """Whether the host has let go of it, for a newer one of another transport for instance."""
        return self.upload is not None and not self.upload.sha256


class PartDesk:
    """Keeps what came of uploads: as many that pause as may be taken in at once, and of more forgets the oldest.

    Args:
        desk: whose places parts take.
        limits: how slow, and for how long.
        now: seconds that only grow.
    """

    def __init__(self, desk: UploadDesk, limits: ServiceLimits, now: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._limits = limits
        self._now = now
        self._kept: dict[_Key, _Kept] = {}
        self._paused: dict[_Key, _Kept] = {}
        self._forgetting: set[asyncio.Task[None]] = set()

    async def begin(self, session: HostedSession, client: ClientId, header: pb.UploadHeader) -> Receipt | int:
        """Announce an upload, or ask how far it is: the same header goes on with what came, another one begins anew.

        A part that is taken in ends.

        Returns:
            How many bytes came, or the receipt where none is wanted.

        Raises:
            CallRefusedError: MALFORMED; UPLOAD_REFUSED, longer than the session's messages.
            HostError: what the session says.
        """
        require_digest(header)
        if header.total_bytes > session.message_limit:
            raise CallRefusedError(
                Refusal.UPLOAD_REFUSED,
                f"an upload of {header.total_bytes} bytes is above the session's {session.message_limit}; send less",
            )
        key = session.name, client
        kept = self._kept.get(key)
        foreseen = session.foresee(client, header.sha256)
        if foreseen is not None:
            await self._forget(key, kept)
            return foreseen
        if kept is not None:
            if kept.until is not None:
                kept.until.reschedule(asyncio.get_running_loop().time())
            async with kept.turn:
                same = (kept.header.total_bytes, kept.header.sha256) == (header.total_bytes, header.sha256)
                if same and not kept.ended and self._kept.get(key) is kept:
                    kept.header = header
                    self._wait_for_more(key, kept)
                    return kept.received
            await self._forget(key, kept)
        older, self._kept[key] = self._kept.get(key), _Kept(header)
        self._wait_for_more(key, self._kept[key])
        await self._forget(key, older)
        return 0

    async def take(
        self, session: HostedSession, client: ClientId, offset: int, pieces: AsyncIterator[bytes]
    ) -> tuple[pb.UploadHeader, Receipt | int]:
        """Take a part in.

        Args:
            session, client: whose.
            offset: how many bytes came before it; of a part that begins elsewhere nothing is read.
            pieces: its bytes; they may end before the part does.

        Returns:
            What was announced, and how many bytes came, or the receipt when all have.

        Raises:
            CallRefusedError: TRY_AGAIN where nothing is announced here, or it is announced again; UPLOAD_STALLED,
                UPLOAD_DAMAGED.
            HostError: what the session says.
        """
        key = session.name, client
        kept = self._kept.get(key)
        if kept is None:
            raise CallRefusedError(Refusal.TRY_AGAIN, f"no upload of client {client} is announced here; {_SEND_AGAIN}")
        async with kept.turn:
            if self._kept.get(key) is not kept:
                raise CallRefusedError(Refusal.TRY_AGAIN, f"this upload of client {client} has ended; {_SEND_AGAIN}")
            if kept.timer is not None:
                kept.timer.cancel()
            self._paused.pop(key, None)
            try:
                async with asyncio.timeout(None) as kept.until:
                    found = await self._take(session, client, kept, offset, pieces)
            except TimeoutError:
                raise CallRefusedError(
                    Refusal.TRY_AGAIN, f"client {client} announced its upload again; {_SEND_AGAIN}"
                ) from None
            finally:
                kept.until = None
                self._wait_for_more(key, kept)
            if isinstance(found, int) and found < kept.header.total_bytes:
                return kept.header, found
            try:
                return kept.header, found if isinstance(found, Receipt) else await self._end(session, client, kept)
            finally:
                await self._forget(key, kept)

    async def close(self) -> None:
        """Forget all that came."""
        for key, kept in tuple(self._kept.items()):
            await self._forget(key, kept)
        if self._forgetting:
            await asyncio.wait(set(self._forgetting))

    async def _take(
        self, session: HostedSession, client: ClientId, kept: _Kept, offset: int, pieces: AsyncIterator[bytes]
    ) -> Receipt | int:
        header = kept.header
        foreseen = session.foresee(client, header.sha256)
        whole = kept.upload is not None and kept.received == header.total_bytes
        if foreseen is not None or offset != kept.received or whole:
            return kept.received if foreseen is None else foreseen
        async with self._desk.turn(session):
            foreseen = session.foresee(client, header.sha256)
            if foreseen is not None:
                return foreseen
            if kept.upload is None:
                kept.upload = await session.begin_upload(client, header.total_bytes)
            upload = kept.upload
            pace = self._desk.least_pace(session.seconds_left, header.total_bytes - offset)
            begun, came = self._now(), 0
            # Pieces are small, and each write is a call of another thread.
            gathered: list[bytes] = []
            size = 0
            try:
                while (piece := await self._next(pieces)) is not None:
                    gathered.append(piece)
                    size += len(piece)
                    came += len(piece)
                    if size >= CHUNK_BYTES:
                        chunk, gathered, size = b"".join(gathered), [], 0
                        await _whole(upload.write(chunk))
                        foreseen = session.foresee(client, header.sha256)
                        if foreseen is not None:
                            return foreseen
                    self._desk.check_pace(came, self._now() - begun, pace)
            finally:
                # What came counts, however the part ended.
                if gathered:
                    await _whole(upload.write(b"".join(gathered)))
        return upload.received

    async def _end(self, session: HostedSession, client: ClientId, kept: _Kept) -> Receipt:
        if kept.upload is None or kept.upload.sha256 != kept.header.sha256:
            raise CallRefusedError(
                Refusal.UPLOAD_DAMAGED, "the upload's bytes do not have its digest; send them again, all of them"
            )
        return await session.submit_upload(client, kept.upload)

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                return await anext(pieces, None)
        except TimeoutError:
            raise CallRefusedError(
                Refusal.UPLOAD_STALLED, f"nothing came for {self._limits.stall_seconds:g} s; {_SEND_AGAIN}"
            ) from None

    def _wait_for_more(self, key: _Key, kept: _Kept) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
        if self._kept.get(key) is not kept:
            return
        kept.timer = asyncio.get_running_loop().call_later(self._limits.resume_seconds, self._expire, key, kept)
        if kept.upload is not None:
            self._paused.pop(key, None)
            self._paused[key] = kept
            if len(self._paused) > self._limits.uploads:
                oldest = next(iter(self._paused))
                self._expire(oldest, self._paused.pop(oldest))

    def _expire(self, key: _Key, kept: _Kept) -> None:
        task = asyncio.get_running_loop().create_task(self._forget(key, kept))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def _forget(self, key: _Key, kept: _Kept | None) -> None:
        if kept is None:
            return
        if self._kept.get(key) is kept:
            del self._kept[key]
        if self._paused.get(key) is kept:
            del self._paused[key]
        if kept.timer is not None:
            kept.timer.cancel()
        if kept.upload is not None:
            await kept.upload.discard()


async def _whole(writing: Awaitable[None]) -> None:
    """Wait until bytes are written, also when the caller is to end: half a piece would be nobody's."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
