"""What others on the same server do, and what its operator does: nothing of it may reach a session that runs.

Slow members of another session, connections of no use, tables that are wrong at a restart, a crash, an accepted loss.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final

from secagg import ClientPhase, ClientSession, SessionAbortedError
from secagg.store.database import QUARANTINE, WAL
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection, Metadata
from secagg.transport.grpc import ServiceError
from secagg.transport.limits import CHUNK_BYTES
from secagg.transport.participant_calls import ParticipantCalls
from tests.faults.disks import gone, lose, over
from tests.faults.files import SEMI_HONEST, input_of
from tests.faults.killing import LONG
from tests.faults.strangers import connected, yesterday
from tests.faults.trial import Trial, Verdict
from tests.logs import events
from tests.transport.grpc.test_idle_connections import PREFACE

SLOW: Final = "slow"
LAST_WORDS: Final = "F0000 00:00:00.0 1 crash.cc:1] last words"
_FOR_EVER: Final = 1e6
_SHORT: Final = 0.5


async def slow_members(directory: Path) -> Verdict:
    """All members of one session upload at once and then stop; there are fewer places than they are."""
    async with Trial(
        directory, length=LONG, limits={"uploads": 2, "uploads_of_session": 1, "stall_seconds": _FOR_EVER}
    ) as trial:
        trial.files.others = [{"name": SLOW, "threat_model": "semi-honest", "max_dropout": 0.17}]
        await trial.serve()
        async with AsyncExitStack() as stack:
            members = [await stack.enter_async_context(connected(trial, client, SLOW)) for client in trial.ids]
            answers = await asyncio.gather(
                *(_masked(trial, client, *member) for client, member in zip(trial.ids, members, strict=True))
            )
            uploads = [
                connection.aggregation.UploadAnswer(_beginning(answer), metadata=metadata)
                for (connection, metadata), answer in zip(members, answers, strict=True)
            ]
            stack.callback(lambda: [upload.cancel() for upload in uploads])
            await trial.everybody()
            verdict = await trial.verdict(sum(not upload.done() for upload in uploads))
            if verdict.injected < len(uploads):
                verdict.stuck, verdict.detail = 1, f"slow uploads ended: {[await each.code() for each in uploads]}"
            return verdict


async def _masked(trial: Trial, client: int, connection: Connection, metadata: Metadata) -> bytes:
    """Take part until a masked input is due, and return it."""
    calls = ParticipantCalls(connection)
    session = ClientSession(await calls.offer(), client, policy=SEMI_HONEST)
    session.set_input({"v": input_of(client, trial.files.length)})
    seen = b""
    while True:
        request = await calls.next_request(seen)
        if request is None:
            raise AssertionError(f"the slow session ended before client {client} was asked for its input")
        phase, answer = session.phase, session.receive(request)
        if answer is None or phase is ClientPhase.MASKED_INPUT:
            return answer or b""
        seen = hashlib.sha256(request).digest()
        await calls.answer(answer, seen)


async def _beginning(answer: bytes) -> AsyncIterator[pb.UploadPart]:
    digest = hashlib.sha256(answer).digest()
    yield pb.UploadPart(header=pb.UploadHeader(total_bytes=len(answer), sha256=digest))
    yield pb.UploadPart(chunk=answer[:CHUNK_BYTES])
    await asyncio.Event().wait()


async def useless_connections(directory: Path) -> Verdict:
    """Connections that say nothing, those that nobody uses, and those whose other end is gone: all are closed."""
    limits = {"stall_seconds": _SHORT, "idle_seconds": _SHORT, "ping_seconds": _SHORT}
    async with Trial(directory, length=LONG, limits=limits) as trial:
        await trial.serve()
        encrypted = ssl.create_default_context(cadata=trial.files.ca.pem.decode())
        encrypted.set_alpn_protocols(["h2"])
        kinds = [(None, b""), (encrypted, b""), (encrypted, PREFACE)] * 5
        ends = [asyncio.create_task(_closed(trial, *kind)) for kind in kinds]
        try:
            await trial.everybody()
            with suppress(TimeoutError):
                async with trial.patience.wait():
                    await asyncio.wait(ends)
            closed = sum(end.done() and end.exception() is None for end in ends)
        finally:
            for end in ends:
                end.cancel()
        verdict = await trial.verdict(closed)
        if closed < len(ends):
            verdict.stuck, verdict.detail = 1, f"{closed} of {len(ends)} connections were closed"
        return verdict


async def _closed(trial: Trial, security: ssl.SSLContext | None, said: bytes) -> None:
    """Connect, say so much, answer nothing, and wait for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", trial.port, ssl=security)
    writer.write(said)
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass
    writer.close()


