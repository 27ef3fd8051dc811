"""What the executors share: workers that are counted and end, and pieces that are told once, however often begun.

Must not know what a worker is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole


class Workers:
    """Workers that live until `close()`; a context manager closes them.

    Args:
        workers: how many, at least 1.
        kind: what they are, in the plural.

    Raises:
        ParameterError: `workers` is no whole number from 1 on.
    """

    def __init__(self, workers: int, kind: str) -> None:
        whole = as_whole(workers)
        if whole is None or whole < 1:
            raise ParameterError(f"workers={workers!r} is no number of {kind}; give a whole number from 1 on")
        self._workers = whole
        self._closed = False

    @property
    def workers(self) -> int:
        """How many there are."""
        return self._workers

    def close(self) -> None:
        """End the workers; waits for work in progress."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise ParameterError(f"this {type(self).__name__} is closed; make a new one")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def once(done: Callable[[range], None] | None) -> Callable[[range], None]:
    """Return what tells `done` of each piece the first time only."""
    told: set[range] = set()

    def tell(piece: range) -> None:
        if done is not None and piece not in told:
            told.add(piece)
            done(piece)

    return tell
