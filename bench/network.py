"""`secagg serve` under many clients: is the sum exact, how much memory and CPU time does the server need, how many
sessions can it keep?

    python -m bench.network --json bench/results/network.json --into docs/how_to/sizing.md --baseline ../earlier

With a checkout of an earlier release, its server and clients play the same sessions in turn with those of this one.

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
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

import secagg
from bench.many_sessions import Kept, measure_kept
from bench.pages import OWN_RUNS
from bench.players import HIGHEST, input_of
from bench.processes import ROOT, cpu_seconds_of, line_of, memory_of, start
from secagg.bench.blocks import write_into
from secagg.bench.machine import describe_machine, load
from secagg.bench.rows import Better, Report, Row, measured_row, read_report, write_report
from secagg.bench.tables import machine_line
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.encoding.layout import Layout
from secagg.hosting import read_result
from secagg.identity.keys import load_identity
from secagg.parameters import ThreatModel
from secagg.transport.grpc import ClientTls, Operator

SUITE: Final = "network"
_RISE: Final = "server, peak above its start"
_SLOPE: Final = "server, peak for each session vector"
_CPU: Final = "server, CPU time for each client of a session"
_START: Final = "server, start with ended sessions above an empty one"
_STATUS: Final = "server, status of each of"
_SHORT: Final = 1000
_WITH_SLOPE: Final = 3
_ROUND_SECONDS: Final = 600.0
_LIMIT_SECONDS: Final = 1800.0


@dataclass(frozen=True)
class Case:
    """One session.

    Attributes:
        clients: the cohort.
        length: entries of each input.
        model: the threat model.
        http: whether clients come over HTTP.
    """

    clients: int
    length: int
    model: ThreatModel = ThreatModel.ACTIVE
    http: bool = False

    @property
    def name(self) -> str:
        """As the rows call it."""
        return f"n={self.clients}, d={self.length}"


@dataclass(frozen=True)
class Measured:
    """What a session took: seconds from the first client's start to the sum, bytes of memory.

    The CPU time is the server's, that of its start included, which `cpu_before` is.
    """

    seconds: float
    cpu_seconds: float
    baseline: int
    peak: int
    vector: int
    cpu_before: float = 0.0

    @property
    def rise(self) -> int:
        """Memory above the baseline."""
        return self.peak - self.baseline


async def measure(case: Case, processes: int, tree: Path = ROOT) -> Measured:
    """Run one session of the library in a checkout; raises AssertionError when its sum is wrong."""
    with tempfile.TemporaryDirectory(prefix="secagg-bench-") as directory:
        files = Path(directory)
        deploy(files, case.clients, case.length, "127.0.0.1:0", _ROUND_SECONDS, highest=HIGHEST, inputs=False)
        with (files / "server.toml").open("a", encoding="utf-8") as config:
            config.write(f'threat_model = "{case.model.value}"\n')
            if case.http:
                config.write('[http]\naddress = "127.0.0.1:0"\n')
        serve = ("-m", "secagg.cli.main", "serve", "--config", str(files / "server.toml"), "--json")
        server = await start(*serve, tree=tree)
        started: list[Process] = [server]
        try:
            ready = json.loads(await line_of(server))
            address = ready["address"]
            where = f"https://{ready['http']}" if case.http else address
            operator = Operator(
                address, identity=load_identity(files / "operator.key"), tls=ClientTls.from_files(files / "server.pem")
            )
            async with asyncio.timeout(_LIMIT_SECONDS), operator:
                await operator.status(SESSION)
                baseline, begun = memory_of(server.pid, "VmRSS"), time.monotonic()
                cpu_before = cpu_seconds_of(server.pid)
                for at in range(processes):
                    ids = [str(client) for client in range(1 + at, case.clients + 1, processes)]
                    words = (str(files), where, str(case.length), case.model.value, *ids)
                    started.append(await start(str(ROOT / "bench/players.py"), *words, tree=tree))
                codes = [await client.wait() for client in started[1:]]
                if any(codes):
                    raise AssertionError(f"{case.name}: client processes ended with {codes}")
                released = read_result(await operator.result(SESSION))
                seconds = time.monotonic() - begun
                peak, cpu = memory_of(server.pid, "VmHWM"), cpu_seconds_of(server.pid)
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        expected = sum(input_of(client, case.length) for client in released.contributors)
        everybody = tuple(range(1, case.clients + 1))
        if released.contributors != everybody or not np.array_equal(released.vectors["counts"], expected):
            raise AssertionError(f"{case.name}: {len(released.contributors)} contributors, or a wrong sum")
        return Measured(seconds, cpu, baseline, peak, _vector_bytes(case), cpu_before)


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
    """The block of docs/how_to/sizing.md."""
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


def _vector_bytes(case: Case) -> int:
    parameters = secagg.SessionParameters.choose(
        clients=range(1, case.clients + 1),
        vectors={"counts": secagg.Integers(0, HIGHEST, shape=(case.length,))},
        threat_model="active",
        max_dropout=0.25,
    )
    return 8 * Layout.build(parameters.vectors, parameters.clients, parameters.max_weight).words


def measure_cpu(case: Case, processes: int, repeats: int, earlier: Path) -> Row:
    """The server's CPU time for each client, with that of an earlier release in turn with it."""
    samples: dict[Path, list[float]] = {earlier: [], ROOT: []}
    for _ in range(repeats):
        for tree, found in samples.items():
            measured = asyncio.run(measure(case, processes, tree))
            found.append((measured.cpu_seconds - measured.cpu_before) / case.clients * 1000)
            print(case.model.value, case.name, tree.name, f"{found[-1]:.2f} ms", flush=True)
    return measured_row(
        SUITE,
        f"{_CPU}, n={case.clients}, {case.model.value}",
        "ms",
        Better.LESS,
        tuple(samples[ROOT]),
        floor=median(samples[earlier]),
        floor_name="an earlier release",
        details={"clients": case.clients, "model": case.model.value},
    )


