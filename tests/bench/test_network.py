"""bench/network.py: a small run of it, its table, and that the page has the table of the recorded figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.network import Case, Measured, measure, rows_of, table
from secagg.bench.blocks import fill_blocks
from secagg.bench.rows import Report, read_report, write_report
from tests.bench.conftest import MACHINE

ROOT = Path(__file__).parents[2]
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


def test_a_wrong_sum_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.network.input_of", lambda client, length: length * 0 + client)
    with pytest.raises(AssertionError, match="a wrong sum"):
        asyncio.run(measure(Case(8, 1000), 1))


def test_the_page_has_the_recorded_figures() -> None:
    recorded = read_report(ROOT / "bench/results/network.json")
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"network": table}) == page
    slope = recorded.rows[-1]
    assert slope.unit == "session vectors"
    assert slope.measured is not None
    assert slope.measured <= 4
