"""bench/web.py: a small run of it, its table, and that the page has the table of the recorded figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.network import Case, Measured
from bench.processes import ROOT
from bench.web import measure_uploads, rows_of, table
from secagg.bench.blocks import fill_blocks
from secagg.bench.rows import read_report, write_report
from secagg.parameters import ThreatModel
from tests.bench.conftest import report_of

MIB = 1 << 20


def test_the_table_has_both_ways_and_survives_its_file(tmp_path: Path) -> None:
    crowds = [
        (Case(10, 1000, ThreatModel.SEMI_HONEST), Measured(9.6, 3.5, 100 * MIB, 150 * MIB, MIB, 1.5)),
        (Case(10, 1000, ThreatModel.ACTIVE, http=True), Measured(12.0, 4.5, 100 * MIB, 170 * MIB, MIB, 1.5)),
    ]
    report = report_of(*rows_of(([90e6, 100e6, 110e6], [70e6, 80e6, 90e6]), crowds))
    assert table(report).splitlines()[2:6] == [
        "| an upload of 8 MB | gRPC | 100 MB/s | | |",
        "| an upload of 8 MB | HTTP | 80 MB/s | | |",
        "| a session of 10 clients, semi-honest, exact, none lost | gRPC | 10 s | 2 s | 50 MiB |",
        "| a session of 10 clients, active, exact, none lost | HTTP | 12 s | 3 s | 70 MiB |",
    ]
    write_report(report, tmp_path / "http.json")
    assert table(read_report(tmp_path / "http.json")) == table(report)


def test_uploads_are_taken_in_over_both() -> None:
    over_grpc, over_http = asyncio.run(measure_uploads(1))
    assert len(over_grpc) == len(over_http) == 1


def test_the_page_has_the_recorded_figures() -> None:
    recorded = read_report(ROOT / "bench/results/http.json")
    page = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"http": table}) == page
