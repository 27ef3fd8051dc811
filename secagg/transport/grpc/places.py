"""A place for every call, taken before anything of the call is read.

gRPC bounds all calls of a server together, whoever makes them. Here each logged-in caller has a few of these places,
and callers without a login share a part of them, a small one for calls that stay open (`Health.Watch`, reflection),
and half of each part at most from one address; so strangers can fill neither the places of those who take part nor, by
watching or from one machine, those for logins. A call also has to say
what it wants: one whose request does not come in time gives its place back. Must not know what calls mean.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import grpc

from secagg.errors import SecAggError
from secagg.transport.grpc.calls import SEATED, Context, fail, token_in
from secagg.transport.grpc.errors import Refusal
from secagg.transport.grpc.gatekeeper import Caller, ClientCaller, Gatekeeper, MemberCaller
from secagg.transport.grpc.handlers import Handlers
from secagg.transport.grpc.limits import ServiceLimits
from secagg.transport.grpc.status import CallRefusedError

_BUSY_SECONDS: Final = 1.0
_STRANGERS: Final = "callers without a login"
_WATCHERS: Final = "watching callers without a login"

Method = Callable[[Any, Context], Any]


class Places(grpc.aio.ServerInterceptor):
    """Counts the open calls of each logged-in caller, and of all others.

    Args:
        gatekeeper: knows who is logged in.
        limits: how many calls, and how long a request may take to come.
    """

    def __init__(self, gatekeeper: Gatekeeper, limits: ServiceLimits) -> None:
        self._gatekeeper = gatekeeper
        self._limits = limits
        self._open: Counter[Caller | str | tuple[str, str]] = Counter()
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
            method, _WATCHERS if handler.response_streaming else _STRANGERS, unary=not handler.request_streaming
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

    def _most(self, who: Caller | str) -> int:
        if isinstance(who, str):
            return self._limits.watching_strangers if who == _WATCHERS else self._limits.calls_of_strangers
        return self._limits.calls_per_caller

    def _take(self, who: Caller | str, context: Context) -> Sequence[Caller | str | tuple[str, str]]:
        """Take a place, to be given back."""
        most = self._most(who)
        seats: dict[Caller | str | tuple[str, str], int] = {who: most}
        if isinstance(who, str):
            seats[who, address_of(context.peer())] = max(1, most // 2)
        for seat, allowed in seats.items():
            if self._open[seat] >= allowed:
                raise CallRefusedError(
                    Refusal.QUOTA_EXCEEDED,
                    f"calls open of {_name(seat)}: {self._open[seat]}, as many as may be; wait for one to end",
                    retry=True,
                    retry_after=_BUSY_SECONDS,
                )
        for seat in seats:
            self._open[seat] += 1
        return tuple(seats)

    def _give_back(self, seats: Sequence[Caller | str | tuple[str, str]]) -> None:
        for seat in seats:
            self._open[seat] -= 1
            if not self._open[seat]:
                del self._open[seat]

    def _seated(self, method: Method, stranger: str, *, unary: bool) -> Method:
        """Return a method that streams requests, whatever the method inside does."""
        if inspect.isasyncgenfunction(method):

            async def replies(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
                try:
                    seats = self._take(await self._who(context, stranger), context)
                    try:
                        given = await self._only(context) if unary else requests
                        async for reply in method(given, context):
                            yield reply
                    finally:
                        self._give_back(seats)
                except CallRefusedError as refusal:
                    await fail(context, refusal)

            return replies

        async def reply(requests: AsyncIterator[Any], context: Context) -> Any:
            try:
                seats = self._take(await self._who(context, stranger), context)
                try:
                    return await method(await self._only(context) if unary else requests, context)
                finally:
                    self._give_back(seats)
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
    """Who is at the other end, of what gRPC says of it: an IPv4 address, or the 64 bits of an IPv6 network."""
    return _network_of(unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]"))


@lru_cache(maxsize=1024)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def _name(who: Caller | str | tuple[str, str]) -> str:
    match who:
        case ClientCaller(_, client) | MemberCaller(client):
            return f"client {client}"
        case str():
            return who
        case (str(strangers), _):
            return f"{strangers}, from this address"
    return "this operator"
