"""Says beside a data directory which process serves from it, and how its last reload went.

The process holds a lock on the file while it lives: a number that was left by one that died is told from one that is
somebody's. Must not know what is reloaded. POSIX only; elsewhere there is no signal to send either.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import secagg

try:
    import fcntl
except ImportError:  # another operating system
    fcntl = None  # type: ignore[assignment]

NAME: Final = "secagg.pid"
_BYTES: Final = 1 << 14  # one write, so that nobody reads half of it
_MOST: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Noted:
    """What the file says.

    Attributes:
        pid: the process.
        reloads: how many it has made or refused.
        trouble: why the last one was refused, or empty.
    """

    pid: int
    reloads: int = 0
    trouble: str = ""


class ProcessFile:
    """The file of this process, which holds its lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._noted = Noted(os.getpid())
        # What another process left must not be read as this one's.
        os.ftruncate(descriptor, 0)

    def begin(self) -> None:
        """Say which process this is, once it takes signals."""
        self._write()

    def reloaded(self, trouble: str) -> None:
        """Note that a reload was made, or refused for a reason."""
        self._noted = Noted(self._noted.pid, self._noted.reloads + 1, trouble[:_MOST])
        self._write()

    def _write(self) -> None:
        os.pwrite(self._descriptor, json.dumps(asdict(self._noted)).encode().ljust(_BYTES), 0)


@contextmanager
def process_file(directory: Path | None) -> Iterator[ProcessFile | None]:
    """Keep the file of this process while the block runs; None without a directory.

    Raises:
        ParameterError: it cannot be written.
    """
    if directory is None or fcntl is None:
        yield None
        return
    path = directory / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise secagg.ParameterError(f"cannot write {path}: {error.strerror}; make it this user's") from error
    try:
        # Nobody holds it for long but a server, of which there is one: the database has a lock of its own.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield ProcessFile(descriptor)
    finally:
        os.close(descriptor)


def read_process_file(directory: Path) -> Noted:
    """Return what the process says that serves from a directory.

    Raises:
        ParameterError: nobody does.
    """
    path = directory / NAME
    nobody = f"no server runs with {directory}; start it with `secagg serve`"
    try:
        with open(path, "rb") as file:
            content = b"" if fcntl is None or _unlocked(file.fileno()) else file.read(_BYTES)
    except FileNotFoundError:
        raise secagg.ParameterError(nobody) from None
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror}; run this as the server's user") from error
    if not content:
        raise secagg.ParameterError(nobody)
    try:
        return Noted(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise secagg.ParameterError(f"{path} was not written by this release; give --pid") from error


def _unlocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
