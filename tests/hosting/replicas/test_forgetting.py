"""Sessions that come and go at several processes at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from contextlib import suppress

import pytest

from secagg.hosting import HostReason, HostUnavailableError, ReceiptKind, UnknownSessionError
from secagg.hosting.replicas.letters import LETTERS_OF_CLIENT
from secagg.store.base import EntryKind, SessionRecord
from secagg.store.shared import Addressed, Letter, Sight
from tests.harness import Harness
from tests.hosting.replicas.support import LONG, Replicas, Wandering
from tests.hosting.support import PATIENCE, run

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
                    go_on.wait(PATIENCE)
                return found

            played = Wandering(Harness(4, threshold=2))
            store.__dict__["names"] = slow
            await replicas.until(read.is_set)
            creating = asyncio.ensure_future(replicas.create(played))
            try:
                await replicas.until(lambda: NAME in replicas.hosts[0]._sessions)
            finally:
                go_on.set()
            await creating
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_whoever_asks_for_sessions_that_are_not_there_keeps_nobody_waiting() -> None:
    """A caller without a login names what it likes: each name was looked up alone, and no session made meanwhile."""

    async def body() -> None:
        async with Replicas(1) as replicas:
            host, store = replicas.hosts[0], replicas.stores[0]
            look, record, asked, go_on = store.look, store.record, list[frozenset[str]](), threading.Event()

            def wait_for(*names: str) -> None:
                if any(name.startswith("none") for name in names):
                    asked.append(frozenset(names))
                    go_on.wait(0.05 if len(names) == 1 else PATIENCE)

            def slow_look(names: Collection[str], numbers: Collection[int]) -> Sight:
                wait_for(*names)
                found: Sight = look(names, numbers)
                return found

            def slow_record(name: str) -> SessionRecord | None:
                wait_for(name)
                found: SessionRecord | None = record(name)
                return found

            store.__dict__.update(look=slow_look, record=slow_record)
            strangers = [asyncio.ensure_future(host.find(f"none-{number}")) for number in range(200)]
            await replicas.until(lambda: bool(asked))
            played = Wandering(Harness(4, threshold=2))
            await played.create(host, schedule=LONG)
            go_on.set()
            for error in await asyncio.gather(*strangers, return_exceptions=True):
                assert isinstance(error, UnknownSessionError)
            assert len(asked) < 10
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_who_is_late_with_a_discard_leaves_a_session_that_was_made_anew() -> None:
    """Retention lets go of a session at all hosts in the same moment, and its name may be given again at once."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            for session in await replicas.everywhere(NAME):
                await session.wait_ended()
            await replicas.hosts[1].session(NAME).acknowledge_result()
            replicas.stores[0].gate.clear()
            late = asyncio.ensure_future(replicas.hosts[0].discard(NAME))
            await replicas.until(lambda: "discard" in replicas.stores[0]._on_their_way)
            await replicas.hosts[1].discard(NAME)
            again = Wandering(Harness(4, threshold=2, seed=2))
            replicas.wall += 1
            await replicas.create(again, 1)
            replicas.stores[0].gate.set()
            with pytest.raises(HostUnavailableError, match="made anew meanwhile; ask again"):
                await late
            again.assert_exact(await again.finish(replicas.spread(NAME)))

    run(body())


def test_a_session_that_is_made_anew_just_as_it_was_is_known_as_another() -> None:
    """Its record says when it was made; a host that kept the earlier one discarded nothing, and said that it had."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            one, other = replicas.hosts
            for made in range(2):
                replicas.wall += 1
                if made:
                    replicas.pause(1)
                    assert await one.discard(NAME)
                await Wandering(Harness(4, threshold=2)).create(one, schedule=LONG)
                if made:
                    replicas.resume(1)
                await other.find(NAME)
                # A host that forgets the one and learns of the other knows neither for a moment.
                await replicas.until(lambda: other.has(NAME) and other.session(NAME).record.created_at == replicas.wall)
                await (await other.find(NAME)).abort("enough")
                await replicas.until(
                    lambda: all(host.has(NAME) and host.session(NAME).settled for host in replicas.hosts)
                )
            assert await other.discard(NAME)
            await replicas.until(lambda: not any(host.has(NAME) for host in replicas.hosts))

    run(body())


def test_several_hosts_discard_a_session_at_once() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            await replicas.hosts[1].session(NAME).acknowledge_result()
            store, gone, go_on = replicas.stores[0], threading.Event(), threading.Event()
            discard = store.discard

            def slow(name: str, record: SessionRecord) -> bool:
                removed: bool = discard(name, record)
                gone.set()
                go_on.wait(PATIENCE)
                return removed

            store.__dict__["discard"] = slow
            discarding = asyncio.ensure_future(replicas.hosts[0].discard(NAME))
            await replicas.until(gone.is_set)
            with suppress(UnknownSessionError):  # The other may have heard of it.
                await replicas.hosts[1].discard(NAME)
            await replicas.until(lambda: NAME not in replicas.hosts[0]._sessions)
            go_on.set()
            await discarding

    run(body())


def test_a_name_that_is_given_again_is_another_session_everywhere() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            await replicas.until(lambda: replicas.hosts[1].session(NAME).settled)
            await replicas.hosts[0].session(NAME).acknowledge_result()
            await replicas.hosts[0].discard(NAME)
            again = Wandering(Harness(5, threshold=3))
            session = await replicas.create(again)

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


def test_who_stops_knows_not_that_there_is_no_such_session() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            await replicas.hosts[1].stop()
            await replicas.create(Wandering(Harness(4, threshold=2)))
            with pytest.raises(HostUnavailableError):
                await replicas.hosts[1].find(NAME)

    run(body())


def test_a_client_that_left_as_many_letters_as_it_may_can_be_dropped() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            following, client = await replicas.hosts[1].find(NAME), played.cohort[0]
            for number in range(LETTERS_OF_CLIENT):
                letter = Letter(EntryKind.MESSAGE, client, b"", bytes([number]) * 32, 0)
                assert replicas.memory.send([Addressed(NAME, letter, LETTERS_OF_CLIENT)]) != [None]
            receipt = await following.drop(client, HostReason.REMOVED_BY_OPERATOR, "floods")
            assert receipt.kind in (ReceiptKind.ACCEPTED, ReceiptKind.LATE)

    run(body())


def test_who_still_asks_a_host_that_has_stopped_is_sent_away() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            await replicas.create(Wandering(Harness(4, threshold=2)))
            following = await replicas.hosts[1].find(NAME)
            await replicas.hosts[1].stop()
            with pytest.raises(HostUnavailableError):
                await following.acknowledge_result()

    run(body())


def test_what_others_show_of_a_session_that_ended_is_what_the_store_has_of_it() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            seats = await replicas.everywhere(NAME)
            kept = replicas.memory.upload_bytes(NAME)
            assert kept > 0
            await replicas.until(lambda: {session.status().stored_bytes for session in seats} == {kept})
            await seats[1].acknowledge_result()
            await replicas.until(lambda: {session.status().stored_bytes for session in seats} == {0})

    run(body())


def test_a_session_that_another_process_discards_is_no_failure_of_the_store() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            seats = await replicas.everywhere(NAME)
            await replicas.until(lambda: all(session.settled for session in seats))
            await replicas.hosts[0].session(NAME).acknowledge_result()
            await replicas.hosts[0].discard(NAME)
            await replicas.until(lambda: not any(host.has(NAME) for host in replicas.hosts))
            assert [seen.all("store_failed") for seen in replicas.seen] == [[], [], []]

    run(body())
