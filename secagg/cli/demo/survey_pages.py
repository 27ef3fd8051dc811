"""Serves the page of the survey from an origin of its own, under a strict policy, and the result beside it.

Static files and nothing else: whoever wants to can serve the same files from elsewhere. Must not know sessions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from secagg.transport.http.door import Door

BUNDLE: Final = "survey.bundle.js"
_FILES: Final = {"index.html": "text/html", "style.css": "text/css", BUNDLE: "text/javascript"}
_TEXT: Final = "text/plain; charset=utf-8"
_ELSEWHERE: Final = b"this page is at 127.0.0.1 alone\n"
_CONNECTIONS: Final = 64
_STALL_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 1.0
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {service}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


class PageServer:
    """Serves a directory's page on loopback: `async with PageServer(...) as server:`.

    Args:
        directory: has the files.
        port: to listen on; 0 chooses one.
        result: what result.json is now.

    Attributes:
        files: what is served, by name.
        origin: of the page, once it was started.
        service: the origin that the page may call besides; set it before the page is opened.

    Raises:
        ParameterError: the port cannot be listened on.
    """

    def __init__(self, directory: Path, port: int, result: Callable[[], dict[str, Any]]) -> None:
        self.files = {name: (directory / name).read_bytes() for name in _FILES}
        self._port = port
        self._result = result
        self.origin = ""
        self.service = ""
        self._door = Door(
            self._reply,
            most=_CONNECTIONS,
            stall_seconds=_STALL_SECONDS,
            idle_seconds=_IDLE_SECONDS,
            headers=_HEADERS,
            tls=None,
        )

    @property
    def bundle_sha256(self) -> str:
        """SHA-256 of the page's code, in hexadecimal."""
        return hashlib.sha256(self.files[BUNDLE]).hexdigest()

    @property
    def policy(self) -> str:
        """The policy of content, as it is sent."""
        return _POLICY.format(service=self.service)

    async def __aenter__(self) -> PageServer:
        port = await self._door.listen("127.0.0.1", self._port)
        self.origin = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._door.close(_GRACE_SECONDS)

    async def _reply(self, scope: Any, _receive: Any, send: Any) -> None:
        """The application, as ASGI has it."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        # Under another name it is a page of others that asks, whose name was made to lead here (DNS rebinding).
        ours = f"http://{host}" in (self.origin, self.origin.removesuffix(":80"))
        status, kind, body = self._found(scope["method"], scope["path"]) if ours else (421, _TEXT, _ELSEWHERE)
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", self.policy.encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _found(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET\n"
        if path == "/result.json":
            return 200, "application/json", json.dumps(self._result(), allow_nan=False).encode()
        name = path.removeprefix("/") or "index.html"
        if name not in self.files:
            return 404, _TEXT, b"no such page\n"
        return 200, f"{_FILES[name]}; charset=utf-8", self.files[name]
