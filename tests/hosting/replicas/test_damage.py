"""Bits flip in what replicas tell each other: whoever finds it says so, it is told again, and nobody else waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import pytest

from secagg import AbortReason
from secagg.hosting import Ended, EndKind, HostUnavailableError, ReceiptKind
from secagg.store.base import DamagedError, StoreError
from secagg.store.shared import Sight, Standing
from tests.harness import Harness
from tests.hosting.replicas.support import LONG, Replicas, Wandering, run
from tests.hosting.test_unmasking import VECTOR, Gate, waiting_at

NAME = "round-1"


def test_a_damaged_letter_keeps_no_other_waiting_and_is_left_again() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session, post = await replicas.hosts[1].find(NAME), replicas.memory._office.post(NAME)
            answers = {client: await played.answer(session, client) for client in played.cohort}
            replicas.stores[0].gate.clear()
            victim, *others = played.cohort
            first = asyncio.ensure_future(session.submit(victim, answers[victim]))
            await replicas.until(lambda: bool(post.letters))
            for number in post.letters:
                post.letters[number] = None
            second = [asyncio.ensure_future(session.submit(client, answers[client])) for client in others[:2]]
            await replicas.until(lambda: len(post.numbers) == 3)
            replicas.stores[0].gate.set()
            with pytest.raises(HostUnavailableError):
                await first
            assert {(await each).kind for each in second} == {ReceiptKind.ACCEPTED}
            told = [what for seen in replicas.seen for what in seen.all("store_failed")]
            assert any(isinstance(error, DamagedError) and "letter" in str(error) for _, error in told)
            assert (await session.submit(victim, answers[victim])).kind is ReceiptKind.ACCEPTED
            await played.play_round(replicas.spread(NAME))
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_damaged_news_is_told_again_when_somebody_complains() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session, told = await replicas.hosts[1].find(NAME), asyncio.Event()
            await played.answer(session, played.cohort[0])

            def again(point: str) -> bool:
                if point == "after publish":
                    replicas.loop.call_soon_threadsafe(told.set)
                return False

            look = replicas.stores[1].look

            def damaged(names: Collection[str], numbers: Collection[int]) -> Sight:
                found: Sight = look(names, numbers)
                if told.is_set():
                    return found
                return Sight({NAME: Standing(None, None, "what was published was damaged on the disk")}, found.receipts)

            replicas.stores[1].__dict__["look"] = damaged
            replicas.stores[0].plan = again
            with pytest.raises(HostUnavailableError):
                await session.next_request(played.cohort[0], b"", 0)
            assert "send" in replicas.stores[1].calls
            await told.wait()
            await played.play_round(replicas.spread(NAME))
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


@pytest.mark.parametrize(
    "refused", [StoreError("the store cannot be reached"), DamagedError("the lease was damaged on the disk")]
)
def test_all_hear_of_a_log_that_is_damaged_also_when_the_store_refuses_for_a_moment(refused: StoreError) -> None:
    """It was said once; whoever asked another host waited for good. A damaged lease is mended when it is renewed."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.play_round(replicas.spread(NAME))
            former = await replicas.held(NAME)
            holder = 1 - former
            publish: Callable[..., None] = replicas.stores[holder].publish
            tried: list[str] = []

            def entries(name: str) -> object:
                raise DamagedError("the log was damaged on the disk")

            def away(name: str, *arguments: object) -> None:
                tried.append(name)
                if len(tried) < 3:
                    raise refused
                publish(name, *arguments)

            replicas.stores[holder].__dict__.update(entries=entries, publish=away)
            replicas.stores[former].cut = True
            await replicas.until(lambda: bool(tried))
            follower = replicas.add()
            await follower.start()
            await replicas.until(lambda: len(tried) > 2)
            session = await follower.find(NAME)
            found = await session.next_request(played.cohort[0], b"", 1e9)
            assert found == Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER)
            assert session.status().state == "failed"
            told = [error for _, error in replicas.seen[holder].all("store_failed")]
            assert (refused in told) is not isinstance(refused, DamagedError)
            replicas.stores[former].cut = False

    run(body())


