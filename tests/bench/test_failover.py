"""bench/failover.py: one failover of it, and its sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.failover import measure, report_of, table
from secagg.bench.rows import read_report, write_report
from secagg.cli.demo import throwaway
from tests.bench.conftest import MACHINE


def test_the_sentence_has_all_that_was_measured(tmp_path: Path) -> None:
    report = report_of([2.0, 2.5, 3.26], "2026-01-02T00:00:00+00:00", MACHINE)
    assert "3 owners killed with a lease of 2 s" in table(report)
    assert "**2.5 s** in the middle, 2.0 to 3.3 s" in table(report)
    assert report.rows[0].samples == (2.0, 2.5, 3.26)
    write_report(report, tmp_path / "failover.json")
    assert table(read_report(tmp_path / "failover.json")) == table(report)


@pytest.mark.slow
def test_an_owner_is_killed_and_the_sum_is_exact() -> None:
    if missing := throwaway.missing():
        pytest.skip(missing)
    (seconds,) = asyncio.run(measure(1))
    assert seconds > 0
