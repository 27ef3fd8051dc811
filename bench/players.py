"""Clients of one session, as a process of their own: `python bench/players.py FILES ADDRESS LENGTH MODEL ID...`.

A script by its path, not a module: with another PYTHONPATH it plays the clients of another release. So it names nothing
that is younger than what it is compared with.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.parameters import ThreatModel
from secagg.parameters.policy import ClientPolicy
from secagg.transport.grpc import ClientTls, RetryPolicy, participate

SESSION: Final = "demo"
HIGHEST: Final = 65_535  # 16 bits, as of fixed-point entries: a word of the session vector holds two of their sums
_RETRY: Final = RetryPolicy(first_seconds=0.2, longest_seconds=2.0, give_up_seconds=600.0)


def input_of(client: int, length: int) -> NDArray[Any]:
    """The input of a client, made from its id, so that nothing has to be stored."""
    return np.random.default_rng(client).integers(0, HIGHEST + 1, length)


async def play(files: Path, address: str, length: int, model: ThreatModel, ids: Sequence[int]) -> None:
    """Take part as some clients."""
    roster = load_directory(files / "roster.json", files / "authority.pub").keys
    tls = ClientTls.from_files(files / "server.pem")

    async def one(client: int) -> None:
        await participate(
            address,
            lambda _: {"counts": input_of(client, length)},
            session=SESSION,
            client_id=client,
            identity=load_identity(files / f"{client}.key"),
            roster=roster,
            policy=ClientPolicy(threat_model=model),
            tls=tls,
            retry=_RETRY,
        )

    await asyncio.gather(*(one(client) for client in ids))


if __name__ == "__main__":
    directory, where, entries, threat_model, *clients = sys.argv[1:]
    asyncio.run(play(Path(directory), where, int(entries), ThreatModel(threat_model), [int(each) for each in clients]))
