"""Bytes that are no message of a method are refused like everything else that is malformed.

gRPC by itself calls them an unexpected failure of the server and writes a traceback for each into the log, which
whoever reaches the port could fill a disk with. Must not know which calls there are.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg.transport.errors import Refusal
from secagg.transport.grpc.calls import Context, fail
from secagg.transport.grpc.handlers import Handlers
from secagg.transport.refusals import CallRefusedError

_KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Parser(grpc.aio.ServerInterceptor):
    """Reads requests in place of gRPC."""

    def __init__(self) -> None:
        self._handlers = Handlers(self._around)

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the method's handler, with the reading of its requests inside."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        return self._handlers.of(details.method, handler)

    def _around(self, handler: Any) -> Any:
        streams, parse = handler.request_streaming, handler.request_deserializer

        async def read(raw: Any, context: Context) -> Any:
            return _read_all(parse, raw, context) if streams else await _read(parse, raw, context)

        methods = {kind: getattr(handler, kind) for kind in _KINDS}
        reading = {kind: _reading(read, method) for kind, method in methods.items() if method is not None}
        return handler._replace(request_deserializer=None, **reading)


def _reading(
    read: Callable[[Any, Context], Awaitable[Any]], method: Callable[[Any, Context], Any]
) -> Callable[[Any, Context], Any]:
    """Return a method of the same kind that takes bytes."""
    if inspect.isasyncgenfunction(method):

        async def replies(raw: Any, context: Context) -> AsyncIterator[Any]:
            async for reply in method(await read(raw, context), context):
                yield reply

        return replies

    async def reply(raw: Any, context: Context) -> Any:
        return await method(await read(raw, context), context)

    return reply


async def _read(parse: Callable[[bytes], Any], raw: bytes, context: Context) -> Any:
    try:
        return parse(raw)
    except ProtobufDecodeError:
        await fail(
            context, CallRefusedError(Refusal.MALFORMED, f"{len(raw)} bytes are no request of this method; send one")
        )


async def _read_all(parse: Callable[[bytes], Any], raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
    async for each in raw:
        yield await _read(parse, each, context)
