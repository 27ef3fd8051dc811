"""What a host shows of its sessions: in pages, one session as it changes, and which sessions run with a client."""

from __future__ import annotations

import asyncio
import threading

import pytest

from secagg.hosting import HostUnavailableError, SessionStatus
from secagg.hosting.listing import STATES, Place
from secagg.store.base import Outcome
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting.support import PATIENCE, SCHEDULE, FakeClock, Played, hosting, run


class Slow(MemoryStore):
    """Stores no outcome until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        assert self.told.wait(PATIENCE)
        super().finish(name, outcome, epoch)


def test_the_last_status_is_the_one_of_the_stored_outcome() -> None:
    async def play() -> None:
        store = Slow()
        async with hosting(store) as host:
            played = Played(Harness(4, threshold=2))
            session = await played.create(host)
            await session.abort("enough")
            seen: SessionStatus | None = None
            found = await session.next_status(seen, 0.0)
            assert found is not None
            seen, last = found
            assert (seen.state, last) == ("aborted", False)
            store.told.set()
            found = await session.next_status(seen, 10.0)
            assert found is not None
            assert (found[0].state, found[1]) == ("aborted", True)
            assert await session.next_status(found[0], 0.0) is None

    run(play())


def test_pages_are_of_a_tenant_and_begin_behind_a_place() -> None:
    async def play() -> None:
        async with hosting(MemoryStore()) as host:
            played = Played(Harness(4, threshold=2))
            for name, tenant in (("b", ""), ("a", ""), ("c", "other"), ("d", "")):
                parameters = played.harness.parameters.renew()
                await host.create(name, parameters, schedule=SCHEDULE, tenant=tenant)
            created = [status.name for status in host.statuses("")]
            assert set(created) == {"a", "b", "d"}
            assert [status.name for status in host.statuses("other")] == ["c"]
            assert host.statuses("nobody") == []
            pages, after = [], Place()
            for _ in range(2):
                page = host.statuses("", after=after, most=2)
                pages.append([status.name for status in page])
                after = Place(page[-1].created_at, page[-1].name)
            assert pages == [created[:2], created[2:]]
            assert host.statuses("", after=after, most=2) == []
            await host.session("a").abort("")
            assert [status.name for status in host.statuses("", states=["aborted"])] == ["a"]
            assert {status.state for status in host.statuses("")} <= set(STATES)

    run(play())


def test_who_waits_for_a_session_hears_of_it_and_of_the_hosts_end() -> None:
    async def play() -> None:
        clock = FakeClock()
        async with hosting(MemoryStore(), clock=clock) as host:
            played = Played(Harness(4, threshold=2))
            client = played.harness.parameters.cohort[0]
            assert await host.next_sessions(client, None, (), -1.0) == []
            waiting = asyncio.ensure_future(host.next_sessions(client, None, (), 60.0))
            await host.create("one", played.harness.parameters, schedule=SCHEDULE)
            assert await waiting == ["one"]
            assert await host.next_sessions(client, None, ("one",), 0.0) == ["one"]
            assert await host.next_sessions(client, bytes(32), (), 0.0) == []
            waiting = asyncio.ensure_future(host.next_sessions(client, None, ("one",), 60.0))
            await asyncio.sleep(0)
        with pytest.raises(HostUnavailableError):
            await waiting

    run(play())
