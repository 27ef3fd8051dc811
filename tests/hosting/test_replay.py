"""The log is the session: whoever reads a prefix of it has what the host had, and the rest leads to the same end."""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import DropReason, SecretBytes
from secagg.cli.service.join import load_arrays
from secagg.crypto.fingerprints import KEY_BYTES, Fingerprints
from secagg.errors import DecodeError, ParameterError, SessionAbortedError
from secagg.hosting import QuotaExceededError, ReceiptKind, read_result
from secagg.hosting.book import RoundBook
from secagg.hosting.journal import Journal, Replayed
from secagg.hosting.replica import CloseCause, Replica, abort_entry, close_entry, drop_entry
from secagg.hosting.results import CONTRIBUTORS
from secagg.store.base import Aborted, Completed, Entry, EntryKind, SessionRecord, SessionStore
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from tests.harness import Harness, alter
from tests.hosting.support import Played, hosting, run
from tests.store.test_stores import uploaded

OPTIONS: dict[str, dict[str, Any]] = {
    "semi-honest": {"threat_model": "semi-honest", "threshold": 2},
    "active": {"threat_model": "active", "threshold": 3},
    "sparse": {"topology": "sparse", "degree": 4, "threshold": 3},
}


@pytest.fixture(autouse=True, scope="module")
def one_key() -> Iterator[None]:
    """Sessions know repeats by a key of their own, which is in their snapshots: here all have the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fingerprints, "drawn", lambda randomness: Fingerprints(SecretBytes(bytes(KEY_BYTES))))
        yield


def record_of(harness: Harness) -> SessionRecord:
    return SessionRecord("one", harness.server.offer, harness.roster if harness.active else {}, b"{}", 0.0)


def replica_of(harness: Harness) -> Replica:
    return Replica(harness.parameters, harness.roster if harness.active else {})


def shape(replica: Replica, book: RoundBook) -> tuple[Any, ...]:
    """Everything that a session is, and everything that is known beside it."""
    session, view = replica.session, replica.view()
    frozen = b"" if session.round is None else bytes(session.snapshot().expose())
    result = None if view.result is None else {name: array.tolist() for name, array in view.result.vectors.items()}
    known = copy.deepcopy({name: value for name, value in vars(book).items() if name != "_parameters"})
    return session.phase, frozen, dict(view.requests), view.pending, view.answered, view.abort_reason, result, known


class Scripted:
    """A session driven by entries, whose clients are honest unless a script makes them otherwise."""

    def __init__(self, store: SessionStore, **options: Any) -> None:
        self.harness = Harness(5, **options)
        self.store = store
        store.create(record_of(self.harness))
        self.replica = replica_of(self.harness)
        self.journal = Journal(store, "one", self.replica)
        self.book = RoundBook(self.harness.parameters, self.replica.view())
        self.answers: dict[tuple[object, int], bytes] = {}
        self.shapes = [shape(self.replica, self.book)]

    def commit(self, *entries: Entry) -> None:
        step = self.journal.commit(entries)
        for applied in step.applied:
            self.book.note(applied, step.view if applied is step.applied[-1] else None)
        self.shapes.append(shape(self.replica, self.book))

    def answer(self, client: int) -> bytes | None:
        """What a client answers to the open round; the same again when it is asked again."""
        session = self.replica.session
        request = session.requests.get(client)
        if session.round is None or request is None:
            return None
        key = (session.round, client)
        if key not in self.answers:
            answer = self.harness.ask(client, request)
            assert answer is not None
            self.answers[key] = answer
        return self.answers[key]

    def play(self, action: str, client: int) -> None:
        """Do one thing, as a host does: what cannot change the session is not logged."""
        session = self.replica.session
        if session.round is None:
            return
        if action == "close":
            self.commit(close_entry(CloseCause.DEADLINE, float(len(self.shapes))))
            return
        if action == "drop":
            self.commit(drop_entry(client, DropReason.CLIENT_ABORTED, "left"))
            return
        message = self.answer(client) if action != "garbage" else b"garbage"
        if action == "stale":
            stale = [answer for (round_, owner), answer in self.answers.items() if owner == client]
            message = alter(stale[0], session=bytes(32)) if stale else None
        if message is None:
            return
        if action == "upload":
            entry = Entry(EntryKind.UPLOAD, client, uploaded(self.store, message).encode())
        else:
            entry = Entry(EntryKind.MESSAGE, client, message)
        digest = hashlib.sha256(message).digest()
        try:
            if self.book.foresee(client, digest) is not None:
                before = shape(self.replica, self.book)
                session.receive(client, message)
                assert shape(self.replica, self.book) == before
                return
            self.book.require_entry(client)
        except QuotaExceededError:
            return
        self.commit(entry)


def prefix(store: SessionStore, count: int) -> SessionStore:
    """The first entries of a log, in a store of their own."""
    copied = MemoryStore()
    copied.create(store.sessions()[0])
    for entry in islice(store.entries("one"), count):
        if entry.kind is EntryKind.UPLOAD:
            with store.open_upload("one", entry.payload.decode()) as view:
                entry = Entry(entry.kind, entry.client, uploaded(copied, bytes(view)).encode())
        copied.append("one", [entry])
    return copied


def replay(store: SessionStore, harness: Harness) -> tuple[Replica, Replayed]:
    replica = replica_of(harness)
    return replica, Journal(store, "one", replica).replay()


def assert_every_prefix_is_the_session(scripted: Scripted) -> None:
    for count, expected in enumerate(scripted.shapes):
        replica, replayed = replay(prefix(scripted.store, count), scripted.harness)
        assert shape(replica, replayed.book) == expected, f"after {count} entries"
        assert replayed.book.entries == count


ACTIONS = ("answer", "answer", "upload", "drop", "garbage", "stale", "close")
STEPS = st.just(("round", 0)) | st.tuples(st.sampled_from(ACTIONS), st.integers(1, 5))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@given(steps=st.lists(STEPS, min_size=1, max_size=14))
@settings(max_examples=25)
def test_live_and_replayed_state_agree_after_every_entry(options: dict[str, Any], steps: list[tuple[str, int]]) -> None:
    scripted = Scripted(MemoryStore(), **options)
    for action, client in steps:
        if action != "round":
            scripted.play(action, client)
            continue
        for each in scripted.harness.cohort:
            scripted.play("upload" if each % 2 else "answer", each)
        scripted.play("close", 0)
    assert_every_prefix_is_the_session(scripted)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_whole_session_is_replayed_from_a_directory(options: dict[str, Any], tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    scripted = Scripted(store, **options)
    while scripted.replica.session.round is not None:
        for client in scripted.harness.cohort:
            scripted.play("upload", client)
            scripted.play("upload", client)
        scripted.play("close", 0)
    assert scripted.replica.session.phase.value == "completed"
    assert len(scripted.shapes) >= 25
    assert_every_prefix_is_the_session(scripted)
    store.close()


def test_entries_written_together_are_those_written_one_by_one() -> None:
    together, alone = (Scripted(MemoryStore(), threshold=2) for _ in range(2))
    while alone.replica.session.round is not None:
        cohort = alone.harness.cohort
        together.commit(*(Entry(EntryKind.MESSAGE, client, together.answer(client) or b"") for client in cohort))
        for client in cohort:
            alone.play("answer", client)
        assert together.shapes[-1] == alone.shapes[-1]
        for scripted in (together, alone):
            scripted.commit(close_entry(CloseCause.ALL_ANSWERED, 1.0))
    assert together.shapes[-1] == alone.shapes[-1]
    assert list(together.store.entries("one")) == list(alone.store.entries("one"))


def test_a_replay_tells_what_else_was_known(tmp_path: Path) -> None:
    scripted = Scripted(MemoryStore(), threshold=2)
    for client in scripted.harness.cohort:
        scripted.play("upload", client)
    scripted.commit(close_entry(CloseCause.ALL_ANSWERED, 12.5))
    scripted.commit(abort_entry("enough"))
    _, replayed = replay(scripted.store, scripted.harness)
    assert (replayed.running_seconds, replayed.abort_detail) == (12.5, "enough")
    assert replayed.stored_bytes == sum(map(len, scripted.answers.values()))


@pytest.mark.parametrize(
    "entry",
    [
        Entry(EntryKind.CLOSE_ROUND, 1, b"{}"),
        Entry(EntryKind.MESSAGE, None, b"x"),
        Entry(EntryKind.DROP, 1, b"no json"),
        Entry(EntryKind.ABORT, None, b"[]"),
    ],
    ids=lambda entry: entry.kind.value,
)
def test_a_log_that_nobody_wrote_is_refused(entry: Entry) -> None:
    with pytest.raises(DecodeError, match="not written by this library"):
        replica_of(Harness(4, threshold=2)).apply(entry, entry.payload)


def test_nothing_follows_the_end() -> None:
    replica = replica_of(Harness(4, threshold=2))
    replica.apply(abort_entry("over"), b"")
    with pytest.raises(SessionAbortedError):
        replica.apply(Entry(EntryKind.MESSAGE, 1, b"x"), b"x")


def test_a_host_goes_on_after_every_entry(tmp_path: Path) -> None:
    """Stopped and started again between any two messages, with everything that the host keeps in memory lost."""

    async def body() -> None:
        played, stops = Played(), 0
        while True:
            store = SqliteStore(tmp_path)
            async with hosting(store) as host:
                session = await played.create(host)
                status = session.status()
                if status.state == "completed":
                    played.assert_exact(await played.finish(session))
                    break
                if status.pending:
                    client = played.cohort[status.answered]
                    # Of the last client, the round may close before the repeat: a repeat it is all the same.
                    answer = await played.answer(session, client)
                    for kind in (ReceiptKind.ACCEPTED, ReceiptKind.REPEATED):
                        assert (await played.give(session, client, status.state, answer)).kind is kind
                else:
                    await played.turned(session, 1)
            store.close()
            stops += 1
        store.close()
        assert stops >= 16

    run(body())


def test_ended_sessions_are_there_after_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        played, store = Played(), SqliteStore(tmp_path)
        async with hosting(store) as host:
            await played.finish(await played.create(host))
            await (await Played(Harness(4, threshold=2, seed=1)).create(host, "aborted")).abort("why")
            await host.session("aborted").wait_ended()
        store.close()
        store = SqliteStore(tmp_path)
        async with hosting(store) as host:
            assert [session.name for session in host.sessions()] == ["round-1", "aborted"]
            session = await played.create(host)
            assert session.status().result_ready
            played.assert_exact(await played.finish(session))
            late = await session.submit(1, played.answers[1])
            assert late.kind is ReceiptKind.LATE
            status = host.session("aborted").status()
            assert (status.state, status.detail) == ("aborted", "why")
            assert isinstance(store.outcome("aborted"), Aborted)
            await session.acknowledge_result()
            assert store.outcome("round-1") == Completed(None)
        store.close()

    run(body())


def test_a_start_makes_no_session_of_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those there may be thousands, and a session of a large cohort takes its time."""

    async def body() -> None:
        store = MemoryStore()
        async with hosting(store) as host:
            for number in range(3):
                await Played(Harness(4, threshold=2, seed=number)).create(host, f"s{number}")
            for name in ("s0", "s2"):
                await host.session(name).abort("why")
                await host.session(name).wait_ended()
        made: list[Replica] = []

        def counting(*arguments: Any, **options: Any) -> Replica:
            made.append(Replica(*arguments, **options))
            return made[-1]

        monkeypatch.setattr("secagg.hosting.host.Replica", counting)
        async with hosting(store) as host:
            assert len(made) == 1
            assert [session.name for session in host.sessions()] == ["s0", "s1", "s2"]
            assert len({session.message_limit for session in host.sessions()}) == 1
            assert (await host.session("s2").submit(1, b"late")).kind is ReceiptKind.LATE

    run(body())


