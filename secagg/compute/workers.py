"""What the executors share: a number of workers that is checked, an end, and a context manager around both.

Must not know what a worker is.
"""

from __future__ import annotations

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
