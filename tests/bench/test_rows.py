"""Rows and files of rows."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from secagg.bench.rows import (
    Better,
    Report,
    Row,
    TargetOn,
    measured_row,
    read_report,
    skipped_row,
    times_better,
    write_report,
)
from secagg.errors import ParameterError


def _report() -> Report:
    full = Row(
        suite="masking",
        name="one",
        unit="GB/s",
        better=Better.MORE,
        measured=5.0,
        samples=(4.0, 5.0, 6.0),
        floor=6.0,
        floor_name="a floor",
        ratio=5 / 6,
        peer=2.0,
        peer_name="somebody",
        peer_ratio=2.5,
        target=0.9,
        target_on=TargetOn.RATIO,
        target_text="≥ 0.9 × floor",
        reached=False,
        details={"words": 7},
        why="a reason",
    )
    return Report("2026-01-02", "1", True, {"cores": 2}, (full, skipped_row("peers", "two", "ms", Better.LESS, "why")))


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    write_report(_report(), tmp_path / "deep" / "results.json")
    assert read_report(tmp_path / "deep" / "results.json") == _report()


def test_a_row_in_the_file_has_every_field(tmp_path: Path) -> None:
    write_report(_report(), tmp_path / "results.json")
    data = json.loads((tmp_path / "results.json").read_text())
    assert set(data) == {"format", "date", "version", "quick", "machine", "rows", "began"}
    for row in data["rows"]:
        assert set(row) == {field.name for field in fields(Row)}
    assert data["rows"][0] | {"measured": 5.0, "target": 0.9, "ratio": 5 / 6, "reached": False} == data["rows"][0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "format 1"),
        ('{"format": 2}', "format 1"),
        ('{"format": 1}', "damaged"),
        ('{"format": 1, "rows": [{}], "date": "", "version": "", "quick": true, "machine": {}}', "damaged"),
        ('{"format": 1, "rows": [{"better": "up"}], "date": "", "version": "", "quick": true}', "damaged"),
    ],
)
def test_a_file_that_is_no_report_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ParameterError, match=words):
        read_report(file)


def test_a_file_that_is_not_there_and_one_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        read_report(tmp_path / "nothing.json")
    with pytest.raises(ParameterError, match="cannot be written"):
        write_report(_report(), tmp_path)


def test_ratios_are_above_one_when_better() -> None:
    assert times_better(10.0, 5.0, Better.MORE) == 2
    assert times_better(5.0, 10.0, Better.LESS) == 2
    assert times_better(0.0, 10.0, Better.LESS) is None
    slow = measured_row("shamir", "share", "ms", Better.LESS, (9.0, 4.0, 1.0), floor=2.0)
    assert (slow.measured, slow.ratio) == (4.0, 0.5)
    assert slow.beside(8.0, "a peer").peer_ratio == 2


def test_find_passes_over_what_was_not_measured() -> None:
    report = _report()
    assert report.find("masking", "one") is report.rows[0]
    assert report.find("peers", "two") is None


def test_only_what_is_far_from_its_floor_says_why() -> None:
    for measured, why in ((4.9, "a reason"), (5.0, ""), (9.0, "")):
        row = measured_row("masking", "one", "GB/s", Better.MORE, (measured,), floor=10.0, why="a reason")
        assert row.why == why
    assert measured_row("masking", "one", "GB/s", Better.MORE, (1.0,), why="a reason").why == ""