def test_results_are_plain_arrays() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore()) as host:
            released = await played.finish(await played.create(host))
            assert released.vectors["v"].dtype == np.int64
            assert released.total_weight is None

    run(body())


def damaged_archives() -> dict[str, bytes]:
    """Archives as zip files break: each makes the library below raise another exception."""
    written = io.BytesIO()
    arrays: dict[str, Any] = {CONTRIBUTORS: np.arange(100, dtype=np.uint64)}
    np.savez_compressed(written, **arrays)
    whole = written.getvalue()
    name = whole.index(b".npy") + 4
    central = whole.index(b"PK\x01\x02")
    changes = {"stream": (name + 20, 0xFF), "method": (central + 10, 99), "encrypted": (central + 8, 1), "name": (0, 0)}
    return {what: whole[:at] + bytes([value]) + whole[at + 1 :] for what, (at, value) in changes.items()}


@pytest.mark.parametrize("what", damaged_archives())
def test_a_damaged_result_is_one_clear_error(what: str, tmp_path: Path) -> None:
    damaged = damaged_archives()[what]
    with pytest.raises(DecodeError, match="no result of a hosted session"):
        read_result(damaged)
    (tmp_path / "update.npz").write_bytes(damaged)
    with pytest.raises(ParameterError, match=r"update\.npz"):
        load_arrays(tmp_path / "update.npz")
