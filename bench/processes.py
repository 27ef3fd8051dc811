"""Servers and clients of a benchmark: processes of their own, of this release or of another, and what they took."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


async def start(*words: str, tree: Path = ROOT) -> Process:
    """Start Python with the library of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    # `-m` looks into the working directory first.
    return await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, env=environment, cwd=tree)


async def line_of(process: Process) -> bytes:
    """The next line that a process writes."""
    if process.stdout is None:
        raise AssertionError("a process without standard output")
    return await process.stdout.readline()


def memory_of(pid: int, key: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def cpu_seconds_of(pid: int) -> float:
    """CPU time of a process until now, all its threads and the kernel's part."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
