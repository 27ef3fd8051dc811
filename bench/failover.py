"""How long a round stands still when the replica dies that goes on with it: three `secagg serve` over PostgreSQL.

    python -m bench.failover --json bench/results/failover.json --into docs/operations.md

Real processes behind HAProxy, over TLS on loopback. In each session all clients but one have joined when the owner is
killed; the time is from there until the last one's keys are acknowledged, which takes somebody who goes on with the
session. The replica that died is started again before the next session.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from bench.pages import OWN_RUNS
from secagg.bench.blocks import write_into
from secagg.bench.machine import describe_machine, load
from secagg.bench.rows import Better, Report, Scalar, measured_row, read_report, write_report
from secagg.bench.tables import machine_line
from secagg.cli.demo.deployment import deploy
from secagg.cli.demo.network import free_ports
from secagg.cli.demo.replicas import Replica
from secagg.cli.demo.throwaway import balancer, database, missing
from secagg.hosting import read_result
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, Operator, ParticipationObserver, RetryPolicy, participate

SUITE: Final = "failover"
LEASE_SECONDS: Final = 2.0
TARGET_SECONDS: Final = LEASE_SECONDS + 2.0
_REPLICAS: Final = 3
_CLIENTS: Final = 6
_LENGTH: Final = 1000
_ROUND_SECONDS: Final = 600.0
_LIMIT_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1
_RETRY: Final = RetryPolicy(first_seconds=0.05, longest_seconds=0.5, give_up_seconds=_LIMIT_SECONDS)
_STORAGE: Final = 'postgres = "{postgres}"\nblobs = "blobs"\nlease_seconds = {seconds}'
_SESSION: Final = """
[[sessions]]
name = "{name}"
max_dropout = 0.2
vectors.counts = {{ kind = "integers", shape = [{length}], low = 0, high = 1000 }}
"""


class Answers(ParticipationObserver):
    """Notes when the last client's keys were acknowledged, which comes with the next request: of it, at once."""

    def __init__(self) -> None:
        self.at = 0.0

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Note the time."""
        if phase is secagg.ClientPhase.ADVERTISE_KEYS and outcome in ("accepted", "repeated"):
            self.at = time.monotonic()


class Service:
    """Three replicas, and whoever dials them.

    Args:
        files: the directory of the deployment.
        address: of the balancer.
        replicas: with their ports.
    """

    def __init__(self, files: Path, address: str, replicas: Sequence[Replica]) -> None:
        self._files = files
        self._address = address
        self._replicas = replicas
        self._roster = load_directory(files / "roster.json", files / "authority.pub").keys
        self._tls = ClientTls.from_files(files / "server.pem")

    async def start(self, replica: Replica) -> None:
        """Start a replica; returns when it serves."""
        words = ("serve", "--config", str(self._files / "server.toml"), "--json")
        replica.process = await command(words, replica.environment)
        if replica.process.stdout is None or not await replica.process.stdout.readline():
            raise AssertionError(f"replica {replica.number} does not start")

    async def failover(self, session: str) -> float:
        """Play one session; returns how long its round stood still."""
        released = threading.Event()
        observers = {client: Answers() for client in range(1, _CLIENTS + 1)}
        clients = [
            asyncio.create_task(self._take_part(session, client, observer, released))
            for client, observer in observers.items()
        ]
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                async with self._operator() as operator:
                    while (await operator.status(session)).answered < _CLIENTS - 1:
                        await asyncio.sleep(_LOOK_SECONDS)
                owner = max(self._replicas, key=lambda replica: replica.epoch(session))
                killed = await self._kill(owner)
                released.set()
                await asyncio.gather(*clients)
                async with self._operator() as operator:
                    sum_ = read_result(await operator.result(session))
        finally:
            released.set()
            for client in clients:
                client.cancel()
        expected = sum(input_of(client) for client in sum_.contributors)
        if len(sum_.contributors) != _CLIENTS or not np.array_equal(sum_.vectors["counts"], expected):
            raise AssertionError(f"{session}: {len(sum_.contributors)} contributors, or a wrong sum")
        await self.start(owner)
        return observers[1].at - killed

    async def _take_part(self, session: str, client: int, observer: Answers, released: threading.Event) -> None:
        def inputs(_: secagg.SessionParameters) -> Mapping[str, NDArray[Any]]:
            if client == 1 and not released.wait(_LIMIT_SECONDS):
                raise AssertionError("nobody was killed")
            return {"counts": input_of(client)}

        await participate(
            self._address,
            inputs,
            session=session,
            client_id=client,
            identity=load_identity(self._files / f"{client}.key"),
            roster=self._roster,
            tls=self._tls,
            retry=_RETRY,
            observer=observer,
        )

    async def _kill(self, replica: Replica) -> float:
        if replica.process is None:
            raise AssertionError("nobody has the session")
        replica.process.kill()
        killed = time.monotonic()
        await replica.process.wait()
        return killed

    def _operator(self) -> Operator:
        return Operator(
            self._address, identity=load_identity(self._files / "operator.key"), tls=self._tls, retry=_RETRY
        )


async def measure(times: int) -> list[float]:
    """Kill an owner so many times; returns the seconds of each."""
    found = []
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-bench-")))
        port, *ports = free_ports(1 + 2 * _REPLICAS)
        address = f"127.0.0.1:{port}"
        replicas = [Replica(number, ports.pop(), ports.pop(), files) for number in range(1, _REPLICAS + 1)]
        storage = _STORAGE.format(postgres=stack.enter_context(database()), seconds=LEASE_SECONDS)
        deploy(files, _CLIENTS, _LENGTH, address, _ROUND_SECONDS, inputs=False, storage=storage)
        names = [f"failover-{number}" for number in range(1, times + 1)]
        with (files / "server.toml").open("a", encoding="utf-8") as config:
            config.writelines(_SESSION.format(name=name, length=_LENGTH) for name in names)
        stack.enter_context(balancer(files, address, [(each.port, each.health) for each in replicas]))
        upgrade = await command(("database", "upgrade", "--config", str(files / "server.toml")), {})
        if await upgrade.wait():
            raise AssertionError("the tables cannot be made")
        service = Service(files, address, replicas)
        try:
            for replica in replicas:
                await service.start(replica)
            for name in names:
                found.append(await service.failover(name))
                print(f"{name}: {found[-1]:.2f} s", flush=True)
        finally:
            for replica in replicas:
                if replica.process is not None:
                    if replica.process.returncode is None:
                        replica.process.kill()
                    await replica.process.wait()
    return found


def input_of(client: int) -> NDArray[Any]:
    """The input of a client, made from its id."""
    return np.random.default_rng(client).integers(0, 1001, _LENGTH)


async def command(words: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start `secagg` with some words."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "secagg.cli.main", *words),
        stdin=DEVNULL,
        stdout=PIPE,
        env={**os.environ, "GRPC_VERBOSITY": "NONE", **environment},
    )


def report_of(found: Sequence[float], date: str, machine: Mapping[str, Scalar]) -> Report:
    """What was measured, as one row."""
    details = {
        **{"failovers": len(found), "lease_seconds": LEASE_SECONDS, "exact": True},
        **{"least": min(found), "median": median(found), "most": max(found)},
    }
    name = f"owner killed, lease {LEASE_SECONDS:g} s"
    row = measured_row(SUITE, name, "s", Better.LESS, tuple(found), details=details)
    return Report(date, secagg.__version__, False, machine, (row,))


def table(report: Report) -> str:
    """The block of docs/operations.md."""
    details: Mapping[str, Any] = report.rows[0].details
    return (
        f"{details['failovers']} owners killed with a lease of {details['lease_seconds']:g} s: the round went on after "
        f"**{details['median']:.1f} s** in the middle, {details['least']:.1f} to {details['most']:.1f} s; wanted: at "
        f"most {TARGET_SECONDS:g} s. {machine_line(report)}"
    )


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the pages."""
    parser = argparse.ArgumentParser(description="How long a round stands still when its owner dies.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/failover.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: failover -->")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if lacking := missing():
        print(f"SKIPPED: {lacking}")
        return
    if not chosen.table_only:
        date, machine = datetime.now(UTC).isoformat(timespec="seconds"), dict(describe_machine())
        found = asyncio.run(measure(chosen.times))
        machine |= {f"{name}_at_end": value for name, value in load().items()}
        write_report(report_of(found, date, machine), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"failover": table}, OWN_RUNS)
    print(table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
