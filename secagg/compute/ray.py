"""An executor that does pieces of work on a Ray cluster, on this machine or on many.

Ray is used from a process of its own: it ends whoever uses it when its own servers end, and that must not be a server
with sessions. What goes wrong there (no cluster, a lost node, no room, a driver that died, or nothing for minutes)
costs time only: the job is begun anew in the caller's thread, from the array as it was, and `trouble` says so.

A part of a job travels with its own slice of the array and with the keys in it (Specification §10), through Ray's
servers: the job in the call itself, as long as it is small, and not in the object store. Must not know masks, vectors
or sessions.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Final, Self

from secagg.compute.pickling import dumps
from secagg.compute.workers import once
from secagg.errors import MissingExtraError, ParameterError
from secagg.executor import INLINE, Divisible, Job, Words
from secagg.parameters.arguments import as_whole

LOCAL: Final = "local"
"""The address of a cluster that is begun on this machine, and ends with the executor."""
_MOST_JOB_BYTES: Final = 90_000  # Ray hands up to 100 KiB over in the call itself
_MOST_WORDS: Final = 1 << 19
_AT_ONCE: Final = 16
_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 180.0
_BEGIN_SECONDS: Final = 120.0
_REACH_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 300.0
_READY: Final = -1
_MORE: Final = -2
_END_SECONDS: Final = 20.0

Part = tuple[bytes, tuple[range, ...], range]
"""A job as bytes, its pieces, and the words of the target that they are done on."""


def require_ray() -> None:
    """Demand that Ray is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("work.ray needs Ray: pip install 'secagg[ray]', or set work.processes instead")


class RayExecutor:
    """Does pieces of work on a Ray cluster until `close()`; a context manager closes it.

    Sessions in several threads may share one: their jobs then wait for each other. The cluster is asked for with the
    first job; every node needs the same release of secagg.

    Args:
        address: of a cluster, as `ray.init` takes it; `LOCAL` begins one here.
        workers: processes of a cluster that is begun here, at least 1; one for each processor unless said otherwise.

    Raises:
        MissingExtraError: Ray is not installed.
        ParameterError: `workers` is no whole number from 1 on, or said of a cluster that is there.
    """

    def __init__(self, address: str = LOCAL, workers: int | None = None) -> None:
        if workers is not None and (address != LOCAL or as_whole(workers) is None or workers < 1):
            raise ParameterError(f"workers={workers!r:.80}: a cluster that is begun here has a whole number from 1 on")
        require_ray()
        self._address = address
        self._workers = workers
        self._lock = Lock()
        self._driver: _Driver | None = None
        self._closed = False
        self._trouble = ""
        self._away_until = 0.0

    @property
    def trouble(self) -> str:
        """Why the last job was not done by Ray, in one sentence; empty when it was."""
        return self._trouble

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        """Do every piece once; see `secagg.executor.Executor.run`. An exception leaves `target` as it was, unless the
        job is done in the caller's thread. Pieces that are begun anew are not told to `done` again.

        Raises:
            ParameterError: the executor is closed.
        """
        if self._closed:
            raise ParameterError("this RayExecutor is closed; make a new one")
        away = monotonic() < self._away_until  # a cluster that is not there costs its wait once in a while
        if away or len(pieces) < 2 or not isinstance(job, Divisible):
            INLINE.run(job, target, pieces, done)
            return
        tell = once(done)
        with self._lock:
            try:
                results = self._results(job, target, pieces, tell)
            except (OSError, EOFError) as error:
                self._trouble = f"Ray cannot work ({error or type(error).__name__}); jobs are done without it"
            else:
                for words, result in results:
                    target[words.start : words.stop] = result
                self._trouble = ""
                return
        INLINE.run(job, target, pieces, tell)

    def _results(
        self, job: Divisible, target: Words, pieces: Sequence[range], done: Callable[[range], None]
    ) -> list[tuple[range, Words]]:
        """Have all parts done; whatever is raised, no driver is left that works on them."""
        driver, self._driver = self._driver or self._begun(), None
        try:
            found = list(driver.work(target, list(_parts(job, pieces)), done))
            self._driver = driver
        finally:
            if self._driver is None:
                driver.end(0.0)
        return found

    def _begun(self) -> _Driver:
        driver, self._away_until = _Driver(self._address, self._workers), monotonic() + _AGAIN_SECONDS
        try:
            driver.require_cluster(_BEGIN_SECONDS if self._address == LOCAL else _REACH_SECONDS)
            self._away_until = 0.0
        finally:
            if self._away_until:
                driver.end(0.0)
        return driver

    def close(self) -> None:
        """End the driver, and the cluster if it was begun here; waits for work in progress."""
        with self._lock:
            self._closed = True
            if self._driver is not None:
                self._driver.end()
            self._driver = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Driver:
    """The process that uses Ray, and the pipe to it."""

    def __init__(self, address: str, workers: int | None) -> None:
        context = get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=drive, args=(far, address, workers), daemon=True)
        self._process.start()
        far.close()

    def work(
        self, target: Words, parts: Sequence[Part], done: Callable[[range], None]
    ) -> Iterator[tuple[range, Words]]:
        """Have parts done, a few at a time; yields what became of the words of each."""
        self._pipe.send(None)
        waiting = list(enumerate(parts))[::-1]
        while (received := self._received(_PATIENCE_SECONDS))[0] != _READY:
            number, result = received
            if number == _MORE:
                self._pipe.send(_packed(*waiting.pop(), target) if waiting else None)
                continue
            if isinstance(result, str):
                raise ConnectionError(result)
            _, pieces, words = parts[number]
            for piece in pieces:
                done(piece)
            yield words, result

    def require_cluster(self, seconds: float) -> None:
        """Wait until there is a cluster."""
        self._received(seconds)

    def _received(self, seconds: float) -> tuple[int, Words | str]:
        ends = monotonic() + seconds
        while not self._pipe.poll(_POLL_SECONDS):
            if monotonic() > ends:
                raise TimeoutError(f"nothing came from the cluster for {seconds:g} s")
        received: tuple[int, Words | str] = self._pipe.recv()
        return received

    def end(self, seconds: float = _END_SECONDS) -> None:
        """End the process, by force if it takes longer."""
        self._pipe.close()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _packed(number: int, part: Part, target: Words) -> tuple[int, bytes, list[range], Words]:
    data, pieces, words = part
    base = pieces[0].start
    return (
        number,
        data,
        [range(piece.start - base, piece.stop - base) for piece in pieces],
        target[words.start : words.stop],
    )


