"""Kills worker processes that were stopped, as by SIGSTOP or a freezer, and do not go on: nobody would miss them.

A worker that died breaks its pool, which is noticed; one that is stopped is waited for, for ever. It says so itself
(its state, on Linux), so that one that is only slow is left alone. Must not know what workers do.
"""

from __future__ import annotations

import time
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

_STOPPED_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_PROC: Final = Path("/proc")


class Watched(SpawnContext):
    """Starts processes as `spawn` does, and looks after them until `end` is set.

    Attributes:
        end: set by the owner.
    """

    def __init__(self) -> None:
        super().__init__()
        self.end = Event()
        self._started: list[BaseProcess] = []
        if _PROC.joinpath("self", "stat").exists():
            Thread(target=_look_after, args=(self._started, self.end), name="secagg workers", daemon=True).start()

    def Process(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]  # noqa: N802
        """Make a process that is looked after."""
        process = super().Process(*arguments, **options)
        self._started.append(process)
        return process


def _look_after(processes: list[BaseProcess], end: Event) -> None:
    since: dict[BaseProcess, float] = {}
    while not end.wait(_LOOK_SECONDS):
        now = time.monotonic()
        for process in list(processes):
            if process.pid is None:
                continue
            state = _state(process.pid)
            if not state:
                processes.remove(process)
            if state != "T":
                since.pop(process, None)
            elif now - since.setdefault(process, now) >= _STOPPED_SECONDS:
                process.kill()


def _state(pid: int) -> str:
    """A letter: T for a process that was stopped; "" when there is no such process."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
