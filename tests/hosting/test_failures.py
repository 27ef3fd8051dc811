"""A store that fails: nothing is acknowledged, the session is unharmed, and the same message is taken later."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from secagg import Round
from secagg.errors import InternalError
from secagg.hosting import HostUnavailableError, ReceiptKind, Request
from secagg.hosting.keeper import RETRY_SECONDS
from secagg.hosting.replica import Replica
from secagg.store.base import Entry, EntryKind, Outcome, SessionRecord, StoreError, Upload
from secagg.store.memory import MemoryStore
from tests.harness import Harness
from tests.hosting.support import FakeClock, Played, Recorder, hosting, run, upload


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FailingStore(MemoryStore):
    """Raises `error` from the methods in `failing`; uploads fail with their step's name."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()
        self.error: Callable[[], Exception] = full

    def _try(self, what: str) -> None:
        if what in self.failing:
            raise self.error()

    def create(self, record: SessionRecord) -> None:
        self._try("create")
        super().create(record)

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        self._try("append")
        if any(entry.kind is EntryKind.CLOSE_ROUND for entry in entries):
            self._try("close")
        super().append(name, entries, epoch)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        self._try("finish")
        super().finish(name, outcome, epoch)

    def begin_upload(self, name: str, limit: int) -> Upload:
        self._try("begin")
        return _FailingUpload(super().begin_upload(name, limit), self._try)

    def open_upload(self, name: str, upload: str) -> Any:
        self._try("open")
        return super().open_upload(name, upload)

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        self._try("open")
        return super().read_range(name, upload, offset, count)

    def discard_upload(self, name: str, upload: str) -> None:
        self._try("discard")
        super().discard_upload(name, upload)

    def release_result(self, name: str, expired: bool = False) -> bool:
        self._try("release")
        return super().release_result(name, expired)

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        self._try("discard_session")
        return super().discard(name, record)


class _FailingUpload:
    def __init__(self, upload: Upload, attempt: Callable[[str], None]) -> None:
        self._upload = upload
        self._attempt = attempt

    @property
    def received(self) -> int:
        return self._upload.received

    @property
    def sha256(self) -> bytes:
        return self._upload.sha256

    def write(self, chunk: bytes | memoryview) -> None:
        self._attempt("write")
        self._upload.write(chunk)

    def commit(self) -> str:
        self._attempt("commit")
        return self._upload.commit()

    def discard(self) -> None:
        self._attempt("discard_open")
        self._upload.discard()


@pytest.mark.parametrize("error", [full, lambda: StoreError("the database is full")], ids=["OSError", "StoreError"])
def test_a_message_that_cannot_be_stored_is_taken_later(error: Callable[[], Exception]) -> None:
    async def body() -> None:
        played, store, seen = Played(), FailingStore(), Recorder()
        store.error = error
        async with hosting(store, observer=seen) as host:
            session = await played.create(host)
            await played.send(session, 1)
            before, entries = session.status(), list(store.entries("round-1"))
            store.failing = {"append"}
            answers = {client: await played.answer(session, client) for client in (2, 3)}
            failed = await asyncio.gather(
                *(session.submit(client, answer) for client, answer in answers.items()), return_exceptions=True
            )
            assert [type(each) for each in failed] == [HostUnavailableError, HostUnavailableError]
            assert "send it again" in str(failed[0])
            assert session.status() == before
            assert list(store.entries("round-1")) == entries
            assert seen.all("store_failed")
            store.failing = set()
            for client, answer in answers.items():
                assert (await session.submit(client, answer)).kind is ReceiptKind.ACCEPTED
            played.assert_exact(await played.finish(session))

    run(body())


@pytest.mark.parametrize("failing", ["begin", "write", "commit", "open", "append"])
@pytest.mark.parametrize("stubborn", [False, True])
def test_an_upload_that_cannot_be_stored_is_taken_later(failing: str, stubborn: bool) -> None:
    """`stubborn`: what was written cannot even be removed."""

    async def body() -> None:
        played, store = Played(), FailingStore()
        async with hosting(store) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            await played.send(session, 2)
            before, stored = session.status(), store.upload_bytes("round-1")
            answer = await played.answer(session, 1)
            store.failing = {failing, *(["discard", "discard_open"] if stubborn else [])}
            with pytest.raises(HostUnavailableError) as refused:
                await upload(session, 1, answer)
            assert str(full()) not in str(refused.value), "a client hears of the server's files"
            assert session.status() == before
            assert host._tools.space.used == before.stored_bytes
            assert store.upload_bytes("round-1") == stored or stubborn
            store.failing = set()
            assert (await upload(session, 1, answer)).kind is ReceiptKind.ACCEPTED
            played.assert_exact(await played.finish(session))
            assert host._tools.space.used == len(await session.result())

    run(body())


def test_a_round_that_cannot_be_closed_is_closed_later() -> None:
    async def body() -> None:
        played, store, seen, clock = Played(), FailingStore(), Recorder(), FakeClock()
        async with hosting(store, clock, seen) as host:
            session = await played.create(host)
            store.failing = {"close"}
            await played.play_round(session)
            await seen.heard("store_failed")
            assert session.status().state == "advertise_keys"
            assert (await played.send(session, 1)).kind is ReceiptKind.REPEATED
            await seen.heard("store_failed", times=2)  # What came made the host try once more.
            store.failing = set()
            clock.advance(RETRY_SECONDS)
            played.assert_exact(await played.finish(session))

    run(body())


