"""What replicas show of sessions, and do with them for operators, is the same whichever of them is asked."""

from __future__ import annotations

import asyncio

from secagg.hosting import HostReason
from secagg.hosting.listing import Place
from tests.harness import Harness
from tests.hosting.replicas.support import LONG, Replicas, Wandering, run


def test_any_replica_lists_watches_drops_and_aborts() -> None:
    async def play() -> None:
        async with Replicas(3) as replicas:
            first, second, third = replicas.hosts
            played = Wandering(Harness(6, threshold=2))
            parameters = played.harness.parameters
            client = parameters.cohort[0]
            waiting = asyncio.ensure_future(third.next_sessions(client, None, (), 1e6))
            await first.create("one", parameters, schedule=LONG, tenant="ours")
            await second.find("one")
            assert await waiting == ["one"]
            for host in (second, third):
                await host.find("one")
                assert [status.name for status in host.statuses("ours")] == ["one"]
                assert host.statuses("", after=Place()) == []
            await (await second.find("one")).drop(client, HostReason.REMOVED_BY_OPERATOR, "stolen")
            watching = await third.find("one")
            seen = None
            while seen is None or not seen.dropped:
                found = await watching.next_status(seen, 1e6)
                assert found is not None
                seen, last = found
                assert not last
            assert seen.dropped == {HostReason.REMOVED_BY_OPERATOR: 1}
            assert await third.next_sessions(client, None, ("one",), 0.0) == []
            await (await third.find("one")).abort("enough")
            assert (await third.find("one")).status().state == "aborted"
            last = False
            while not last:
                found = await watching.next_status(seen, 1e6)
                assert found is not None
                seen, last = found
            assert seen.state == "aborted"
            seats = [await host.find("one") for host in replicas.hosts]
            await replicas.until(lambda: all(session.status().state == "aborted" for session in seats))

    run(play())
