"""bench/failover.py: one failover of it, and its sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.failover import TARGET_SECONDS, measure, report_of, table
from bench.pages import OWN_RUNS
from bench.processes import ROOT
from secagg.bench.blocks import fill_blocks
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


def test_the_page_has_the_recorded_figures_and_the_round_went_on_in_time() -> None:
    recorded = read_report(ROOT / "bench/results/failover.json")
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"failover": table}, OWN_RUNS) == page
    samples = recorded.rows[0].samples
    assert len(samples) >= 20
    assert max(samples) <= TARGET_SECONDS


@pytest.mark.cluster
def test_an_owner_is_killed_and_the_sum_is_exact() -> None:
    if missing := throwaway.missing():
        pytest.skip(missing)
    (seconds,) = asyncio.run(measure(1))
    assert seconds > 0
