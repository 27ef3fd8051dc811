"""Who does the independent pieces of a long computation: the seam between arithmetic and processors.

A job works on one array of words, in pieces that do not touch each other: a slice of the session vector with all
masks that are added to it, or the keys of a few pairs of clients. So any number of workers, in any order, gives
the same bytes; there is no step that joins their results, and a worker needs memory for one piece. The protocol
sees an `Executor` as plain data: this module must not know threads, processes or what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


class Job(Protocol):
    """What is to be done. Plain data, so that it can be sent to another process; may hold secrets."""

    def start(self, target: Words) -> Callable[[range], None]:
        """Make one worker's buffers; return what does one piece of the work on `target`."""
        ...


@runtime_checkable
class Divisible(Job, Protocol):
    """A job of which a part can be done far away: it travels with the words that it needs, and no others."""

    def rebased(self, whole: range) -> tuple[Job, range]:
        """Return what does the pieces of a run of neighbours, which then count from 0, and the words it does them on.

        Args:
            whole: from the first piece's start to the last one's stop.
        """
        ...


class Executor(Protocol):
    """Runs the pieces of a job, one after the other or side by side."""

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        """Do every piece once, in place, and return when all are done.

        When a piece raises, or the caller is interrupted, no further piece is begun; those in progress are waited
        for, so that nothing writes to `target` after the exception left this method.

        Args:
            job: started once by each worker.
            target: uint64, one-dimensional, writable; the job changes it.
            pieces: what to hand out, in this order.
            done: called in the caller's thread after pieces, in any order.

        Raises:
            Exception: what the job or `done` raised; one of them if several did.
        """
        ...


@runtime_checkable
class Troubled(Protocol):
    """An executor that may have to do with less than it was made for, and says so."""

    @property
    def trouble(self) -> str:
        """Why its last job was done otherwise, in one sentence; empty when it was not."""
        ...


@dataclass(frozen=True, slots=True)
class InlineExecutor:
    """An `Executor` in the calling thread."""

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        """Do every piece once; see `Executor.run`."""
        work = job.start(target)
        for piece in pieces:
            work(piece)
            if done is not None:
                done(piece)


INLINE: Final = InlineExecutor()
