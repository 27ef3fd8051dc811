"""What libraries in C write to standard error becomes lines of the log: gRPC writes there past everything of Python.

The descriptor of standard error is put aside for the log's own handler, and a pipe takes its place, of which a thread
reads. Whoever uses it has a process of its own: see `secagg serve`.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

FOREIGN: Final = "stderr"
"""The name of the logger of such lines."""
_STANDARD_ERROR: Final = 2
_MOST: Final = 4096
# As gRPC's library for logs begins its lines: the level, month and day, the time.
_PREFIX: Final = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
_LEVELS: Final = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}


@contextmanager
def own_standard_error() -> Iterator[TextIO]:
    """Standard error as a stream of one's own, whatever becomes of its descriptor."""
    with open(os.dup(_STANDARD_ERROR), "w", encoding="utf-8", buffering=1) as stream:
        yield stream


@contextmanager
def foreign_lines() -> Iterator[None]:
    """Hand every line that is written to standard error to the logger FOREIGN while the block runs.

    A handler of that logger must not write to standard error itself.
    """
    before, complains = os.dup(_STANDARD_ERROR), logging.raiseExceptions
    # A handler that cannot write says so on standard error: each complaint would be a line, and each line a complaint.
    logging.raiseExceptions = False
    reading, writing = os.pipe()
    os.dup2(writing, _STANDARD_ERROR)
    # Child processes may hold the pipe open for longer than this one: a word ends it.
    end = secrets.token_hex(16)
    reader = threading.Thread(target=_read, args=(reading, end), name="secagg standard error", daemon=True)
    reader.start()
    try:
        yield
    finally:
        os.dup2(before, _STANDARD_ERROR)
        os.close(before)
        os.write(writing, f"\n{end}\n".encode())
        os.close(writing)
        reader.join()
        logging.raiseExceptions = complains


def _read(reading: int, end: str) -> None:
    log = logging.getLogger(FOREIGN)
    with open(reading, encoding="utf-8", errors="replace") as lines:
        # A line without an end must not be kept whole: it comes in parts.
        while written := lines.readline(_MOST):
            line = written.rstrip()
            if line == end:
                return
            if line:
                found = _PREFIX.match(line)
                log.log(logging.WARNING if found is None else _LEVELS[found[1]], "%s", line)
