"""What a host does besides its sessions is done once by all replicas together, and holds for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import pytest

from secagg import Round
from secagg.hosting import (
    Ended,
    EndKind,
    Expired,
    HostedSession,
    HostReason,
    HostUnavailableError,
    QuotaExceededError,
    Quotas,
    ResultNotReadyError,
    Retention,
    UnknownSessionError,
)
from secagg.protocol.events import Progress, Stage
from secagg.store.base import StoreError
from secagg.store.shared import Sight
from tests.harness import Harness
from tests.hosting.replicas.support import LEASE, LONG, Replicas, Wandering, run
from tests.hosting.test_unmasking import VECTOR, Gate, waiting_at

NAME = "round-1"
HOUR = 3600.0
HELD = 45.0  # less than a minute, and more than what a fetch renews its hold after
KEYS: Mapping[int, bytes] = {client: bytes([client]) * 32 for client in range(5)}


def pass_time(replicas: Replicas, seconds: float) -> None:
    for clock in (replicas.time, *replicas.clocks):
        clock.advance(seconds)


async def completed(replicas: Replicas) -> Wandering:
    played = Wandering(Harness(4, threshold=2))
    await replicas.create(played)
    played.assert_exact(await played.finish(replicas.spread(NAME)))
    return played


def test_a_result_and_its_session_expire_once() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            await completed(replicas)
            for session in await replicas.everywhere(NAME):
                await session.wait_ended()
            replicas.wall += HOUR
            for host in replicas.hosts:
                host.retain(Retention(results_seconds=HOUR / 2))
            await replicas.until(lambda: sum(len(seen.all("expired")) for seen in replicas.seen) > 0)
            for session in await replicas.everywhere(NAME):
                with pytest.raises(ResultNotReadyError, match="expired"):
                    await session.result()
            for host in replicas.hosts:
                host.retain(Retention(results_seconds=HOUR / 2, ended_seconds=HOUR / 2))
            await replicas.until(lambda: not any(host.has(NAME) for host in replicas.hosts))
            told = [what for seen in replicas.seen for what in seen.all("expired")]
            assert sorted(told, key=str) == [(NAME, Expired.RESULT), (NAME, Expired.SESSION)]

    run(body())


def test_a_result_does_not_expire_while_it_is_fetched_by_way_of_another_replica() -> None:
    """However slow its reader is, and for a minute more, so that a fetch that broke off can be begun anew elsewhere."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            await completed(replicas)
            fetching, other = await replicas.everywhere(NAME)
            await other.wait_ended()
            whole = await fetching.result()
            post = replicas.memory._office.posts[NAME]
            chunks = fetching.result_chunks(64)
            assert isinstance(chunks, AsyncGenerator)
            fetched = await anext(chunks)
            replicas.stores[0].cut = True
            pass_time(replicas, HELD)
            await replicas.seen[0].heard("store_failed", NAME)
            replicas.stores[0].cut = False
            for begun in range(3):
                held_until = post.held_until
                pass_time(replicas, HELD / 2)
                await replicas.until(lambda before=held_until: post.held_until > before)  # type: ignore[misc]
                assert not await other.expire_result(), begun
                assert other.status().result_ready
            await chunks.aclose()  # The connection breaks off.
            pass_time(replicas, HELD)
            for session in (fetching, other):
                assert not await session.expire_result()
            chunks = other.result_chunks(64)
            assert [await anext(chunks)] == [fetched]
            assert fetched + b"".join([chunk async for chunk in chunks]) == whole
            pass_time(replicas, 3 * HELD)
            assert await other.expire_result()
            with pytest.raises(ResultNotReadyError, match="expired"):
                await fetching.result()
            assert not await other.expire_result()

    run(body())


def test_who_begins_to_fetch_what_another_replica_keeps_is_not_told_that_it_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An expiry that the store refused had told everybody who came in that moment that nobody came in time."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            await completed(replicas)
            one, other = await replicas.everywhere(NAME)
            await other.wait_ended()
            chunks = one.result_chunks(64)
            await anext(chunks)
            begun: list[asyncio.Task[bytes]] = []

            async def stored(call: Callable[..., Any], *arguments: Any) -> Any:
                if not begun:
                    begun.append(asyncio.ensure_future(other.result()))
                    await asyncio.sleep(0)
                return await HostedSession._stored(other, call, *arguments)

            monkeypatch.setattr(other, "_stored", stored)
            assert not await other.expire_result()
            (whole,) = begun
            assert (await whole).startswith(b"PK")

    run(body())


