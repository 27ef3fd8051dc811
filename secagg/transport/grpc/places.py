"""A place for every call of gRPC, taken before anything of the call is read.

gRPC bounds all calls of a server together, whoever makes them; who may have how many places is known by `Seats`. A call
also has to say what it wants: one whose request does not come in time gives its place back. Must not know what calls
mean.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import grpc

from secagg.errors import SecAggError
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Caller, Gatekeeper
from secagg.transport.grpc.calls import SEATED, Context, fail, token_in
from secagg.transport.grpc.handlers import Handlers
from secagg.transport.limits import ServiceLimits
from secagg.transport.refusals import CallRefusedError
from secagg.transport.seats import STRANGERS, WATCHERS, Seats, network_of

Method = Callable[[Any, Context], Any]


class Places(grpc.aio.ServerInterceptor):
    """Counts the open calls of each logged-in caller, and of all others.

    Args:
        gatekeeper: knows who is logged in.
        limits: how many calls, and how long a request may take to come.
        seats: those that there are; unless given, as many as the limits allow.
    """

    def __init__(self, gatekeeper: Gatekeeper, limits: ServiceLimits, seats: Seats | None = None) -> None:
        self._gatekeeper = gatekeeper
        self._limits = limits
        self._seats = seats or Seats(limits)
        self._handlers = Handlers(self._around)

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the method's handler, with taking a place and the waiting for its request around it."""
        handler = await continuation(details)
        return None if handler is None else self._handlers.of(details.method, handler)

    def _around(self, handler: Any) -> Any:
        method = handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
        # gRPC reads the one request of a unary call before it calls the handler, for as long as that takes.
        seated = self._seated(
            method, WATCHERS if handler.response_streaming else STRANGERS, unary=not handler.request_streaming
        )
        kind = "stream_stream" if handler.response_streaming else "stream_unary"
        nothing = {"unary_unary": None, "unary_stream": None, "stream_unary": None, "stream_stream": None}
        return handler._replace(request_streaming=True, **{**nothing, kind: seated})

    async def _who(self, context: Context, stranger: str) -> Caller | str:
        try:
            caller = await self._gatekeeper.caller(token_in(context.invocation_metadata()))
        except SecAggError:
            return stranger
        SEATED.set(caller)
        return caller

    def _seated(self, method: Method, stranger: str, *, unary: bool) -> Method:
        """Return a method that streams requests, whatever the method inside does."""
        if inspect.isasyncgenfunction(method):

            async def replies(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
                try:
                    seats = self._seats.take(await self._who(context, stranger), address_of(context.peer()))
                    try:
                        given = await self._only(context) if unary else requests
                        async for reply in method(given, context):
                            yield reply
                    finally:
                        self._seats.give_back(seats)
                except CallRefusedError as refusal:
                    await fail(context, refusal)

            return replies

        async def reply(requests: AsyncIterator[Any], context: Context) -> Any:
            try:
                seats = self._seats.take(await self._who(context, stranger), address_of(context.peer()))
                try:
                    return await method(await self._only(context) if unary else requests, context)
                finally:
                    self._seats.give_back(seats)
            except CallRefusedError as refusal:
                await fail(context, refusal)

        return reply

    async def _only(self, context: Context) -> Any:
        """The request of a call that has one."""
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                # Not by the iterator of requests: the event loop closes each that is not read to its end, in a task.
                request = await context.read()
        except TimeoutError:
            raise CallRefusedError(
                Refusal.MALFORMED, f"no request came within {self._limits.stall_seconds:g} s; send it with the call"
            ) from None
        if request is grpc.aio.EOF:
            raise CallRefusedError(Refusal.MALFORMED, "the call ended without a request; send one")
        return request


def address_of(peer: str) -> str:
    """Who is at the other end, of what gRPC says of it."""
    return network_of(unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]"))
