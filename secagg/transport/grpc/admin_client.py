"""What an operator asks a server: which sessions there are, how far they are, and their sums."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from secagg.crypto.signing import IdentityKey
from secagg.errors import AbortReason, ParameterError
from secagg.hosting import SessionStatus
from secagg.store.durable import sync_directory
from secagg.transport.grpc import service_pb2 as pb
from secagg.transport.grpc.connection import CALL_SECONDS, Connection, Endpoint, Metadata
from secagg.transport.grpc.errors import ServiceError
from secagg.transport.grpc.gatekeeper import OperatorCaller
from secagg.transport.grpc.progress import ParticipationObserver
from secagg.transport.grpc.retries import RetryPolicy
from secagg.transport.grpc.status import drop_reason_of
from secagg.transport.grpc.tls import ClientTls

_RESULT_SECONDS: Final = 24 * 3600.0


class AdminClient:
    """An operator's connection; `async with` opens and closes it. Calls are repeated while the server is away.

    Args:
        server: `host:port`.
        identity: the operator's key, which the server's configuration lists.
        tls: what to believe and to show; the default trusts gRPC's list of authorities.
        insecure: no TLS; on loopback addresses only.
        retry: how long and how often to try again.
        observer: told about logins and repeats.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.

    Every method raises ServiceError when the server refuses, and UnreachableError when it cannot be reached.
    """

    def __init__(
        self,
        server: str,
        *,
        identity: IdentityKey,
        tls: ClientTls | None = None,
        insecure: bool = False,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        observer: ParticipationObserver | None = None,
    ) -> None:
        self._connection = Connection(
            Endpoint(server, tls, insecure),
            OperatorCaller(identity.public),
            identity,
            retry,
            observer or ParticipationObserver(),
        )

    async def __aenter__(self) -> AdminClient:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, traceback)

    async def sessions(self) -> tuple[str, ...]:
        """The names of all sessions that the server knows."""

        async def attempt(metadata: Metadata) -> pb.ListSessionsReply:
            reply: pb.ListSessionsReply = await self._connection.administration.ListSessions(
                pb.ListSessionsRequest(), metadata=metadata, timeout=CALL_SECONDS
            )
            return reply

        return tuple((await self._connection.call("ListSessions", attempt)).sessions)

    async def status(self, session: str) -> SessionStatus:
        """How far a session is. Reasons that this release does not know are left out."""

        async def attempt(metadata: Metadata) -> pb.GetStatusReply:
            reply: pb.GetStatusReply = await self._connection.administration.GetStatus(
                pb.GetStatusRequest(session=session), metadata=metadata, timeout=CALL_SECONDS
            )
            return reply

        return _status(await self._connection.call("GetStatus", attempt))

    async def result(self, session: str) -> bytes:
        """The sum of a completed session: the bytes of an .npz file (`secagg.hosting.read_result` reads them)."""

        async def attempt(metadata: Metadata) -> bytes:
            parts: list[bytes] = []

            async def keep(chunk: bytes) -> None:
                parts.append(chunk)

            await self._stream(session, metadata, keep)
            return b"".join(parts)

        return await self._connection.call("GetResult", attempt)

    async def save_result(self, session: str, path: Path) -> None:
        """Write the sum of a completed session to an .npz file, with memory for one chunk.

        The file is complete and durable when this returns, and not there before: `acknowledge` may follow.

        Raises:
            ParameterError: the file cannot be written.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")

        async def attempt(metadata: Metadata) -> None:
            with partial.open("wb") as file:

                async def keep(chunk: bytes) -> None:
                    await asyncio.to_thread(file.write, chunk)

                await self._stream(session, metadata, keep)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())

        try:
            await self._connection.call("GetResult", attempt)
            partial.replace(path)
            sync_directory(path.parent)
        except OSError as error:
            raise ParameterError(f"{path} cannot be written: {error.strerror}; give another path") from error
        finally:
            partial.unlink(missing_ok=True)

    async def acknowledge(self, session: str) -> None:
        """Say that the result is safe: the server lets go of it. Saying it again changes nothing."""

        async def attempt(metadata: Metadata) -> None:
            await self._connection.administration.AcknowledgeResult(
                pb.AcknowledgeResultRequest(session=session), metadata=metadata, timeout=CALL_SECONDS
            )

        await self._connection.call("AcknowledgeResult", attempt)

    async def _stream(self, session: str, metadata: Metadata, keep: Callable[[bytes], Awaitable[None]]) -> None:
        digest, total = hashlib.sha256(), 0
        stream = self._connection.administration.GetResult(
            pb.GetResultRequest(session=session), metadata=metadata, timeout=_RESULT_SECONDS
        )
        async for part in stream:
            if part.WhichOneof("part") == "end":
                if part.end.total_bytes != total or part.end.sha256 != digest.digest():
                    break
                return
            digest.update(part.chunk)
            total += len(part.chunk)
            await keep(part.chunk)
        raise ServiceError(f"the result of session {session!r} arrived damaged; fetch it again")


def _status(reply: pb.GetStatusReply) -> SessionStatus:
    counts = {drop_reason_of(count.reason_id): count.clients for count in reply.dropped}
    return SessionStatus(
        name=reply.session,
        state=reply.state,
        clients=reply.clients,
        expected=reply.expected,
        answered=reply.answered,
        pending=reply.pending,
        dropped={reason: count for reason, count in counts.items() if reason is not None},
        seconds_left=reply.seconds_left if reply.HasField("seconds_left") else None,
        log_entries=reply.log_entries,
        stored_bytes=reply.stored_bytes,
        result_ready=reply.result_ready,
        abort_reason=next((reason for reason in AbortReason if reason.value == reply.abort_reason_id), None),
        detail=reply.detail,
        created_at=reply.created_at,
        contributors=tuple(reply.contributors.clients) if reply.HasField("contributors") else None,
    )