def rows_of_kept(sessions: int, empty: Sequence[Kept], full: Sequence[Kept]) -> tuple[Row, ...]:
    """How much longer a server starts with ended sessions, and how long it takes to say how far each is."""
    longer = tuple(each.start - median(other.start for other in empty) for each in full)
    details: dict[str, Any] = {"sessions": sessions}
    return (
        measured_row(SUITE, f"{_START}, {sessions} sessions", "s", Better.LESS, longer, details=details),
        measured_row(
            SUITE,
            f"{_STATUS}, {sessions} sessions",
            "s",
            Better.LESS,
            tuple(each.status for each in full),
            details=details,
        ),
    )


def speed_table(report: Report) -> str:
    """The block of docs/how_to/sizing.md about CPU time and many sessions."""
    lines = ["| what | measured | an earlier release | share of it |", "|---|---:|---:|---:|"]
    for row in report.rows:
        if row.measured is None or not row.name.startswith((_CPU, _START, _STATUS)):
            continue
        floor = "" if row.floor is None else f"{row.floor:.1f} {row.unit}"
        share = "" if row.floor is None else f"{row.measured / row.floor:.2f}"
        digits = 1 if row.unit == "ms" else 2
        lines.append(f"| {row.name} | {row.measured:.{digits}f} {row.unit} | {floor} | {share} |")
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the pages."""
    parser = argparse.ArgumentParser(description="Memory, CPU time and time of secagg serve under many clients.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/network.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: network -->")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--length", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=36, help="clients of the two sessions that differ in length alone")
    parser.add_argument("--many", type=int, default=2000, help="clients of the largest session")
    parser.add_argument("--sessions", type=int, default=1000, help="that have ended")
    parser.add_argument("--processes", type=int, default=4, help="that the clients share")
    parser.add_argument("--baseline", type=Path, help="a checkout of an earlier release, to compare CPU time with")
    parser.add_argument("--cohort", type=int, default=500, help="clients of the sessions that are compared")
    parser.add_argument("--repeats", type=int, default=3, help="of what is compared")
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if not chosen.table_only:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        machine = dict(describe_machine())
        rows: list[Row] = []
        if chosen.baseline is not None:
            for model in (ThreatModel.SEMI_HONEST, ThreatModel.ACTIVE):
                case = Case(chosen.cohort, _SHORT, model)
                rows.append(measure_cpu(case, 2, chosen.repeats, chosen.baseline.resolve()))
        kept = [
            (asyncio.run(measure_kept(0)), asyncio.run(measure_kept(chosen.sessions))) for _ in range(chosen.repeats)
        ]
        rows += rows_of_kept(chosen.sessions, [empty for empty, _ in kept], [full for _, full in kept])
        results: list[tuple[Case, Measured]] = []
        # The largest last, though first in the table: what the others gave is written before.
        for case in (
            Case(chosen.clients, chosen.length),
            Case(chosen.few, 3 * chosen.length),
            Case(chosen.few, 9 * chosen.length),
            Case(chosen.many, _SHORT),
        ):
            found = case, asyncio.run(measure(case, chosen.processes))
            print(case.name, found[1], flush=True)
            results.insert(0 if case.clients == chosen.many else len(results), found)
            if len(results) >= _WITH_SLOPE:
                machine |= {f"{name}_at_end": value for name, value in load().items()}
                every = (*rows, *rows_of(results))
                write_report(Report(date, secagg.__version__, False, machine, every), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"network": table, "service": speed_table}, OWN_RUNS)
    print(table(report))
    print(speed_table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
