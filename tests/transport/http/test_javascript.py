"""Clients of the JavaScript package over HTTP, beside those of the library: exact, whatever the network does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secagg import Round
from secagg.transport.grpc import Participation
from tests.transport.grpc.network import run
from tests.transport.http.javascript import Javascript, needs_javascript
from tests.transport.http.web import Web

pytestmark = needs_javascript


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_session_of_both_languages(threat_model: str) -> None:
    async def play() -> None:
        async with Web(clients=5, threat_model=threat_model) as web:
            clients = Javascript()
            _, others = await asyncio.gather(clients.run(web, (1, 2)), web.everybody((3, 4, 5)))
            clients.assert_completed(1, 2)
            assert all(isinstance(outcome, Participation) for outcome in others.values())
            web.assert_exact(await web.sum())
            assert not [step for step in clients.steps if step["state"] in ("retrying", "offline")]
            print(clients.states(1))

    run(play())
