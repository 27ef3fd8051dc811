"""Bounds: how many sessions, how large, how many bytes, how fast; checked before anything is kept."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from secagg import Round
from secagg.errors import ParameterError
from secagg.hosting import HostUnavailableError, QuotaExceededError, Quotas, ReceiptKind, Request
from secagg.hosting.quotas import SendingRates, Space
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting.support import FakeClock, Played, hosting, run, upload


def test_sessions_that_run_or_wait_to_be_fetched_are_bounded() -> None:
    async def body() -> None:
        store, played = MemoryStore(), [Played(Harness(4, threshold=2, seed=seed)) for seed in range(4)]
        async with hosting(store, quotas=Quotas(sessions=2)) as host:
            first, second = [await played[seed].create(host, f"s{seed}") for seed in range(2)]
            await played[0].finish(first)
            with pytest.raises(QuotaExceededError, match="2 sessions"):
                await played[2].create(host, "s2")
            assert len(store.sessions()) == 2
            assert await played[0].create(host, "s0") is first
            await first.acknowledge_result()
            await played[2].create(host, "s2")
            await second.abort("over")
            await second.wait_ended()
            await played[3].create(host, "s3")
        async with hosting(store, quotas=Quotas(sessions=2)) as host:
            assert len(host.sessions()) == 4
            with pytest.raises(QuotaExceededError):
                await Played(Harness(4, threshold=2, seed=9)).create(host, "s9")

    run(body())


def test_no_tenant_takes_all_places() -> None:
    async def body() -> None:
        played = [Played(Harness(4, threshold=2, seed=seed)) for seed in range(5)]
        async with hosting(MemoryStore(), quotas=Quotas(sessions=4, sessions_of_tenant=2)) as host:
            for seed in range(2):
                await played[seed].create(host, f"a{seed}", tenant="a")
            with pytest.raises(QuotaExceededError, match=r"2 sessions of tenant 'a' run .*of_tenant$"):
                await played[2].create(host, "a2", tenant="a")
            await played[3].create(host, "b", tenant="b")
            ended = host.session("a0")
            await ended.abort("over")
            await ended.wait_ended()
            await played[2].create(host, "a2", tenant="a")
            with pytest.raises(QuotaExceededError, match="2 sessions of tenant 'a'"):
                await played[4].create(host, "a3", tenant="a")

    run(body())


def test_ended_sessions_are_forgotten_from_the_oldest() -> None:
    async def body() -> None:
        store = MemoryStore()
        async with hosting(store, quotas=Quotas(ended_sessions=2)) as host:
            for seed in range(5):
                session = await Played(Harness(4, threshold=2, seed=seed)).create(host, f"s{seed}")
                if seed != 1:
                    await session.abort("over")
                    await session.wait_ended()
            assert [session.name for session in host.sessions()] == ["s1", "s2", "s3", "s4"]
            assert [record.name for record in store.sessions()] == ["s1", "s2", "s3", "s4"]
            # There is no list of names that were forgotten, which would grow for good.
            again = await Played(Harness(4, threshold=2, seed=9)).create(host, "s0")
            assert again.status().state == "advertise_keys"

    run(body())


def test_cohorts_and_messages_are_bounded() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        limit = played.harness.server.message_limit
        for quotas, match in ((Quotas(clients=3), "4 clients"), (Quotas(message_bytes=limit - 1), f"{limit} bytes")):
            async with hosting(store, quotas=quotas) as host:
                with pytest.raises(QuotaExceededError, match=match):
                    await played.create(host)
        async with hosting(store, quotas=Quotas(clients=4, message_bytes=limit)) as host:
            await played.create(host)

    run(body())


def test_stored_bytes_are_bounded() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store, quotas=Quotas(upload_bytes=20_000)) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            used = host._tools.space.used
            assert used == session.status().stored_bytes
            answer = await played.answer(session, 1)
            host._tools.space.add(20_000 - used - len(answer) + 1)
            for call in (upload, type(session).submit):
                with pytest.raises(QuotaExceededError, match="do not fit"):
                    await call(session, 1, answer)
            host._tools.space.add(-1)
            assert (await upload(session, 1, answer)).kind is ReceiptKind.ACCEPTED
            with pytest.raises(QuotaExceededError):
                await session.begin_upload(2, 1)
            host._tools.space.add(used + len(answer) - 20_000)
            played.assert_exact(await played.finish(session))
            assert host._tools.space.used == len(await session.result())
            await session.acknowledge_result()
            assert host._tools.space.used == 0

    run(body())


def test_stored_bytes_are_counted_again_after_a_restart() -> None:
    async def body() -> None:
        played, other, store = Played(), Played(Harness(4, threshold=2, seed=1)), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            await played.send(session, 1)
            await other.finish(await other.create(host, "ended"))
            used = host._tools.space.used
        async with hosting(store) as host:
            assert host._tools.space.used == used
            await host.discard("ended")
            assert host._tools.space.used == host.session("round-1").status().stored_bytes

    run(body())


def test_one_client_cannot_send_without_end() -> None:
    async def body() -> None:
        played, clock = Played(), FakeClock()
        async with hosting(MemoryStore(), clock, quotas=Quotas(client_bytes_per_second=1000)) as host:
            session = await played.create(host)
            limit = session.message_limit
            for _ in range(4 + (1 << 16) // limit):
                await session.begin_upload(1, limit)
            with pytest.raises(QuotaExceededError, match="client 1 sends faster") as caught:
                await session.begin_upload(1, limit)
            assert host._tools.space.used == limit
            wait = caught.value.retry_after
            assert wait is not None
            assert 0 < wait <= limit / 1000
            with pytest.raises(QuotaExceededError):
                await session.submit(1, bytes(limit))
            await session.begin_upload(2, limit)
            clock.advance(wait)
            await session.begin_upload(1, limit)

    run(body())


def test_one_client_cannot_fetch_without_end() -> None:
    async def body() -> None:
        played, clock = Played(), FakeClock()
        async with hosting(MemoryStore(), clock, quotas=Quotas(client_fetches_per_minute=6)) as host:
            session = await played.create(host)
            assert session.give_offer(1) == session.offer
            for _ in range(5):
                assert await session.next_request(1, b"", 0.0) is not None
            with pytest.raises(
                QuotaExceededError, match="client 1 fetches offers and requests more than 6 times"
            ) as err:
                await session.next_request(1, b"", 0.0)
            assert err.value.retry_after == pytest.approx(10.0)
            with pytest.raises(QuotaExceededError):
                session.give_offer(1)
            request = await session.next_request(2, b"", 0.0)
            assert isinstance(request, Request)
            assert await session.next_request(1, request.digest, 0.0) is None
            clock.advance(10.0)
            assert await session.next_request(1, b"", 0.0) is not None

    run(body())


def test_a_queue_is_bounded() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore(), quotas=Quotas(queued_messages=2)) as host:
            session = await played.create(host)
            receipts = await asyncio.gather(
                *(session.submit(client, b"x") for client in played.cohort), return_exceptions=True
            )
            assert [type(each) for each in receipts].count(QuotaExceededError) == 2
            assert session.status().stored_bytes == 2
            assert host._tools.space.used == 2

    run(body())


def test_the_loser_of_a_race_gives_its_bytes_back() -> None:
    """Everything reserved is either stored or free again, whatever becomes of a message."""

    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            answer = await played.answer(session, 1)
            jobs = [upload(session, 1, answer) for _ in range(5)] + [session.submit(1, answer) for _ in range(5)]
            await asyncio.gather(*jobs, return_exceptions=True)
            assert (await session.submit(1, answer)).kind is ReceiptKind.REPEATED
            assert host._tools.space.used == session.status().stored_bytes == len(answer)
            taking = await session.begin_upload(2, 100)
            await taking.write(bytes(50))
            assert host._tools.space.used == len(answer) + 100
            await taking.discard()
            await taking.discard()
            assert host._tools.space.used == len(answer)

    run(body())


def test_rates_fill_up_with_time_and_no_further() -> None:
    rates = SendingRates(10.0, 100.0)
    rates.take(1, 100, 0.0)
    with pytest.raises(QuotaExceededError) as caught:
        rates.take(1, 50, 1.0)
    assert caught.value.retry_after == pytest.approx(4.0)
    rates.take(2, 100, 1.0)
    rates.take(1, 50, 5.0)
    with pytest.raises(QuotaExceededError):
        rates.take(1, 101, 1e9)
    rates.take(1, 100, 1e9)


def test_space_is_taken_whole_or_not() -> None:
    space = Space(10)
    space.reserve(6)
    with pytest.raises(QuotaExceededError, match="5 bytes do not fit") as refused:
        space.reserve(5)
    assert "6" not in str(refused.value), "a client hears what others have stored"
    space.reserve(4)
    space.add(-10)
    assert space.used == 0


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_bounds_are_whole_numbers(value: int) -> None:
    with pytest.raises(ParameterError, match="quota sessions"):
        Quotas(sessions=value)


def test_errors_cross_process_boundaries() -> None:
    again = pickle.loads(pickle.dumps(QuotaExceededError("too fast", 2.5)))  # noqa: S301 - made on this line
    assert (str(again), again.retry_after) == ("too fast", 2.5)
    assert str(pickle.loads(pickle.dumps(HostUnavailableError("later")))) == "later"  # noqa: S301
