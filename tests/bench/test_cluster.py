"""bench/cluster.py: what it computes, its table, and that the page has the recorded figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cluster import COMPUTED, CORES, computed, large, name_of, split, table
from bench.pages import OWN_RUNS
from bench.processes import ROOT
from secagg.bench.blocks import fill_blocks
from secagg.bench.cost import server_cost
from secagg.bench.rates import CONSERVATIVE
from secagg.bench.rows import Better, Row, measured_row, read_report, write_report
from tests.bench.conftest import report_of


def rows_of(*rates: float) -> list[Row]:
    return [
        measured_row("cluster", name_of(count), "GB/s", Better.MORE, (rate,), details={"workers": count}).beside(
            rates[0], "this thread"
        )
        for count, rate in enumerate(rates)
    ]


def test_many_cores_are_computed_from_how_good_two_are_to_each_other() -> None:
    every, shared, alone = computed(rows_of(5.0, 4.0, 7.5), CONSERVATIVE)
    shape = large()
    cost = server_cost(shape, CONSERVATIVE)
    assert split(cost)[0] + split(cost)[1] == pytest.approx(cost.seconds)
    assert (every.measured, alone.measured) == pytest.approx((cost.seconds, split(cost)[1]))
    assert shared.measured == pytest.approx(split(cost)[0] / (CORES * 0.75) + split(cost)[1])
    assert (every.details["clients"], every.details["entries"], every.details["lost"]) == (100_000, 1_000_000, 5000)
    assert every.details["moved_bytes"] == 2 * cost.mask_bytes / 256
    assert all(row.name.startswith(COMPUTED) for row in (every, shared, alone))


def test_the_table_says_what_is_computed(tmp_path: Path) -> None:
    rows = rows_of(5.0, 4.0, 7.5)
    report = report_of(*rows, *computed(rows, CONSERVATIVE))
    lines = table(report).splitlines()
    assert lines[4] == "| masks, 2 workers of Ray | 7.50 GB/s | 1.50 |"
    assert lines[6].startswith("| computed: 64 cores")
    assert "Computed, not measured: n = 100,000" in table(report)
    assert "worth 0.75 of the server's own thread" in table(report)
    write_report(report, tmp_path / "cluster.json")
    assert table(read_report(tmp_path / "cluster.json")) == table(report)


def test_the_page_has_the_recorded_figures() -> None:
    recorded = read_report(ROOT / "bench/results/cluster.json")
    page = (ROOT / "docs/how_to/sizing.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"cluster": table}, OWN_RUNS) == page
