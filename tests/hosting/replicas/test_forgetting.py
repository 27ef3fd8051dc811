"""Sessions that come and go at several processes at once."""

from __future__ import annotations

import asyncio
import threading

from secagg.hosting import UnknownSessionError
from tests.harness import Harness
from tests.hosting.replicas.support import LONG, Replicas, Wandering
from tests.hosting.support import run

NAME = "round-1"


def test_a_list_from_before_a_session_was_created_does_not_end_it() -> None:
    async def body() -> None:
        async with Replicas(1) as replicas:
            store, read, go_on = replicas.stores[0], threading.Event(), threading.Event()
            names = store.names

            def slow() -> object:
                found = names()
                if not read.is_set():
                    read.set()
                    go_on.wait(10)
                return found

            played = Wandering(Harness(4, threshold=2))
            store.__dict__["names"] = slow
            await replicas.until(read.is_set)
            creating = asyncio.ensure_future(played.create(replicas.hosts[0], schedule=LONG))
            try:
                await replicas.until(lambda: NAME in replicas.hosts[0]._sessions)
            finally:
                go_on.set()
            await creating
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_several_hosts_discard_a_session_at_once() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await played.create(replicas.hosts[0], schedule=LONG)
            await played.finish(replicas.spread(NAME))
            await replicas.hosts[1].session(NAME).acknowledge_result()
            store, gone, go_on = replicas.stores[0], threading.Event(), threading.Event()
            discard = store.discard

            def slow(name: str) -> bool:
                removed: bool = discard(name)
                gone.set()
                go_on.wait(10)
                return removed

            store.__dict__["discard"] = slow
            discarding = asyncio.ensure_future(replicas.hosts[0].discard(NAME))
            await replicas.until(gone.is_set)
            await replicas.hosts[1].discard(NAME)
            await replicas.until(lambda: NAME not in replicas.hosts[0]._sessions)
            go_on.set()
            await discarding

    run(body())


def test_a_name_that_is_given_again_is_another_session_everywhere() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await played.create(replicas.hosts[0], schedule=LONG)
            await played.finish(replicas.spread(NAME))
            await replicas.until(lambda: replicas.hosts[1].session(NAME).settled)
            await replicas.hosts[0].session(NAME).acknowledge_result()
            await replicas.hosts[0].discard(NAME)
            again = Wandering(Harness(5, threshold=3))
            session = await again.create(replicas.hosts[0], schedule=LONG)

            async def known() -> bool:
                try:
                    return (await replicas.hosts[1].find(NAME)).offer == session.offer
                except UnknownSessionError:
                    return False

            begun = replicas.time.now()
            while not await known():
                assert replicas.time.now() < begun + 60, "it offers a session that was discarded"
                await asyncio.sleep(0.01)
            again.assert_exact(await again.finish(replicas.spread(NAME)))

    run(body())
