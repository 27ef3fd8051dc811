"""Faults between a client and a server: replies that get lost, and a proxy that cuts connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc

from secagg.transport import service_pb2 as pb

Given = TypeVar("Given")
Returned = TypeVar("Returned")


class LosesCalls(grpc.aio.ServerInterceptor):
    """Fails every call of one method whose turn comes, before or after it was done, as a broken connection does.

    Args:
        method: its name.
        done: whether the call is done first, so that only its reply is lost.
        lose: whether the n-th call of the method, counted from 0, is lost.
        code: what its caller sees.
    """

    def __init__(
        self,
        method: str,
        done: bool,
        lose: Callable[[int], bool] = lambda n: n % 2 == 0,
        code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
    ) -> None:
        self.method = method
        self.done = done
        self.lose = lose
        self.code = code
        self.calls = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Given, Returned] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Given, Returned] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.rpartition("/")[2] != self.method:
            return handler
        self.calls += 1
        if not self.lose(self.calls - 1):
            return handler
        inner: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def lost(request: Any, context: Any) -> Any:
            if self.done:
                await inner(request, context)
            await context.abort(self.code, "lost")

        make: Any = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        made: grpc.RpcMethodHandler[Given, Returned] = make(
            lost, handler.request_deserializer, handler.response_serializer
        )
        return made


class LeavesWhoWaits(grpc.aio.ServerInterceptor):
    """Does what is asked, and goes away while a call waits for news, each time."""

    def __init__(self) -> None:
        self.left = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Given, Returned] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Given, Returned] | None:
        handler: Any = await continuation(handler_call_details)
        kind: Any = {"NextRequest": pb.NextRequestRequest, "Answer": pb.AnswerRequest}.get(
            handler_call_details.method.rpartition("/")[2]
        )
        if handler is None or kind is None:
            return handler  # type: ignore[no-any-return]

        async def leaves(sent: bytes, context: Any) -> Any:
            request = kind.FromString(sent)
            asked = request if kind is pb.NextRequestRequest else request.next
            waits, asked.wait_milliseconds = asked.wait_milliseconds > 0, 0
            reply = await handler.unary_unary(request.SerializeToString(), context)
            if waits:
                self.left += 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            return reply

        return handler._replace(unary_unary=leaves)  # type: ignore[no-any-return]


class TellsNothing(grpc.aio.ServerInterceptor):
    """Replies to logins and answers as a server does that gives nothing besides: with a token, or an outcome."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Given, Returned] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Given, Returned] | None:
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.rpartition("/")[2] not in ("Login", "Answer", "UploadAnswer"):
            return handler  # type: ignore[no-any-return]
        kind = "stream_unary" if handler.request_streaming else "unary_unary"
        inner: Any = getattr(handler, kind)

        async def terse(request: Any, context: Any) -> Any:
            reply = await inner(request, context)
            for field in ("offer", "next"):
                if field in reply.DESCRIPTOR.fields_by_name:
                    reply.ClearField(field)
            return reply

        return handler._replace(**{kind: terse})  # type: ignore[no-any-return]


class Proxy:
    """Forwards bytes to a port; cuts its n-th connection once so many bytes have passed, the rest never.

    Args:
        port: of the server on loopback.
        upstream, downstream: for each connection in turn, after how many bytes of that direction it is cut.
    """

    def __init__(self, port: int, *, upstream: Iterable[int] = (), downstream: Iterable[int] = ()) -> None:
        self._target = port
        self._up = list(upstream)
        self._down = list(downstream)
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.cuts = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        limits = [bounds[number] if number < len(bounds) else None for bounds in (self._up, self._down)]
        pumps = [
            asyncio.create_task(self._pump(reader, server_writer, limits[0])),
            asyncio.create_task(self._pump(server_reader, writer, limits[1])),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
            self._tasks.discard(pump)
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, server_writer):
            end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        passed = 0
        while data := await reader.read(_PIECE if limit is None else min(_PIECE, limit - passed)):
            writer.write(data)
            await writer.drain()
            passed += len(data)
            if limit is not None and passed >= limit:
                self.cuts += 1
                return


_PIECE: Final = 1 << 14
