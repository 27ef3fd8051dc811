"""Failures of a store that come again and again: the first at once, the rest counted, and nothing else kept back."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from secagg.store.base import StoreError
from secagg.telemetry.logs import LogObserver, json_logs
from secagg.telemetry.repeats import SECONDS

REFUSED = StoreError("news cannot be waited for: Connection refused")
POOL = logging.getLogger("psycopg.pool")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_outage_is_a_line_of_each_kind_and_then_one_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = tmp_path / "log"
    with json_logs("info", path) as log:
        observer = LogObserver(log)
        for _ in range(150):
            observer.store_failed("", REFUSED)
            POOL.warning("error connecting in %r: refused", "secagg")
            now += 1.0
        lines = lines_of(path)
        assert [(line["event"], line.get("repeated", 0)) for line in lines] == [
            ("store failed", 0),
            ("error connecting in 'secagg': refused", 0),
            ("store failed", 59),
            ("error connecting in 'secagg': refused", 59),
            ("store failed", 60),
            ("error connecting in 'secagg': refused", 60),
        ]
        assert {line["detail"] for line in lines if line["event"] == "store failed"} == {str(REFUSED)}
    # What was counted is not lost with the log.
    assert [line["repeated"] for line in lines_of(path)[6:]] == [30, 30]


def test_what_differs_and_what_does_not_come_again_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    path = tmp_path / "log"
    with json_logs("info", path) as log:
        observer = LogObserver(log)
        for _ in range(2):
            observer.readiness_changed("the database is away")
            observer.readiness_changed("")
            logging.getLogger("grpc").warning("a line of others")
        observer.store_failed("a", REFUSED)
        observer.store_failed("b", REFUSED)
        observer.store_failed("b", StoreError("another reason"))
        now += SECONDS
        observer.store_failed("a", REFUSED)
    lines = lines_of(path)
    assert [line["event"] for line in lines] == [*("not ready", "ready", "a line of others") * 2, *["store failed"] * 4]
    assert [line["session"] for line in lines[6:]] == ["a", "b", "b", "a"]
    assert not any("repeated" in line for line in lines)
