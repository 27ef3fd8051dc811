"""What a process says of the leases that it has: time that a round was open, that it is there, that it stops."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from secagg.hosting import RoundSchedule
from secagg.store.base import StoreError
from secagg.store.shared import Lease
from tests.harness import Harness
from tests.hosting.replicas.support import LEASE, Replicas, Wandering
from tests.hosting.support import PATIENCE, run

NAME = "round-1"


def test_a_log_that_cannot_be_read_does_not_make_a_round_longer() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played, schedule=RoundSchedule.uniform(1e4))
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
                await replicas.create(Wandering(Harness(4, threshold=2)), name=name)
            await replicas.until(lambda: all(host._leases.replicas == 2 for host in replicas.hosts))  # type: ignore[union-attr]
            await replicas.hosts[0].stop()
            replicas.stores[0].cut = True  # nobody asks it any more
            await replicas.at_once(lambda: all(replicas.holder(name) == 1 for name in names))

    run(body())


def test_what_is_given_back_while_others_look_for_leases_is_not_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what is given back right after they looked: sessions of who stops waited for a third of a lease."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            await replicas.create(Wandering(Harness(4, threshold=2)))
            second, leases = replicas.stores[1], replicas.hosts[1]._leases
            assert leases is not None
            acquire, looked, go_on = second.acquire, threading.Event(), threading.Event()

            def slow(*arguments: Any) -> Sequence[Lease]:
                found: Sequence[Lease] = acquire(*arguments)
                looked.set()
                go_on.wait(PATIENCE)
                return found

            second.__dict__["acquire"] = slow
            hurry, heard = leases.hurry, threading.Event()
            hurry()
            await replicas.until(looked.is_set)

            def hurry_and_tell() -> None:
                hurry()
                heard.set()

            monkeypatch.setattr(leases, "hurry", hurry_and_tell)
            begun = replicas.time.now()
            await replicas.hosts[0].stop()
            await replicas.until(heard.is_set)
            go_on.set()
            await replicas.until(lambda: bool(replicas.seen[1].all("lease_taken")))
            assert replicas.time.now() - begun < LEASE / 4

    run(body())


def test_leases_are_renewed_while_all_threads_read_logs() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            names = [f"round-{number}" for number in range(8)]
            for name in names:
                await replicas.create(Wandering(Harness(4, threshold=2)), name=name)
            second, go_on = replicas.stores[1], threading.Event()
            entries, reading = second.entries, set[str]()

            def slow(name: str) -> object:
                reading.add(name)
                go_on.wait(PATIENCE)
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
            await replicas.create(played)
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
