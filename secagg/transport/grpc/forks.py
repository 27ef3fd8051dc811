"""gRPC does not survive a fork: whoever uses it in a child of a process that used it waits for ever.

Must not know what is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from secagg.errors import ParameterError


class ForkGuard:
    """Remembers in which process gRPC was first used.

    Args:
        process: id of the process that asks.
    """

    def __init__(self, process: Callable[[], int] = os.getpid) -> None:
        self._process = process
        self._first: int | None = None

    def require(self) -> None:
        """Note this process, or find that it is another.

        Raises:
            ParameterError: this process was forked from one that had used gRPC.
        """
        here = self._process()
        if self._first is None:
            self._first = here
        elif self._first != here:
            raise ParameterError(
                f"process {here} was forked from process {self._first}, which has used gRPC; gRPC would wait for ever "
                "here: start processes with the method 'spawn', or fork before the first use of gRPC"
            )


UNFORKED = ForkGuard()