def _parts(job: Divisible, pieces: Sequence[range]) -> Iterator[Part]:
    """Cut a job into runs of neighbouring pieces whose job is small enough for a call, and whose slice is short."""
    todo = [tuple(pieces)]
    while todo:
        run = todo.pop()
        rebased, words = job.rebased(range(run[0].start, run[-1].stop))
        data = dumps(rebased)
        if len(run) > 1 and (len(data) > _MOST_JOB_BYTES or len(words) > _MOST_WORDS):
            todo += [run[len(run) // 2 :], run[: len(run) // 2]]
        else:
            yield data, run, words


def drive(pipe: Connection, address: str, workers: int | None) -> None:
    """In the driver: hand to Ray what it asks for through the pipe, and what comes of it back, until the pipe ends.

    Each end writes only when the other reads: both would wait for ever where two long messages meet.

    Args:
        pipe: to the process whose executor it is.
        address: of the cluster, as `RayExecutor` was given it.
        workers: tasks at once; None takes as many as the cluster has processors.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from secagg.compute.ray_driver import Cluster

    with Cluster(None if address == LOCAL else address, workers) as cluster, suppress(EOFError):
        pipe.send((_READY, ""))
        while True:
            pipe.recv()
            more = True
            while more or cluster.pending:
                while more and len(cluster.pending) < _AT_ONCE:
                    pipe.send((_MORE, ""))
                    part = pipe.recv()
                    more = part is not None
                    if part is not None:
                        cluster.submit(*part)
                for result in cluster.finished(_POLL_SECONDS):
                    pipe.send(result)
            pipe.send((_READY, ""))
