"""What has ended is kept for as long as the policy says, and not longer; nobody loses what they are fetching."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import ParameterError
from secagg.hosting import (
    Expired,
    HostUnavailableError,
    Quotas,
    ResultNotReadyError,
    Retention,
    RoundSchedule,
    SessionHost,
    UnknownSessionError,
    offer_of,
    read_result,
)
from secagg.hosting.retention import LOOK_SECONDS
from secagg.store.base import Completed, SessionRecord, SessionStore, StoreError
from secagg.store.database import DATABASE
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from tests.harness import Harness
from tests.hosting.support import FakeClock, Played, Recorder, hosting, run
from tests.store.test_damage import flip_text

HOUR = 3600.0


class Times:
    """Both clocks of a host, which go together, and when it looks at what it keeps."""

    def __init__(self) -> None:
        self.clock, self.wall = FakeClock(), 1.7e9
        self._pause: float | None = None
        self._next = 0.0

    async def start(self, pause: float | None) -> None:
        """A host has started that looks so often: wait until it has looked."""
        self._pause = pause
        await self._looked()

    async def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.clock.advance(seconds)
        if self.clock.now() >= self._next:
            await self._looked()

    async def _looked(self) -> None:
        if self._pause is not None:
            self._next = self.clock.now() + self._pause
            await self.clock.awaited(self._next)


@asynccontextmanager
async def kept(store: SessionStore, times: Times, seen: Recorder, retention: Retention) -> AsyncIterator[SessionHost]:
    async with hosting(store, times.clock, seen, wall_clock=lambda: times.wall, retention=retention) as host:
        await times.start(retention.look_seconds)
        yield host


def test_a_result_that_nobody_fetches_expires_and_its_status_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), SqliteStore(tmp_path)
        async with kept(store, times, seen, Retention(results_seconds=HOUR)) as host:
            played = Played()
            session = await played.create(host)
            await played.finish(session)
            used = host._tools.space.used
            assert used > 0
            await times.pass_(HOUR - 1)
            assert session.status().result_ready
            assert seen.all("expired") == []
            await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "round-1", Expired.RESULT)
            status = session.status()
            assert (status.state, status.result_ready, status.stored_bytes) == ("completed", False, 0)
            assert "expired" in status.detail
            assert host._tools.space.used == 0
            with pytest.raises(ResultNotReadyError, match="expired: nobody fetched it in time"):
                await session.result()
            with pytest.raises(ResultNotReadyError, match="expired"):
                session.result_sha256()
            assert store.upload_bytes("round-1") == 0
        async with kept(store, times, Recorder(), Retention()) as host:
            assert "expired" in host.session("round-1").status().detail
            assert host.session("round-1").status().ended_at == 1.7e9
        store.close()

    run(body())


def test_a_result_that_is_being_fetched_is_not_taken_away() -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention(results_seconds=HOUR)) as host:
            played = Played()
            session = await played.create(host)
            await played.finish(session)
            fetching = session.result_chunks(100)
            assert isinstance(fetching, AsyncGenerator)
            await anext(fetching)
            await times.pass_(HOUR)
            assert seen.all("expired") == []
            await fetching.aclose()
            await times.pass_(LOOK_SECONDS)
            assert seen.all("expired") == []
            fetching = session.result_chunks(100)  # It broke off, and is begun anew.
            pieces = [piece async for piece in fetching]
            played.assert_exact(read_result(b"".join(pieces)))
            await times.pass_(LOOK_SECONDS)
            assert seen.all("expired") == []
            for _ in range(2):
                await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "round-1", Expired.RESULT)
            # Who fetched it just before may still say so.
            with pytest.raises(ResultNotReadyError, match="expired"):
                await session.result()
            await session.acknowledge_result()

    run(body())


def test_a_fetch_that_nobody_ended_ends_with_the_loop_without_an_error() -> None:
    """A generator inside it was closed before it was, which said of the server's end that something did not stop."""
    found: list[object] = []
    left: list[object] = []

    async def body() -> None:
        times, store = Times(), MemoryStore()
        async with kept(store, times, Recorder(), Retention()) as host:
            played = Played()
            session = await played.create(host)
            await played.finish(session)
            for _ in range(8):  # Which is closed first is chance.
                left.append(fetching := session.result_chunks(100))
                await anext(fetching)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))

    run(body())
    assert found == []


def test_a_fetch_that_begins_while_a_result_is_removed_is_told_that_it_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        times, store = Times(), MemoryStore()
        async with kept(store, times, Recorder(), Retention()) as host:
            played = Played()
            session = await played.create(host)
            await played.finish(session)
            await times.pass_(HOUR)
            begun: list[asyncio.Task[bytes]] = []

            async def stored(call: Callable[..., Any], *arguments: Any) -> Any:
                begun.append(asyncio.ensure_future(session.result()))
                await asyncio.sleep(0)
                return call(*arguments)

            monkeypatch.setattr(session, "_stored", stored)
            assert await session.expire_result()
            (fetching,) = begun
            with pytest.raises(ResultNotReadyError, match="expired"):
                await fetching

    run(body())


