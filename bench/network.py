"""`secagg serve` under many clients with long vectors: is the sum exact, and how much memory does the server need?

    python -m bench.network --json bench/results/network.json --into docs/operations.md

A real server process over TLS on loopback, a data directory on the disk, and clients in a few processes. Memory is the
server's resident set at its peak, less what it was when it was ready; in units of the session vector. What does not
grow with the vector (connections, pieces of uploads) shows in the difference of two lengths. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.bench.blocks import write_into
from secagg.bench.machine import describe_machine, load
from secagg.bench.rows import Better, Report, Row, measured_row, read_report, write_report
from secagg.bench.tables import machine_line
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.encoding.layout import Layout
from secagg.hosting import read_result
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, Operator, RetryPolicy, participate

SUITE: Final = "network"
_RISE: Final = "server, peak above its start"
_SLOPE: Final = "server, peak for each session vector"
HIGHEST: Final = 65_535  # 16 bits, as of fixed-point entries: a word of the session vector holds two of their sums
_ROUND_SECONDS: Final = 600.0
_LIMIT_SECONDS: Final = 1800.0
_RETRY: Final = RetryPolicy(first_seconds=0.2, longest_seconds=2.0, give_up_seconds=600.0)


@dataclass(frozen=True)
class Case:
    """One session.

    Attributes:
        clients: the cohort.
        length: entries of each input.
    """

    clients: int
    length: int

    @property
    def name(self) -> str:
        """As the rows call it."""
        return f"n={self.clients}, d={self.length}"


@dataclass(frozen=True)
class Measured:
    """What a session took: seconds from the first client's start to the sum, bytes of memory."""

    seconds: float
    cpu_seconds: float
    baseline: int
    peak: int
    vector: int

    @property
    def rise(self) -> int:
        """Memory above the baseline."""
        return self.peak - self.baseline


def input_of(client: int, length: int) -> NDArray[Any]:
    """The input of a client, made from its id, so that nothing has to be stored."""
    return np.random.default_rng(client).integers(0, HIGHEST + 1, length)


async def measure(case: Case, processes: int) -> Measured:
    """Run one session; raises AssertionError when its sum is wrong."""
    with tempfile.TemporaryDirectory(prefix="secagg-bench-") as directory:
        files = Path(directory)
        deploy(files, case.clients, case.length, "127.0.0.1:0", _ROUND_SECONDS, highest=HIGHEST, inputs=False)
        server = await _start("secagg.cli.main", "serve", "--config", str(files / "server.toml"), "--json")
        started: list[Process] = [server]
        try:
            address = json.loads(await _line(server))["address"]
            operator = Operator(
                address, identity=load_identity(files / "operator.key"), tls=ClientTls.from_files(files / "server.pem")
            )
            async with asyncio.timeout(_LIMIT_SECONDS), operator:
                await operator.status(SESSION)
                baseline, begun = _memory(server.pid, "VmRSS"), time.monotonic()
                for at in range(processes):
                    ids = [str(client) for client in range(1 + at, case.clients + 1, processes)]
                    words = ("--play", str(files), address, str(case.length), *ids)
                    started.append(await _start("bench.network", *words))
                codes = [await client.wait() for client in started[1:]]
                if any(codes):
                    raise AssertionError(f"{case.name}: client processes ended with {codes}")
                released = read_result(await operator.result(SESSION))
                seconds = time.monotonic() - begun
                peak, cpu = _memory(server.pid, "VmHWM"), _cpu_seconds(server.pid)
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        expected = sum(input_of(client, case.length) for client in released.contributors)
        everybody = tuple(range(1, case.clients + 1))
        if released.contributors != everybody or not np.array_equal(released.vectors["counts"], expected):
            raise AssertionError(f"{case.name}: {len(released.contributors)} contributors, or a wrong sum")
        return Measured(seconds, cpu, baseline, peak, _vector_bytes(case))


