"""Lines that C libraries write to standard error are JSON lines of the log, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg import ParameterError
from secagg.telemetry.foreign import foreign_lines

PROGRAM = """
import os, sys
from secagg.telemetry.foreign import foreign_lines, own_standard_error
from secagg.telemetry.logs import json_logs
with (
    own_standard_error() as stream,
    json_logs("info", {file}, stream) as log,
    foreign_lines(stream, "info", {file}),
):
    log.info("ours")
    os.write(2, b"E0000 00:00:1764450000.1 7 tls.cc:1] Handshake failed\\n\\n")
    os.write(2, b"I0000 00:00:1764450000.1 7 x.cc:1] nothing\\n")
    print("plain", file=sys.stderr)
    os.write(2, b"x" * 5000 + b"\\n")
    os.write(2, b"\\xff no end of line")
os.write(2, b"afterwards\\n")
"""


def lines_of(file: Path | None) -> tuple[list[dict[str, Any]], str]:
    program = PROGRAM.format(file=None if file is None else f"__import__('pathlib').Path({str(file)!r})")
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True, encoding="utf-8"
    )
    assert ended.stdout == ""
    *logged, rest = ended.stderr.splitlines(keepends=True)
    if file is not None:
        logged += file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in logged], rest


def test_lines_of_others_are_json_on_standard_error_and_in_a_file(tmp_path: Path) -> None:
    for file in (None, tmp_path / "log"):
        lines, rest = lines_of(file)
        assert rest == "afterwards\n"
        assert lines[0]["event"] == "ours"
        assert [(line["event"], line["level"], line["logger"]) for line in lines[1:]] == [
            ("E0000 00:00:1764450000.1 7 tls.cc:1] Handshake failed", "error", "stderr"),
            ("plain", "warning", "stderr"),
            *[("x" * 1024, "warning", "stderr")] * 4,
            ("x" * 904, "warning", "stderr"),
            ("\ufffd no end of line", "warning", "stderr"),
        ]


CRASH = """
import ctypes, os, signal, sys
from secagg.telemetry.foreign import foreign_lines, own_standard_error
with own_standard_error() as stream, foreign_lines(stream):
    {crash}
"""
CRASHES = {
    "abort": "os.write(2, b'last words\\n'); os.abort()",
    "killed": "os.write(2, b'last words\\n'); os.kill(os.getpid(), signal.SIGKILL)",
    "without an end of line": "os.write(2, b'last words'); os._exit(1)",
    "a fault in Python": "import faulthandler; faulthandler.enable(2); ctypes.string_at(0)",
    "told to stop together": "os.killpg(0, signal.SIGTERM)",
}


@pytest.mark.parametrize("crash", CRASHES)
def test_last_words_of_a_process_that_dies_are_logged(crash: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH.format(crash=CRASHES[crash])],
        capture_output=True,
        timeout=600,
        check=False,
        start_new_session=True,
    )
    assert ended.returncode != 0
    lines = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    if crash == "told to stop together":
        assert lines == []
    elif crash == "a fault in Python":
        assert lines[0] == "Fatal Python error: Segmentation fault"
    else:
        assert lines == ["last words"]


def test_who_holds_the_lock_of_the_interpreter_may_write_more_than_a_pipe_holds() -> None:
    """A thread of the same process could not read it meanwhile, and both would wait for ever."""
    write = (
        "text = b'x' * 1023 + b'\\n'; [ctypes.PyDLL(None).write(2, text * 1024, len(text) * 1024) for _ in range(2)]"
    )
    ended = subprocess.run(
        [sys.executable, "-c", CRASH.format(crash=write)], capture_output=True, timeout=120, check=True
    )
    assert [json.loads(line)["event"] for line in ended.stderr.splitlines()] == ["x" * 1023] * 2048


def test_nothing_waits_for_a_reader_that_died() -> None:
    program = """
import os
from secagg.telemetry import foreign, relay
relay.__file__ = os.devnull
with foreign.own_standard_error() as stream, foreign.foreign_lines(stream):
    try:
        while True:
            os.write(2, bytes(65536))
    except BrokenPipeError:
        pass
"""
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)


def test_no_process_to_be_had_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*arguments: Any, **options: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none_left)
    lines = foreign_lines(sys.stderr)
    with pytest.raises(ParameterError, match="Resource temporarily unavailable; raise the limit of processes"), lines:
        raise AssertionError("there is none")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_log_that_cannot_be_written_does_not_write_about_itself() -> None:
    """Each complaint would be a line, and each line a complaint."""
    program = PROGRAM.format(file="__import__('pathlib').Path('/dev/full')")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert "No space left on device" in ended.stderr, "said once, at the end, and by nobody in between"
    assert "Logging error" not in ended.stderr
