"""An executor that uses several processors through processes of their own, on shared memory.

Each call copies the array into memory that the workers share with the caller, lets every worker do its part of
the pieces, and copies the array back when all went well: 3 passes over it, against dozens that making masks
takes. The copy is overwritten afterwards. A job travels through a pipe to the workers, with the secrets in it
(Specification §10): they are processes of the same user. Must not know masks, vectors or sessions.

Workers are started with the `spawn` method, which imports the main module anew: as with all of multiprocessing,
a script that uses this guards its own doings with `if __name__ == "__main__":`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise
from multiprocessing import parent_process
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from threading import Lock, Thread
from typing import Final

import numpy as np

from secagg.compute.pickling import dumps
from secagg.compute.stopped import Watched
from secagg.compute.workers import Workers, once
from secagg.executor import INLINE, Job, Words

# The first word of the shared memory tells workers to stop, and each has one for the pieces that it has done; the array
# follows, aligned to a cache line.
_LINE_WORDS: Final = 8
_INTERRUPTIBLE_SECONDS: Final = 0.1
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - where Linux has shared memory
_ATTEMPTS: Final = 2  # the second with new processes


class ProcessExecutor(Workers):
    """Does pieces of work in `workers` processes, which live until `close()`; a context manager closes it.

    Sessions in several threads may share one: their jobs then wait for each other. When a worker was killed, or stopped
    for seconds (and then killed), or no memory or process is to be had, the job is begun anew with new ones, and if
    that fails in the caller's thread: slower, with the same bytes.

    Args:
        workers: number of processes, at least 1; one for each processor that may be used.

    Raises:
        ParameterError: `workers` is no whole number from 1 on.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers, "processes")
        self._head = -(-(1 + self.workers) // _LINE_WORDS) * _LINE_WORDS
        self._lock = Lock()
        self._shared: SharedMemory | None = None
        self._unlink: Callable[[], object] | None = None
        self._context = Watched()
        weakref.finalize(self, self._context.end.set)
        self._pool = self._new_pool()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why the last job was not done by processes, in one sentence; empty when it was."""
        return self._trouble

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        """Do every piece once; see `secagg.executor.Executor.run`. An exception leaves `target` as it was.

        Pieces that are begun anew are not told to `done` again.

        Raises:
            ParameterError: the executor is closed.
        """
        self._require_open()
        parts = _parts(pieces, self._workers)
        if len(parts) < 2:
            INLINE.run(job, target, pieces, done)
            return
        tell = once(done)
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    self._share_out(job, target, parts, tell)
                except (BrokenExecutor, OSError) as error:
                    # Nothing that a job does raises these, and if it did, it would raise them below, too.
                    self._trouble = (
                        f"processes cannot work ({type(error).__name__}: {error}); jobs are done without them"
                    )
                    self._pool.shutdown()
                    self._pool = self._new_pool()
                else:
                    self._trouble = ""
                    return
        INLINE.run(job, target, pieces, tell)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, mp_context=self._context, initializer=_begin)

    def _share_out(self, job: Job, target: Words, parts: list[Sequence[range]], done: Callable[[range], None]) -> None:
        shared = self._room(len(target))
        array = _words(shared, self._head, len(target))
        try:
            np.copyto(array, target)
            self._run(shared, job, len(target), parts, done)
            np.copyto(target, array)
        finally:
            array.fill(0)
            # A traceback that kept a view would keep close() from releasing the memory.
            del array

    def _run(
        self,
        shared: SharedMemory,
        job: Job,
        words: int,
        parts: list[Sequence[range]],
        done: Callable[[range], None],
    ) -> None:
        head = _words(shared, 0, self._head)
        head.fill(0)
        data, told = dumps(job), [0] * len(parts)
        futures: list[Future[None]] = []

        try:
            for number, part in enumerate(parts):
                futures.append(self._pool.submit(_work, shared.name, self._head, words, data, part, 1 + number))
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, _INTERRUPTIBLE_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                for number, part in enumerate(parts):
                    finished = int(head[1 + number])
                    for piece in part[told[number] : finished]:
                        done(piece)
                    told[number] = finished
        finally:
            head[0] = 1
            wait(futures)
            head[1:] = 0
            del head

    def _room(self, words: int) -> SharedMemory:
        """Shared memory for so many words; kept for the next call."""
        needed = 8 * (self._head + words)
        if self._shared is None or self._shared.size < needed:
            self._release()
            self._shared = SharedMemory(create=True, size=needed)
            # Also when nobody calls close(): the memory has a name, and would outlive this process.
            self._unlink = weakref.finalize(self, _unlink, self._shared)
            try:
                _claim(self._shared)
            except OSError:
                self._release()
                raise
        return self._shared

    def _release(self) -> None:
        if self._unlink is not None:
            self._unlink()
        self._shared = self._unlink = None

    def close(self) -> None:
        """End the processes; waits for work in progress."""
        super().close()
        with self._lock:
            self._pool.shutdown()
            self._context.end.set()
            self._release()


def _parts(pieces: Sequence[range], workers: int) -> list[Sequence[range]]:
    """Cut the pieces into one run of neighbours for each worker."""
    count = min(workers, len(pieces))
    bounds = [len(pieces) * number // count for number in range(count + 1)] if count else []
    return [pieces[start:stop] for start, stop in pairwise(bounds)]


def _words(shared: SharedMemory, at: int, count: int) -> Words:
    return np.ndarray(count, dtype=np.uint64, buffer=shared.buf, offset=8 * at)


def _claim(shared: SharedMemory) -> None:
    """Have all of the memory, or an OSError: it is promised only, and the kernel kills who writes where none is left.

    A container has 64 MiB of it unless told otherwise.
    """
    path = _SHARED / shared.name
    if sys.platform == "linux" and path.is_file():
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, shared.size)


def _unlink(shared: SharedMemory) -> None:
    shared.close()
    shared.unlink()


def _begin() -> None:
    """Ctrl-C reaches all processes of a terminal; the caller's alone decides what follows. Its end ends the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A caller that is killed closes nothing: its workers would wait for it, and hold its files open, for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@lru_cache(maxsize=1)
def _attached(name: str) -> SharedMemory:
    """In a worker: the memory of the last call is most likely that of the next."""
    return SharedMemory(name)


def _work(name: str, head: int, words: int, data: bytes, pieces: Sequence[range], counted_at: int) -> None:
    """In a worker: do these pieces, unless told to stop, and count them."""
    shared = _attached(name)
    flags = _words(shared, 0, head)
    job: Job = pickle.loads(data)  # noqa: S301 - from the process that started this one
    do = job.start(_words(shared, head, words))
    for piece in pieces:
        if flags[0]:
            return
        do(piece)
        flags[counted_at] += 1