def test_a_result_does_not_expire_while_it_is_fetched_where_the_session_just_ended() -> None:
    """Whoever had the session told nobody of a fetch until it had looked what others do with it."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            holder = await replicas.held(NAME)
            fetching, other = await replicas.hosts[holder].find(NAME), await replicas.hosts[1 - holder].find(NAME)

            def away(*_: object) -> Sight:
                raise StoreError("the store cannot be reached")

            replicas.stores[holder].__dict__["look"] = away
            await played.finish(replicas.spread(NAME))
            for session in (fetching, other):
                await session.wait_ended()
            chunks = fetching.result_chunks(64)
            assert isinstance(chunks, AsyncGenerator)
            await anext(chunks)
            assert not await other.expire_result()
            await chunks.aclose()
            assert other.status().result_ready

    run(body())


def test_whoever_is_revoked_is_dropped_once_and_again_when_the_store_failed() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            roster = {client: KEYS[client] for client in played.cohort}
            await replicas.hosts[0].create(NAME, played.harness.parameters, roster=roster, schedule=LONG)
            left = {client: key for client, key in KEYS.items() if client != played.cohort[0]}
            await replicas.hosts[1].find(NAME)
            replicas.stores[1].cut = True
            with pytest.raises(HostUnavailableError):
                await replicas.hosts[1].revoke(left)
            replicas.stores[1].cut = False
            await asyncio.gather(*(host.revoke(left) for host in replicas.hosts))
            for host, session in zip(replicas.hosts, await replicas.everywhere(NAME), strict=True):
                found = await session.next_request(played.cohort[0], b"", 1e9)
                assert found == Ended(EndKind.DROPPED, HostReason.REVOKED)
                assert host.is_revoked(session, played.cohort[0])
            dropped = [what for seen in replicas.seen for what in seen.all("dropped")]
            assert dropped == [(played.cohort[0], Round.ADVERTISE_KEYS, HostReason.REVOKED)]
            others = played.cohort[1:]
            played.assert_exact(await played.finish(replicas.spread(NAME), others), others)

    run(body())


def test_who_follows_tells_how_far_the_end_of_a_last_round_is() -> None:
    async def body() -> None:
        gate = Gate()
        async with Replicas(2, executor=gate) as replicas:
            played = Wandering(Harness(4, threshold=2, vectors=VECTOR))
            await replicas.create(played)
            session = await replicas.hosts[1].find(NAME)
            spread = replicas.spread(NAME)
            for _ in range(3):
                await played.turned(spread, played.cohort[0])
                await played.play_round(spread)
            await played.turned(spread, played.cohort[0])
            given = asyncio.ensure_future(played.play_round(spread))
            await waiting_at(gate, 1)
            found = replicas.hosts[0].status(NAME).progress
            assert isinstance(found, Progress)
            assert found.stage in Stage
            await replicas.until(lambda: session.status().progress == found)
            await given  # Whoever answered last need not wait for the sum.
            gate.opened.set()
            await session.wait_ended()
            assert session.status().progress is None

    run(body())


def test_answers_of_followers_become_durable_together() -> None:
    async def body() -> None:
        async with Replicas(2, gather_seconds=3.0) as replicas:
            played = Wandering(Harness(6, threshold=2))
            await replicas.create(played)
            session = await replicas.hosts[1].find(NAME)
            answers = {client: await played.answer(session, client) for client in played.cohort}
            replicas.stores[0].calls.clear()
            given = []
            for client, answer in answers.items():
                given.append(asyncio.ensure_future(session.submit(client, answer)))
                now = replicas.time.now()
                await replicas.until(lambda now=now: replicas.time.now() > now + 0.3)  # type: ignore[misc]
            await asyncio.wait(given)
            assert replicas.stores[0].calls.count("append") < len(answers) / 2
            played.assert_exact(await played.finish(replicas.spread(NAME)))

    run(body())


def test_quotas_hold_for_all_replicas_together() -> None:
    async def body() -> None:
        quotas = Quotas(sessions=1, upload_bytes=1 << 20)
        async with Replicas(2, quotas=quotas) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            with pytest.raises(QuotaExceededError, match="sessions"):
                await replicas.create(Wandering(Harness(4, threshold=2)), 1, "another")
            store = replicas.memory
            upload = store.begin_upload(NAME, 1 << 20)
            upload.write(bytes((1 << 20) - 10))
            upload.commit()
            await replicas.until(lambda: all(host._tools.space.elsewhere > (1 << 20) - 20 for host in replicas.hosts))

    run(body())


def test_who_cannot_renew_is_not_ready_until_it_can() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            host, begun = replicas.hosts[0], replicas.time.now()
            assert await host.trouble() == ""
            replicas.stores[0].cut = True
            await replicas.until(lambda: replicas.time.now() > begun + 2 * LEASE)
            assert "leases have not been renewed" in await host.trouble()
            assert await replicas.hosts[1].trouble() == ""
            replicas.stores[0].cut = False
            begun = replicas.time.now()
            while await host.trouble():
                await asyncio.sleep(0.005)
                assert replicas.time.now() < begun + 20 * LEASE

    run(body())


def test_a_session_is_discarded_everywhere_and_another_takes_its_name() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            await completed(replicas)
            for session in await replicas.everywhere(NAME):
                await session.wait_ended()
            await replicas.hosts[1].discard(NAME)
            other = Wandering(Harness(5, threshold=3))
            await replicas.create(other, 1)
            await replicas.until(
                lambda: all(host.has(NAME) and host.session(NAME).parameters.clients == 5 for host in replicas.hosts)
            )
            other.assert_exact(await other.finish(replicas.spread(NAME)))
            for session in await replicas.everywhere(NAME):
                await session.wait_ended()
            await replicas.hosts[0].discard(NAME)
            await replicas.until(lambda: not any(host.has(NAME) for host in replicas.hosts))
            with pytest.raises(UnknownSessionError):
                await replicas.hosts[2].discard(NAME)

    run(body())
