"""What a process says of the leases that it has: time that a round was open, that it is there, that it stops."""

from __future__ import annotations

import threading

from secagg.hosting import RoundSchedule
from secagg.store.base import StoreError
from tests.harness import Harness
from tests.hosting.replicas.support import LEASE, LONG, Replicas, Wandering
from tests.hosting.support import run

NAME = "round-1"


def test_a_log_that_cannot_be_read_does_not_make_a_round_longer() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await played.create(replicas.hosts[0], schedule=RoundSchedule.uniform(1e4))
            opened = replicas.time.now()
            await replicas.until(lambda: replicas.time.now() > opened + 2 * LEASE)
            second, failed = replicas.stores[1], threading.Event()
            entries = second.entries

            def unreadable(name: str) -> object:
                if not failed.is_set():
                    failed.set()
                    raise StoreError("the log cannot be read now")
                return entries(name)

            second.__dict__["entries"] = unreadable
            replicas.stores[0].cut = True
            await replicas.until(failed.is_set)
            await replicas.held(NAME)
            left = replicas.hosts[1].session(NAME).seconds_left
            assert left is not None
            assert left < 1e4 - LEASE, "the time for which the round had been open was forgotten"

    run(body())


def test_who_stops_leaves_all_its_sessions_to_others_at_once() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            names = [f"round-{number}" for number in range(4)]
            for name in names:
                await Wandering(Harness(4, threshold=2)).create(replicas.hosts[0], name, schedule=LONG)
            await replicas.until(lambda: all(host._leases.replicas == 2 for host in replicas.hosts))  # type: ignore[union-attr]
            await replicas.hosts[0].stop()
            replicas.stores[0].cut = True  # nobody asks it any more
            await replicas.at_once(lambda: all(replicas.holder(name) == 1 for name in names))

    run(body())


def test_leases_are_renewed_while_all_threads_read_logs() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            names = [f"round-{number}" for number in range(8)]
            for name in names:
                await Wandering(Harness(4, threshold=2)).create(replicas.hosts[0], name, schedule=LONG)
            second, go_on = replicas.stores[1], threading.Event()
            entries, reading = second.entries, set[str]()

            def slow(name: str) -> object:
                reading.add(name)
                go_on.wait(10)
                return entries(name)

            second.__dict__["entries"] = slow
            replicas.stores[0].cut = True
            try:
                await replicas.until(lambda: len(reading) >= 6)
                begun = replicas.time.now()
                await replicas.until(lambda: replicas.time.now() > begun + 3 * LEASE)
                assert not replicas.seen[1].all("lease_lost"), "it had no thread left to renew what it replays"
            finally:
                go_on.set()
            await replicas.until(lambda: all(replicas.holder(name) == 1 for name in names))

    run(body())


def test_who_does_not_reach_the_uploads_leaves_its_sessions_to_others() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await played.create(replicas.hosts[0], schedule=LONG)
            await replicas.until(lambda: all(host._leases.replicas == 2 for host in replicas.hosts))  # type: ignore[union-attr]
            away, probe = replicas.stores[0], replicas.stores[0].probe

            def missing() -> None:
                raise StoreError("the uploads cannot be reached")

            away.__dict__["probe"] = missing
            assert await replicas.hosts[0].trouble()
            assert await replicas.held(NAME, not_by=0) == 1
            away.__dict__["probe"] = probe
            replicas.stores[1].cut = True
            assert await replicas.held(NAME, not_by=1) == 0
            await played.play_round(replicas.hosts[0].session(NAME))

    run(body())
