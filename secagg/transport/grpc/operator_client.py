"""What an operator asks of a server: to offer sessions and to end them, how far they are, and their sums."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import grpc

from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.hosting import RoundSchedule, SessionStatus, offer_of
from secagg.hosting.restarting import name_after
from secagg.parameters import ClientId, SessionParameters, check_client_id
from secagg.store.durable import sync_directory
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import CALL_SECONDS, Connection, Metadata
from secagg.transport.errors import Refusal, ServiceError
from secagg.transport.gatekeeper import OperatorCaller
from secagg.transport.grpc.endpoint import GrpcEndpoint
from secagg.transport.grpc.status import read_detail, worth_another
from secagg.transport.limits import MAX_OFFER_BYTES
from secagg.transport.progress import ParticipationObserver
from secagg.transport.refusals import refusal_of
from secagg.transport.retries import RetryPolicy
from secagg.transport.statuses import deadlines_message, status_in
from secagg.transport.tls import ClientTls

_RESULT_SECONDS: Final = 24 * 3600.0
_WATCH_SECONDS: Final = 3600.0
_SHORTEST_WATCH_SECONDS: Final = 0.5
_PAGE: Final = 500


class Operator:
    """An operator's connection; `async with` opens and closes it. Calls are repeated while the server is away.

    Args:
        server: `host:port`.
        identity: the operator's key, which the server's configuration lists.
        tls: what to believe and to show; the default trusts gRPC's list of authorities.
        insecure: no TLS; on loopback addresses only.
        retry: how long and how often to try again.
        observer: told about logins and repeats.
        session: its name on the server.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.

    Every method raises ServiceError when the server refuses (its role is not enough, for instance; sessions of other
    tenants are unknown to it), and UnreachableError when it cannot be reached.
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
            GrpcEndpoint(server, tls, insecure),
            OperatorCaller(identity.public),
            identity,
            retry,
            observer or ParticipationObserver(),
        )
        self._fetched: dict[str, bytes] = {}

    async def __aenter__(self) -> Operator:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, traceback)

    async def create(self, session: str, parameters: SessionParameters, schedule: RoundSchedule) -> SessionStatus:
        """Offer a session to its cohort; the server adds the keys of its roster. The same again is the same session.

        Args:
            session: a name that no session has.
            parameters: what is offered.
            schedule: deadlines for all its rounds, and how often it may be begun again.

        Returns:
            How far it is.

        Raises:
            ParameterError: an offer that is too long for a call.
        """
        offer = offer_of(parameters)
        if len(offer) > MAX_OFFER_BYTES:
            raise ParameterError(
                f"the offer of session {session!r} has {len(offer)} bytes, above {MAX_OFFER_BYTES}; take a smaller "
                "cohort, or list the session in the server's configuration"
            )
        deadlines = deadlines_message(schedule)
        asked = pb.CreateSessionRequest(session=session, offer=offer, deadlines=deadlines, restarts=schedule.restarts)
        reply: pb.CreateSessionReply = await self._ask("CreateSession", asked)
        return status_in(reply.status)

    async def abort(self, session: str, detail: str = "") -> None:
        """End a session without a sum; does nothing to one that was aborted.

        Args:
            session: its name.
            detail: one sentence for operators.
        """
        await self._ask("AbortSession", pb.AbortSessionRequest(session=session, detail=detail))

    async def drop(self, session: str, client: ClientId, detail: str = "") -> None:
        """Let a session go on without a client; does nothing to one that was dropped.

        Args:
            session: its name.
            client: who is told that it was removed (H02).
            detail: one sentence for operators.

        Raises:
            ParameterError: no client's id.
        """
        asked = pb.DropClientRequest(session=session, client=check_client_id(client), detail=detail)
        await self._ask("DropClient", asked)

    async def discard(self, session: str, *, unfetched: bool = False) -> None:
        """Forget a session that has ended.

        Args:
            unfetched: with its result, although this object has not fetched it.
        """
        repeated = False
        asked = pb.DiscardResultRequest(session=session, sha256=self._fetched.get(session, b""), unfetched=unfetched)

        async def attempt(metadata: Metadata) -> None:
            nonlocal repeated
            again, repeated = repeated, True
            try:
                await self._connection.administration.DiscardResult(asked, metadata=metadata, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                # The reply to an earlier attempt may have been lost, and the session with it.
                if not again or refusal_of(read_detail(error)) is not Refusal.UNKNOWN_SESSION:
                    raise

        await self._connection.call("DiscardResult", attempt)

    async def sessions(self, states: Iterable[str] = ()) -> tuple[SessionStatus, ...]:
        """How far all sessions are, in the order of their creation.

        Args:
            states: only sessions in one of these (`SessionStatus.state`); all unless given.
        """
        found: list[SessionStatus] = []
        asked = pb.ListSessionsRequest(page_size=_PAGE, states=states)
        while True:
            page: pb.ListSessionsReply = await self._ask("ListSessions", asked)
            found += map(status_in, page.statuses)
            if not page.next_page_token or page.next_page_token == asked.page_token:
                return tuple(found)
            asked.page_token = page.next_page_token

    async def status(self, session: str) -> SessionStatus:
        """How far a session is. Reasons that this release does not know are left out."""
        return status_in(await self._ask("GetStatus", pb.GetStatusRequest(session=session)))

    async def last_session(self, session: str) -> SessionStatus:
        """How far the session is in which this one goes on: itself, or the last of those that follow it.

        Raises:
            ServiceError: the server names one that cannot follow another.
        """
        status = await self.status(session)
        while status.successor:
            if status.successor != name_after(status.name):
                raise ServiceError(f"the server says that session {status.successor!r} follows {status.name!r}")
            status = await self.status(status.successor)
        return status

    async def watch(self, session: str) -> AsyncIterator[SessionStatus]:
        """How far a session is, now and whenever that changes; the last is how it ended."""
        stream: Any = None
        seen: SessionStatus | None = None
        loop = asyncio.get_running_loop()

        async def attempt(metadata: Metadata) -> Any:
            nonlocal stream
            begun = stream is not None
            if stream is None:
                stream = self._connection.administration.WatchSession(
                    pb.WatchSessionRequest(session=session), metadata=metadata, timeout=_WATCH_SECONDS
                )
            try:
                return await stream.read()
            except grpc.aio.AioRpcError as error:
                stream = None
                # One that went well for a while is begun again like one that the server ended.
                if begun and worth_another(error):
                    return grpc.aio.EOF
                raise

        try:
            while True:
                opened = loop.time()
                while (reply := await self._connection.call("WatchSession", attempt)) is not grpc.aio.EOF:
                    status = status_in(reply.status)
                    if seen is None or replace(status, seconds_left=seen.seconds_left) != seen:
                        seen = status
                        yield status
                    if reply.last:
                        return
                stream = None
                await asyncio.sleep(max(0.0, opened + _SHORTEST_WATCH_SECONDS - loop.time()))
        finally:
            if stream is not None:
                stream.cancel()

    async def clients(self) -> tuple[ClientId, ...]:
        """The clients that the server has keys for, ascending."""
        reply: pb.ListClientsReply = await self._ask("ListClients", pb.ListClientsRequest())
        return tuple(reply.clients)

    async def evidence(self, session: str, client: ClientId) -> bytes:
        """What shows, to anybody with the roster, that a client made a session end (`secagg.verify_evidence`).

        Args:
            client: who is blamed.

        Raises:
            ParameterError: no client's id.
        """
        asked = pb.GetEvidenceRequest(session=session, client=check_client_id(client))
        reply: pb.GetEvidenceReply = await self._ask("GetEvidence", asked)
        return reply.evidence

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

        Args:
            path: of the file, which is replaced if it is there.

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
            self._fetched.pop(session, None)  # Its last byte came, and nobody has it.
            raise ParameterError(f"{path} cannot be written: {error.strerror}; give another path") from error
        finally:
            partial.unlink(missing_ok=True)

    async def acknowledge(self, session: str, *, sha256: bytes = b"", unfetched: bool = False) -> None:
        """Say that the result is safe: the server lets go of it. Saying it again changes nothing.

        Args:
            sha256: of the result's bytes, by which the server knows that it was fetched; not needed where this object
                has fetched it.
            unfetched: let go of it although nobody may have it.
        """
        digest = sha256 or self._fetched.get(session, b"")
        asked = pb.AcknowledgeResultRequest(session=session, sha256=digest, unfetched=unfetched)
        await self._ask("AcknowledgeResult", asked)

    async def _ask(self, call: str, request: Any) -> Any:
        """Make a call that has one request and one reply."""

        async def attempt(metadata: Metadata) -> Any:
            method = getattr(self._connection.administration, call)
            return await method(request, metadata=metadata, timeout=CALL_SECONDS)

        return await self._connection.call(call, attempt)

    async def _stream(self, session: str, metadata: Metadata, keep: Callable[[bytes], Awaitable[None]]) -> None:
        digest, total = hashlib.sha256(), 0
        stream = self._connection.administration.GetResult(
            pb.GetResultRequest(session=session), metadata=metadata, timeout=_RESULT_SECONDS
        )
        async for part in stream:
            if part.WhichOneof("part") == "end":
                if part.end.total_bytes != total or part.end.sha256 != digest.digest():
                    break
                self._fetched[session] = digest.digest()
                return
            digest.update(part.chunk)
            total += len(part.chunk)
            await keep(part.chunk)
        raise ServiceError(f"the result of session {session!r} arrived damaged; fetch it again")
