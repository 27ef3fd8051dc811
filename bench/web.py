"""Clients over HTTP beside those over gRPC: how fast uploads are, and whether a thousand clients lose anybody.

    python -m bench.web --json bench/results/http.json --into docs/http.md

A real server process over TLS on loopback, with both ports. Uploads have bytes that are no message: what they
take is the transport's, the disk's, and one digest. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import secagg
from bench.network import Case, Measured, measure
from bench.processes import line_of, start
from secagg.bench.blocks import write_into
from secagg.bench.machine import describe_machine, load
from secagg.bench.rows import Better, Report, Row, measured_row, read_report, write_report
from secagg.bench.tables import machine_line
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.identity.keys import load_identity
from secagg.parameters import ThreatModel
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection, Metadata
from secagg.transport.endpoints import endpoint_of
from secagg.transport.gatekeeper import ClientCaller
from secagg.transport.grpc import ClientTls, RetryPolicy
from secagg.transport.limits import CHUNK_BYTES
from secagg.transport.progress import ParticipationObserver

SUITE: Final = "http"
_RATE: Final = "an upload of 8 MB"
_CROWD: Final = "a session of"
_SIZE: Final = 8_000_000
_ENTRIES: Final = 5_000_000
_COHORT: Final = 100
_LENGTH: Final = 1000
_SECONDS: Final = 600.0


async def measure_uploads(repeats: int) -> tuple[list[float], list[float]]:
    """Bytes a second of uploads over gRPC and over HTTP, in turn, each of another client."""
    with tempfile.TemporaryDirectory(prefix="secagg-bench-") as directory:
        files = Path(directory)
        deploy(files, _COHORT, _ENTRIES, "127.0.0.1:0", _SECONDS, highest=255, inputs=False)
        with (files / "server.toml").open("a", encoding="utf-8") as config:
            config.write('[http]\naddress = "127.0.0.1:0"\n')
        server = await start("-m", "secagg.cli.main", "serve", "--config", str(files / "server.toml"), "--json")
        try:
            ready = json.loads(await line_of(server))
            found: tuple[list[float], list[float]] = ([], [])
            for turn in range(repeats):
                for way, address in enumerate((ready["address"], f"https://{ready['http']}")):
                    found[way].append(_SIZE / await _upload(files, address, 1 + 2 * turn + way))
            return found
        finally:
            if server.returncode is None:
                server.kill()
            await server.wait()


async def _upload(files: Path, address: str, client: int) -> float:
    """Seconds of one upload, which the server takes in and then finds to be nothing."""
    tls = ClientTls.from_files(files / "server.pem")
    data = os.urandom(_SIZE)
    header = pb.UploadHeader(total_bytes=_SIZE, sha256=hashlib.sha256(data).digest())

    async def parts() -> AsyncIterator[pb.UploadPart]:
        yield pb.UploadPart(header=header)
        for at in range(0, _SIZE, CHUNK_BYTES):
            yield pb.UploadPart(chunk=data[at : at + CHUNK_BYTES])

    async def own(metadata: Metadata) -> Metadata:
        return metadata

    identity = load_identity(files / f"{client}.key")
    caller, retry = ClientCaller(SESSION, client), RetryPolicy()
    endpoint = endpoint_of(address, tls, insecure=False)
    async with Connection(endpoint, caller, identity, retry, ParticipationObserver()) as connection:
        metadata = await connection.call("login", own)
        begun = time.perf_counter()
        try:
            await connection.aggregation.UploadAnswer(parts(), metadata=metadata, timeout=_SECONDS)
        except connection.errors as error:
            seconds = time.perf_counter() - begun
            failure = connection.failure(error)
            if failure is None or failure.detail is None or failure.detail.reason != "DROPPED":
                raise
            return seconds
    raise AssertionError("the server took in what is no message")


def rows_of(uploads: tuple[list[float], list[float]], crowds: Sequence[tuple[Case, Measured]]) -> tuple[Row, ...]:
    """One row for the rate, with that of gRPC as its floor, and one for each session."""
    rows = [
        measured_row(
            SUITE,
            _RATE,
            "MB/s",
            Better.MORE,
            tuple(rate / 1e6 for rate in uploads[1]),
            floor=median(uploads[0]) / 1e6,
            floor_name="gRPC",
        )
    ]
    for case, found in crowds:
        over = "HTTP" if case.http else "gRPC"
        details: dict[str, Any] = {
            **{"clients": case.clients, "model": case.model.value, "entries": case.length, "over": over, "exact": True},
            **{"server_cpu_seconds": found.cpu_seconds - found.cpu_before, "rise_bytes": found.rise},
        }
        name = f"{_CROWD} {case.clients} clients over {over}"
        rows.append(measured_row(SUITE, name, "s", Better.LESS, (found.seconds,), details=details))
    return tuple(rows)


def table(report: Report) -> str:
    """The block of docs/http.md."""
    lines = [
        "| what | over | figure | server's CPU time | its memory above its start |",
        "|---|---|---:|---:|---:|",
    ]
    for row in report.rows:
        known = row.details
        if row.name == _RATE:
            for over, rate in (("gRPC", row.floor), ("HTTP", row.measured)):
                lines.append(f"| {row.name} | {over} | {rate or 0.0:.0f} MB/s | | |")
        else:
            lines.append(
                f"| a session of {known['clients']} clients, {known['model']}, exact, none lost | {known['over']} "
                f"| {row.measured or 0.0:.0f} s | {known['server_cpu_seconds']:.0f} s "
                f"| {known['rise_bytes'] / 2**20:.0f} MiB |"
            )
    return "\n".join([*lines, "", machine_line(report)])


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the page."""
    parser = argparse.ArgumentParser(description="Clients over HTTP beside those over gRPC.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/http.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: http -->")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--model", type=ThreatModel, default=ThreatModel.SEMI_HONEST, help="of their session")
    parser.add_argument("--repeats", type=int, default=15, help="uploads each way")
    parser.add_argument("--processes", type=int, default=2, help="that the clients share")
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if not chosen.table_only:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        machine = dict(describe_machine())
        uploads = asyncio.run(measure_uploads(chosen.repeats))
        crowds = [
            (case, asyncio.run(measure(case, chosen.processes)))
            for case in (Case(chosen.clients, _LENGTH, chosen.model), Case(chosen.clients, _LENGTH, chosen.model, True))
        ]
        machine |= {f"{name}_at_end": value for name, value in load().items()}
        write_report(Report(date, secagg.__version__, False, machine, rows_of(uploads, crowds)), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"http": table}, ("http",))
    print(table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
