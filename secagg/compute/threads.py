"""An executor that uses several processors through threads of this process.

The work is done in calls that release the interpreter lock, but they are short: where there is such a lock, two
threads make AES masks 1.2 to 1.5 times as fast as one, and AEGIS masks and key agreements no faster, because they
wait for each other between calls. `processes.ProcessExecutor` has no such limit. Must not know masks, vectors or
sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Final

from secagg.compute.workers import Workers
from secagg.executor import INLINE, Job, Words

_END: Final = None
# Not every platform lets a signal break an endless wait, and a signal may have reached another thread.
_INTERRUPTIBLE_SECONDS: Final = 0.1


class ThreadExecutor(Workers):
    """Does pieces of work in `workers` threads, which live until `close()`; a context manager closes it.

    Sessions in several threads may share one: their pieces then wait for each other.

    Args:
        workers: number of threads, at least 1; one for each processor that may be used.

    Raises:
        ParameterError: `workers` is no whole number from 1 on.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers, "threads")
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="secagg")

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        """Do every piece once; see `secagg.executor.Executor.run`.

        Raises:
            ParameterError: the executor is closed.
        """
        self._require_open()
        crew = min(self._workers, len(pieces))
        if crew <= 1:
            INLINE.run(job, target, pieces, done)
            return
        shift = _Shift(job, target, pieces, tell=done is not None)
        futures: list[Future[None]] = []
        try:
            futures.extend(self._pool.submit(shift.work, number) for number in range(crew))
            for position in shift.finished(crew):
                if done is not None:
                    done(pieces[position])
        finally:
            shift.stop()
            wait(futures)
        if shift.broken:
            futures[min(shift.broken)[1]].result()

    def close(self) -> None:
        """End the threads; waits for work in progress."""
        super().close()
        self._pool.shutdown()


class _Shift:
    """One call of `run`: hands out the pieces, and notes where a worker broke off.

    Attributes:
        broken: (position, worker) of each exception.
    """

    def __init__(self, job: Job, target: Words, pieces: Sequence[range], tell: bool) -> None:
        self._reports: SimpleQueue[int | None] = SimpleQueue()
        self.broken: list[tuple[int, int]] = []
        self._job = job
        self._target = target
        self._pieces = pieces
        self._tell = tell
        self._lock = Lock()
        self._next = 0

    def finished(self, crew: int) -> Iterator[int]:
        """Positions of pieces as they are done, until all `crew` workers have ended."""
        while crew:
            try:
                position = self._reports.get(timeout=_INTERRUPTIBLE_SECONDS)
            except Empty:
                continue
            if position is _END:
                crew -= 1
            else:
                yield position

    def stop(self) -> None:
        """Hand out nothing any more."""
        with self._lock:
            self._next = len(self._pieces)

    def work(self, number: int) -> None:
        """Do pieces until there are none; ends the other workers when one raises."""
        position, finished = -1, False
        try:
            do = self._job.start(self._target)
            while (position := self._take()) < len(self._pieces):
                do(self._pieces[position])
                if self._tell:
                    self._reports.put(position)
            finished = True
        finally:
            if not finished:
                self.broken.append((position, number))
                self.stop()
            self._reports.put(_END)

    def _take(self) -> int:
        with self._lock:
            position = self._next
            self._next = min(position + 1, len(self._pieces))
        return position
