"""Runs suites and makes their report: which benchmarks, in which order, with progress for whoever wants it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.joining import join, require_alike
from secagg.bench.machine import describe_machine, load
from secagg.bench.plan import Plan
from secagg.bench.registry import SUITES
from secagg.bench.rows import Report
from secagg.bench.targets import judge
from secagg.errors import ParameterError

OnBenchmark = Callable[[str, int, int], None]
"""Called with (what begins now, benchmarks done, benchmarks in all)."""

Planned = tuple[tuple[str, Benchmark], ...]


def planned(shared: Shared, suites: Sequence[str] = (), only: Sequence[str] = ()) -> Planned:
    """Return the benchmarks of a run: (suite, benchmark), in order.

    Args:
        shared: of the run.
        suites: names of suites; all when there are none.
        only: texts, with one of which a word in "suite/benchmark" must begin; all when there are none.

    Raises:
        ParameterError: an unknown suite, or nothing left.
    """
    for name in suites:
        if name not in SUITES:
            raise ParameterError(f"there is no suite {name!r}; choose from {', '.join(SUITES)}")
    chosen = tuple(
        (name, benchmark)
        for name, suite in SUITES.items()
        if not suites or name in suites
        for benchmark in suite(shared)
        if not only or any(_named(text, f"{name}/{benchmark.name}") for text in only)
    )
    if not chosen:
        texts = " or ".join(map(repr, only))
        raise ParameterError(f"no benchmark has {texts} in its suite/name; leave --only out to see them all")
    return chosen


def _named(text: str, name: str) -> bool:
    """Whether a text is in a name, there where a word begins: `lie` is not in `client`."""
    return re.search((r"\b" if text[:1].isalnum() else "") + re.escape(text), name) is not None


def run_benchmarks(
    plan: Plan,
    version: str,
    suites: Sequence[str] = (),
    only: Sequence[str] = (),
    progress: OnBenchmark | None = None,
    before: Report | None = None,
    finished: Callable[[Report], None] | None = None,
) -> Report:
    """Run benchmarks one after the other and judge their rows.

    Args:
        plan: sizes.
        version: of the library, for the report.
        suites: names of suites; all when there are none.
        only: see :func:`planned`.
        progress: told what begins.
        before: what is known of other suites, and stays in the report.
        finished: given the report so far after each suite: what follows may fail.

    Raises:
        ParameterError: an unknown suite, an extra that is not installed, or results `before` of another machine.
    """
    shared = Shared(plan)
    chosen = planned(shared, suites, only)
    machine, began = describe_machine(), dict[str, str]()
    date = _now()

    def report() -> Report:
        machine.update({f"{name}_at_end": value for name, value in load().items()})
        alone = Report(date, version, plan.quick, dict(machine), judge(shared.rows), dict(began))
        return alone if before is None else join(before, alone)

    if before is not None:
        require_alike(before, report())
    for done, (suite, benchmark) in enumerate(chosen):
        if began and suite not in began and finished is not None:
            finished(report())
        began.setdefault(suite, _now())
        if progress is not None:
            progress(f"{suite}: {benchmark.name}", done, len(chosen))
        shared.rows.extend(benchmark.run())
    whole = report()
    if finished is not None:
        finished(whole)
    return whole


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
