"""Ports on loopback that nobody listens on, for servers of tests."""

from __future__ import annotations

import os
import socket
from typing import Final

_PORTS: Final = range(20_000, 32_000)  # below those that the system gives to connections of its own


def free_port() -> int:
    """A free port, the same for all restarts of a server."""
    start = int.from_bytes(os.urandom(2), "big") % len(_PORTS)
    for number in (*_PORTS[start:], *_PORTS[:start]):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", number)):
                return int(number)
    raise AssertionError("no port is free")
