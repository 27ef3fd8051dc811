"""A page on which operators see their sessions, for browsers: its files, and what it asks.

    GET /operator, and below it its style, scripts and reasons.json: to anybody; nothing of a session is in them
    POST /secagg/v1/ListSessions, GetStatus: messages of secagg.service.v1 as JSON, to whoever has an operator's token

Nothing here changes a session. Must not know what sessions sum.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from secagg.errors import AbortReason, DropReason
from secagg.hosting import HostReason
from secagg.transport import service_pb2 as pb
from secagg.transport.gatekeeper import Caller
from secagg.transport.http import forms
from secagg.transport.http.calls import Around
from secagg.transport.service import Service

PAGE_PATH: Final = "/operator"
_MOST_BYTES: Final = 1 << 12
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
_FILES: Final = {
    "": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/{name}": (name, "text/javascript") for name in ("page.js", "view.js", "words.js")},
}


def operator_routes(service: Service, prefix: str) -> Iterator[Route]:
    """The page and what it asks.

    Args:
        service: what is served.
        prefix: of calls.
    """
    directory = files(__package__) / "pages"
    for path, (name, media_type) in _FILES.items():
        yield _shown(PAGE_PATH + path, (directory / name).read_bytes(), media_type)
    yield _shown(f"{PAGE_PATH}/reasons.json", json.dumps(_reasons()).encode(), forms.JSON.media_type)
    around = Around(service, forms.JSON)
    for call, kind in {"ListSessions": pb.ListSessionsRequest, "GetStatus": pb.GetStatusRequest}.items():
        yield _asked(service, around, prefix, call, kind)


def _shown(path: str, content: bytes, media_type: str) -> Route:
    async def show(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(path, show, methods=["GET"])


def _asked(service: Service, around: Around, prefix: str, call: str, kind: type[Any]) -> Route:
    async def handle(caller: Caller, request: Request) -> Message:
        message = forms.JSON.parsed(kind, await around.body(request, _MOST_BYTES))
        reply: Message = await service.views.answer(call, caller, message)
        return reply

    return Route(prefix + call, around.endpoint(handle), methods=["POST"])


def _reasons() -> dict[str, str]:
    """The ids of reasons to what they are in words."""
    reasons = (*DropReason, *HostReason, *AbortReason)
    return {reason.value: reason.name.replace("_", " ").lower() for reason in reasons}
