"""bench/replicas.py: its table, that the page has the recorded figures, and a small run of three replicas."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bench.pages import OWN_RUNS
from bench.processes import ROOT
from bench.replicas import ALONE, MANY, OVER_POSTGRES, Played, Work, measure, rows_of, table
from secagg.bench.blocks import fill_blocks
from secagg.bench.rows import read_report, write_report
from secagg.cli.demo import throwaway
from tests.bench.conftest import report_of

WORK = Work(12, 10, 100)


def test_the_table_has_shares_of_one_process(tmp_path: Path) -> None:
    found = {
        ALONE: [Played(4.0, 1.0), Played(5.0, 1.0), Played(6.0, 3.0)],
        OVER_POSTGRES: [Played(4.0, 2.0)] * 3,
        MANY: [Played(2.0, 4.5), Played(2.5, 4.5), Played(9.0, 4.5)],
    }
    report = report_of(*rows_of(WORK, found))
    lines = table(report).splitlines()
    assert lines[2] == "| one process, SQLite | 5.00 | 1.00 | 1.25 | 1.0 s |"
    assert lines[3] == "| one process, PostgreSQL | 4.00 | 0.80 | 1.00 | 2.0 s |"
    assert lines[4] == "| three replicas behind HAProxy, PostgreSQL | 2.50 | 0.50 | 0.62 | 4.5 s |"
    assert lines[6].startswith("12 sessions at once, of 10 clients with 100 entries each, played 3 times in turn")
    write_report(report, tmp_path / "replicas.json")
    assert table(read_report(tmp_path / "replicas.json")) == table(report)


def test_the_page_has_the_recorded_figures() -> None:
    recorded = read_report(ROOT / "bench/results/replicas.json")
    page = (ROOT / "docs/how_to/sizing.md").read_text(encoding="utf-8")
    assert fill_blocks(page, recorded, {"many": table}, OWN_RUNS) == page


def test_sessions_of_one_process_are_exact_and_measured() -> None:
    played = asyncio.run(measure(ALONE, Work(2, 6, 10)))
    assert played.rate > 0
    assert played.cpu_seconds > 0


def test_a_wrong_sum_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.replicas.input_of", lambda client, length: np.full(length, client))
    with pytest.raises(AssertionError, match="a wrong sum"):
        asyncio.run(measure(ALONE, Work(1, 6, 10)))


def test_sessions_that_cannot_be_are_no_figure() -> None:
    with pytest.raises(AssertionError, match="does not serve all sessions"):
        asyncio.run(measure(ALONE, Work(1, 4, 10)))


@pytest.mark.cluster
def test_sessions_of_three_replicas_are_exact() -> None:
    if missing := throwaway.missing():
        pytest.skip(missing)
    assert asyncio.run(measure(MANY, Work(3, 6, 10))).rate > 0
