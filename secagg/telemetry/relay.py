"""A small process that turns what comes in on its standard input into JSON lines of the log: see `foreign`.

It outlives whoever writes, so that the last words of a process that aborts are logged, too, and reads whatever a writer
holds. Runs by itself, with the standard library only: must not know secagg.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from datetime import UTC, datetime
from typing import Final

FOREIGN: Final = "stderr"
"""What stands in such lines as their logger."""
_MOST: Final = 1024
_STANDARD_OUTPUT: Final = 1
# As gRPC's library for logs begins its lines: the level, month and day, the time.
_PREFIX: Final = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
_LEVELS: Final = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}


def relay(end: str, least: int, file: str) -> None:
    """Read until a line says that it is the end, or nobody can write any more.

    Args:
        end: that line.
        least: level below which lines are dropped, as a number of `logging`.
        file: appended to, opened for each line, since it may be moved away; "" for standard output.
    """
    # A whole group of processes is told to stop together; this one stops when the others have.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(0, encoding="utf-8", errors="replace") as lines:
        # A line without an end must not be kept whole: it comes in parts.
        while written := lines.readline(_MOST):
            line = written.rstrip()
            if line == end:
                return
            found = _PREFIX.match(line)
            level = logging.WARNING if found is None else _LEVELS[found[1]]
            if line and level >= least:
                _write(_json(line, level), file)


def _json(line: str, level: int) -> bytes:
    """As `logs` writes lines of others."""
    said = {
        "event": line,
        "level": logging.getLevelName(level).lower(),
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "logger": FOREIGN,
    }
    return json.dumps(said).encode() + b"\n"


def _write(line: bytes, file: str) -> None:
    try:
        if not file:
            os.write(_STANDARD_OUTPUT, line)
            return
        with open(file, "ab", buffering=0) as log:
            log.write(line)
    except OSError:  # where could one say so?
        return


if __name__ == "__main__":
    relay(sys.argv[1], int(sys.argv[2]), sys.argv[3])
