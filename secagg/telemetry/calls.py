"""OpenTelemetry spans of calls over HTTP, as OpenTelemetry's own instrumentation of gRPC makes them of calls over gRPC.

One span for each call, below that of a caller who sends a `traceparent` (W3C), with the same name and the same names of
attributes; in the place of gRPC's status stands that of HTTP. What is no call has none. Names, numbers and addresses
only: no token, no body, no sentence. Must not know what calls mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_LOCAL: Final = frozenset({"127.0.0.1", "::1"})
_SERVERS_FAULT: Final = 500
_PARENT: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()


class TracedCalls:
    """An ASGI application whose calls are traced.

    Args:
        app: answers.
        methods: the path of each call to its name, `/package.Service/Method`.
        provider: makes the tracer; the global one unless given.
    """

    def __init__(self, app: Application, methods: Mapping[str, str], provider: TracerProvider | None = None) -> None:
        self._app = app
        self._methods = methods
        self._tracer = trace.get_tracer("secagg", tracer_provider=provider)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; one of a call inside a span."""
        name = self._methods.get(scope["path"])
        if name is None:
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        with self._tracer.start_as_current_span(
            name,
            # Of `tracestate` and `baggage` that it cannot read, OpenTelemetry fills the log.
            context=_W3C.extract({_PARENT: headers.get(_PARENT, "")}),
            kind=SpanKind.SERVER,
            attributes=_attributes(name, headers, scope.get("client")),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            status = 0

            async def noted(message: Message) -> None:
                nonlocal status
                status = message.get("status", status)
                await send(message)

            try:
                await self._app(scope, receive, noted)
            finally:
                span.set_attribute("http.response.status_code", status)
                if not 0 < status < _SERVERS_FAULT:
                    span.set_status(Status(StatusCode.ERROR))


def _attributes(name: str, headers: Mapping[str, str], peer: tuple[str, int] | None) -> dict[str, str | int]:
    service, _, method = name.lstrip("/").partition("/")
    found: dict[str, str | int] = {"rpc.system": "http", "rpc.service": service, "rpc.method": method}
    if "user-agent" in headers:
        found["rpc.user_agent"] = headers["user-agent"]
    if peer is not None:
        found |= {"net.peer.ip": peer[0], "net.peer.port": str(peer[1])}
        if peer[0] in _LOCAL:
            found["net.peer.name"] = "localhost"
    return found
