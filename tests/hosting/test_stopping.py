"""A host that stops, or a caller that goes away, while a thread makes something durable: it is told and known all the
same. No later start tells of what it finds done; the audit log of the server lacked ends, drops and sessions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from secagg.hosting import HostedSession, HostReason, RoundSchedule
from secagg.store.base import StoreConflictError
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting.support import PATIENCE, Played, Recorder, hosting, run
from tests.hosting.test_restarts import NAME, complain, corrupted


class Held(MemoryStore):
    """A store in which one call takes, once the test says so, until the test lets go of it."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.reached, self.free = threading.Event(), threading.Event()
        self.holding = False
        held = getattr(self, call)

        def made(*arguments: Any, **options: Any) -> None:
            if self.holding:
                self.reached.set()
                assert self.free.wait(PATIENCE)
            held(*arguments, **options)

        setattr(self, call, made)


def drop(played: Played, session: HostedSession) -> Coroutine[Any, Any, Any]:
    return session.drop(3, HostReason.REMOVED_BY_OPERATOR, "gone")


def abort(played: Played, session: HostedSession) -> Coroutine[Any, Any, Any]:
    return session.abort("enough")


@pytest.mark.parametrize(
    ("call", "begin", "told"),
    [
        ("append", drop, ("dropped", 3)),
        ("finish", abort, ("ended", NAME)),
        ("create", complain, ("created", f"{NAME}~1")),
    ],
)
def test_what_becomes_durable_while_a_host_stops_is_told(
    call: str, begin: Callable[[Played, HostedSession], Coroutine[Any, Any, Any]], told: tuple[Any, ...]
) -> None:
    async def body() -> None:
        store, played, seen = Held(call), corrupted(), Recorder()
        host = hosting(store, observer=seen)
        await host.start()
        session = await played.create(host, schedule=RoundSchedule.uniform(60.0, restarts=1))
        store.holding = True
        going = asyncio.ensure_future(begin(played, session))
        assert await asyncio.to_thread(store.reached.wait, PATIENCE)
        stopping = asyncio.ensure_future(host.stop())
        for _ in range(50):  # more turns than a stop takes that waits for no thread
            await asyncio.sleep(0)
        assert not any(each[: len(told)] == told for each in seen.told)
        store.free.set()
        await stopping
        assert sum(each[: len(told)] == told for each in seen.told) == 1
        await asyncio.gather(going, return_exceptions=True)

    run(body())


def test_a_session_is_made_whole_whose_maker_goes_away() -> None:
    """The store had it, and the host did not: its name was taken, and there was no session of it."""

    async def body() -> None:
        store, played, seen = Held("create"), Played(), Recorder()
        async with hosting(store, observer=seen) as host:
            store.holding = True
            making = asyncio.ensure_future(played.create(host))
            assert await asyncio.to_thread(store.reached.wait, PATIENCE)
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            store.free.set()
            with pytest.raises(StoreConflictError):
                await Played(Harness(4, threshold=2, seed=1)).create(host)
            assert seen.all("created") == [(NAME, len(played.cohort))]
            played.assert_exact(await played.finish(host.session(NAME)))

    run(body())
