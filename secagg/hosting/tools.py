"""What all sessions of one host have in common: store, clock, threads, quotas, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from secagg.executor import Executor
from secagg.hosting.clock import Clock
from secagg.hosting.errors import HostUnavailableError
from secagg.hosting.observer import HostObserver
from secagg.hosting.quotas import Quotas, Space
from secagg.store.base import SessionStore, StoreError

_P = ParamSpec("_P")
_R = TypeVar("_R")

# A store may be written by anybody: one that lets an error of the operating system through is not worse for it.
STORE_FAILURES: Final = (StoreError, OSError)


@dataclass(slots=True)
class Tools:
    """Shared by the sessions of a host.

    Attributes:
        store: where sessions are kept.
        clock: monotonic seconds.
        observer: told what happens.
        quotas: bounds, which may change.
        space: bytes of all uploads.
        executor: who does the long computations of a session.
        threads: who makes blocking calls.
        wall_clock: seconds since 1970: for people, and for how long something is kept.
        unmasking: who closes last rounds, which would keep short calls of other sessions waiting.
        gather_seconds: how long an answer may wait for those of others, to become durable with them.
    """

    store: SessionStore
    clock: Clock
    observer: HostObserver
    quotas: Quotas
    space: Space
    executor: Executor
    threads: ThreadPoolExecutor
    wall_clock: Callable[[], float]
    unmasking: ThreadPoolExecutor
    gather_seconds: float = 0.0

    async def run(self, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Make a blocking call in a thread; it goes on when the caller is cancelled."""
        return await self.run_in(self.threads, call, *args, **kwargs)

    @staticmethod
    async def run_in(threads: ThreadPoolExecutor, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """The same, in a thread of these.

        Raises:
            HostUnavailableError: the host has stopped, and has no threads any more.
        """
        try:
            called = asyncio.get_running_loop().run_in_executor(threads, lambda: call(*args, **kwargs))
        except RuntimeError as error:  # of the pool, and not of what is called
            raise HostUnavailableError("the host has stopped; nothing was lost, come again later") from error
        return await called

    def unavailable(self, name: str, error: Exception) -> HostUnavailableError:
        """Tell the observer of a store that failed, and make the error for whoever waits, a client perhaps.

        It says nothing of the failure, which names the server's files and what is in them.
        """
        self.observer.store_failed(name, error)
        return HostUnavailableError(f"session {name} cannot be written now; nothing was lost, send it again")


class Background:
    """Work that goes on when its caller is cancelled, and is waited for at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, _R]) -> asyncio.Task[_R]:
        """Begin work; who wants what comes of it shields the task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def ended(self) -> None:
        """Wait for all of it."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Looked at, since the caller may have gone away.
