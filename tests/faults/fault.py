"""One fault of the network service: what the matrix is made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.trial import Verdict


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: for people.
        trial: one session under the fault, in a new directory.
        quick: part of `make test`.
        times: trials in a soak, with different draws where the fault draws.
        missing: why it cannot be tried on this machine, in a sentence; "" where it can.
    """

    name: str
    trial: Callable[[Path, int], Coroutine[Any, Any, Verdict]]
    quick: bool = False
    times: int = 1
    missing: Callable[[], str] = str
