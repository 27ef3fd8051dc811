"""`secagg serve` with many sessions that have ended: how long it takes to start, and to say how far each of them is."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import secagg
from bench.processes import line_of, start
from secagg.cli.demo.deployment import deploy
from secagg.errors import AbortReason
from secagg.hosting import RoundSchedule
from secagg.identity.keys import load_identity
from secagg.protocol.messages import SessionOffer
from secagg.store.base import Aborted, SessionRecord
from secagg.store.sqlite import SqliteStore
from secagg.transport.grpc import ClientTls, Operator
from secagg.wire.codec import encode_offer

_COHORT: Final = 100
_OWN: Final = 1  # the session of the deployment itself


@dataclass(frozen=True)
class Kept:
    """What a server with ended sessions took, in seconds.

    Attributes:
        start: from its process' start until clients can connect.
        status: until an operator has the status of each session.
    """

    start: float
    status: float


def fill(directory: Path, sessions: int) -> None:
    """Make a store with so many sessions of a hundred clients that have ended."""
    roster = {client: bytes(32) for client in range(1, _COHORT + 1)}
    schedule = RoundSchedule.uniform(60.0).encode()
    store = SqliteStore(directory)
    try:
        for number in range(sessions):
            parameters = secagg.SessionParameters.choose(
                clients=range(1, _COHORT + 1),
                vectors={"counts": secagg.Integers(0, 1000, shape=(1000,))},
                threat_model="active",
                max_dropout=0.25,
            )
            name = f"ended-{number}"
            store.create(SessionRecord(name, encode_offer(SessionOffer(parameters)), roster, schedule, time.time()))
            store.finish(name, Aborted(AbortReason.ABORTED_BY_CALLER.value, "it was to be", ended_at=time.time()))
    finally:
        store.close()


async def measure_kept(sessions: int) -> Kept:
    """Start a server on so many ended sessions and ask for all of them; raises AssertionError when one is missing."""
    with tempfile.TemporaryDirectory(prefix="secagg-bench-") as temporary:
        files = Path(temporary)
        deploy(files, 3, 1000, "127.0.0.1:0", 600.0, inputs=False)
        if sessions:
            fill(files / "data", sessions)
        begun = time.monotonic()
        server = await start("-m", "secagg.cli.main", "serve", "--config", str(files / "server.toml"), "--json")
        try:
            address = json.loads(await line_of(server))["address"]
            started = time.monotonic() - begun
            tls = ClientTls.from_files(files / "server.pem")
            async with Operator(address, identity=load_identity(files / "operator.key"), tls=tls) as operator:
                await operator.status("demo")
                begun = time.monotonic()
                found = await operator.sessions()
                asked = time.monotonic() - begun
            if len(found) != sessions + _OWN:
                raise AssertionError(f"the server knows {len(found)} sessions, not {sessions + _OWN}")
            return Kept(started, asked)
        finally:
            if server.returncode is None:
                server.kill()
            await server.wait()