@pytest.mark.parametrize("failing", ["begin", "write", "commit", "finish"])
def test_a_result_that_cannot_be_stored_is_stored_later(failing: str) -> None:
    async def body() -> None:
        played, store, seen, clock = Played(), FailingStore(), Recorder(), FakeClock()
        async with hosting(store, clock, seen) as host:
            session = await played.create(host)
            await played.run_to(session, Round.UNMASKING)
            store.failing = {failing, "discard_open"}
            kept: list[int] = []
            await played.play_round(session)
            for attempt in (1, 2):
                await seen.heard("store_failed", times=attempt)
                assert session.status().state == "completed"
                assert not session.status().result_ready
                for call in (session.result, partial(session.require_fetched, b"")):
                    with pytest.raises(HostUnavailableError, match="is being stored; ask again"):
                        await call()
                assert len(list(store.entries("round-1"))) == 20
                kept.append(store.upload_bytes("round-1"))
                if attempt == 2:
                    store.failing = set()
                clock.advance(RETRY_SECONDS)
            await session.wait_ended()
            assert kept[0] == kept[1]  # no attempt leaves a result of its own behind
            played.assert_exact(await played.finish(session))

    run(body())


def test_what_an_operator_asks_for_can_fail_and_be_asked_again() -> None:
    async def body() -> None:
        played, store = Played(), FailingStore()
        async with hosting(store) as host:
            store.failing = {"create"}
            with pytest.raises(HostUnavailableError):
                await played.create(host)
            assert not host.has("round-1")
            store.failing = set()
            session = await played.create(host)
            await played.finish(session)
            result = await session.result()
            store.failing = {"open", "release", "discard_session"}
            for call in (session.result, session.acknowledge_result, lambda: host.discard("round-1")):
                with pytest.raises(HostUnavailableError):
                    await call()
            store.failing = set()
            assert await session.result() == result
            await session.acknowledge_result()
            await host.discard("round-1")

    run(body())


@pytest.mark.parametrize("error", [InternalError("a defect"), OSError("no memory to share"), MemoryError()], ids=repr)
def test_a_defect_stops_one_session_and_a_restart_takes_it_up(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What fails once the log has an entry is not tried again: the log would have it twice."""

    async def body() -> None:
        played, other, store, seen = Played(), Played(Harness(4, threshold=2, seed=1)), MemoryStore(), Recorder()
        async with hosting(store, observer=seen) as host:
            session, second = await played.create(host), await other.create(host, "round-2")
            answer = await played.answer(session, 1)

            def broken(*arguments: Any) -> None:
                raise error

            with monkeypatch.context() as patched:
                patched.setattr(Replica, "apply", broken)
                with pytest.raises(HostUnavailableError, match="not served now"):
                    await session.submit(1, answer)
            await seen.heard("failed", "round-1", error)
            assert len(list(store.entries("round-1"))) == 1
            assert session.status().state == "failed"
            with pytest.raises(HostUnavailableError):
                await session.next_request(1, b"", 1e9)
            with pytest.raises(HostUnavailableError):
                await session.begin_upload(1, 1)
            other.assert_exact(await other.finish(second))
        async with hosting(store) as host:
            session = host.session("round-1")
            assert (await session.submit(1, answer)).kind is ReceiptKind.REPEATED
            played.assert_exact(await played.finish(session))

    run(body())


def test_a_log_that_cannot_be_followed_stops_one_session() -> None:
    async def body() -> None:
        played, store, seen = Played(), MemoryStore(), Recorder()
        async with hosting(store) as host:
            await played.create(host)
            await Played(Harness(4, threshold=2, seed=1)).create(host, "round-2")
        store.append("round-2", [Entry(EntryKind.CLOSE_ROUND, None, b"from elsewhere")])
        async with hosting(store, observer=seen) as host:
            assert [failed[0] for failed in seen.all("failed")] == ["round-2"]
            assert host.session("round-2").status().state == "failed"
            with pytest.raises(HostUnavailableError):
                await host.session("round-2").wait_ended()
            played.assert_exact(await played.finish(host.session("round-1")))

    run(body())


def test_whoever_waits_is_told_when_the_host_stops() -> None:
    async def body() -> None:
        played, store = Played(), FailingStore()
        host = hosting(store)
        await host.start()
        session = await played.create(host)
        request = await session.next_request(1, b"", 0)
        assert isinstance(request, Request)
        waits = [asyncio.create_task(session.wait_ended()), asyncio.create_task(played.turned(session, 1))]
        taking = await session.begin_upload(1, 5)
        await asyncio.wait(waits, timeout=0)
        played.seen[1] = request.digest
        waits.append(asyncio.create_task(played.turned(session, 1)))
        await asyncio.wait(waits[2:], timeout=0)
        await host.stop()
        for wait in (waits[0], waits[2]):
            with pytest.raises(HostUnavailableError, match="come again later"):
                await wait
        await waits[1]
        with pytest.raises(HostUnavailableError):
            await session.submit(1, b"x")
        with pytest.raises(HostUnavailableError):
            await played.create(host)
        await taking.discard()
        assert store.upload_bytes("round-1") == 0

    run(body())
