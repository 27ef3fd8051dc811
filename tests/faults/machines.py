"""What machines do: full disks, clocks that jump, two thousand clients at once, uploads that crawl or are too long."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc

from secagg import ClientPhase
from secagg.transport import service_pb2 as pb
from secagg.transport.limits import CHUNK_BYTES, MAX_CHUNK_BYTES
from tests.faults.killing import LONG
from tests.faults.strangers import connected
from tests.faults.trial import Trial, Verdict

# Room for the database, not for an upload.
_SOME_BYTES: Final = 400_000
_TEN_YEARS: Final = 10 * 365.25 * 24 * 3600
_CROWD: Final = 2000
_PROCESSES: Final = 4
_CROWD_SECONDS: Final = 400.0
_STALL_SECONDS: Final = 0.5


async def disk_full(directory: Path) -> Verdict:
    """The disk fills in every round, until the server has failed to write; uploads break off in the middle."""
    async with Trial(directory, length=LONG) as trial:
        turn = asyncio.Lock()
        seen: set[ClientPhase] = set()
        fillings: list[asyncio.Task[bool]] = []

        async def fill(file_bytes: int) -> bool:
            async with turn:
                failed = await _failed(trial, await trial.tell(file_bytes=file_bytes))
                await trial.tell(file_bytes=None)
                return failed

        def filled_once(_: int, phase: ClientPhase) -> None:
            if phase not in seen:
                seen.add(phase)
                room = _SOME_BYTES if phase is ClientPhase.SHARE_KEYS else 0
                fillings.append(asyncio.create_task(fill(room)))

        trial.on_acknowledged = filled_once
        await trial.serve()
        fillings.append(asyncio.create_task(fill(0)))
        await trial.everybody()
        return await trial.verdict(sum(await asyncio.gather(*fillings)))


async def _failed(trial: Trial, before: int) -> bool:
    """Wait until the store has failed once more; False when the session ended first."""
    async with trial.patience.wait():
        while await trial.tell() <= before:
            if (await trial.status()).result_ready:
                return False
            await asyncio.sleep(0.02)
    return True


async def workers_killed(directory: Path, seed: int) -> Verdict:
    """The pool of workers is killed, at even seeds each that follows, too: without any, the server does their work."""
    pools = 1 if seed % 2 else 100
    async with Trial(directory, length=LONG, work={"processes": 2}) as trial:
        await trial.serve(broken_pools=pools)
        await trial.everybody()
        verdict = await trial.verdict(pools - await trial.left_over("broken_pools"))
        alone = "executor failed" in (trial.files / "log").read_text(encoding="utf-8")
        if alone is bool(seed % 2):
            verdict.stuck, verdict.detail = 1, f"{verdict.detail}; the operator was told of it: {alone}"
        return verdict


async def clock_jumps(directory: Path) -> Verdict:
    """The wall clock jumps ten years, back and forth, in every round and over a restart in the middle."""
    async with Trial(directory, length=LONG) as trial:
        jumps: list[asyncio.Task[int]] = []
        done: set[ClientPhase] = set()

        def jump(_: int, phase: ClientPhase) -> None:
            if phase not in done:
                done.add(phase)
                jumps.append(asyncio.create_task(trial.tell(wall=_TEN_YEARS * (-1) ** len(done))))

        trial.on_acknowledged = jump
        await trial.serve(["consistency_check/message/durable"], wall=_TEN_YEARS)
        await trial.everybody()
        told = await asyncio.gather(*jumps, return_exceptions=True)
        return await trial.verdict(sum(isinstance(each, int) for each in told))


async def crowd(directory: Path, clients: int = _CROWD, processes: int = _PROCESSES, *, http: bool = False) -> Verdict:
    """So many clients at once, each with a TLS connection of its own, all from one address."""
    session = {
        **{"threat_model": "semi-honest", "topology": "sparse", "max_dropout": 0.01, "max_corrupt": 0.01},
        **{"security_bits": 20, "correctness_bits": 10},
    }
    async with Trial(directory, clients=clients, session=session, limit=_CROWD_SECONDS, http=http) as trial:
        await trial.serve()
        await asyncio.gather(*(trial.crowd(trial.ids[at::processes]) for at in range(processes)))
        if not trial.acknowledged:
            raise AssertionError(f"no client came in: {next(iter(trial.ends.items()), None)}")
        verdict = await trial.verdict(clients)
        failed = [end for end in trial.ends.values() if end != "completed"]
        verdict.lost += clients - len(trial.acknowledged)
        verdict.stuck += bool(failed) or len(trial.ends) < clients
        verdict.detail += f"; {len(failed)} failed{': ' + failed[0] if failed else ''}"
        return verdict


async def bad_uploads(directory: Path) -> Verdict:
    """Uploads that stall, crawl, break off, lie about their length or digest, or are too long; then the honest ones."""
    async with Trial(
        directory, length=LONG, limits={"stall_seconds": _STALL_SECONDS, "upload_bytes_per_second": 1e6}
    ) as trial:
        await trial.serve()
        others = asyncio.create_task(trial.everybody(trial.ids[1:]))
        try:
            refused = await _abuse(trial)
            await trial.everybody(trial.ids[:1])
            await others
        finally:
            others.cancel()
        verdict = await trial.verdict(len(refused))
        wrong = {name: code for name, code in refused.items() if code != _EXPECTED[name]}
        if wrong:
            verdict.stuck, verdict.detail = 1, f"refused otherwise than documented: {wrong}"
        return verdict


_EXPECTED: Final = {
    "too long": "INVALID_ARGUMENT",
    "far too long": "INVALID_ARGUMENT",
    "longer than announced": "INVALID_ARGUMENT",
    "shorter than announced": "INVALID_ARGUMENT",
    "other digest": "DATA_LOSS",
    "no header": "INVALID_ARGUMENT",
    "long chunk": "INVALID_ARGUMENT",
    "stalled": "DEADLINE_EXCEEDED",
    "crawling": "DEADLINE_EXCEEDED",
    "broken off": "CANCELLED",
}


async def _abuse(trial: Trial) -> dict[str, str]:
    """Send bad uploads as the first client; returns how each was refused."""
    data = bytes(2 * CHUNK_BYTES)
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    good = hashlib.sha256(data).digest()
    never = asyncio.Event()

    async def parts(total: int, digest: bytes, chunks: list[bytes], pause: float | None = 0) -> AsyncIterator[Any]:
        if total:
            yield pb.UploadPart(header=pb.UploadHeader(total_bytes=total, sha256=digest))
        for chunk in chunks:
            yield pb.UploadPart(chunk=chunk)
            if pause is None:
                await never.wait()
            elif pause:
                await asyncio.sleep(pause)

    bad = {
        "too long": parts(1 << 24, good, []),
        "far too long": parts(1 << 62, good, []),
        "longer than announced": parts(CHUNK_BYTES, good, pieces),
        "shorter than announced": parts(len(data), good, pieces[:1]),
        "other digest": parts(len(data), bytes(32), pieces),
        "no header": parts(0, good, pieces),
        "long chunk": parts(len(data), good, [bytes(MAX_CHUNK_BYTES + 1)]),
        "stalled": parts(len(data), good, pieces, None),
        "crawling": parts(len(data), good, [data[:1000]] * 100, _STALL_SECONDS / 5),
        "broken off": parts(len(data), good, pieces, None),
    }
    refused = {}
    async with connected(trial, 1) as (connection, metadata):
        for name, upload in bad.items():
            call = connection.aggregation.UploadAnswer(upload, metadata=metadata, timeout=trial.limit)
            if name == "broken off":
                await connection.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata, timeout=trial.limit)
                call.cancel()
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await call
            refused[name] = (await call.code()).name
    return refused
