"""bench/network.py: a small run of it, its table, and that the page has the table of the recorded figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.many_sessions import Kept, measure_kept
from bench.network import Case, Measured, measure, measure_cpu, rows_of, rows_of_kept, speed_table, table
from bench.pages import OWN_RUNS
from bench.processes import ROOT
from secagg.bench.blocks import fill_blocks
from secagg.bench.rows import Report, read_report, write_report
from secagg.parameters import ThreatModel
from tests.bench.conftest import MACHINE, report_of

MIB = 1 << 20


def report() -> Report:
    results = [
        (Case(100, 1000), Measured(9.6, 1.25, 100 * MIB, 150 * MIB, 4 * MIB)),
        (Case(36, 3000), Measured(1.0, 1.0, 100 * MIB, 140 * MIB, 10 * MIB)),
        (Case(36, 9000), Measured(2.0, 1.0, 100 * MIB, 200 * MIB, 30 * MIB)),
    ]
    return Report("2026-01-02T00:00:00+00:00", "1", False, MACHINE, rows_of(results))


def test_the_table_takes_the_vectors_out_of_the_peak() -> None:
    lines = table(report()).splitlines()
    assert lines[2] == "| 100 | 1,000 | 4.0 MiB | exact | 10 s | 1.2 s | 50 MiB | 38 MiB |"
    assert lines[3].endswith("| 40 MiB | 10 MiB |")
    assert lines[4].endswith("| 100 MiB | 10 MiB |")
    assert "**3.00 session vectors**" in lines[6]
    assert "2026-01-02 on a processor, 2 cores" in lines[6]


def test_the_table_survives_its_file(tmp_path: Path) -> None:
    write_report(report(), tmp_path / "network.json")
    assert table(read_report(tmp_path / "network.json")) == table(report())


def test_a_small_session_is_exact_and_measured() -> None:
    found = asyncio.run(measure(Case(8, 1000), 1))
    assert found.peak > found.baseline > MIB
    assert found.seconds > 0


def test_cpu_time_is_compared_with_another_checkout_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played: list[Path] = []

    async def measured(case: Case, processes: int, tree: Path) -> Measured:
        played.append(tree)
        return Measured(1.0, 2.0 if tree == tmp_path else 1.5, 0, 0, 1, cpu_before=1.0)

    monkeypatch.setattr("bench.network.measure", measured)
    row = measure_cpu(Case(100, 1000, ThreatModel.SEMI_HONEST), 1, 2, tmp_path)
    assert played == [tmp_path, ROOT] * 2
    assert (row.samples, row.floor, row.unit) == ((5.0, 5.0), 10.0, "ms")
    kept = rows_of_kept(7, [Kept(0.5, 0.0), Kept(0.7, 0.0)], [Kept(1.6, 0.25)])
    lines = speed_table(report_of(row, *kept)).splitlines()
    assert lines[2].endswith("n=100, semi-honest | 5.0 ms | 10.0 ms | 0.50 |")
    assert lines[3].endswith("7 sessions | 1.00 s |  |  |")
    assert lines[4].endswith("7 sessions | 0.25 s |  |  |")


def test_a_server_starts_with_ended_sessions_and_names_them_all() -> None:
    assert asyncio.run(measure_kept(3)).status > 0


def test_a_wrong_sum_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.network.input_of", lambda client, length: length * 0 + client)
    with pytest.raises(AssertionError, match="a wrong sum"):
        asyncio.run(measure(Case(8, 1000), 1))


def test_the_page_has_the_recorded_figures() -> None:
    recorded = read_report(ROOT / "bench/results/network.json")
    page = (ROOT / "docs/how_to/sizing.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"network": table, "service": speed_table}, OWN_RUNS) == page
    slope = next(row for row in reversed(recorded.rows) if row.unit == "session vectors")
    assert slope.unit == "session vectors"
    assert slope.measured is not None
    assert slope.measured <= 4
