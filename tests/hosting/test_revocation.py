"""A key that is not valid any more takes its client out of sessions that run, and out of nothing that is summed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from secagg import Round
from secagg.hosting import (
    Ended,
    EndKind,
    HostedSession,
    HostReason,
    HostUnavailableError,
    QuotaExceededError,
    Quotas,
    ReceiptKind,
    Request,
    SessionHost,
)
from secagg.store.base import StoreError
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting.support import SCHEDULE, Played, Recorder, hosting, run

KEYS: Mapping[int, bytes] = {client: bytes([client]) * 32 for client in range(5)}
REVOKED = Ended(EndKind.DROPPED, HostReason.REVOKED)


async def created(host: SessionHost, played: Played, name: str = "round-1") -> HostedSession:
    roster = {client: KEYS[client] for client in played.cohort}
    return await host.create(name, played.harness.parameters, roster=roster, schedule=SCHEDULE)


def without(client: int, key: bytes | None) -> dict[int, bytes]:
    """The keys, one of them removed or replaced."""
    left = {other: KEYS[other] for other in KEYS if other != client}
    return left if key is None else {**left, client: key}


@pytest.mark.parametrize("key", [None, b"another key of the same client!!"])
@pytest.mark.parametrize("round_", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT])
def test_a_client_whose_key_goes_is_dropped_and_the_others_go_on(round_: Round, key: bytes | None) -> None:
    async def body() -> None:
        played, seen = Played(Harness(4, threshold=2)), Recorder()
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await created(host, played)
            assert await host.revoke(KEYS) == 0
            await played.run_to(session, round_)
            gone, *others = played.cohort
            assert await host.revoke(without(gone, key)) == 1
            assert await host.revoke(without(gone, key)) == 0
            assert await session.next_request(gone, b"", 0) == REVOKED
            assert host.is_revoked(session, gone)
            assert not any(host.is_revoked(session, client) for client in others)
            assert seen.all("dropped") == [(gone, round_, HostReason.REVOKED)]
            released = await played.finish(session, others)
            played.assert_exact(released, others)
            assert session.status().dropped == {HostReason.REVOKED: 1}

    run(body())


def test_an_input_that_is_in_the_sum_stays_and_its_client_is_asked_no_more() -> None:
    async def body() -> None:
        played = Played(Harness(4, threshold=2))
        async with hosting(MemoryStore()) as host:
            session = await created(host, played)
            await played.run_to(session, Round.UNMASKING)
            gone, *others = played.cohort
            answer = await played.answer(session, gone)
            assert await host.revoke(without(gone, None)) == 1
            assert (await session.submit(gone, answer)).kind is ReceiptKind.LATE
            played.assert_exact(await played.finish(session, others), played.cohort)

    run(body())


def test_an_upload_that_is_being_sent_ends() -> None:
    async def body() -> None:
        played = Played(Harness(4, threshold=2))
        async with hosting(MemoryStore()) as host:
            session = await created(host, played)
            await played.run_to(session, Round.MASKED_INPUT)
            gone = played.cohort[0]
            sending = await session.begin_upload(gone, 100)
            await sending.write(b"begun")
            await host.revoke(without(gone, None))
            with pytest.raises(HostUnavailableError):
                await sending.write(b"more")

    run(body())


def test_all_sessions_that_run_are_looked_at_and_no_others() -> None:
    async def body() -> None:
        store = MemoryStore()
        async with hosting(store) as host:
            players = {name: Played(Harness(4, threshold=2, seed=seed)) for seed, name in enumerate(("a", "b", "c"))}
            sessions = {name: await created(host, played, name) for name, played in players.items()}
            bare = Played(Harness(4, threshold=2, seed=9))
            await host.create("bare", bare.harness.parameters, schedule=SCHEDULE)
            await sessions["c"].abort("why")
            await sessions["c"].wait_ended()
            gone = players["a"].cohort[0]
            assert await host.revoke(without(gone, None)) == 2
            assert host.is_revoked(sessions["c"], gone)
            assert not host.is_revoked(host.session("bare"), gone)
        # The log knows, and a host that was told nothing yet revokes nobody.
        async with hosting(store) as host:
            assert await host.session("a").next_request(gone, b"", 0) == REVOKED
            assert not host.is_revoked(host.session("a"), gone)

    run(body())


def test_a_store_that_fails_keeps_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        played, store = Played(Harness(4, threshold=2)), MemoryStore()
        async with hosting(store) as host:
            session = await created(host, played)
            gone = played.cohort[0]

            def refusing(*arguments: object) -> None:
                raise StoreError("the disk is full")

            with monkeypatch.context() as patched:
                patched.setattr(store, "append", refusing)
                with pytest.raises(HostUnavailableError):
                    await host.revoke(without(gone, None))
            assert host.is_revoked(session, gone)
            assert await host.revoke(without(gone, None)) == 1

    run(body())


@pytest.mark.parametrize("fails", [True, False])
def test_a_session_that_fails_or_takes_long_keeps_nobody_in_the_others(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """A session that failed does so at every reload, and unmasking may take minutes."""

    async def body() -> None:
        store, loop, release = MemoryStore(), asyncio.get_running_loop(), threading.Event()
        async with hosting(store) as host:
            players = {name: Played(Harness(4, threshold=2, seed=seed)) for seed, name in enumerate(("a", "b"))}
            sessions = {name: await created(host, played, name) for name, played in players.items()}
            gone, append, begun = players["a"].cohort[0], store.append, asyncio.Event()

            def troubled(name: str, *arguments: Any) -> Any:
                if name == "a":
                    loop.call_soon_threadsafe(begun.set)
                    if fails:
                        raise StoreError("the disk is full")
                    release.wait()
                return append(name, *arguments)

            monkeypatch.setattr(store, "append", troubled)
            asked = await sessions["b"].next_request(gone, b"", 0)
            assert isinstance(asked, Request)
            revoking = asyncio.create_task(host.revoke(without(gone, None)))
            await begun.wait()
            try:
                assert await sessions["b"].next_request(gone, asked.digest, 1.0) == REVOKED
            finally:
                release.set()
            if fails:
                with pytest.raises(HostUnavailableError):
                    await revoking
            else:
                assert await revoking == 2

    run(body())


def test_other_bounds_hold_from_now_on() -> None:
    async def body() -> None:
        played = Played(Harness(4, threshold=2))
        async with hosting(MemoryStore()) as host:
            session = await created(host, played)
            host.limit(Quotas(sessions=1, upload_bytes=1))
            with pytest.raises(QuotaExceededError, match="of at most 1"):
                await created(host, Played(Harness(4, threshold=2, seed=1)), "second")
            answer = await played.answer(session, played.cohort[0])
            with pytest.raises(QuotaExceededError, match="upload_bytes"):
                await session.submit(played.cohort[0], answer)
            host.limit(Quotas())
            played.assert_exact(await played.finish(session))
            await created(host, Played(Harness(4, threshold=2, seed=1)), "second")

    run(body())