def test_who_only_watches_hears_of_a_session_that_nobody_can_go_on_with() -> None:
    """Its holder dies, and its lease is gone: nobody publishes anything, and no client waits at this replica."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            holder = await replicas.held(NAME)
            watched = replicas.stores[1 - holder]
            session = await replicas.hosts[1 - holder].find(NAME)
            await replicas.until(lambda: session.status().state != "starting")
            look = watched.look

            def lost(names: Collection[str], numbers: Collection[int]) -> Sight:
                found: Sight = look(names, numbers)
                return Sight({NAME: Standing(None, None, "it was damaged on the disk", lost=True)}, found.receipts)

            watched.__dict__["look"] = lost
            await replicas.until(lambda: session.status().state == "failed")
            assert "damaged" in session.status().detail
            assert len(replicas.seen[1 - holder].all("failed")) == 1

    run(body())


def test_what_one_session_has_lost_on_the_disk_keeps_no_other_waiting() -> None:
    """A database refuses to read a page that is damaged, and questions about many sessions are one call."""

    async def body() -> None:
        async with Replicas(1) as replicas:
            host, store = replicas.hosts[0], replicas.stores[0]
            for name in ("one", "two", "three"):
                await Wandering(Harness(4, threshold=2)).create(host, name, LONG)
            look, asked = store.look, list[frozenset[str]]()

            def damaged(names: Collection[str], numbers: Collection[int]) -> Sight:
                asked.append(frozenset(names))
                if "two" in names:
                    raise DamagedError("invalid page in block 7")
                found: Sight = look(names, numbers)
                return found

            store.__dict__["look"] = damaged
            exchange = host._exchange
            asking = [exchange.look(name, ()) for name in ("one", "one", "two", "three")]
            found = await asyncio.gather(*asking, return_exceptions=True)
            assert frozenset(["one", "two", "three"]) in asked
            one, again, two, three = found
            assert isinstance(two, DamagedError)
            for sight, name in ((one, "one"), (again, "one"), (three, "three")):
                assert isinstance(sight, Sight)
                assert name in sight.sessions

    run(body())


def test_requests_that_are_lost_are_written_again_when_somebody_complains() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session = await replicas.hosts[1].find(NAME)
            await replicas.until(lambda: session.status().state != "starting")
            begun = replicas.time.now()
            replicas.memory._sessions[NAME].uploads.clear()
            with pytest.raises(HostUnavailableError):
                await session.next_request(played.cohort[1], b"", 0)
            assert "send" in replicas.stores[1].calls
            await replicas.until(lambda: bool(replicas.memory._sessions[NAME].uploads))
            assert replicas.time.now() - begun < 50
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_who_mentions_how_far_the_last_round_is_leaves_a_damaged_lease_to_its_renewal() -> None:
    """It was told each second until then, and once more by the renewal, which had mended it."""

    async def body() -> None:
        gate = Gate()
        async with Replicas(1, executor=gate) as replicas:
            played = Wandering(Harness(4, threshold=2, vectors=VECTOR))
            await replicas.create(played)
            spread, (store,), mentioned = replicas.spread(NAME), replicas.stores, list[str]()
            for _ in range(3):
                await played.turned(spread, played.cohort[0])
                await played.play_round(spread)
            await played.turned(spread, played.cohort[0])
            given = asyncio.ensure_future(played.play_round(spread))
            await waiting_at(gate, 1)

            def damaged(name: str, *arguments: object) -> None:
                mentioned.append(name)
                raise DamagedError("the lease was damaged on the disk")

            store.__dict__["publish"] = damaged
            await replicas.until(lambda: len(mentioned) > 2)
            del store.__dict__["publish"]
            gate.opened.set()
            await given
            await replicas.hosts[0].session(NAME).wait_ended()
            assert replicas.seen[0].all("store_failed") == []

    run(body())
