"""HAProxy on loopback before some servers, with the configuration that is deployed, but for addresses and its user."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secagg.cli.demo.throwaway import haproxy_program
from tests.ports import free_port

DEPLOYED: Final = Path(__file__).parents[1] / "deploy" / "haproxy.cfg"
_START_SECONDS: Final = 60.0


@dataclass
class Balancer:
    """A running HAProxy.

    Attributes:
        port: where clients connect.
        metrics: where Prometheus does.
        process: its one process.
    """

    port: int
    metrics: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def up(self) -> list[str]:
        """The servers that get connections now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=_START_SECONDS) as reply:
            text = reply.read().decode()
        return re.findall(r'^haproxy_server_status{proxy="replicas",server="(\S+)",state="UP"} 1$', text, re.MULTILINE)


def missing() -> str:
    """Why there is no HAProxy here, in a sentence; "" where it is installed."""
    return "" if haproxy_program() else "HAProxy is not installed here: apt-get install haproxy"


def configured(port: int, metrics: int, servers: Sequence[tuple[int, int]]) -> str:
    """The deployed configuration on loopback, for whoever runs it; of each server the port and that of its health."""
    text = DEPLOYED.read_text(encoding="utf-8")
    text, users = re.subn(r"^    (user|group) .*\n", "", text, flags=re.MULTILINE)
    text, room = re.subn(r"^    maxconn 20000 .*$", "    maxconn 2000", text, flags=re.MULTILINE)  # of descriptors
    text, binds = re.subn(r"^    bind :8470$", f"    bind 127.0.0.1:{port}", text, flags=re.MULTILINE)
    text, measured = re.subn(r"^    bind 127\.0\.0\.1:8404$", f"    bind 127.0.0.1:{metrics}", text, flags=re.MULTILINE)
    text, removed = re.subn(r"^    server replica-[2-9] .*\n", "", text, flags=re.MULTILINE)
    lines = "\n".join(
        f"    server replica-{at} 127.0.0.1:{port} port {health}" for at, (port, health) in enumerate(servers, 1)
    )
    text, first = re.subn(r"^    server replica-1 replica-1:8470$", lines, text, flags=re.MULTILINE)
    assert (users, room, binds, measured, removed, first) == (2, 1, 1, 1, 2, 1), "deploy/haproxy.cfg has another form"
    return text


@contextmanager
def balancing(directory: Path, servers: Sequence[tuple[int, int]]) -> Iterator[Balancer]:
    """Balance servers on loopback, of each its port and that of its health, whether or not they are there yet."""
    port, metrics = free_port(), free_port()
    file = directory / "haproxy.cfg"
    file.write_text(configured(port, metrics, servers), encoding="utf-8")
    with open(directory / "haproxy.log", "wb") as log:
        process = subprocess.Popen([haproxy_program() or "haproxy", "-db", "-f", str(file)], stdout=log, stderr=log)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert process.poll() is None, (directory / "haproxy.log").read_text(encoding="utf-8")
            assert time.monotonic() < end, "HAProxy does not listen"
            time.sleep(0.02)
        yield Balancer(port, metrics, process)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
