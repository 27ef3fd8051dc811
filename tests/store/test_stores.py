"""What every store promises: records once, logs whole, uploads bounded, results until they are released."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.store.base import (
    Aborted,
    Blamed,
    Completed,
    Entry,
    EntryKind,
    SessionRecord,
    SessionStore,
    StoreConflictError,
    StoreError,
    check_session_name,
)
from secagg.store.blobs import Blobs, blobs_at
from secagg.store.memory import MemoryStore
from secagg.store.postgres import PostgresStore
from secagg.store.sqlite import SqliteStore
from tests.seaweed import Seaweed

RECORD = SessionRecord("one", b"offer\x00", {7: b"k" * 32, 2**64 - 1: b"l" * 32}, b"{}", 12.5)


def _postgres(request: pytest.FixtureRequest, blobs: Blobs) -> SessionStore:
    return PostgresStore(request.getfixturevalue("database"), blobs)


def _postgres_s3(request: pytest.FixtureRequest, path: Path) -> SessionStore:
    server: Seaweed = request.getfixturevalue("seaweed")
    patched: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in server.environment.items():
        patched.setenv(name, value)
    return _postgres(request, blobs_at(f"s3://uploads/{path.parent.name}", server.endpoint))


KINDS: dict[str, Callable[[pytest.FixtureRequest, Path], SessionStore]] = {
    "memory": lambda request, path: MemoryStore(),
    "sqlite": lambda request, path: SqliteStore(path),
    "postgres-directory": lambda request, path: _postgres(request, blobs_at(str(path))),
    "postgres-s3": _postgres_s3,
}


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStore]:
    made = KINDS[request.param](request, tmp_path / "data")
    yield made
    made.close()


def uploaded(store: SessionStore, data: bytes, name: str = "one") -> str:
    upload = store.begin_upload(name, len(data))
    upload.write(data)
    assert upload.received == len(data)
    return upload.commit()


def entry(client: int | None = 1, payload: bytes = b"x", kind: EntryKind = EntryKind.MESSAGE) -> Entry:
    return Entry(kind, client, payload)


def test_a_record_is_kept_once(store: SessionStore) -> None:
    store.create(RECORD)
    store.create(replace(RECORD, created_at=99.0))
    store.create(replace(RECORD, name="two", roster={}))
    assert [record.name for record in store.sessions()] == ["one", "two"]
    assert store.sessions()[0] == RECORD
    assert store.sessions()[0].created_at == 12.5
    for other in (
        replace(RECORD, offer=b"other"),
        replace(RECORD, roster={7: b"m" * 32}),
        replace(RECORD, schedule=b"[]"),
    ):
        with pytest.raises(StoreConflictError, match="other content"):
            store.create(other)
    assert store.sessions()[0] == RECORD


@pytest.mark.parametrize("name", ["", "../one", ".hidden", "a/b", "a b", "ä", "x" * 129, 3])
def test_names_are_safe_in_paths(store: SessionStore, name: str) -> None:
    with pytest.raises(ParameterError, match="no session name"):
        store.create(replace(RECORD, name=name))
    assert store.sessions() == []


def test_names_that_are_fine() -> None:
    assert [check_session_name(name) for name in ("a", "Round-12.b_c", "x" * 128)] == ["a", "Round-12.b_c", "x" * 128]


def test_a_log_is_read_in_the_order_in_which_it_was_written(store: SessionStore) -> None:
    store.create(RECORD)
    store.create(replace(RECORD, name="two"))
    number = uploaded(store, b"masked")
    written = [
        entry(2**64 - 1, b"\x00\xff"),
        entry(None, b"", EntryKind.CLOSE_ROUND),
        entry(3, number.encode(), EntryKind.UPLOAD),
        entry(3, b"{}", EntryKind.DROP),
        entry(None, b"{}", EntryKind.ABORT),
        *(entry(client, bytes([client % 256])) for client in range(700)),
    ]
    store.append("one", written[:2])
    store.append("two", [entry(9)])
    store.append("one", written[2:])
    assert list(store.entries("one")) == written
    assert list(store.entries("two")) == [entry(9)]


def test_an_append_is_all_or_nothing(store: SessionStore) -> None:
    store.create(RECORD)
    store.append("one", [entry(1)])
    with pytest.raises(StoreError, match="upload"):
        store.append("one", [entry(2), entry(3, b"f" * 32, EntryKind.UPLOAD)])
    assert list(store.entries("one")) == [entry(1)]
    store.append("one", [])
    store.append("one", [entry(4)])
    assert list(store.entries("one")) == [entry(1), entry(4)]


def test_nothing_is_done_to_a_session_that_is_not_there(store: SessionStore) -> None:
    calls: list[Callable[[], object]] = [
        lambda: list(store.entries("none")),
        lambda: store.append("none", [entry()]),
        lambda: store.finish("none", Aborted("A10", "")),
        lambda: store.outcome("none"),
        lambda: store.release_result("none"),
        lambda: store.begin_upload("none", 1),
        lambda: store.open_upload("none", "0" * 32).__enter__(),
        lambda: store.discard_upload("none", "0" * 32),
        lambda: store.upload_bytes("none"),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="none"):
            call()
    store.discard("none")
    store.discard("none", RECORD)


def test_an_upload_holds_what_was_announced(store: SessionStore) -> None:
    store.create(RECORD)
    upload = store.begin_upload("one", 5)
    upload.write(b"abc")
    with pytest.raises(StoreError, match="more than its 5 bytes"):
        upload.write(b"def")
    upload.write(memoryview(b"de"))
    upload.write(b"")
    number = upload.commit()
    with store.open_upload("one", number) as view:
        assert bytes(view) == b"abcde"
        assert view.readonly
    assert store.upload_bytes("one") == 5
    calls: list[Callable[[], object]] = [upload.commit, lambda: upload.write(b"")]
    for call in calls:
        with pytest.raises(StoreError, match="ended"):
            call()
    upload.discard()
    with store.open_upload("one", number) as view:
        assert bytes(view) == b"abcde"
    store.discard_upload("one", number)
    store.discard_upload("one", number)
    with pytest.raises(StoreError, match="not in the store"), store.open_upload("one", number):
        pass
    assert store.upload_bytes("one") == 0


def test_a_discarded_upload_is_gone(store: SessionStore) -> None:
    store.create(RECORD)
    upload = store.begin_upload("one", 5)
    upload.write(b"abc")
    upload.discard()
    upload.discard()
    with pytest.raises(StoreError, match="ended"):
        upload.write(b"d")
    with pytest.raises(StoreError, match="ended"):
        upload.commit()
    assert store.upload_bytes("one") == 0


def test_an_empty_upload_is_one(store: SessionStore) -> None:
    store.create(RECORD)
    with store.open_upload("one", uploaded(store, b"")) as view:
        assert bytes(view) == b""


@pytest.mark.parametrize("number", ["", "../../secagg.sqlite3", "0" * 31, "G" * 32, "0" * 32])
def test_an_upload_is_named_by_nothing_else_than_its_id(store: SessionStore, number: str) -> None:
    store.create(RECORD)
    with pytest.raises(StoreError, match="not in the store"), store.open_upload("one", number):
        pass
    store.discard_upload("one", number)
    assert store.sessions() == [RECORD]


def test_a_session_ends_with_its_result_only(store: SessionStore) -> None:
    store.create(RECORD)
    masked, result = uploaded(store, b"masked"), uploaded(store, b"result!")
    store.append("one", [entry(1, masked.encode(), EntryKind.UPLOAD)])
    assert store.outcome("one") is None
    with pytest.raises(StoreError, match="not in the store"):
        store.finish("one", Completed("0" * 32))
    with pytest.raises(StoreError, match="no result"):
        store.release_result("one")
    assert len(list(store.entries("one"))) == 1
    store.finish("one", Completed(result))
    assert store.outcome("one") == Completed(result)
    assert list(store.entries("one")) == []
    assert store.upload_bytes("one") == 7
    calls: list[Callable[[], object]] = [
        lambda: store.append("one", [entry()]),
        lambda: store.finish("one", Aborted("A10", "")),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="ended"):
            call()
    with store.open_upload("one", result) as view:
        assert bytes(view) == b"result!"
    store.create(RECORD)
    store.release_result("one")
    assert store.outcome("one") == Completed(None)
    store.release_result("one", True)
    assert store.outcome("one") == Completed(None)
    assert store.upload_bytes("one") == 0
    assert not store.discard("one", replace(RECORD, created_at=13.5))
    assert store.sessions() == [RECORD]
    assert store.discard("one", RECORD)
    assert not store.discard("one")
    assert store.sessions() == []


def test_a_result_that_expired_is_told_from_one_that_was_fetched(store: SessionStore) -> None:
    store.create(replace(RECORD, tenant="clinic"))
    store.finish("one", Completed(uploaded(store, b"result"), {"S01": 1}, 12.5))
    ended = store.outcome("one")
    assert ended is not None
    assert ended.ended_at == 12.5
    store.release_result("one", expired=True)
    store.release_result("one")
    ended = store.outcome("one")
    assert ended == Completed(None, {"S01": 1}, expired=True)
    assert ended.ended_at == 12.5
    assert store.upload_bytes("one") == 0
    assert [record.tenant for record in store.sessions()] == ["clinic"]
    with pytest.raises(StoreConflictError):
        store.create(RECORD)


def test_different_sessions_are_used_at_once(store: SessionStore) -> None:
    names = [f"s{number}" for number in range(6)]

    def work(name: str) -> None:
        store.create(replace(RECORD, name=name))
        for client in range(20):
            number = uploaded(store, b"x" * client, name)
            store.append(name, [entry(client, number.encode(), EntryKind.UPLOAD)])

    with ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(work, name) for name in names]:
            done.result()
    for name in names:
        assert [logged.client for logged in store.entries(name)] == list(range(20))
        assert store.upload_bytes(name) == sum(range(20))


def test_an_aborted_session_says_why(store: SessionStore) -> None:
    store.create(RECORD)
    store.append("one", [entry(1, uploaded(store, b"masked").encode(), EntryKind.UPLOAD)])
    store.finish("one", Aborted("A03", "2 of 5 contributed"))
    assert store.outcome("one") == Aborted("A03", "2 of 5 contributed")
    assert store.upload_bytes("one") == 0
    with pytest.raises(StoreError, match="no result"):
        store.release_result("one")


def test_who_made_a_session_end_is_kept_with_evidence_and_what_follows(store: SessionStore) -> None:
    blame = (Blamed(3, "S22", b"\x00signed"), Blamed(2**64 - 1, "S34"))
    ended = Aborted("A15", "2 are to blame", {"S01": 1}, blame=blame, successor="one~1")
    store.create(RECORD)
    store.create(replace(RECORD, name="one~1"))
    store.finish("one", ended)
    assert store.outcome("one") == ended


def test_a_discarded_name_can_be_used_again(store: SessionStore) -> None:
    store.create(RECORD)
    store.append("one", [entry(1)])
    uploaded(store, b"x")
    store.discard("one")
    store.create(replace(RECORD, offer=b"new"))
    assert list(store.entries("one")) == []
    assert store.upload_bytes("one") == 0


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from([kind for kind in EntryKind if kind is not EntryKind.UPLOAD]),
        st.none() | st.integers(0, 2**64 - 1),
        st.binary(max_size=50),
    ),
    max_size=8,
)


@given(batches=st.lists(ENTRIES, max_size=6))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_appended_is_read(store: SessionStore, batches: list[list[Entry]]) -> None:
    name = f"session-{len(store.sessions())}"
    store.create(replace(RECORD, name=name))
    for batch in batches:
        store.append(name, batch)
    assert list(store.entries(name)) == [written for batch in batches for written in batch]
