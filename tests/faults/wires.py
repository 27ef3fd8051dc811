"""Networks that delay, cut, duplicate and reorder, between all clients and the server."""

from __future__ import annotations

from pathlib import Path

from tests.faults.killing import LONG
from tests.faults.proxy import Proxy, Wire
from tests.faults.trial import Trial, Verdict


async def through(
    directory: Path,
    wire: Wire,
    *,
    plaintext: bool = False,
    length: int = LONG,
    points: tuple[str, ...] = (),
    http: bool = False,
) -> Verdict:
    """A session whose clients reach the server through a faulty wire, while the server dies at some points."""
    async with Trial(directory, length=length, plaintext=plaintext, http=http) as trial:
        await trial.serve(points)
        async with Proxy(trial.clients_port, wire) as proxy:
            await trial.everybody(server=trial.dialled(proxy.address))
        return await trial.verdict(wire.injected)