def test_a_store_that_fails_keeps_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention(results_seconds=HOUR)) as host:
            played = Played()
            session = await played.create(host)
            await played.finish(session)
            await times.pass_(HOUR / 2)

            def refusing(name: str, expired: bool = False) -> None:
                raise StoreError("the disk is full")

            with monkeypatch.context() as patched:
                patched.setattr(store, "release_result", refusing)
                with pytest.raises(HostUnavailableError):
                    await session.expire_result()
                await times.pass_(HOUR)
                await seen.heard("store_failed", "round-1", times=2)
            played.assert_exact(read_result(await session.result()))
            for _ in range(3):
                await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "round-1", Expired.RESULT)

    run(body())


def test_sessions_that_ended_are_forgotten_by_age_but_for_those_that_would_be_made_anew() -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention(ended_seconds=2 * HOUR)) as host:
            host.pinned = {"table"}
            for number, name in enumerate(("aborted", "table", "unfetched", "running")):
                await Played(Harness(4, threshold=2, seed=number)).create(host, name)
            for name in ("aborted", "table"):
                await host.session(name).abort("why")
                await host.session(name).wait_ended()
            await Played(Harness(4, threshold=2, seed=2)).finish(host.session("unfetched"))
            await times.pass_(2 * HOUR - 1)
            await times.pass_(0.5)
            assert len(host.sessions()) == 4
        # A restart begins no age anew.
        async with kept(store, times, seen, Retention(ended_seconds=2 * HOUR)) as host:
            host.pinned = {"table"}
            assert len(host.sessions()) == 4
            await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "aborted", Expired.SESSION)
            assert [session.name for session in host.sessions()] == ["table", "unfetched", "running"]
            await host.session("unfetched").acknowledge_result()
            await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "unfetched", Expired.SESSION)
            with pytest.raises(UnknownSessionError):
                host.session("unfetched")
            assert [record.name for record in store.sessions()] == ["table", "running"]

    run(body())


def test_what_follows_a_session_of_a_table_is_kept_as_long_as_that() -> None:
    """Who asks for the sum of the one would be led to nothing."""

    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention(ended_seconds=HOUR)) as host:
            host.pinned = {"table"}
            for name in ("table~1", "table~2", "other"):
                offer = offer_of(Harness(4, threshold=2).parameters)
                record = SessionRecord(name, offer, {}, RoundSchedule.uniform(60.0).encode(), 1.0)
                store.create(record)
                await host._follow_up(record, new=True)
                await host.session(name).abort("why")
                await host.session(name).wait_ended()
            await times.pass_(2 * HOUR)
            await seen.heard("expired", "other", Expired.SESSION)
            assert [session.name for session in host.sessions()] == ["table~1", "table~2"]
            host.limit(Quotas(ended_sessions=1))
            await Played(Harness(4, threshold=2, seed=2)).create(host, "next")
            assert [session.name for session in host.sessions()] == ["table~1", "table~2", "next"]

    run(body())


def test_a_session_whose_end_has_no_time_is_kept_from_this_start_on() -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention()) as host:
            await Played().create(host)
            await host.session("round-1").abort("why")
            await host.session("round-1").wait_ended()
        store._sessions["round-1"].outcome = Completed(None)
        async with kept(store, times, seen, Retention(ended_seconds=HOUR)) as host:
            await times.pass_(HOUR - 1)
            assert len(host.sessions()) == 1
            await times.pass_(LOOK_SECONDS)
            await seen.heard("expired", "round-1", Expired.SESSION)

    run(body())


def test_what_is_damaged_is_removed_when_its_time_has_passed(tmp_path: Path) -> None:
    """A record that cannot be read, and a log that cannot be followed."""

    async def body() -> None:
        times, seen, store = Times(), Recorder(), SqliteStore(tmp_path)
        async with kept(store, times, seen, Retention()) as host:
            for number, name in enumerate(("record", "log", "whole")):
                await Played(Harness(4, threshold=2, seed=number)).create(host, name)
            await host.session("log").submit(1, b"a message that is in the log")
        store.close()
        flip_text(tmp_path / DATABASE, b"a message that is in the log")
        store = SqliteStore(tmp_path)
        store._database.connection.execute("UPDATE sessions SET schedule = x'00' WHERE name = 'record'")
        async with kept(store, times, seen, Retention(failed_seconds=HOUR)) as host:
            assert list(host.damaged) == ["record"]
            assert host.session("log").damaged
            await times.pass_(HOUR - 1)
            assert seen.all("expired") == []
            await times.pass_(LOOK_SECONDS)
            await seen.until(lambda: len(seen.all("expired")) == 2)
            assert set(seen.all("expired")) == {("record", Expired.DAMAGED), ("log", Expired.DAMAGED)}
            assert (list(host.damaged), [session.name for session in host.sessions()]) == ([], ["whole"])
            assert store.damaged() == {}
            await Played(Harness(4, threshold=2, seed=9)).create(host, "record")
        store.close()

    run(body())


def test_a_policy_can_change_while_a_host_runs() -> None:
    async def body() -> None:
        times, seen, store = Times(), Recorder(), MemoryStore()
        async with kept(store, times, seen, Retention()) as host:
            await Played().create(host)
            await host.session("round-1").abort("why")
            await host.session("round-1").wait_ended()
            await times.pass_(HOUR)
            assert len(host.sessions()) == 1
            host.retain(Retention(ended_seconds=HOUR))
            await seen.heard("expired", "round-1", Expired.SESSION)

    run(body())


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_a_duration_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ParameterError, match="retention ended_seconds is"):
        Retention(ended_seconds=seconds)
