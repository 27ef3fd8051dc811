"""Disks that lose bits: in uploads, logs and results, and at the end of the write-ahead log.

A bit may cost a client, which is named, or a session, which says so to all of its clients and to the operator. What is
lost without a word, or counted wrong, is harm.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from secagg import SessionAbortedError
from secagg.hosting import HostReason, SessionStatus
from secagg.store.base import EntryKind
from secagg.store.database import DATABASE, WAL
from secagg.store.sqlite import UPLOADS, SqliteStore
from secagg.transport.grpc import DroppedError, Refusal, ServiceError
from tests.faults.files import SESSION
from tests.faults.killing import LONG
from tests.faults.trial import Trial, Verdict
from tests.store.test_damage import flip

_KILLED: Final = -9
_MESSAGE_BYTES: Final = 1000  # a payload of so many lies in one piece in the database


def logged(data: Path, kind: EntryKind) -> list[tuple[int, bytes]]:
    """Clients and payloads in the log of a server that is down; its files are left alone."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(data, copy, dirs_exist_ok=True)
        store = SqliteStore(Path(copy))
        found = [(entry.client or 0, entry.payload) for entry in store.entries(SESSION) if entry.kind is kind]
        store.close()
    return found


def flip_upload(data: Path, seed: int) -> int:
    """Turn a bit of an upload that is in the log; returns whose it is."""
    uploads = logged(data, EntryKind.UPLOAD)
    client, payload = uploads[seed % len(uploads)]
    path = data / UPLOADS / "1" / payload.decode()
    flip(path, 7919 * seed % path.stat().st_size, seed % 8)
    return client


def flip_entry(data: Path, seed: int) -> int:
    """Turn a bit of a message in the database, into which the write-ahead log went before; returns whose it is."""
    messages = [found for found in logged(data, EntryKind.MESSAGE) if len(found[1]) < _MESSAGE_BYTES]
    client, payload = messages[seed % len(messages)]
    database = sqlite3.connect(data / DATABASE)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close()
    flip(data / DATABASE, (data / DATABASE).read_bytes().index(payload) + 7919 * seed % len(payload), seed % 8)
    return client


async def upload_flipped(directory: Path, seed: int) -> Verdict:
    """While its round is open: the client is dropped by name, and the sum is that of the others."""
    async with Trial(directory, length=LONG) as trial:
        return await dropped_by_name(trial, lambda: flip_upload(trial.files / "data", seed))


async def dropped_by_name(trial: Trial, damage: Callable[[], int]) -> Verdict:
    """One upload of the open round is damaged when the server dies: whose it was is told so, and the others are summed.

    Args:
        trial: new.
        damage: does it, and returns whose it was.
    """
    hit: list[int] = []
    trial.between = lambda code: hit_once(code, hit, damage)
    await trial.serve(["masked_input/message/durable"])
    await trial.everybody()
    named = {
        client
        for client, end in trial.outcomes.items()
        if isinstance(end, DroppedError) and end.drop_reason is HostReason.ANSWER_DAMAGED
    }
    status = await trial.until(over)
    for client in named:
        del trial.outcomes[client]
    trial.acknowledged -= named
    verdict = await trial.verdict(len(hit))
    if named != set(hit) or status.dropped.get(HostReason.ANSWER_DAMAGED) != len(hit):
        verdict.lost += 1
        verdict.detail += f"; damaged {hit}, named {named}, the operator was told {status.dropped}"
    return verdict


async def session_damaged(directory: Path, seed: int, damage: Callable[[Path, int], int]) -> Verdict:
    """What a session cannot do without: it fails, and says so to everybody."""
    async with Trial(directory, length=LONG) as trial:
        hit: list[int] = []
        trial.between = lambda code: hit_once(code, hit, lambda: damage(trial.files / "data", seed))
        await trial.serve(["consistency_check/message/durable"])
        await trial.everybody()
        status = await trial.until(over)
        verdict = Verdict(len(hit), detail=f"{status.state}: {status.detail}")
        verdict.wrong = int(status.result_ready)
        loud = status.state == "failed" and "damaged on the disk" in status.detail
        heard = [isinstance(end, SessionAbortedError) for end in trial.outcomes.values()]
        verdict.stuck = int(not loud or not all(heard))
        return verdict


async def result_flipped(directory: Path, seed: int) -> Verdict:
    """The operator is told that the sum is damaged, and gets no file."""

    def damage(data: Path) -> int:
        (path,) = (data / UPLOADS / "1").iterdir()
        flip(path, 7919 * seed % path.stat().st_size, seed % 8)
        return 0

    async with Trial(directory, length=LONG) as trial:
        hit: list[int] = []
        trial.between = lambda code: hit_once(code, hit, lambda: damage(trial.files / "data"))
        await trial.serve(["finish/tidied"])
        await trial.everybody()
        await trial.until(lambda status: status.result_ready)
        verdict = Verdict(len(hit), wrong=1, detail="a damaged sum was handed out")
        try:
            async with trial.admin() as admin:
                await admin.save_result(SESSION, directory / "sum.npz")
        except ServiceError as error:
            told = error.refusal is Refusal.RESULT_DAMAGED and not (directory / "sum.npz").exists()
            verdict = Verdict(len(hit), stuck=int(not told), detail=str(error))
        return verdict


async def log_damaged(directory: Path, seed: int) -> Verdict:
    """The write-ahead log is cut, flipped or gone: no start until it is put back, and then everything is there."""
    async with Trial(directory, length=LONG) as trial:
        data, refused = trial.files / "data", []

        def between(code: int) -> bool:
            log, kept = data / WAL, directory / "kept-log"
            if code == _KILLED:
                shutil.copyfile(log, kept)
                lose(log, seed)
                return True
            refused.append("--accept-loss" in (trial.files / "errors").read_text(encoding="utf-8"))
            shutil.copyfile(kept, log)
            return len(refused) == 1

        trial.between = between
        await trial.serve(["masked_input/message/durable"])
        await trial.everybody()
        verdict = await trial.verdict(len(refused))
        if refused != [True]:
            verdict.lost += 1
            verdict.detail += f"; starts were refused, and said why: {refused}"
        return verdict


def gone(seed: int) -> bool:
    """Whether `lose` leaves nothing of a log."""
    return seed % 3 == 0


def lose(log: Path, seed: int) -> None:
    """Remove, damage or shorten a write-ahead log."""
    size = log.stat().st_size
    match seed % 3:
        case 0:
            log.unlink()
        case 1:
            flip(log, size - 1000)
        case 2:
            os.truncate(log, size // 2)


def hit_once(code: int, hit: list[int], damage: Callable[[], int]) -> bool:
    """Do damage once, when the server was killed; says whether to start it again."""
    if code == _KILLED and not hit:
        hit.append(damage())
    return code == _KILLED


def over(status: SessionStatus) -> bool:
    """Whether a session has ended in any way."""
    return status.result_ready or status.state in ("aborted", "failed")


DAMAGES: Final[Sequence[tuple[str, Callable[[Path, int], int]]]] = (
    ("bit flips in an upload that was counted", flip_upload),
    ("bit flips in an entry of a log", flip_entry),
)
