"""The calls of clients as paths of HTTP: an ASGI application.

    POST /secagg/v1/Challenge, Login, Enrol, GetOffer, NextRequest, Answer, NextSession, BeginUpload: a message of
        secagg.service.v1 for another one
    POST /secagg/v1/UploadPart?offset=N: bytes of an upload

See docs/http.md. Operators call over gRPC, but for the page of operator_page.py, which only looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from secagg.hosting import Receipt
from secagg.transport import service_pb2 as pb
from secagg.transport.client_calls import reply_to, wait_of
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Caller
from secagg.transport.http.calls import BYTES, Around, require_length, require_type
from secagg.transport.http.forms import PROTOBUF
from secagg.transport.http.operator_page import operator_routes
from secagg.transport.http.parts import PartDesk
from secagg.transport.limits import SERVER_MESSAGE_BYTES
from secagg.transport.refusals import CallRefusedError
from secagg.transport.service import Service
from secagg.transport.tokens import AUTHORIZATION

PREFIX: Final = "/secagg/v1/"
_AGGREGATION: Final = pb.DESCRIPTOR.services_by_name["SecureAggregation"]
_SHORT_BYTES: Final = 1 << 12
"""Of logins and claims, which anybody sends, and of what announces an upload, which is kept."""
_MOST_ORIGIN: Final = 300
_OK: Final = 200
_ALLOWED_HEADERS: Final = "Access-Control-Allow-Headers"
_PREFLIGHT_SECONDS: Final = 600
_LONGEST_OFFSET: Final = 20
_TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""Of W3C, which pages send that are traced themselves."""


class Application:
    """Serves the members of cohorts; `asgi` is the application.

    Args:
        service: what is served.
        origins: the origins, such as "https://app.example.org", whose pages may call.
        operator_page: whether the page of operators is shown, and answered.

    Attributes:
        asgi: the application.
        methods: the path of each call to the name that gRPC has for it, or would have.
    """

    def __init__(self, service: Service, origins: Sequence[str], operator_page: bool = False) -> None:
        calls = service.calls
        self._service = service
        self._around = Around(service)
        self._parts = PartDesk(service.desk, service.limits)
        routes = [
            self._login("Challenge", pb.ChallengeRequest, calls.challenge),
            self._login("Login", pb.LoginRequest, calls.login),
            self._login("Enrol", pb.EnrolRequest, service.enrolments.enrol),
            self._call("GetOffer", pb.GetOfferRequest, calls.get_offer),
            self._call("NextRequest", pb.NextRequestRequest, calls.next_request),
            self._call("Answer", pb.AnswerRequest, calls.answer),
            self._call("NextSession", pb.NextSessionRequest, calls.next_session),
            self._call("BeginUpload", pb.UploadHeader, self._begin_upload, _SHORT_BYTES),
            Route(f"{PREFIX}UploadPart", self._around.endpoint(self._upload_part), methods=["POST"]),
            *(operator_routes(service, PREFIX) if operator_page else ()),
        ]
        cors = Middleware(
            _Origins,
            allow_origins=list(origins),
            allow_methods=["POST"],
            allow_headers=[AUTHORIZATION, "content-type", *_TRACE_HEADERS],
            expose_headers=["retry-after"],
            max_age=_PREFLIGHT_SECONDS,
        )
        self.methods = {route.path: _method(route.path.removeprefix(PREFIX)) for route in routes if _is_call(route)}
        self.asgi = Starlette(routes=routes, middleware=[cors])
        # To a host that whoever calls has named.
        self.asgi.router.redirect_slashes = False

    async def close(self) -> None:
        """Forget what came of uploads."""
        await self._parts.close()

    def _login(self, name: str, kind: type[Any], call: Callable[[Any], Awaitable[Message]]) -> Route:
        async def handle(body: bytes) -> Message:
            return await call(PROTOBUF.parsed(kind, body))

        return Route(PREFIX + name, self._around.open_endpoint(handle, _SHORT_BYTES), methods=["POST"])

    def _call(
        self,
        name: str,
        kind: type[Any],
        call: Callable[[Caller, Any], Awaitable[Message]],
        most: int = SERVER_MESSAGE_BYTES,
    ) -> Route:
        async def handle(caller: Caller, request: Request) -> Message:
            message = PROTOBUF.parsed(kind, await self._around.body(request, most))
            return await self._around.while_there(request, call(caller, message))

        return Route(PREFIX + name, self._around.endpoint(handle), methods=["POST"])

    async def _begin_upload(self, calling: Caller, header: pb.UploadHeader) -> pb.UploadReply:
        caller, session = await self._service.calls.called(calling)
        if header.HasField("next"):
            wait_of(header.next)
        found = await self._parts.begin(session, caller.client, header)
        return await self._so_far(calling, header, found)

    async def _upload_part(self, caller: Caller, request: Request) -> pb.UploadReply:
        calling, session = await self._service.calls.called(caller)
        require_type(request, BYTES)
        require_length(request, session.message_limit)
        offset = _offset(request)
        header, found = await self._parts.take(session, calling.client, offset, _pieces(request))
        if isinstance(found, int):
            return pb.UploadReply(received_bytes=found)
        return await self._around.while_there(request, self._so_far(calling, header, found))

    async def _so_far(self, calling: Caller, header: pb.UploadHeader, found: Receipt | int) -> pb.UploadReply:
        if isinstance(found, int):
            return pb.UploadReply(received_bytes=found)
        caller, session = await self._service.calls.called(calling)
        following = header.next if header.HasField("next") else None
        reply = await self._service.calls.with_news(session, caller.client, reply_to(found), following)
        return pb.UploadReply(answer=reply)


def _is_call(route: Route) -> bool:
    return route.path.startswith(PREFIX)


def _method(name: str) -> str:
    administration = pb.DESCRIPTOR.services_by_name["Administration"]
    found = administration if name in administration.methods_by_name else _AGGREGATION
    return f"/{found.full_name}/{name}"


def _offset(request: Request) -> int:
    text = request.query_params.get("offset", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_OFFSET):
        raise CallRefusedError(Refusal.MALFORMED, f"offset={text[:40]!r} is no place in an upload; give a number")
    return int(text)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


class _Origins(CORSMiddleware):
    """Says in its refusal which origin it is, as the browser has it, and where those that may call are listed; or which
    method and headers are asked for, and which may be."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == _OK:
            return response
        origin = request_headers["origin"]
        if self.is_allowed_origin(origin=origin):
            method = request_headers["access-control-request-method"]
            headers = request_headers.get("access-control-request-headers", "")
            sentence = (
                f"pages may not call with {method[:_MOST_ORIGIN]!r} and headers {headers[:_MOST_ORIGIN]!r}; "
                f"send {', '.join(self.allow_methods)} and no headers but {self.preflight_headers[_ALLOWED_HEADERS]}"
            )
        else:
            sentence = (
                f"pages of {origin[:_MOST_ORIGIN]!r} may not call this server; [http] origins lists those that may"
            )
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return PlainTextResponse(sentence, response.status_code, kept)
