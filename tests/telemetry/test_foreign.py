"""Lines that C libraries write to standard error are JSON lines of the log, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import os, sys
from secagg.telemetry.foreign import foreign_lines, own_standard_error
from secagg.telemetry.logs import json_logs
with own_standard_error() as stream, json_logs("info", {file}, stream) as log, foreign_lines():
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
            ("x" * 4096, "warning", "stderr"),
            ("x" * 904, "warning", "stderr"),
            ("\ufffd no end of line", "warning", "stderr"),
        ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_log_that_cannot_be_written_does_not_write_about_itself() -> None:
    """Each complaint would be a line, and each line a complaint."""
    program = PROGRAM.format(file="__import__('pathlib').Path('/dev/full')")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert "No space left on device" in ended.stderr, "said once, at the end, and by nobody in between"
    assert "Logging error" not in ended.stderr
