"""A cluster of Ray of two nodes on loopback, each a tree of processes that can be killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.ports import free_port

HEAD, SECOND = "head", "second"
NODE: Final = "SECAGG_TEST_NODE"
"""What says in a worker's environment which node it is on."""
_BEGIN_SECONDS: Final = 1200
PATIENT: Final = {"RAY_raylet_start_wait_time_s": "900"}
"""How long Ray itself waits for its servers to begin: a busy machine takes minutes."""
_CONFIG: Final = (
    '{"automatic_object_spilling_enabled": false, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}'
)
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0"}
TOKEN: Final = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""What both nodes and their driver show each other, in the environment."""


class Nodes:
    """The head, with one worker, and a second node, with another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"127.0.0.1:{free_port()}"

    def begin(self) -> None:
        """Begin both."""
        host, port = self.address.split(":")
        self._begin(
            *(HEAD, "--head", f"--node-ip-address={host}", f"--port={port}", "--include-dashboard=false"),
            *(f"--system-config={_CONFIG}", f"--temp-dir={self._folder}"),
        )
        self._begin(SECOND, f"--address={self.address}", "--node-ip-address=127.0.0.2")

    def _begin(self, name: str, *options: str) -> None:
        log = self._folder / f"{name}.txt"
        with log.open("wb") as out:
            self._processes[name] = process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"),
                    "--object-store-memory=100000000",
                    *options,
                ],
                env={**os.environ, **_QUIET, **PATIENT, **TOKEN, NODE: name},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ends = time.monotonic() + _BEGIN_SECONDS
        while b"Ray runtime started" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"no {name}: {log.read_text()}")
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """Kill a node's processes, workers included, at once."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):  # one that did not begin
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        """Kill all nodes that are left."""
        for name in list(self._processes)[::-1]:
            self.kill(name)


@contextmanager
def two_nodes(folder: Path) -> Iterator[Nodes]:
    """Begin both, and end them."""
    nodes = Nodes(folder)
    try:
        nodes.begin()
        yield nodes
    finally:
        nodes.end()
