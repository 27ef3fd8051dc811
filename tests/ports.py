"""Ports on loopback that nobody listens on, for servers of tests."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections import deque
from pathlib import Path
from typing import Final

_PORTS: Final = range(20_000, 32_000)  # below those that the system gives to connections of its own
_MOST: Final = 256  # more than one test has; each is an open file
_locks: Final = deque[int]()


def free_port() -> int:
    """A free port, the same for all restarts of a server; no other process is given it as long as this one needs it."""
    directory = Path(tempfile.gettempdir()) / f"secagg-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    start = int.from_bytes(os.urandom(2), "big") % len(_PORTS)
    for number in (*_PORTS[start:], *_PORTS[:start]):
        lock = os.open(directory / str(number), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", number)):
                _locks.append(lock)
                if len(_locks) > _MOST:
                    os.close(_locks.popleft())
                return int(number)
        os.close(lock)
    raise AssertionError("no port is free")
