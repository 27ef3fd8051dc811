"""An executor that is Ray's, and fails where the caller did Ray's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from secagg.compute.ray import RayExecutor
from secagg.executor import Divisible, Job, Words


@dataclass(frozen=True)
class Witness:
    """Looks at a RayExecutor after each job."""

    inner: RayExecutor

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        assert isinstance(job, Divisible)
        self.inner.run(job, target, pieces, done)
        assert self.inner.trouble == ""
        assert len(pieces) < 2 or self.inner._driver is not None
