"""Prometheus metrics of a host, and their endpoint.

Labels are rounds, stages, steps and reasons: a fixed, small number of series. Never a client or a session, which would
grow without bound, and tell whoever reads metrics who took part.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from secagg.errors import AbortReason, ParameterError
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Departure, Expired, ReceiptKind
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Completed, Outcome

_LONG: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400)
_SHORT: Final = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)


@dataclass(slots=True)
class _Collecting:
    """An open round: whom it waits for, since when, for how long, and whether all answers are counted."""

    round: Round
    clients: int
    opened: float
    seconds: float
    counted: bool
    answered: int = 0

    def late(self, now: float) -> bool:
        """Whether three quarters of the time brought fewer than half of the answers."""
        return self.counted and now - self.opened > 0.75 * self.seconds and 2 * self.answered < self.clients


class MetricsObserver(HostObserver):
    """Counts what happens to a host's sessions.

    Args:
        clock: monotonic seconds, for the time that stages take.

    Attributes:
        registry: holds the metrics, all named `secagg_...`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._stages: dict[str, tuple[Stage, float]] = {}
        self._running: set[str] = set()
        self._unmasking: dict[str, Progress] = {}
        self._collecting: dict[str, _Collecting] = {}
        self._just_resumed: set[str] = set()
        self._open = self._gauge("sessions_open", "Sessions that run in this process.")
        self._created = self._counter("sessions_created", "Sessions created.")
        self._refused = self._counter("sessions_refused", "Sessions that were to be offered and cannot be.")
        self._resumed = self._counter("sessions_resumed", "Sessions rebuilt from their log after a restart.")
        self._ended = self._counter(
            "sessions_ended", "Sessions that ended, by outcome and reason.", "outcome", "reason"
        )
        self._blamed = self._counter(
            "clients_blamed",
            "Clients that made a session end, by rule and whether that is shown.",
            "reason",
            "what",
        )
        self._restarts = self._counter("sessions_restarted", "Sessions that ended and were followed by another one.")
        self._expired = self._counter("expired", "What was kept long enough and removed.", "what")
        # A series that begins with 1 has never grown: what alerts look at is there from the start.
        self._ended.labels("completed", "")
        for reason in AbortReason:
            self._ended.labels("aborted", reason.value)
        for what in Expired:
            self._expired.labels(what.value)
        self._failed = self._counter("sessions_failed", "Sessions that stopped on an unexpected exception.")
        self._rounds = self._counter("rounds_closed", "Rounds that closed.", "round")
        self._rounds_open = self._gauge("rounds_open", "Open rounds of sessions in this process.", "round")
        behind = self._gauge(
            "rounds_behind", "Open rounds that lack half of their answers in the last quarter of their time.", "round"
        )
        for round_ in Round:
            self._rounds_open.labels(round_.value).set_function(partial(self._count, round_, late=False))
            behind.labels(round_.value).set_function(partial(self._count, round_, late=True))
        self._dropped = self._counter("clients_dropped", "Clients dropped, by round and rule.", "round", "reason")
        self._answers = self._counter("answers", "Answers, by round and what became of them.", "round", "outcome")
        self._bytes = self._counter("received_bytes", "Bytes of messages that came in.")
        self._sent = self._counter("sent_bytes", "Bytes of requests that were handed out.")
        self._logins = self._counter("logins", "Logins, by what became of them.", "outcome")
        self._store = self._counter("store_failures", "Operations that the store refused.")
        self._ready = self._gauge("ready", "1 when answers can be made durable, as of the last probe.")
        self._expiries = {
            what: self._gauge(f"{what}_expiry_timestamp_seconds", f"When the {what} ends; 0 when there is none.")
            for what in ("certificate", "roster")
        }
        self._leases_taken = self._counter("leases_taken", "Sessions that this replica went on with.")
        self._leases_lost = self._counter("leases_lost", "Sessions that passed to another replica against its will.")
        self._reloads = self._counter("reloads", "Configurations read again.", "outcome")
        for outcome in ("done", "refused"):
            self._reloads.labels(outcome)
        self._executor = self._counter("executor_failures", "Steps whose executor could not work as it should.")
        self._round_seconds = self._histogram("round_seconds", "How long rounds were open.", "round", _LONG)
        self._stage_seconds = self._histogram(
            "stage_seconds", "How long stages of the last round took.", "stage", _LONG
        )
        self._work_done = self._gauge(
            "unmasking_work_done", "Work of last rounds' ends that are being made: what is done.", "stage"
        )
        self._work = self._gauge("unmasking_work", "Work of last rounds' ends that are being made: all.", "stage")
        for stage in Stage:
            self._show_work(stage)
        self._step_seconds = self._histogram("step_seconds", "How long steps of a session took.", "step", _SHORT)

    def session_created(self, name: str, clients: int) -> None:
        """Count it."""
        self._created.inc()

    def session_opened(self, name: str, digest: bytes) -> None:
        """It runs here."""
        self._running.add(name)
        self._open.set(len(self._running))

    def session_refused(self, name: str, error: Exception) -> None:
        """Count it."""
        self._refused.inc()

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """Count it."""
        self._resumed.inc()
        self._just_resumed.add(name)

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """Count it by how it ended."""
        self._end_stage(name)
        completed = isinstance(outcome, Completed)
        self._ended.labels(
            outcome="completed" if completed else "aborted",
            reason="" if isinstance(outcome, Completed) else outcome.reason,
        ).inc()
        if not isinstance(outcome, Completed):
            for each in outcome.blame:
                self._blamed.labels(reason=each.reason, what="hint" if each.evidence is None else "evidence").inc()
            if outcome.successor:
                self._restarts.inc()
        self._finish(name)

    def session_expired(self, name: str, what: Expired) -> None:
        """Count it by what was removed."""
        self._expired.labels(what=what.value).inc()

    def session_left(self, name: str) -> None:
        """It does not run here."""
        self._stages.pop(name, None)
        self._end_work(name)
        self._finish(name)

    def session_failed(self, name: str, error: BaseException) -> None:
        """Count it."""
        self._failed.inc()
        self.session_left(name)

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        """Watch how its answers come in."""
        counted = name not in self._just_resumed  # of a session that was resumed, some came in before
        self._just_resumed.discard(name)
        self._collecting[name] = _Collecting(round_, clients, self._clock(), seconds, counted)

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        """Count it, and how long it was open."""
        self._collecting.pop(name, None)
        self._end_stage(name)
        self._end_work(name)
        self._rounds.labels(round=round_.value).inc()
        self._round_seconds.labels(round_.value).observe(seconds)

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """Count it by rule."""
        self._dropped.labels(round=round_.value, reason=reason.value).inc()

    def answer(self, name: str, round_: Round | None, client: ClientId, kind: ReceiptKind) -> None:
        """Count it by what became of it."""
        self._answers.labels(round="" if round_ is None else round_.value, outcome=kind.value).inc()
        if kind is ReceiptKind.ACCEPTED and name in self._collecting:
            self._collecting[name].answered += 1

    def bytes_received(self, name: str, client: ClientId, count: int) -> None:
        """Add them."""
        self._bytes.inc(count)

    def bytes_sent(self, name: str, client: ClientId, count: int) -> None:
        """Add them."""
        self._sent.inc(count)

    def login_answered(self, outcome: str) -> None:
        """Count it by outcome."""
        self._logins.labels(outcome=outcome).inc()

    def stage_entered(self, name: str, stage: Stage) -> None:
        """Time the stage before it."""
        self._end_stage(name)
        self._stages[name] = (stage, self._clock())

    def unmasking_progressed(self, name: str, progress: Progress) -> None:
        """Set how far the ends of last rounds are together."""
        before = self._unmasking.get(name)
        self._unmasking[name] = progress
        for stage in {progress.stage, progress.stage if before is None else before.stage}:
            self._show_work(stage)

    def step_timed(self, name: str, step: str, seconds: float) -> None:
        """Record how long it took."""
        self._step_seconds.labels(step).observe(seconds)

    def readiness_changed(self, trouble: str) -> None:
        """Set it."""
        self._ready.set(not trouble)

    def expiry_known(self, what: str, at: float) -> None:
        """Set it."""
        self._expiries[what].set(at)

    def lease_taken(self, name: str, epoch: int) -> None:
        """Count it."""
        self._leases_taken.inc()

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        """Count it; the session runs elsewhere."""
        self._leases_lost.inc()
        self.session_left(name)

    def watch_disk(self, directory: Path) -> None:
        """Show what is free where the data directory is, whenever it is asked for.

        Args:
            directory: any path of the file system.
        """
        free = self._gauge("disk_free_bytes", "What is free on the disk of the data directory.")
        free.set_function(lambda: _free(directory))

    def executor_failed(self, trouble: str) -> None:
        """Count it."""
        self._executor.inc()

    def reloaded(self, trouble: str) -> None:
        """Count it by what became of it."""
        self._reloads.labels(outcome="refused" if trouble else "done").inc()

    def store_failed(self, name: str, error: Exception) -> None:
        """Count it."""
        self._store.inc()

    def _count(self, round_: Round, *, late: bool) -> int:
        """Asked by the endpoint's thread."""
        now, rounds = self._clock(), list(self._collecting.values())
        return sum(each.round is round_ and (not late or each.late(now)) for each in rounds)

    def _finish(self, name: str) -> None:
        self._collecting.pop(name, None)
        self._just_resumed.discard(name)
        self._running.discard(name)
        self._open.set(len(self._running))

    def _end_work(self, name: str) -> None:
        progress = self._unmasking.pop(name, None)
        if progress is not None:
            self._show_work(progress.stage)

    def _show_work(self, stage: Stage) -> None:
        work = [progress for progress in self._unmasking.values() if progress.stage is stage]
        self._work_done.labels(stage.value).set(sum(progress.done for progress in work))
        self._work.labels(stage.value).set(sum(progress.whole for progress in work))

    def _end_stage(self, name: str) -> None:
        if name in self._stages:
            stage, since = self._stages.pop(name)
            self._stage_seconds.labels(stage.value).observe(self._clock() - since)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"secagg_{name}", help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"secagg_{name}", help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, label: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"secagg_{name}", help_, (label,), buckets=buckets, registry=self.registry)


def _free(directory: Path) -> float:
    """Bytes, as whoever may write them sees it; NaN when the disk is gone, which must not end the answer."""
    try:
        return float(shutil.disk_usage(directory).free)
    except OSError:
        return math.nan


@contextmanager
def metrics_endpoint(registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """Serve metrics over HTTP while the block runs; gives the port, which is a free one for port 0.

    Args:
        registry: whose metrics are served.
        host: address to listen on.
        port: 0 chooses one.

    Raises:
        ParameterError: the address cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ParameterError(f"cannot serve metrics on {host}:{port}: {error.strerror}; give a free address") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
