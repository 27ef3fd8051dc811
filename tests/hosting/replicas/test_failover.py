"""The holder of a session dies, sleeps, or loses its way to the store, at every point: another goes on, exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from secagg import Round
from secagg.hosting import RoundSchedule
from tests.harness import Harness
from tests.hosting.replicas.support import LEASE, Replicas, Wandering, run

NAME = "round-1"
FAST = {("append", 2), ("publish", 1), ("publish", 4), ("finish", 1), ("letters", 2)}
POINTS = [
    pytest.param(f"{side} {call}", count, marks=() if (call, count) in FAST else pytest.mark.cluster)
    for call, most in (("append", 9), ("publish", 5), ("finish", 1), ("letters", 6))
    for side in ("before", "after")
    for count in range(1, most + 1)
]


def at(point: str, count: int) -> Callable[[str], bool]:
    """True once a point is reached for so many times, from now on."""
    left = [count]

    def reached(what: str) -> bool:
        left[0] -= what == point
        return left[0] <= 0

    return reached


@pytest.mark.parametrize(("point", "count"), POINTS)
def test_another_goes_on_wherever_the_holder_dies(point: str, count: int) -> None:
    async def body() -> None:
        async with Replicas(3, seed=count) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            replicas.stores[0].plan = at(point, count)
            released = await played.finish(replicas.spread(NAME))
            played.assert_exact(released)
            assert replicas.stores[0].cut or point.endswith("letters")

    run(body())


@pytest.mark.parametrize("point", ["before append", "after append", "after publish", "before finish", "after finish"])
def test_a_lost_connection_that_comes_back_leaves_nothing_in_doubt(point: str) -> None:
    async def body() -> None:
        async with Replicas(2, seed=3) as replicas:
            played = Wandering(Harness(4, threshold=3, threat_model="active"))
            await replicas.create(played)
            store, reached = replicas.stores[0], at(point, 2 if point.endswith("append") else 1)
            again = asyncio.Event()

            def plan(what: str) -> bool:
                if reached(what):
                    store.plan = lambda _: False
                    replicas.loop.call_soon_threadsafe(again.set)
                    return True
                return False

            async def heal() -> None:
                await again.wait()
                store.cut = False

            store.plan = plan
            healing = asyncio.ensure_future(heal())
            released = await played.finish(replicas.spread(NAME))
            played.assert_exact(released)
            await healing

    run(body())


def test_who_slept_past_its_lease_is_fenced_and_follows() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            played = Wandering(Harness(4, threshold=2))
            session = await replicas.create(played)
            spread = replicas.spread(NAME)
            await played.play_round(spread)
            await played.turned(spread, played.cohort[0])
            late = asyncio.ensure_future(session.submit(played.cohort[0], b"on its way when the host was stopped"))
            replicas.pause(0)
            await asyncio.sleep(0)
            second = await replicas.held(NAME, not_by=0)
            await played.play_round(spread)
            replicas.resume(0)
            await replicas.seen[0].heard("lease_lost", NAME, 1)
            released = await played.finish(spread)
            played.assert_exact(released)
            assert second != 0
            await asyncio.wait([late])
            assert late.exception() is not None, "what was not appended was acknowledged"

    run(body())


def test_who_cannot_renew_gives_up_before_another_may_go_on() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            session = await replicas.create(played)
            replicas.stores[0].gate.clear()
            await replicas.seen[0].heard("lease_lost", NAME, 1)
            assert not replicas.seen[1].all("lease_taken"), "it gave up when another had the session already"
            assert session.status().state != "failed"
            replicas.stores[0].gate.set()
            await replicas.held(NAME)
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_who_stops_lets_others_go_on_at_once() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            spread = replicas.spread(NAME)
            await played.play_round(spread)
            await replicas.hosts[0].stop()
            replicas.stores[0].cut = True  # nobody asks it any more
            await replicas.at_once(lambda: replicas.holder(NAME) == 1)
            played.assert_exact(await played.finish(spread))

    run(body())


def test_many_failovers_do_not_make_a_round_longer() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(5, threshold=2))
            await replicas.create(played, schedule=RoundSchedule.uniform(60.0))
            spread = replicas.spread(NAME)
            await played.play_round(spread, played.cohort[:4])
            opened, failovers = replicas.time.now(), 0
            while spread.status().state == Round.ADVERTISE_KEYS.value:
                number = await replicas.held(NAME)
                begun = replicas.time.now()
                await replicas.until(
                    lambda begun=begun: (
                        replicas.time.now() - begun > 12  # type: ignore[misc]
                        or spread.status().state != Round.ADVERTISE_KEYS.value
                    )
                )
                if spread.status().state == Round.ADVERTISE_KEYS.value:
                    failovers += 1
                    replicas.stores[number].cut = True
                    await replicas.add().start()
                assert failovers < 20, "the round never closes"
            # Of each lease at most the time since its last renewal is lost, and the one in which nobody had it.
            assert replicas.time.now() - opened < 60 + (failovers + 1) * 2 * LEASE
            assert failovers >= 2
            assert spread.status().dropped
            released = await played.finish(spread, played.cohort[:4])
            played.assert_exact(released, played.cohort[:4])

    run(body())
