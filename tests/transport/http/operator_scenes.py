"""The page of operators with made-up sessions on it: for its tests in a browser, and for the pictures of docs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from secagg.hosting import SessionStatus
from secagg.transport.http.operator_link import operator_link
from secagg.transport.operator_views import OperatorViews
from tests.looking import Looked, look
from tests.transport.grpc.network import QUICK
from tests.transport.http.made_up import SESSIONS, MadeUpHost
from tests.transport.http.web import Web

NAMED = "document.getElementById('place').textContent = 'sums.example.org:8443'"


@asynccontextmanager
async def opened(
    sessions: Sequence[SessionStatus] = SESSIONS, views: type[OperatorViews] = OperatorViews
) -> AsyncIterator[str]:
    """Give a link to a page that shows these sessions."""
    async with Web(operator_page=True, plain=True) as web:
        assert web.server.service is not None
        host: Any = MadeUpHost(sessions)
        web.server.service.views = views(host, web.server.service.admission)
        yield await link_to(web)


async def link_to(web: Web) -> str:
    """A link to the page of a server."""
    return await operator_link(web.url, identity=web.operator, insecure=True, retry=QUICK)


async def pictured(out: Path) -> Looked:
    """Look at the list of sessions."""
    async with opened() as link:
        return await look(link, wait="tbody tr", scripts=[NAMED], out=out)