async def tables_are_wrong(directory: Path) -> Verdict:
    """The roster has expired and new tables are wrong when the server is killed: it goes on with what runs."""
    wrong: list[dict[str, Any]] = [
        {"name": "no-file", "context_file": "missing"},
        {"name": "expired", "clients": "roster"},
        {"name": "too-few", "minimum_contributors": 1000},
    ]
    async with Trial(directory, length=LONG) as trial:
        changed: list[int] = []

        def between(code: int) -> bool:
            if not changed:
                trial.files.sign(expires=yesterday())
                changed.append(code)
                trial.files.others = wrong
            return code == -signal.SIGKILL

        trial.between = between
        await trial.serve(["share_keys/message/durable", "masked_input/message/durable"])
        await trial.everybody()
        refused = {event["session"] for event in events(trial.files / "log") if event["event"] == "session refused"}
        verdict = await trial.verdict(len(refused))
        if refused != {each["name"] for each in wrong}:
            verdict.stuck, verdict.detail = 1, f"the operator was told of {refused}"
        return verdict


async def server_crashes(directory: Path) -> Verdict:
    """A library in C ends the server in each round: its last words are a line of the log, as JSON, and nothing else."""
    async with Trial(directory, length=LONG) as trial:
        crashes: set[ClientPhase] = set()

        def crash(_: int, phase: ClientPhase) -> None:
            if phase not in crashes and trial.ready.is_set():
                crashes.add(phase)
                trial.say(crash=LAST_WORDS)

        trial.between = lambda code: code in (-signal.SIGABRT, -signal.SIGKILL)
        trial.on_acknowledged = crash
        await trial.serve()
        await trial.everybody()
        said = [event for event in events(trial.files / "log") if event["event"] == LAST_WORDS]
        verdict = await trial.verdict(len(said))
        errors = (trial.files / "errors").read_text(encoding="utf-8")
        if (
            len(said) < len(crashes)
            or errors
            or {(each["logger"], each["level"]) for each in said} != {("stderr", "critical")}
        ):
            verdict.stuck = 1
            verdict.detail += f"; {len(crashes)} crashes, in the log {said}, outside of it {errors[-400:]!r}"
        return verdict


async def loss_is_accepted(directory: Path, seed: int) -> Verdict:
    """Commits are lost and the operator accepts it: the session ends without a sum, and says so to everybody."""
    async with Trial(directory, length=LONG) as trial:
        starts: list[bool] = []

        def between(code: int) -> bool:
            if code == -signal.SIGKILL:
                lose(trial.files / "data" / WAL, seed)
                return True
            starts.append("--accept-loss" in (trial.files / "errors").read_text(encoding="utf-8"))
            trial.settings["accept_loss"] = True
            return len(starts) == 1

        trial.between = between
        await trial.serve(["masked_input/message/durable"])
        await trial.everybody()
        status = await trial.until(over)
        kept = list((trial.files / "data" / QUARANTINE).iterdir())
        verdict = Verdict(len(starts), wrong=int(status.result_ready), detail=f"{status.state}: {status.detail}")
        refused = gone(seed)
        # Without any log the database does not even know the session, and its table makes no other.
        state, said = ("failed", "may have run before") if refused else ("aborted", "its operator accepted that")
        heard = [isinstance(end, ServiceError if refused else SessionAbortedError) for end in trial.outcomes.values()]
        loud = status.state == state and said in status.detail
        verdict.lost = int(not any(path.stat().st_size > LONG for path in kept))
        verdict.stuck = int(not loud or not all(heard) or starts != [True])
        return verdict
