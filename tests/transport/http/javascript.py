"""Clients of the JavaScript package, each in a process of Node, beside those of a `Web`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.transport.grpc.network import SESSION, authority
from tests.transport.http.web import Web

PACKAGE: Final = Path(__file__).parents[3] / "clients/js"
PARTICIPANT: Final = PACKAGE / "test/http/participant.js"
needs_javascript: Final = pytest.mark.skipif(
    shutil.which("node") is None or not (PACKAGE / "node_modules").is_dir(),
    reason="the JavaScript client needs Node and its packages: npm ci --prefix clients/js",
)
QUICK: Final = {"firstSeconds": 0.01, "longestSeconds": 0.05, "giveUpSeconds": 600}


class Javascript:
    """Clients of one process.

    Attributes:
        steps: what each told, in order.
        ends: what each ended with: an outcome, or an error with its message.
    """

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.ends: dict[int, dict[str, Any]] = {}

    def states(self, client: int) -> list[tuple[str, str]]:
        """State and round of every step of a client."""
        return [(step["state"], step["round"]) for step in self.steps if step["client"] == client]

    async def run(
        self,
        web: Web,
        clients: Sequence[int],
        *,
        told: Callable[[dict[str, Any]], None] = lambda step: None,
        **changes: Any,
    ) -> None:
        """Take part as some clients until their ends; `changes` replace what participant.js reads."""
        one = {
            client: {
                "client": client,
                "identityKey": web.identities[client].seed.expose().hex(),
                "input": [int(value) for value in web.inputs[client]],
            }
            for client in clients
        }
        todo = {
            "server": web.url,
            "session": SESSION,
            "clients": list(one.values()),
            "roster": {str(client): key.hex() for client, key in web.roster.items()} if web.active else None,
            "policy": {
                "threatModel": "active" if web.active else "semi-honest",
                "minimumCohort": 2,
                "minimumThreshold": 1,
                "maxCorrupt": 0,
                "maxDropout": 0,
            },
            "retry": QUICK,
            **changes,
        }
        await self._play(todo, told)

    async def redeem(
        self, links: Mapping[int, str], inputs: Mapping[int, Sequence[int]], told: Callable[[dict[str, Any]], None]
    ) -> None:
        """Take part as whom these links invite, each with a key that is drawn there."""
        policy = {"threatModel": "active", "minimumCohort": 2, "minimumThreshold": 1, "maxCorrupt": 0, "maxDropout": 0}
        clients = [{"client": client, "link": link, "input": list(inputs[client])} for client, link in links.items()]
        await self._play({"clients": clients, "policy": policy, "retry": QUICK}, told)

    async def _play(self, todo: Mapping[str, Any], told: Callable[[dict[str, Any]], None]) -> None:
        with tempfile.NamedTemporaryFile(suffix=".pem") as trusted:
            trusted.write(authority().pem)
            trusted.flush()
            process = await asyncio.create_subprocess_exec(
                "node",
                str(PARTICIPANT),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "NODE_EXTRA_CA_CERTS": trusted.name},
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(todo).encode())
                process.stdin.write_eof()
                async for line in process.stdout:
                    said = json.loads(line)
                    if "state" in said:
                        self.steps.append(said)
                        told(said)
                    else:
                        self.ends[said["client"]] = said
                assert await process.wait() == 0
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def assert_completed(self, *clients: int) -> None:
        """Every one of these took part to the end."""
        assert {client: self.ends[client].get("outcome", self.ends[client]) for client in clients} == {
            client: {**self.ends[client].get("outcome", {}), "state": "COMPLETED"} for client in clients
        }
