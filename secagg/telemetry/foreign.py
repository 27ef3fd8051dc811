"""What libraries in C write to standard error becomes lines of the log: gRPC writes there past everything of Python.

The descriptor of standard error is put aside for the log's own handler, and a pipe takes its place, of which a process
reads. A thread would not do: the last words of a process that aborts come when its threads are gone, and a writer that
holds the interpreter's lock would wait for a reader that waits for the lock. Whoever uses it has a process of its own:
see `secagg serve`.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from secagg.errors import ParameterError
from secagg.telemetry import relay
from secagg.telemetry.logs import Level, number

_STANDARD_ERROR: Final = 2


@contextmanager
def own_standard_error() -> Iterator[TextIO]:
    """Standard error as a stream of one's own, whatever becomes of its descriptor."""
    with open(os.dup(_STANDARD_ERROR), "w", encoding="utf-8", buffering=1) as stream:
        yield stream


@contextmanager
def foreign_lines(stream: TextIO, level: Level = "info", file: Path | None = None) -> Iterator[None]:
    """Log every line that is written to standard error while the block runs, from `warning` on.

    Args:
        stream, level, file: as `logs.json_logs` has them.

    Raises:
        ParameterError: no process can be started.
    """
    # Child processes may hold the pipe open for longer than this one: a word ends it.
    end = secrets.token_hex(16)
    least = max(logging.WARNING, number(level))
    reading, writing = os.pipe()
    try:
        reader = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", relay.__file__, end, str(least), "" if file is None else str(file.absolute())],
            stdin=reading,
            stdout=stream if file is None else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        os.close(writing)
        raise ParameterError(
            f"no process can be started that reads standard error: {error.strerror}; raise the limit of processes"
        ) from error
    finally:
        os.close(reading)
    before = os.dup(_STANDARD_ERROR)
    os.dup2(writing, _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(before, _STANDARD_ERROR)
        os.close(before)
        with suppress(BrokenPipeError):  # somebody killed it
            os.write(writing, f"\n{end}\n".encode())
        os.close(writing)
        reader.wait()
