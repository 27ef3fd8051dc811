"""What uses Ray, in a process that has nothing else to lose: the only module that imports it.

Tasks and their arguments are Ray's own business. Must not know what a job does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

# Read when Ray is imported: a busy machine starts its servers slowly, and nobody is told of it.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.exceptions import RayError

from secagg.compute.pickling import work_on
from secagg.executor import Words

_STORE_BYTES: Final = 1 << 28
_ACROSS: Final = "SPREAD"


class Cluster:
    """A connection to a cluster, or one that is begun here; a context manager ends it."""

    def __init__(self, address: str | None, workers: int | None) -> None:
        options: dict[str, Any] = {"configure_logging": False, "log_to_driver": False, "include_dashboard": False}
        if address is None:
            options["address"] = "local"  # and no other cluster that happens to be on this machine
            # Nothing of a session may get to a disk.
            options["_system_config"] = {"automatic_object_spilling_enabled": False}
            options["object_store_memory"] = _STORE_BYTES
            options["num_cpus"] = workers
        else:
            options = {"address": address, "configure_logging": False, "log_to_driver": False}
        ray.init(**options)
        self._work = ray.remote(work_on).options(scheduling_strategy=_ACROSS)
        self.pending: dict[Any, int] = {}

    def submit(self, number: int, data: bytes, pieces: Sequence[range], words: Words) -> None:
        """Begin a part."""
        self.pending[self._work.remote(data, pieces, words)] = number

    def finished(self, seconds: float) -> Iterator[tuple[int, Words | str]]:
        """The parts that are done, at most so long after the call: what became of their words, or what went wrong."""
        if not self.pending:
            return
        done, _ = ray.wait(list(self.pending), timeout=seconds)
        for reference in done:
            number = self.pending.pop(reference)
            try:
                yield number, ray.get(reference)
            except RayError as error:
                yield number, f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ray.shutdown()
