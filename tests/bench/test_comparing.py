"""Two reports compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg.bench.comparing import Verdict, compare, machines_differ
from secagg.bench.rows import Better, measured_row, skipped_row
from tests.bench.conftest import report_of, time_row


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((100.0,), (109.0,), Verdict.SAME),
        ((100.0,), (112.0,), Verdict.WORSE),
        ((100.0,), (88.0,), Verdict.BETTER),
        ((99.0, 100.0, 100.0, 101.0), (149.0, 150.0, 150.0, 151.0), Verdict.WORSE),
        ((50.0, 100.0, 100.0, 160.0), (80.0, 115.0, 115.0, 170.0), Verdict.SAME),
    ],
    ids=["within", "worse", "better", "apart", "overlapping"],
)
def test_a_time_that_moved(before: tuple[float, ...], after: tuple[float, ...], verdict: Verdict) -> None:
    (change,) = compare(report_of(time_row("a", *before)), report_of(time_row("a", *after)))
    assert change.verdict is verdict


def test_a_rate_that_fell_is_a_regression() -> None:
    old, new = (measured_row("masking", "a", "GB/s", Better.MORE, (rate,)) for rate in (6.0, 5.0))
    (change,) = compare(report_of(old), report_of(new))
    assert change.verdict is Verdict.WORSE
    assert change.factor == pytest.approx(5 / 6)


def test_rows_that_came_and_went() -> None:
    gone, new = time_row("old", 1.0), time_row("new", 1.0)
    skipped = skipped_row("server", "never", "ms", Better.LESS, "why")
    changes = compare(report_of(gone, skipped), report_of(new, skipped))
    assert [(change.row.name, change.verdict) for change in changes] == [("new", Verdict.NEW), ("old", Verdict.GONE)]


def test_a_tolerance_of_ones_own() -> None:
    reports = report_of(time_row("a", 100.0)), report_of(time_row("a", 140.0))
    assert compare(*reports, tolerance=0.5)[0].verdict is Verdict.SAME


def test_other_machines_are_named() -> None:
    here = report_of()
    there = replace(here, machine={**here.machine, "cores": 8, "load_1min": 9.0})
    assert machines_differ(here, here) == ()
    assert machines_differ(here, there) == ("cores",)
