"""Connections end that nobody uses, that are old, or whose other end is gone; clients notice nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from secagg.transport.grpc import ServiceLimits, UnreachableError
from tests.transport.grpc.network import QUICK, Network, authority, run

# What begins an HTTP/2 connection: the preface, settings that change nothing, and consent to those of the server.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(bytes((0, 0, 0, 4, ack, 0, 0, 0, 0)) for ack in (0, 1))
LONG = 100_000.0


async def ended(network: Network, said: bytes) -> None:
    """Connect, say so much and then nothing any more, not even that one is there, and wait for the end."""
    context = None
    if said:
        context = ssl.create_default_context(cadata=authority().pem.decode())
        context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("localhost", network.port, ssl=context)
    writer.write(said)
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass
    writer.close()


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (b"", {"stall_seconds": 0.2}),
        (PREFACE, {"idle_seconds": 0.2}),
        (PREFACE, {"age_seconds": 0.2}),
        (PREFACE, {"ping_seconds": 0.2}),
    ],
    ids=["no handshake", "idle", "old", "gone"],
)
def test_a_connection_ends_that_is_of_no_use(said: bytes, limits: dict[str, Any]) -> None:
    async def play() -> None:
        others = {"stall_seconds": LONG, "idle_seconds": LONG, "age_seconds": LONG, "ping_seconds": LONG}
        async with Network(limits=ServiceLimits(**{**others, **limits})) as network:
            await ended(network, said)

    run(play())


def test_clients_take_part_over_connections_that_end_again_and_again() -> None:
    """A call that goes on past the age of its connection is cut after that time again, and where a machine has much to
    do no upload is that quick: there, connections grow older."""

    async def play(age: float) -> None:
        limits = ServiceLimits(idle_seconds=0.01, age_seconds=age)
        patience = replace(QUICK, give_up_seconds=200 * age)
        async with Network(limits=limits, threat_model="active", length=250_000) as network:
            async with asyncio.TaskGroup() as clients:
                for client in network.ids:
                    clients.create_task(network.client(client, retry=patience))
            network.assert_exact(await network.sum())

    def in_time(age: float) -> bool:
        late = False
        try:
            run(play(age))
        except* UnreachableError:
            late = True
        return not late

    assert any(in_time(age) for age in (0.05, 0.2, 1.0, 5.0, 25.0))
