"""Runs the app on a real SuperLink with SuperNodes, each a process, on this machine's loopback address.

`python deploy.py` does what README.md lists command by command; `python deploy.py --kill 4:2:share_keys` also kills
the node of client 4 once it has answered ShareKeys in its second session, which is in the middle of a round. Logs of
all processes go to the work directory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from enroll import enroll

HERE = Path(__file__).resolve().parent
PROGRAMS = Path(sys.executable).parent
TIME_LIMIT = 1100


def free_port() -> int:
    """A port that nobody listens on, below those that systems give to connections of their own."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


class Deployment:
    """A SuperLink and its SuperNodes; all processes end with it."""

    def __init__(self, work: Path, clients: int, stack: contextlib.ExitStack) -> None:
        self.work = work
        self.keys = work / "keys"
        self.report = work / "report.json"
        self.port = free_port()
        self._stack = stack
        enroll(self.keys, clients)
        home = work / "flwr"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "loopback"\n\n[superlink.loopback]\naddress = "127.0.0.1:{self.port}"\n'
            "insecure = true\n"
        )
        self._environment = {
            **os.environ,
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_LOG_LEVEL": "DEBUG",  # nodes say there which message they have answered
            # SuperLink and SuperNodes start programs of this environment.
            "PATH": os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")]),
        }
        words = ["flower-superlink", "--insecure", "--disable-runtime-dependency-installation"]
        self.superlink = self.start("superlink", *words, "--host", "127.0.0.1", "--port", str(self.port))
        self.nodes = {client: self._start_node(client, clients) for client in range(clients)}

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a process, with its own process group, whose output goes to NAME.log."""
        log = self._stack.enter_context((self.work / f"{name}.log").open("wb"))
        program = [str(PROGRAMS / words[0]), *words[1:]]
        process = subprocess.Popen(  # noqa: S603 - programs of this environment
            program, stdout=log, stderr=subprocess.STDOUT, env=self._environment, start_new_session=True
        )
        self._stack.callback(end, process)
        return process

    def _start_node(self, client: int, clients: int) -> subprocess.Popen[bytes]:
        settings = {
            "partition-id": client,
            "num-partitions": clients,
            "secagg-client-id": client,
            "secagg-identity": json.dumps(f"{self.keys}/{client}.key"),
            "secagg-roster": json.dumps(f"{self.keys}/roster.json"),
            "secagg-authority": json.dumps(f"{self.keys}/authority.pub"),
            "secagg-ledger": json.dumps(f"{self.keys}/{client}.ledger"),
            "secagg-minimum-cohort": 4,
        }
        words = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{self.port}"]
        config = " ".join(f"{key}={value}" for key, value in settings.items())
        return self.start(f"node-{client}", *words, "--port", str(free_port()), "--node-config", config)

    def run(self, rounds: int, timeout: float) -> None:
        """Submit the app to the SuperLink."""
        config: dict[str, Any] = {
            "num-server-rounds": rounds,
            "min-nodes": len(self.nodes) - 1,
            "round-timeout": timeout,
            "training-timeout": timeout,
            "max-dropout": 0.2,
            "roster": json.dumps(f"{self.keys}/roster.json"),
            "authority": json.dumps(f"{self.keys}/authority.pub"),
            "report": json.dumps(str(self.report)),
        }
        words = ["run", str(HERE), "loopback", "--run-config", " ".join(f"{k}={v}" for k, v in config.items())]
        program = str(PROGRAMS / "flwr")
        subprocess.run([program, *words], env=self._environment, check=True)  # noqa: S603 - as above

    def log_of(self, name: str) -> str:
        """What a process has written so far."""
        return (self.work / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def end(process: subprocess.Popen[bytes], sent: signal.Signals = signal.SIGTERM) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sent)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(what: str, is_there: Callable[[], bool], limit: float = TIME_LIMIT) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + limit
    while not is_there():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {limit} s")
        time.sleep(0.2)


@contextlib.contextmanager
def deployment(work: Path, clients: int) -> Iterator[Deployment]:
    """Start everything; end everything."""
    with contextlib.ExitStack() as stack:
        running = Deployment(work, clients, stack)
        for client in running.nodes:
            wait_for(f"node {client}", lambda name=f"node-{client}": "SuperNode ID" in running.log_of(name), 120)
        yield running


def main() -> None:
    """Deploy, run, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=90.0, help="seconds that nodes have for each round")
    parser.add_argument("--kill", metavar="CLIENT:SESSION:ROUND", help="kill a node after this answer of its")
    parser.add_argument("--work", type=Path, help="directory for logs and keys; a temporary one unless given")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended"))
    with contextlib.ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(deployment(work, arguments.clients))
        running.run(arguments.rounds, arguments.timeout)
        if arguments.kill:
            client, session, round_ = arguments.kill.split(":")
            line = f"client {client} is done with {round_}"
            node = f"node-{client}"
            wait_for(f"{node} to be killed", lambda: running.log_of(node).count(line) >= int(session))
            end(running.nodes[int(client)], signal.SIGKILL)
            print(f"killed the node of client {client} after it answered {round_} in session {session}")
        wait_for("the report", lambda: running.report.exists() and running.report.stat().st_size > 0)
        print(running.report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
