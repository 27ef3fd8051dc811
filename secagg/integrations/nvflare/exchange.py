"""One round over a Controller: a task of its own to each site, results as they come, no waiting beyond the deadline.

NVFLARE's broadcast sends everybody the same; here each site gets its own task by `send`. Results are handed on one by
one and are not kept, so that no more than one upload is in memory. Knows no sessions.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from nvflare.apis.controller_spec import ClientTask, Task, TaskCompletionStatus
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from secagg.errors import AbortReason, SecAggError, SessionAbortedError

OnReply = Callable[[str, Shareable | None], None]
_LONGEST_WAIT: Final = 0.5


class Clock(Protocol):
    """Where time comes from, so that tests need none."""

    def now(self) -> float:
        """Seconds, from anywhere, that never go back."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or for so long; returns whether it is set."""


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or for so long."""
        return event.wait(seconds)


class TaskSender(Protocol):
    """What is needed of a Controller."""

    def send(self, task: Task, fl_ctx: FLContext, targets: list[str]) -> None:
        """Schedule a task for one site."""

    def cancel_task(self, task: Task, *, fl_ctx: FLContext) -> None:
        """Take it back."""


class Exchange:
    """Sends tasks to sites and collects results.

    Args:
        controller: of the job.
        task_name: by which the sites' jobs route the task.
        fl_ctx: of the controller's control flow.
        abort_signal: of the same.
        clock: where time comes from.
    """

    def __init__(
        self,
        controller: TaskSender,
        task_name: str,
        fl_ctx: FLContext,
        abort_signal: Signal,
        clock: Clock | None = None,
    ) -> None:
        self._controller = controller
        self._task_name = task_name
        self._fl_ctx = fl_ctx
        self._abort_signal = abort_signal
        self._clock = clock or SystemClock()

    def run(
        self,
        tasks: Mapping[str, Shareable],
        seconds: float,
        on_reply: OnReply,
        not_waited_for: Collection[str] = frozenset(),
    ) -> None:
        """Play one round.

        Args:
            tasks: site's name to what it is sent.
            seconds: how long to wait; sites that answer later are not heard.
            on_reply: called, never twice at once and from any thread, with each site and its result, or with None when
                NVFLARE says that the site is gone.
            not_waited_for: sites that are heard if they answer before the others are through.

        Raises:
            SessionAbortedError: the job is aborted.
            SecAggError: whatever `on_reply` raised first.
        """
        round_ = _Round(tasks.keys(), not_waited_for, on_reply)
        sent = []
        for site, data in tasks.items():
            task = Task(
                name=self._task_name,
                data=data,
                timeout=math.ceil(seconds),
                result_received_cb=round_.on_result,
                task_done_cb=_done(round_, site),
            )
            sent.append(task)
            self._controller.send(task, self._fl_ctx, targets=[site])
        try:
            self._wait(round_, self._clock.now() + seconds)
        finally:
            round_.close()
            for task in sent:
                if task.completion_status is None:
                    self._controller.cancel_task(task, fl_ctx=self._fl_ctx)
        if round_.error is not None:
            raise round_.error

    def post(self, tasks: Mapping[str, Shareable], seconds: float) -> None:
        """Send tasks whose results nobody waits for."""
        for site, data in tasks.items():
            task = Task(name=self._task_name, data=data, timeout=math.ceil(seconds))
            self._controller.send(task, self._fl_ctx, targets=[site])

    def _wait(self, round_: _Round, deadline: float) -> None:
        while True:
            left = deadline - self._clock.now()
            if left <= 0 or self._clock.wait(round_.complete, min(left, _LONGEST_WAIT)):
                return
            if self._abort_signal.triggered:
                raise SessionAbortedError("the job was aborted", AbortReason.ABORTED_BY_CALLER)


class _Round:
    """Who is waited for; NVFLARE calls it from its threads."""

    def __init__(self, sites: Collection[str], not_waited_for: Collection[str], on_reply: OnReply) -> None:
        self.complete = threading.Event()
        self.error: SecAggError | None = None
        self._open = set(sites)
        self._needed = self._open - set(not_waited_for)
        self._on_reply = on_reply
        self._lock = threading.Lock()
        if not self._needed:
            self.complete.set()

    def on_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        """Hand on a result, and let go of it."""
        result, client_task.result = client_task.result, None
        self.take(client_task.client.name, result)

    def take(self, site: str, reply: Shareable | None) -> None:
        """Hand on what came of a site, the first time, while the round is open."""
        with self._lock:
            if site not in self._open:
                return
            self._open.remove(site)
            self._needed.discard(site)
            try:
                self._on_reply(site, reply)
            except SecAggError as error:
                self.error = self.error or error
            finally:
                if not self._needed or self.error is not None:
                    self.complete.set()

    def close(self) -> None:
        """Hand on nothing any more."""
        with self._lock:
            self._open.clear()


def _done(round_: _Round, site: str) -> Callable[..., None]:
    def on_done(task: Task, fl_ctx: Any) -> None:
        if task.completion_status is not TaskCompletionStatus.OK:
            round_.take(site, None)

    return on_done