def rows_of(results: Sequence[tuple[Case, Measured]]) -> tuple[Row, ...]:
    """One row for each case, and what a vector adds: from the last two, which differ in their length alone."""
    rows = []
    for case, found in results:
        details = {
            **{"clients": case.clients, "entries": case.length, "session_vector_bytes": found.vector},
            **{"baseline_bytes": found.baseline, "peak_bytes": found.peak, "exact": True},
            **{"wall_seconds": found.seconds, "server_cpu_seconds": found.cpu_seconds},
        }
        rise = found.rise / 2**20
        rows.append(measured_row(SUITE, f"{_RISE}, {case.name}", "MiB", Better.LESS, (rise,), details=details))
    (_, short), (_, long) = results[-2:]
    slope = (long.rise - short.rise) / (long.vector - short.vector)
    rows.append(measured_row(SUITE, _SLOPE, "session vectors", Better.LESS, (slope,)))
    return tuple(rows)


def table(report: Report) -> str:
    """The block of docs/operations.md."""
    slope = next(row.measured for row in report.rows if row.name == _SLOPE) or 0.0
    lines = [
        "| clients | entries | session vector | sum | wall time | server's CPU time | peak above its start "
        "| without its vectors |",
        "|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for row in report.rows:
        if not row.name.startswith(_RISE):
            continue
        known: Mapping[str, Any] = row.details
        vector, rise = known["session_vector_bytes"] / 2**20, row.measured or 0.0
        lines.append(
            f"| {known['clients']} | {known['entries']:,} | {vector:.1f} MiB | exact | {known['wall_seconds']:.0f} s "
            f"| {known['server_cpu_seconds']:.1f} s | {rise:.0f} MiB | {rise - slope * vector:.0f} MiB |"
        )
    lines += [
        "",
        f"A longer vector costs **{slope:.2f} session vectors**: from the last two rows. {machine_line(report)}",
    ]
    return "\n".join(lines)


async def play(files: Path, address: str, length: int, ids: Sequence[int]) -> None:
    """Take part as some clients."""
    roster = load_directory(files / "roster.json", files / "authority.pub").keys
    tls = ClientTls.from_files(files / "server.pem")

    async def one(client: int) -> None:
        await participate(
            address,
            lambda _: {"counts": input_of(client, length)},
            session=SESSION,
            client_id=client,
            identity=load_identity(files / f"{client}.key"),
            roster=roster,
            tls=tls,
            retry=_RETRY,
        )

    await asyncio.gather(*(one(client) for client in ids))


async def _start(module: str, *words: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", module, *words, stdout=PIPE)


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise AssertionError("a process without standard output")
    return await process.stdout.readline()


def _memory(pid: int, key: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _vector_bytes(case: Case) -> int:
    parameters = secagg.SessionParameters.choose(
        clients=range(1, case.clients + 1),
        vectors={"counts": secagg.Integers(0, HIGHEST, shape=(case.length,))},
        threat_model="active",
        max_dropout=0.25,
    )
    return 8 * Layout.build(parameters.vectors, parameters.clients, parameters.max_weight).words


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the pages."""
    if words[:1] == ["--play"]:
        files, address, length, *ids = words[1:]
        asyncio.run(play(Path(files), address, int(length), [int(client) for client in ids]))
        return
    parser = argparse.ArgumentParser(description="Memory and time of secagg serve under many clients.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/network.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: network -->")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--length", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=36, help="clients of the two sessions that differ in length alone")
    parser.add_argument("--processes", type=int, default=4, help="that the clients share")
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if not chosen.table_only:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        machine = dict(describe_machine())
        results = []
        for case in (
            Case(chosen.clients, chosen.length),
            Case(chosen.few, 3 * chosen.length),
            Case(chosen.few, 9 * chosen.length),
        ):
            results.append((case, asyncio.run(measure(case, chosen.processes))))
            print(case.name, results[-1][1], flush=True)
        machine |= {f"{name}_at_end": value for name, value in load().items()}
        write_report(Report(date, secagg.__version__, False, machine, rows_of(results)), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"network": table})
    print(table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
