"""What it costs to be many: sessions a second of three `secagg serve` behind HAProxy over PostgreSQL, and of one.

    python -m bench.replicas --json bench/results/replicas.json --into docs/how_to/sizing.md

The same sessions, played in turn by the same number of client processes, all at once, on the cores that the clients
have, too: with one process over SQLite, with one over PostgreSQL, and with three behind HAProxy. The first two say what
the database costs, the last two what being many costs. From the first call until the last sum is fetched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

import secagg
from bench.pages import OWN_RUNS
from bench.players import HIGHEST, input_of
from bench.processes import ROOT, cpu_seconds_of, line_of
from secagg.bench.blocks import write_into
from secagg.bench.machine import describe_machine, load
from secagg.bench.rows import Better, Report, Row, measured_row, read_report, write_report
from secagg.bench.tables import machine_line
from secagg.cli.demo.deployment import deploy
from secagg.cli.demo.network import free_ports
from secagg.cli.demo.replicas import Replica
from secagg.cli.demo.throwaway import balancer, database, missing
from secagg.hosting import read_result
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, Operator, RetryPolicy

SUITE: Final = "replicas"
TARGET: Final = 0.9
_PROCESSES: Final = 3  # of clients
_ROUND_SECONDS: Final = 600.0
_LIMIT_SECONDS: Final = 900.0
_RETRY: Final = RetryPolicy(first_seconds=0.1, longest_seconds=0.5, give_up_seconds=_LIMIT_SECONDS)
_SESSION: Final = """
[[sessions]]
name = "{name}"
max_dropout = 0.25
vectors.counts = {{ kind = "integers", shape = [{length}], low = 0, high = {highest} }}
"""


@dataclass(frozen=True)
class Setting:
    """Who serves.

    Attributes:
        name: as the rows call it.
        replicas: how many processes; more than one are behind HAProxy.
        shared: over PostgreSQL, not SQLite.
    """

    name: str
    replicas: int
    shared: bool


ALONE: Final = Setting("one process, SQLite", 1, shared=False)
OVER_POSTGRES: Final = Setting("one process, PostgreSQL", 1, shared=True)
MANY: Final = Setting("three replicas behind HAProxy, PostgreSQL", 3, shared=True)


@dataclass(frozen=True)
class Work:
    """What is played: so many sessions at once, each of so many clients with so many entries."""

    sessions: int
    clients: int
    length: int


@dataclass(frozen=True)
class Played:
    """Sessions a second, and the CPU time of all server processes in seconds, without the database's and HAProxy's."""

    rate: float
    cpu_seconds: float


async def measure(setting: Setting, work: Work) -> Played:
    """Play the work once; raises AssertionError when a sum is wrong."""
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-bench-")))
        front, *ports = free_ports(1 + 2 * setting.replicas)
        replicas = [Replica(number, ports.pop(), ports.pop(), files) for number in range(1, setting.replicas + 1)]
        storage = 'directory = "data"'
        if setting.shared:
            storage = f'postgres = "{stack.enter_context(database())}"\nblobs = "blobs"'
        address = f"127.0.0.1:{front if setting.replicas > 1 else replicas[0].port}"
        deploy(files, work.clients, work.length, address, _ROUND_SECONDS, inputs=False, storage=storage)
        names = [f"session-{number}" for number in range(1, work.sessions + 1)]
        with (files / "server.toml").open("a", encoding="utf-8") as config:
            config.writelines(_SESSION.format(name=name, length=work.length, highest=HIGHEST) for name in names)
        if setting.replicas > 1:
            stack.enter_context(balancer(files, address, [(each.port, each.health) for each in replicas]))
        started: list[Process] = []
        try:
            if setting.shared:
                started.append(await _secagg(("database", "upgrade", "--config", str(files / "server.toml")), {}))
                if await started[0].wait():
                    raise AssertionError("the tables cannot be made")
            servers = []
            for replica in replicas:
                words = ("serve", "--config", str(files / "server.toml"), "--json")
                servers.append(await _secagg(words, replica.environment))
                started.append(servers[-1])
                said = await line_of(servers[-1])
                if not said or json.loads(said)["refused"]:
                    raise AssertionError(f"replica {replica.number} does not serve all sessions")
            async with asyncio.timeout(_LIMIT_SECONDS):
                return await _play(files, address, work, names, servers, started)
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def _play(
    files: Path,
    address: str,
    work: Work,
    names: Sequence[str],
    servers: Sequence[Process],
    started: list[Process],
) -> Played:
    crowd = []
    for at in range(_PROCESSES):
        ids = map(str, range(1 + at, work.clients + 1, _PROCESSES))
        words = (str(files), address, str(work.length), ",".join(names), *ids)
        crowd.append(await _start("bench.crowd", words, {}))
        started.append(crowd[-1])
    tls = ClientTls.from_files(files / "server.pem")
    async with Operator(address, identity=load_identity(files / "operator.key"), tls=tls, retry=_RETRY) as operator:
        # HAProxy knows which replicas are ready, and every session can be joined.
        while len(await operator.sessions()) <= work.sessions:
            await asyncio.sleep(0.1)
        for process in crowd:
            await line_of(process)
        before, begun = sum(cpu_seconds_of(server.pid) for server in servers), time.monotonic()
        for process in crowd:
            await _go(process)
        codes = [await process.wait() for process in crowd]
        if any(codes):
            raise AssertionError(f"client processes ended with {codes}")
        sums = [read_result(await operator.result(name)) for name in names]
        seconds = time.monotonic() - begun
        cpu = sum(cpu_seconds_of(server.pid) for server in servers) - before
    expected = sum(input_of(client, work.length) for client in range(1, work.clients + 1))
    for name, released in zip(names, sums, strict=True):
        if len(released.contributors) != work.clients or not np.array_equal(released.vectors["counts"], expected):
            raise AssertionError(f"{name}: {len(released.contributors)} contributors, or a wrong sum")
    return Played(work.sessions / seconds, cpu)


async def _go(process: Process) -> None:
    if process.stdin is None:
        raise AssertionError("a process without standard input")
    process.stdin.write(b"go\n")
    await process.stdin.drain()


async def _secagg(words: Sequence[str], environment: Mapping[str, str]) -> Process:
    return await _start("secagg.cli.main", words, environment)


async def _start(module: str, words: Sequence[str], environment: Mapping[str, str]) -> Process:
    everything = {**os.environ, "PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE", **environment}
    stdin = PIPE if module == "bench.crowd" else DEVNULL
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *words, stdin=stdin, stdout=PIPE, env=everything, cwd=ROOT
    )


def rows_of(work: Work, found: Mapping[Setting, Sequence[Played]]) -> tuple[Row, ...]:
    """One row for each setting; the floor of its rate is that of one process over SQLite, in the same run."""
    alone = median(each.rate for each in found[ALONE])
    rows = []
    for setting, played in found.items():
        details: dict[str, Any] = {
            **{"sessions": work.sessions, "clients": work.clients, "entries": work.length, "exact": True},
            "server_cpu_seconds": median(each.cpu_seconds for each in played),
        }
        rows.append(
            measured_row(
                SUITE,
                setting.name,
                "sessions/s",
                Better.MORE,
                tuple(each.rate for each in played),
                floor=alone,
                floor_name=ALONE.name,
                details=details,
            )
        )
    return tuple(rows)


def table(report: Report) -> str:
    """The block of docs/how_to/sizing.md."""
    lines = [
        "| who serves | sessions a second | beside one, SQLite | beside one, PostgreSQL | CPU time of the servers |",
        "|---|---:|---:|---:|---:|",
    ]
    alone, shared = (row.samples for row in report.rows[:2])
    for row in report.rows:
        known: Mapping[str, Any] = row.details
        # Of what was played in turn: the machine's load of the moment meets both.
        shares = [
            median(own / other for own, other in zip(row.samples, others, strict=True)) for others in (alone, shared)
        ]
        beside = " | ".join(f"{share:.2f}" for share in shares)
        lines.append(f"| {row.name} | {row.measured or 0.0:.2f} | {beside} | {known['server_cpu_seconds']:.1f} s |")
    lines += [
        "",
        f"{known['sessions']} sessions at once, of {known['clients']} clients with {known['entries']:,} entries each, "
        f"played {len(row.samples)} times in turn; wanted of three: at least {TARGET:g}. {machine_line(report)}",
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the pages."""
    parser = argparse.ArgumentParser(description="Sessions a second of three replicas, and of one process.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/replicas.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: many -->")
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if lacking := missing():
        print(f"SKIPPED: {lacking}")
        return
    if not chosen.table_only:
        date, machine = datetime.now(UTC).isoformat(timespec="seconds"), dict(describe_machine())
        work = Work(chosen.sessions, chosen.clients, chosen.length)
        found: dict[Setting, list[Played]] = {ALONE: [], OVER_POSTGRES: [], MANY: []}
        for _ in range(chosen.repeats):
            for setting, played in found.items():
                played.append(asyncio.run(measure(setting, work)))
                last = played[-1]
                print(f"{setting.name}: {last.rate:.2f} sessions/s, {last.cpu_seconds:.1f} s of CPU", flush=True)
        machine |= {f"{name}_at_end": value for name, value in load().items()}
        write_report(Report(date, secagg.__version__, False, machine, rows_of(work, found)), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"many": table}, OWN_RUNS)
    print(table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
