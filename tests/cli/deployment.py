"""A deployment on disk and loopback: certificates, an authority, a roster, a server process and client processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.pem import public_pem
from secagg.crypto.signing import IdentityKey
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster
from tests.command import without_progress
from tests.identity.authority import CertificateAuthority
from tests.logs import events

SECONDS: Final = 600.0
COMMAND: Final = (sys.executable, "-m", "secagg.cli.main")
MOVED: Final = (sys.executable, "-m", "tests.faults.server")


@dataclass
class Deployment:
    """Everything that an operator prepares, in one directory.

    Attributes:
        directory: holds all files.
        clients: the ids that are enrolled.
        ca: signs the server's certificate, and clients' for mutual TLS.
        authority: signs the roster.
    """

    directory: Path
    clients: tuple[int, ...]
    ca: CertificateAuthority = field(default_factory=CertificateAuthority)
    authority: IdentityKey = field(default_factory=IdentityKey.generate)

    def __post_init__(self) -> None:
        keys = {}
        for client in self.clients:
            keys[client] = create_identity(self / f"{client}.key", self / f"{client}.pub").public
        create_identity(self / "operator.key", self / "operator.pub")
        certificate, key = self.ca.server()
        for name, content in (("server.pem", certificate), ("server-key.pem", key), ("ca.pem", self.ca.pem)):
            (self / name).write_bytes(content)
        (self / "server-key.pem").chmod(0o600)
        (self / "authority.pub").write_bytes(public_pem(self.authority.public))
        self.sign(keys)

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    def sign(self, keys: Mapping[int, bytes], *, serial: int = 1, expires: datetime | None = None) -> None:
        """Write roster.json."""
        until = expires or datetime.now(UTC) + timedelta(days=1)
        issued = min(datetime.now(UTC), until) - timedelta(days=2)
        roster = SignedRoster.sign(keys, serial=serial, issued=issued, expires=until, authority=self.authority)
        (self / "roster.json").write_bytes(roster.encode())

    def configure(self, sessions: str, *, listen: str = "", more: str = "") -> Path:
        """Write server.toml; sessions are [[sessions]] tables, `listen` is added to that table."""
        text = f"""
            [listen]
            address = "127.0.0.1:0"
            certificate = "server.pem"
            key = "server-key.pem"
            {listen}
            [identities]
            roster = "roster.json"
            authority = "authority.pub"
            operators = ["operator.pub"]
            [storage]
            directory = "data"
            {more}
            {sessions}
        """
        (self / "server.toml").write_text(text, encoding="utf-8")
        return self / "server.toml"

    def input(self, client: int, **arrays: NDArray[Any]) -> Path:
        """Write a client's arrays."""
        path = self / f"input-{client}.npz"
        np.savez(path, allow_pickle=False, **arrays)
        return path

    def join(
        self,
        address: str,
        client: int,
        *words: str,
        session: str = "first",
        stderr: int | TextIO = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a client with everything that protects it."""
        return start(
            *("join", "--server", address, "--session", session, "--input", str(self / f"input-{client}.npz")),
            *("--identity", str(self / f"{client}.key"), "--ca", str(self / "ca.pem")),
            *("--roster", str(self / "roster.json"), "--authority", str(self / "authority.pub"), "--json", *words),
            stderr=stderr,
        )

    def operate(self, command: str, address: str, *words: str) -> tuple[str, ...]:
        """The words of an operator's command."""
        return (
            *(command, "--server", address, "--identity", str(self / "operator.key")),
            *("--ca", str(self / "ca.pem"), *words),
        )


def start(
    *words: str,
    environment: Mapping[str, str] | None = None,
    command: tuple[str, ...] = COMMAND,
    stderr: int | TextIO = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    return subprocess.Popen(
        [*command, *words],
        stdin=subprocess.PIPE if command == MOVED else None,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process and return its exit code and what it wrote; one that does not end is killed.

    What a client says on its way is left out of standard error: a busy machine has it say more.
    """
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, without_progress(err)


class Server:
    """A `secagg serve` process that said it is ready; one with `moved` has a clock that `advance` moves on."""

    def __init__(
        self, config: Path, environment: Mapping[str, str] | None = None, *words: str, moved: bool = False
    ) -> None:
        self.log = config.with_name("log")
        environment = {"SECAGG_LOGS__FILE": "log", **(environment or {})}
        if moved:
            settings = json.dumps({"config": str(config)})
            self.process = start(settings, environment=environment, command=MOVED)
        else:
            self.process = start("serve", "--config", str(config), "--json", *words, environment=environment)
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        line = self.process.stdout.readline() if readable else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"the server did not start: {finished(self.process)}")
        self.ready: dict[str, Any] = json.loads(line)
        self.address: str = self.ready["address"]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return finished(self.process)

    def advance(self, seconds: float) -> None:
        """Let deadlines come that are so far away."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"advance": seconds}) + "\n")
        self.process.stdin.flush()

    def events(self) -> list[dict[str, Any]]:
        """The lines of the log so far."""
        return events(self.log)

    def stored(self, session: str = "first") -> None:
        """Wait until the end of a session is stored, and with it the sum: its clients hear of the end before."""
        ends = {"session completed", "session aborted"}
        until(lambda: any(e["event"] in ends and e["session"] == session for e in self.events()), self)


@contextmanager
def serving(
    config: Path, environment: Mapping[str, str] | None = None, *words: str, moved: bool = False
) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(config, environment, *words, moved=moved)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            finished(server.process)


def until(condition: Callable[[], bool], server: Server | None = None) -> None:
    """Wait for a condition, for a bounded time, and no longer than a server lives that has to bring it about."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        if server is not None and server.process.poll() is not None:
            raise AssertionError(f"the server has ended: {finished(server.process)}")
        select.select([], [], [], 0.05)
