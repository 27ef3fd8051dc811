"""A flipped bit on the server's disk ends in a client that is dropped by name, or in one session that fails loudly."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secagg import AbortReason, DropReason, Round
from secagg.hosting import (
    Ended,
    EndKind,
    HostedSession,
    HostReason,
    Quotas,
    ReceiptKind,
    ResultDamagedError,
    ResultNotReadyError,
    SessionHost,
    UnknownSessionError,
)
from secagg.store.base import DamagedError, StoreConflictError
from secagg.store.database import DATABASE, QUARANTINE
from secagg.store.sqlite import UPLOADS, SqliteStore
from tests.harness import Harness
from tests.hosting.support import Played, Recorder, hosting, run
from tests.store.test_damage import flip, flip_text, opened

LOST = Ended(EndKind.DROPPED, HostReason.ANSWER_DAMAGED)
OVER = Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER)


def players() -> tuple[Played, Played]:
    return Played(Harness(5, threshold=2)), Played(Harness(5, threshold=2, seed=1))


def uploads(directory: Path, session: int = 1) -> list[Path]:
    return sorted((directory / UPLOADS / str(session)).glob("*"))


def everything(directory: Path) -> list[str]:
    """The files of a store but for its database."""
    return sorted(path.name for place in (UPLOADS, QUARANTINE) for path in (directory / place).rglob("*"))


def upload_of(store: SqliteStore, client: int, directory: Path) -> Path:
    (entry,) = [found for found in store.entries("round-1") if found.client == client and len(found.payload) == 97]
    return directory / UPLOADS / "1" / entry.payload.decode()


async def two_sessions(host: SessionHost, played: Played, other: Played) -> tuple[HostedSession, HostedSession]:
    return await played.create(host), await other.create(host, "round-2")


UNREADABLE: set[Path] = set()


@pytest.fixture(autouse=True)
def _bad_sectors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    digest = hashlib.file_digest

    def read(file: Any, name: str) -> Any:
        if Path(file.name) in UNREADABLE:
            raise OSError(errno.EIO, "Input/output error")
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", read)
    yield
    UNREADABLE.clear()


@pytest.mark.parametrize(
    "damage",
    [lambda path: flip(path, path.stat().st_size - 1), Path.unlink, UNREADABLE.add],
    ids=["flipped", "missing", "unreadable"],
)
def test_a_damaged_upload_of_the_open_round_drops_its_client_by_name(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await played.run_to(session, Round.MASKED_INPUT)
                await other.run_to(second, Round.MASKED_INPUT)
                await played.play_round(session, (1, 2, 3))
                await other.play_round(second, (1, 2, 3))
            damage(upload_of(store, 2, tmp_path))
        for start in range(3):  # the second and the third replay what was made of the damage
            seen = Recorder()
            with opened(tmp_path) as store:
                async with hosting(store, observer=seen) as host:
                    session, second = host.session("round-1"), host.session("round-2")
                    told = [(2, Round.MASKED_INPUT, HostReason.ANSWER_DAMAGED)] if start == 0 else []
                    assert seen.all("dropped") == told
                    assert session.status().dropped == {HostReason.ANSWER_DAMAGED: 1}
                    assert await session.next_request(2, b"", 0) == LOST
                    assert (await session.submit(2, played.answers[2])).reason is HostReason.ANSWER_DAMAGED
                    assert second.status().dropped == {}
                    if start == 2:
                        played.assert_exact(await played.finish(session, (1, 3, 4, 5)), (1, 3, 4, 5))
                        other.assert_exact(await other.finish(second))
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                assert host.session("round-1").status().dropped == {HostReason.ANSWER_DAMAGED: 1}

    run(body())


def test_a_damaged_upload_that_was_counted_fails_its_session_and_no_other(tmp_path: Path) -> None:
    """Clients were told whose inputs are in the sum: to leave one out now is another question to them."""

    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await played.run_to(session, Round.MASKED_INPUT)
                await other.run_to(second, Round.MASKED_INPUT)
                await played.run_to(session, Round.UNMASKING)
                damaged = upload_of(store, 2, tmp_path)
        flip(damaged, damaged.stat().st_size - 1)
        before = everything(tmp_path)
        for _ in range(2):
            seen = Recorder()
            with opened(tmp_path) as store:
                async with hosting(store, observer=seen) as host:
                    session, second = host.session("round-1"), host.session("round-2")
                    ((name, error),) = seen.all("failed")
                    assert name == "round-1"
                    assert isinstance(error, DamagedError)
                    status = session.status()
                    assert status.state == "failed"
                    assert "upload of client 2 in session round-1 was damaged" in status.detail
                    for client in played.cohort:
                        assert await session.next_request(client, b"", 1e9) == OVER
                    assert (await session.submit(1, b"late")).kind is ReceiptKind.LATE
                    for call in (session.result, session.wait_ended):
                        with pytest.raises(ResultNotReadyError, match="damaged on the disk"):
                            await call()
                    assert not session.occupied
                    assert everything(tmp_path) == before
                    if second.status().state == Round.MASKED_INPUT.value:
                        await other.run_to(second, Round.UNMASKING)
                        before = everything(tmp_path)
                    else:
                        other.assert_exact(await other.finish(second))
                        await host.discard("round-1")
                        assert not host.has("round-1")
                        assert uploads(tmp_path) == []

    run(body())


def test_a_damaged_log_fails_its_session_and_no_other(tmp_path: Path) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await played.run_to(session, Round.MASKED_INPUT)
                await other.run_to(second, Round.MASKED_INPUT)
            payload = next(entry.payload for entry in store.entries("round-1") if entry.client == 3)
        flip_text(tmp_path / DATABASE, payload)
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = host.session("round-1"), host.session("round-2")
                assert session.status().state == "failed"
                assert "log of session round-1 was damaged" in session.status().detail
                assert await session.next_request(1, b"", 0) == OVER
                other.assert_exact(await other.finish(second))

    run(body())


def test_what_is_damaged_takes_no_place_and_is_not_forgotten(tmp_path: Path) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await played.run_to(session, Round.MASKED_INPUT)
                await second.abort("enough")
                await second.wait_ended()
            payload = next(entry.payload for entry in store.entries("round-1") if entry.client == 3)
        flip_text(tmp_path / DATABASE, payload)
        with opened(tmp_path) as store:
            async with hosting(store, quotas=Quotas(sessions=1, ended_sessions=1)) as host:
                for number in range(3, 6):
                    session = await Played(Harness(4, threshold=2, seed=number)).create(host, f"round-{number}")
                    await session.abort("enough")
                    await session.wait_ended()
                assert [session.name for session in host.sessions()] == ["round-1", "round-4", "round-5"]

    run(body())


def test_a_damaged_result_is_given_to_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        played, seen = Played(), Recorder()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                await played.finish(await played.create(host))
            (result,) = uploads(tmp_path)
        flip(result, result.stat().st_size // 2)
        with opened(tmp_path) as store:
            async with hosting(store, observer=seen) as host:
                session = host.session("round-1")
                with pytest.raises(ResultDamagedError, match="result of session round-1 was damaged on the disk"):
                    await session.result()
                result.unlink()
                with pytest.raises(ResultDamagedError, match="result of session round-1 was damaged on the disk"):
                    await session.result()
                assert [failed[0] for failed in seen.all("store_failed")] == ["round-1"] * 2
                await session.acknowledge_result()
                assert not session.occupied

    run(body())


def test_a_session_whose_record_is_damaged_is_told_and_its_name_stays_taken(tmp_path: Path) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, _ = await two_sessions(host, played, other)
                offer = session.offer
        flip_text(tmp_path / DATABASE, offer)
        seen = Recorder()
        with opened(tmp_path) as store:
            async with hosting(store, observer=seen) as host:
                assert [failed[0] for failed in seen.all("failed")] == ["round-1"]
                assert [session.name for session in host.sessions()] == ["round-2"]
                assert "session round-1 was damaged" in host.damaged["round-1"]
                assert (host.status("round-1").state, host.status("round-2").state) == ("failed", "advertise_keys")
                with pytest.raises(UnknownSessionError, match="damaged on the disk"):
                    host.session("round-1")
                with pytest.raises(StoreConflictError, match="damaged on the disk"):
                    await played.create(host)
                other.assert_exact(await other.finish(host.session("round-2")))

    run(body())


def test_a_damaged_outcome_fails_its_session(tmp_path: Path) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await session.abort("for a reason that is damaged")
                await session.wait_ended()
                await other.finish(second)
        flip_text(tmp_path / DATABASE, b"for a reason that is damaged")
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                assert host.session("round-1").status().state == "failed"
                assert await host.session("round-1").next_request(1, b"", 0) == OVER
                other.assert_exact(await other.finish(host.session("round-2")))

    run(body())


def test_the_drops_of_a_session_are_known_after_restarts(tmp_path: Path) -> None:
    async def body() -> None:
        played, other = players()
        with opened(tmp_path) as store:
            async with hosting(store) as host:
                session, second = await two_sessions(host, played, other)
                await session.drop(5, DropReason.CLIENT_ABORTED, "left")
                await second.drop(4, DropReason.MESSAGE_MALFORMED, "nonsense")
                await second.abort("enough")
                await second.wait_ended()
        wanted = {"round-1": {DropReason.CLIENT_ABORTED: 1}, "round-2": {DropReason.MESSAGE_MALFORMED: 1}}
        for start in range(3):
            with opened(tmp_path) as store:
                async with hosting(store) as host:
                    assert {name: host.session(name).status().dropped for name in wanted} == wanted
                    if start == 0:
                        await played.finish(host.session("round-1"), (1, 2, 3, 4))
                    if start == 1:
                        await host.session("round-1").acknowledge_result()

    run(body())
