"""What every call has around it over HTTP: a place, a body within bounds, who calls, and failures.

A refusal is read before a body is, where the body is not needed for it. Must not know what calls mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Final, TypeVar

from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from secagg.errors import SecAggError
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Caller
from secagg.transport.http.door import PLACE, Place
from secagg.transport.http.forms import PROTOBUF, Form
from secagg.transport.limits import CHUNK_BYTES
from secagg.transport.refusals import CARRIED, CallRefusedError, detail_of, refused, sentence
from secagg.transport.seats import BUSY_SECONDS, STRANGERS, network_of
from secagg.transport.service import Service
from secagg.transport.tokens import AUTHORIZATION, token_of

BYTES: Final = "application/octet-stream"
_GONE: Final = 499  # nobody reads it
_ASIDE_BYTES: Final = 1 << 13

_T = TypeVar("_T")
Handler = Callable[[Caller, Request], Awaitable[Message]]
BodyHandler = Callable[[bytes], Awaitable[Message]]


class Around:
    """Makes answers of requests.

    Args:
        service: has the places, and knows who calls.
        form: of bodies, replies and failures.
    """

    def __init__(self, service: Service, form: Form = PROTOBUF) -> None:
        self._service = service
        self._form = form
        self._writing = asyncio.Lock()

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
        """Return what serves a call of callers who have logged in.

        Args:
            handler: takes who calls and the request, and returns the reply.
        """

        async def answer(request: Request) -> ASGIApp:
            try:
                _require_room(request)
                caller = await self._service.gatekeeper.caller(token_of(request.headers.get(AUTHORIZATION)))
            except SecAggError as error:
                return _failed(self._form, refused(error))
            _place(request).admit(caller)
            return await self._seated(caller, request, lambda: handler(caller, request))

        return answer

    def open_endpoint(self, handler: BodyHandler, most: int) -> Callable[[Request], Awaitable[ASGIApp]]:
        """Return what serves a call of callers without a login, too.

        Its body comes first, and then its place, so that whoever is slow with it keeps no other caller out.

        Args:
            handler: takes the request's body, and returns the reply.
            most: bytes of a body.
        """

        async def answer(request: Request) -> ASGIApp:
            try:
                _require_room(request)
                body = await self.body(request, most)
            except ClientDisconnect:
                return Response(status_code=_GONE)
            except SecAggError as error:
                return _failed(self._form, refused(error))
            return await self._seated(await self._who(request), request, lambda: handler(body))

        return answer

    async def body(self, request: Request, most: int) -> bytes:
        """Read a request's body, of so many bytes at most.

        Raises:
            CallRefusedError: it is longer, of another type, or does not come in time.
        """
        require_type(request, self._form.media_type)
        require_length(request, most)
        seconds = self._service.limits.stall_seconds
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise _too_long(size, most)
                    parts.append(part)
        except TimeoutError:
            raise CallRefusedError(
                Refusal.MALFORMED, f"no request came within {seconds:g} s; send it with the call"
            ) from None
        return b"".join(parts)

    async def while_there(self, request: Request, call: Awaitable[_T]) -> _T:
        """Wait for what a client waits for, no longer than it does itself.

        Raises:
            ClientDisconnect: it has gone.
        """
        waiting = asyncio.ensure_future(call)
        gone = asyncio.ensure_future(_departure(request))
        try:
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ClientDisconnect
            return waiting.result()
        finally:
            for each in (waiting, gone):
                each.cancel()
            await asyncio.gather(waiting, gone, return_exceptions=True)

    async def _seated(self, caller: Caller | None, request: Request, call: Callable[[], Awaitable[Message]]) -> ASGIApp:
        """Make a call that has a place from now on until its reply is sent."""
        where = "" if request.client is None else network_of(request.client.host)
        try:
            seats = self._service.seats.take(caller or STRANGERS, where)
        except SecAggError as error:
            return _failed(self._form, refused(error))
        with ExitStack() as place:
            place.callback(self._service.seats.give_back, seats)
            return _until_sent(await self._answered(call), place.pop_all())

    async def _answered(self, call: Callable[[], Awaitable[Message]]) -> Response:
        try:
            return _reply(await self._written(await call()), self._form.media_type)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except SecAggError as error:
            return _failed(self._form, refused(error))

    async def _written(self, message: Message) -> bytes:
        """Write a reply; a long one that takes its time in a thread, and one of them after the other."""
        if not self._form.slow or message.ByteSize() <= _ASIDE_BYTES:
            return self._form.written(message)
        async with self._writing:
            return await asyncio.to_thread(self._form.written, message)

    async def _who(self, request: Request) -> Caller | None:
        try:
            return await self._service.gatekeeper.caller(token_of(request.headers.get(AUTHORIZATION)))
        except SecAggError:
            return None


def _place(request: Request) -> Place:
    place: Place = request.scope["state"][PLACE]
    return place


def _require_room(request: Request) -> None:
    """Demand that a request's address has no more connections than it may have.

    Raises:
        CallRefusedError: QUOTA_EXCEEDED, worth another attempt.
    """
    crowd = _place(request).crowd
    if crowd:
        raise CallRefusedError(
            Refusal.QUOTA_EXCEEDED,
            f"connections open from this address, without a login: {crowd}, as many as may be; close some, or have the "
            "operator raise http.connections_per_address",
            retry=True,
            retry_after=BUSY_SECONDS,
        )


async def _departure(request: Request) -> None:
    """Wait until a client hangs up; the rest of a body that need not be read may come before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def require_type(request: Request, wanted: str) -> None:
    """Demand a type of body, which a page of another origin cannot send without asking first.

    Raises:
        CallRefusedError: MALFORMED.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise CallRefusedError(Refusal.MALFORMED, f"a body of type {given[:80]!r} is not taken; send {wanted}")


def require_length(request: Request, most: int) -> None:
    """Demand that a body which says how long it is has so many bytes at most.

    Raises:
        CallRefusedError: UPLOAD_REFUSED.
    """
    given = request.headers.get("content-length", "")
    if given.isascii() and given.isdecimal() and int(given) > most:
        raise _too_long(int(given), most)


def _too_long(size: int, most: int) -> CallRefusedError:
    return CallRefusedError(Refusal.UPLOAD_REFUSED, f"a body of {size} bytes or more is above {most}; send less")


def _until_sent(reply: Response, place: ExitStack) -> ASGIApp:
    """A reply that has its place until it is sent: it fills memory for as long as its reader likes."""

    async def send_it(scope: Scope, receive: Receive, send: Send) -> None:
        with place:
            await reply(scope, receive, send)

    return send_it


def _reply(content: bytes, media_type: str) -> Response:
    if len(content) <= CHUNK_BYTES:
        return Response(content, media_type=media_type)
    headers = {"content-length": str(len(content))}
    return StreamingResponse(_chunks(content), media_type=media_type, headers=headers)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    """In pieces, each of which has time to be read."""
    for at in range(0, len(content), CHUNK_BYTES):
        yield content[at : at + CHUNK_BYTES]


def _failed(form: Form, refusal: CallRefusedError) -> Response:
    detail = detail_of(refusal)
    detail.message = sentence(str(refusal))
    headers = {}
    if refusal.refusal is Refusal.TOKEN_UNKNOWN:
        headers["www-authenticate"] = "Bearer"
    if refusal.retry_after is not None:
        headers["retry-after"] = str(max(1, round(refusal.retry_after)))
    status = CARRIED[refusal.refusal].http
    # The rest of a body that is too long, or does not come, is not waited for.
    if status in (400, 408, 413):
        headers["connection"] = "close"
    return Response(form.written(detail), status, headers, form.media_type)
