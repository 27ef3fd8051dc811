"""Clients of many sessions, as a process of their own: `python -m bench.crowd FILES ADDRESS LENGTH SESSIONS ID...`.

It says when it is ready and begins with the first line that it is told, so that no figure has the start of an
interpreter in it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.players import input_of
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, RetryPolicy, participate

_RETRY = RetryPolicy(first_seconds=0.2, longest_seconds=2.0, give_up_seconds=600.0)


async def play(files: Path, address: str, length: int, sessions: Sequence[str], ids: Sequence[int]) -> None:
    """Take part in each session as some clients, all at once."""
    roster = load_directory(files / "roster.json", files / "authority.pub").keys
    tls = ClientTls.from_files(files / "server.pem")
    identities = {client: load_identity(files / f"{client}.key") for client in ids}
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    async def one(session: str, client: int) -> None:
        await participate(
            address,
            lambda _: {"counts": input_of(client, length)},
            session=session,
            client_id=client,
            identity=identities[client],
            roster=roster,
            tls=tls,
            retry=_RETRY,
        )

    await asyncio.gather(*(one(session, client) for session in sessions for client in ids))


if __name__ == "__main__":
    directory, where, entries, names, *clients = sys.argv[1:]
    asyncio.run(play(Path(directory), where, int(entries), names.split(","), [int(each) for each in clients]))
