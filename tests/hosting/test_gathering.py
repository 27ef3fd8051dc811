"""Answers wait a moment for those of others, so that one transaction does for all; the last waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from secagg import Round
from secagg.hosting import HostUnavailableError, ReceiptKind
from secagg.store.base import Entry
from secagg.store.memory import MemoryStore
from tests.hosting.support import FakeClock, Played, Recorder, hosting, run


class Counting(MemoryStore):
    """Remembers how many entries each transaction has."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[int] = []

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        super().append(name, entries, epoch)
        self.appended.append(len(entries))


def test_answers_of_a_moment_become_durable_together_and_the_last_at_once() -> None:
    async def body() -> None:
        played, clock, store, seen = Played(), FakeClock(), Counting(), Recorder()
        async with hosting(store, clock, seen, gather_seconds=0.05) as host:
            session = await played.create(host)
            until = clock.now() + 0.05
            first = asyncio.ensure_future(played.send(session, 1))
            await clock.awaited(until)
            second = asyncio.ensure_future(played.send(session, 2))
            await clock.awaited(until, times=2)
            assert (first.done(), second.done(), store.appended) == (False, False, [])
            clock.advance(0.05)
            assert [(await each).kind for each in (first, second)] == [ReceiptKind.ACCEPTED] * 2
            assert store.appended == [2]
            # Nobody is awaited besides these, so the clock need not move.
            await asyncio.gather(*(played.send(session, client) for client in (3, 4)))
            await seen.heard("opened", Round.SHARE_KEYS)
            assert sum(store.appended) == 4 + 1
            played.assert_exact(await played.finish(session))

    run(body())


def test_a_host_that_stops_sends_away_who_waits_for_others() -> None:
    async def body() -> None:
        played, clock, store = Played(), FakeClock(), Counting()
        async with hosting(store, clock, gather_seconds=30.0) as host:
            session = await played.create(host)
            waiting = asyncio.ensure_future(played.send(session, 1))
            await clock.awaited(clock.now() + 30.0)
        with pytest.raises(HostUnavailableError):
            await waiting
        assert store.appended == []

    run(body())
