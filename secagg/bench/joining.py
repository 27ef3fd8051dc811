"""Results of suites that were run one by one, in one report of one machine. Must not know how anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from secagg.bench.comparing import machines_differ
from secagg.bench.rows import Report
from secagg.bench.targets import judge
from secagg.errors import ParameterError


def require_alike(before: Report, after: Report) -> None:
    """Demand that two reports can be one.

    Raises:
        ParameterError: another machine, other packages, another release, or a quick run and a full one.
    """
    differing = [*machines_differ(before, after)]
    differing += [name for name in ("version", "quick") if getattr(before, name) != getattr(after, name)]
    if differing:
        raise ParameterError(
            f"the results that are there differ in {', '.join(differing)}; write these into another file"
        )


def join(before: Report, after: Report) -> Report:
    """Return all suites of both, each as it was run last, judged together.

    Raises:
        ParameterError: see :func:`require_alike`.
    """
    require_alike(before, after)
    kept = tuple(row for row in before.rows if row.suite not in after.began)
    began = {suite: date for suite, date in before.began.items() if suite not in after.began} | dict(after.began)
    return replace(
        after, date=before.date, machine=_machine(before, after), rows=judge((*kept, *after.rows)), began=began
    )


def _machine(before: Report, after: Report) -> Mapping[str, str | int | float | bool | None]:
    """With the load when the first began, and when the last ended."""
    first = {name: value for name, value in before.machine.items() if name.startswith("load_")}
    return {**after.machine, **{name: value for name, value in first.items() if not name.endswith("_at_end")}}
