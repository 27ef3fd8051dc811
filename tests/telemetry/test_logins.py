"""Whoever logs in without end makes two lines a day, and none of its logins is unsaid."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from secagg.telemetry import audit
from secagg.telemetry.audit import AuditLog, AuditObserver, verify_audit
from secagg.telemetry.logins import DAY_SECONDS, LoginDays


class Days:
    """Time that a test moves, and an audit log."""

    def __init__(self, path: Path, most: int = 1000) -> None:
        self.now = 0.0
        self.path = path
        self.log = AuditLog(path)
        self.observer = AuditObserver(self.log, LoginDays(lambda: self.now, most))

    def close(self) -> None:
        self.observer.close()
        self.log.close()

    def lines(self) -> list[tuple[str, str, int | None, str]]:
        found = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        return [(line["event"], line["session"], line["client"], line["detail"]) for line in found]


def test_a_caller_has_a_line_a_day_and_one_that_counts(tmp_path: Path) -> None:
    with closing(Days(tmp_path / "audit")) as days:
        for _ in range(1000):
            days.observer.logged_in("ab-cd", "", 7)
            days.observer.logged_in("ab-cd", "round-1", 7)
        days.observer.logged_in("ef-01", "", None)
        days.now = DAY_SECONDS - 1
        days.observer.logged_in("ab-cd", "", 7)
        days.now = DAY_SECONDS
        days.observer.logged_in("ab-cd", "", 7)
        days.observer.logged_in("ab-cd", "", 7)
    assert days.lines() == [
        ("logged in", "", 7, ""),
        ("logged in", "round-1", 7, ""),
        ("logged in", "", None, ""),
        ("logged in again", "", 7, "1000"),
        ("logged in again", "round-1", 7, "999"),
        ("logged in", "", 7, ""),
        ("logged in again", "", 7, "1"),
    ]
    assert verify_audit([days.path])[0] == 7


def test_a_login_whose_line_was_lost_begins_no_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk was full: whoever came again after it, as often as it liked, had no line for a day."""
    with closing(Days(tmp_path / "audit")) as days:
        monkeypatch.setattr(audit, "_MOST_WAITING", 0)
        days.observer.logged_in("ab-cd", "", None)
        monkeypatch.undo()
        for _ in range(3):
            days.observer.logged_in("ab-cd", "", None)
    lines = days.lines()
    assert ("lines lost", "", None, "1") in lines
    assert [line for line in lines if line[0] != "lines lost"] == [
        ("logged in", "", None, ""),
        ("logged in again", "", None, "2"),
    ]


def test_another_key_is_another_caller(tmp_path: Path) -> None:
    with closing(Days(tmp_path / "audit")) as days:
        for actor in ("ab-cd", "ef-01"):
            days.observer.logged_in(actor, "", 7)
    assert len(days.lines()) == 2


def test_above_a_bound_the_oldest_day_is_over(tmp_path: Path) -> None:
    with closing(Days(tmp_path / "audit", most=2)) as days:
        for client in (1, 1, 2, 3, 2):
            days.observer.logged_in("ab-cd", "", client)
        assert len(days.observer._logins._days) == 2
    assert days.lines() == [
        ("logged in", "", 1, ""),
        ("logged in", "", 2, ""),
        ("logged in again", "", 1, "1"),
        ("logged in", "", 3, ""),
        ("logged in again", "", 2, "1"),
    ]
