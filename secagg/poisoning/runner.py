"""NO SECURITY: runs suites in worker processes and makes their results; rows do not depend on how many there are.

Workers are started afresh, not forked, and each keeps BLAS to one thread: the products are small, and two processes
with two threads each on two cores mostly wait for each other.
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing import get_context
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.poisoning import leak
from secagg.poisoning.experiment import Experiment, Federation
from secagg.poisoning.plan import experiments, seeds
from secagg.poisoning.private import PrivateFederation
from secagg.poisoning.results import SUITES, AttackRow, Results, Scalar
from secagg.poisoning.sessions import SessionFederation
from secagg.poisoning.tasks import require_data

_LEAK: Final = "leak"
_DRAWN: Final = "siren"
OnStep = Callable[[str, int, int], None]
"""Called with (what was done, experiments done, experiments in all)."""


def run(
    suites: Sequence[str] = (),
    *,
    quick: bool,
    version: str,
    on_step: OnStep | None = None,
    workers: int = 2,
    seed: int = 0,
) -> Results:
    """Run suites and return all rows, in the order of the plan.

    Args:
        suites: their names; all when there are none.
        quick: one seed and fewer attacks, instead of three and all.
        version: of the library, for the results.
        on_step: told after each experiment.
        workers: processes; with 1 everything is done in this one.
        seed: the first one.

    Raises:
        ParameterError: an unknown suite, no workers, or a seed below 0.
        MissingExtraError: scikit-learn is not installed.
    """
    for name in suites:
        if name not in SUITES:
            raise ParameterError(f"there is no suite {name!r}; choose from {', '.join(SUITES)}")
    if workers < 1:
        raise ParameterError(f"workers={workers}; give 1 or more")
    if seed < 0:
        raise ParameterError(f"seed={seed} is below 0; give a whole number from 0 on")
    require_data()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    chosen = [suite for suite in SUITES if not suites or suite in suites]
    jobs = {suite: _jobs(suite, quick, seed) for suite in chosen}
    measured = iter(_done([job for each in jobs.values() for job in each], workers, on_step))
    rows = {suite: tuple(row for _ in each for row in next(measured)) for suite, each in jobs.items()}
    return Results(version, began, quick, machine(workers), **rows)


def play(experiment: Experiment) -> AttackRow:
    """Play all rounds of one experiment, in real sessions or under a privacy plan if it says so.

    Raises:
        ParameterError: settings that no run has.
        MissingExtraError: scikit-learn is not installed.
    """
    if experiment.epsilon is not None:
        return PrivateFederation(experiment).run()
    if experiment.threat_model is not None:
        return SessionFederation(experiment).run()
    return Federation(experiment).run()


def machine(workers: int) -> dict[str, Scalar]:
    """Return what rows were measured on: nothing that names a person, host or folder."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "workers": workers,
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "scikit-learn": _version("scikit-learn"),
    }


@dataclass(frozen=True, slots=True)
class _Job:
    """Something to measure in whatever process: plain data."""

    text: str
    measure: Callable[..., tuple[Any, ...]]
    arguments: tuple[Any, ...]


def _jobs(suite: str, quick: bool, seed: int) -> list[_Job]:
    if suite == _LEAK:
        return [_Job(f"{suite}: sums of many rounds", leak.rows, (quick, each)) for each in seeds(quick, seed)]
    return [_Job(_text(suite, each), _played, (each, suite == _DRAWN)) for each in experiments(suite, quick, seed)]


def _played(experiment: Experiment, drawn: bool) -> tuple[AttackRow, ...]:
    row = play(experiment)
    return (row if drawn else replace(row, curve=()),)


def _text(suite: str, experiment: Experiment) -> str:
    return f"{suite}: {experiment.attack}, {experiment.defence}"


def _done(jobs: list[_Job], workers: int, on_step: OnStep | None) -> list[tuple[Any, ...]]:
    """Rows of each job, in the order of the jobs."""
    if workers == 1:
        rows = []
        for job in jobs:
            rows.append(job.measure(*job.arguments))
            if on_step is not None:
                on_step(job.text, len(rows), len(jobs))
        return rows
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begun)
    try:
        futures = {pool.submit(job.measure, *job.arguments): job for job in jobs}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if on_step is not None:
                on_step(futures[future].text, done, len(jobs))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _begun() -> None:
    """Of a worker: one thread, and an interrupt is for whoever started it, which takes what is not begun back."""
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
