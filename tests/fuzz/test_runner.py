"""Figures come from what the fuzzer printed, and nowhere else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from fuzz import run as runner
from fuzz.run import FIGURES, NoFiguresError, figures
from fuzz.table import BEGIN, END, README, table, with_table

LOG = """INFO: Seed: 1
#2\tINITED cov: 22 ft: 26 corp: 1/1b exec/s: 0 rss: 64Mb
#524288\tpulse  cov: 120 ft: 340 corp: 30/5b lim: 4096 exec/s: 1 rss: 65Mb
#600001\tDONE   cov: 131 ft: 345 corp: 31/6b lim: 4096 exec/s: 2 rss: 66Mb
Done 600001 runs in 61 second(s)
stat::number_of_executed_units: 600001
"""


def test_figures_are_those_of_the_last_line() -> None:
    assert figures(LOG) == {"executions": 600_001, "seconds": 61, "coverage": 131, "features": 345, "corpus": 31}


@pytest.mark.parametrize("log", ["", LOG.replace("Done", "==1== ERROR"), LOG.replace("cov:", "x:")])
def test_a_run_that_did_not_finish_has_no_figures(log: str) -> None:
    with pytest.raises(NoFiguresError):
        figures(log)


def test_table_stands_between_its_marks(tmp_path: Path) -> None:
    place = tmp_path / "figures.json"
    row = figures(LOG) | {"seeds": 3, "machine": "CPython 3"}
    place.write_text(json.dumps({"offer": row}), encoding="utf-8")
    text = with_table(f"head\n{BEGIN}\nold\n{END}\ntail\n", place)
    assert "| offer | 600,001 | 61 | 131 | 345 | 31 | 3 |" in text.splitlines()
    assert "old" not in text
    assert text.startswith("head\n")
    assert text.endswith("\ntail\n")
    assert with_table(text, place) == text


def test_readme_shows_the_figures_of_the_last_run() -> None:
    assert table(FIGURES) in README.read_text(encoding="utf-8")


def test_so_many_targets_run_at_once_and_a_crash_stops_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = threading.Barrier(2)

    def met(target: str, seconds: int) -> tuple[dict[str, int] | None, str]:
        both.wait(timeout=300)
        return (None, "") if target == "offer" else ({"executions": seconds}, LOG)

    monkeypatch.setattr(runner, "run", met)
    assert runner.main(["--seconds", "3", "--at-once", "2", "offer", "packed", "canonical", "parameters"]) == 1
    crashed, *others = capsys.readouterr().out.splitlines()
    assert crashed.startswith("offer: CRASHED")
    assert others == [f"{target}: 3 executions" for target in ("packed", "canonical", "parameters")]
