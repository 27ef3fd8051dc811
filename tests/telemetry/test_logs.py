"""Logs: one JSON object a line, nothing secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.logs import Level, LogObserver, json_logs
from tests.telemetry.events import play

SECRET = b"a secret of 24 bytes ...."


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(path: Path, write: Callable[[Any], object], level: Level = "debug") -> list[dict[str, Any]]:
    with json_logs(level, path) as log:
        write(log)
    return lines_of(path)


def test_what_happens_to_a_session_is_written(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", lambda log: play(FanOut(LogObserver(log))))
    by_event: dict[str, dict[str, Any]] = {line["event"]: line for line in lines}
    assert set(by_event) == {
        *("session created", "session resumed", "session completed", "session aborted", "session failed"),
        *(
            "round opened",
            "round closed",
            "client dropped",
            "client blamed",
            "shares wrong",
            "session follows",
            "answer",
            "stage entered",
            "step timed",
            "store failed",
            "executor failed",
            "lease taken",
            "lease lost",
            "expiry known",
            "ready",
            "not ready",
            "session refused",
            "expired",
            "reloaded",
            "reload refused",
            "login",
        ),
    }
    dropped = by_event["client dropped"]
    assert dropped["timestamp"].endswith("Z")
    del dropped["timestamp"]
    assert dropped == {
        "event": "client dropped",
        "level": "warning",
        "session": "a",
        "client": 3,
        "round": "advertise_keys",
        "reason": "S01",
        "rule": "DID_NOT_ANSWER_IN_TIME",
        "detail": "client 3 was late",
    }
    aborted = [(line["reason"], line["level"]) for line in lines if line["event"] == "session aborted"]
    assert aborted == [("A02", "warning"), ("A15", "warning")]
    blamed = [(line["client"], line["reason"], line["evidence"]) for line in lines if line["event"] == "client blamed"]
    assert blamed == [(3, "S22", True), (4, "S34", False)]
    assert by_event["session follows"]["session"] == "d~1"
    assert "ZeroDivisionError: a defect" in by_event["session failed"]["exception"]


@pytest.mark.parametrize(
    ("level", "events"), [("info", 31), ("warning", 14), ("error", 5)], ids=["info", "warning", "error"]
)
def test_the_level_is_a_floor(tmp_path: Path, level: Level, events: int) -> None:
    assert len(written(tmp_path / "log", lambda log: play(LogObserver(log)), level)) == events


def test_bytes_and_secrets_become_their_length_wherever_they_stand(tmp_path: Path) -> None:
    def write(log: Any) -> None:
        log.info(
            "event",
            key=SECRET,
            secret=SecretBytes(SECRET),
            listed=[SECRET, {"deep": bytearray(SECRET)}],
            other=object(),
        )

    (line,) = written(tmp_path / "log", write)
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert (line["key"], line["secret"], line["other"]) == ("<25 bytes>", "<25 bytes>", "<object>")
    assert line["listed"] == ["<25 bytes>", {"deep": "<25 bytes>"}]
    assert SECRET.decode() not in text
    assert SECRET.hex() not in text


def test_a_traceback_shows_no_variables(tmp_path: Path) -> None:
    def fail() -> None:
        held = SECRET.decode()
        raise ZeroDivisionError(f"{len(held)}")

    def write(log: Any) -> None:
        try:
            fail()
        except ZeroDivisionError as error:
            LogObserver(log).session_failed("a", error)

    (line,) = written(tmp_path / "log", write)
    assert "in fail" in line["exception"]
    assert SECRET.decode() not in line["exception"]


def test_other_libraries_write_the_same_form_from_warning_on(tmp_path: Path) -> None:
    def write(_log: Any) -> None:
        logging.getLogger("grpc.test").info("unimportant")
        logging.getLogger("grpc.test").warning("trouble with %s", "a socket")

    (line,) = written(tmp_path / "log", write)
    assert (line["event"], line["level"], line["logger"]) == ("trouble with a socket", "warning", "grpc.test")


def test_logs_are_appended_and_left_as_they_were_afterwards(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    written(tmp_path / "log", lambda log: log.info("one"))
    assert len(written(tmp_path / "log", lambda log: log.info("two"))) == 2
    assert (list(root.handlers), root.level) == before


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with json_logs() as log:
        log.info("one")
        log.debug("two")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "one"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with (
        pytest.raises(ParameterError, match=r"cannot write logs to .*missing"),
        json_logs(file=tmp_path / "missing" / "log"),
    ):
        pass
