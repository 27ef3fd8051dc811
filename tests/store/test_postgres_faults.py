"""A database that goes away, hangs, or takes a commit whose answer is lost: an error, and nothing wrong afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from secagg.errors import ParameterError
from secagg.store.base import Aborted, Completed, Entry, EntryKind, FencedError, SessionRecord, StoreError
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from secagg.store.shared import BUSY, Addressed, Lease, Letter, News
from tests.postgres import Postgres
from tests.store.shared import letters, send
from tests.store.wire import Cut, Wire, wire_to

NAMES = ("one", "two")
RECORD = SessionRecord("one", b"offer\x00", {7: b"k" * 32}, b"{}", 12.5)
LONG = 600.0
SECONDS = 2.0  # before a call gives up, and the server on a client that says nothing: a busy machine pauses for one
TRIES = 30  # until a database that came back is found


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[Wire]:
    with wire_to(postgres.port) as wire:
        yield wire


@pytest.fixture
def store(postgres: Postgres, database: str, wire: Wire, tmp_path: Path) -> Iterator[PostgresStore]:
    """A store behind the wire, with a session."""
    behind = database.replace(f":{postgres.port}/", f":{wire.port}/")
    with closing(PostgresStore(behind, blobs_at(str(tmp_path)), seconds=SECONDS)) as store:
        store.create(RECORD)
        yield store


def entry(client: int, payload: bytes = b"x", kind: EntryKind = EntryKind.MESSAGE) -> Entry:
    return Entry(kind, client, payload)


def leased(store: PostgresStore) -> Lease:
    (lease,) = store.acquire("a", LONG, 1)
    assert list(store.entries("one")) == []
    return lease


def log(store: PostgresStore) -> list[int | None]:
    return [each.client for each in store.entries("one")]


def uploaded(store: PostgresStore, data: bytes) -> str:
    upload = store.begin_upload("one", len(data))
    upload.write(data)
    return upload.commit()


def in_doubt(wire: Wire, cut: Cut, call: Callable[[], object]) -> None:
    """Make a call whose commit is cut."""
    wire.cut = cut
    with pytest.raises(StoreError, match="database test") as caught:
        call()
    assert not isinstance(caught.value, FencedError)
    assert wire.cut is None


def test_entries_that_were_made_are_not_made_twice(store: PostgresStore, wire: Wire) -> None:
    epoch = leased(store).epoch
    store.append("one", [entry(1)], epoch)
    in_doubt(wire, Cut.ANSWER, lambda: store.append("one", [entry(2), entry(3)], epoch))
    store.append("one", [entry(2), entry(3)], epoch)
    store.append("one", [entry(4)], epoch)
    assert log(store) == [1, 2, 3, 4]


def test_who_has_not_seen_the_log_is_fenced_until_it_replays(store: PostgresStore, wire: Wire) -> None:
    lease = leased(store)
    in_doubt(wire, Cut.ANSWER, lambda: store.append("one", [entry(1)], lease.epoch))
    calls: list[Callable[[], object]] = [
        lambda: store.append("one", [entry(2)], lease.epoch),
        lambda: store.append("one", [], lease.epoch),
        lambda: store.finish("one", Aborted("A10", ""), lease.epoch),
    ]
    for call in calls * 2:
        with pytest.raises(FencedError, match="replay"):
            call()
    store.release([lease])
    (again,) = store.acquire("a", LONG, 1)
    assert log(store) == [1]
    store.append("one", [entry(2)], again.epoch)
    assert log(store) == [1, 2]


@pytest.mark.parametrize("cut", [Cut.COMMIT, Cut.SILENCE])
def test_after_a_commit_that_did_not_arrive_everything_goes_on(store: PostgresStore, wire: Wire, cut: Cut) -> None:
    epoch = leased(store).epoch
    in_doubt(wire, cut, lambda: store.append("one", [entry(1)], epoch))
    for number in range(TRIES):
        # The server may hold the lock of the lost transaction until it gives up on its client.
        try:
            store.append("one", [entry(2)], epoch)
            break
        except FencedError:
            raise
        except StoreError:
            assert number < TRIES - 1
    assert log(store) == [2]


@pytest.mark.parametrize("lost", ["append", "publish", "acquire"])
def test_whoever_vanishes_in_a_change_keeps_nothing_locked(store: PostgresStore, wire: Wire, lost: str) -> None:
    lease = leased(store)
    store.release([lease])
    (lease,) = store.acquire("a", LONG if lost != "acquire" else 0.0, 1)
    number = send(store, "one", Letter(EntryKind.MESSAGE, 1, b"x", hashlib.sha256(b"x").digest(), 1), 1)
    assert number is not None
    calls: dict[str, Callable[[], object]] = {
        "append": lambda: store.append("one", [entry(1), entry(2)], lease.epoch),
        "publish": lambda: store.publish("one", lease.epoch, b"state", {number: b"receipt"}, 0.0),
        "acquire": lambda: store.acquire("b", LONG, 1),
    }
    in_doubt(wire, Cut.SILENCE, calls[lost])
    for tries in range(TRIES):
        try:
            store.append("one", [entry(3)], lease.epoch)  # It waits for the lease's row.
            break
        except FencedError:
            raise
        except StoreError:
            assert tries < TRIES - 1
    assert log(store) == [3]


def test_an_end_that_was_made_is_not_made_twice(store: PostgresStore, wire: Wire) -> None:
    epoch = leased(store).epoch
    result = uploaded(store, b"result")
    other = uploaded(store, b"masked")
    store.append("one", [entry(1, other.encode(), EntryKind.UPLOAD)], epoch)
    in_doubt(wire, Cut.ANSWER, lambda: store.finish("one", Completed(result, ended_at=1.0), epoch))
    assert store.upload_bytes("one") == 12
    store.finish("one", Completed(result, ended_at=2.0), epoch)
    assert store.upload_bytes("one") == 6
    assert store.outcome("one") == Completed(result)
    with pytest.raises(StoreError, match="ended"):
        store.finish("one", Aborted("A10", ""), epoch)


def test_an_upload_stays_that_a_lost_commit_may_name(store: PostgresStore, wire: Wire) -> None:
    epoch = leased(store).epoch
    made, sent, free = (uploaded(store, data) for data in (b"1", b"2", b"3"))
    in_doubt(wire, Cut.ANSWER, lambda: store.append("one", [entry(1, made.encode(), EntryKind.UPLOAD)], epoch))
    letter = Letter(EntryKind.UPLOAD, 2, sent.encode(), hashlib.sha256(b"2").digest(), 1)
    in_doubt(wire, Cut.ANSWER, lambda: send(store, "one", letter, 1))
    for upload in (made, sent, free):
        store.discard_upload("one", upload)
    with store.open_upload("one", made) as view:
        assert bytes(view) == b"1"
    ((number, found),) = letters(store, "one", 1)
    assert found == letter
    assert send(store, "one", letter, 1) == number
    assert store.upload_bytes("one") == 2
    store.publish("one", epoch, b"", {number: b"refused"}, 0.0)
    assert store.upload_bytes("one") == 1


def test_a_database_that_was_away_is_found_again(
    postgres: Postgres, database: str, store: PostgresStore, tmp_path: Path
) -> None:
    with closing(PostgresStore(database, blobs_at(str(tmp_path)), seconds=SECONDS)) as other:
        lease = leased(other)
        assert other.news(0.0) is None
        postgres.kill()
        for call in (lambda: other.append("one", [entry(1)], lease.epoch), lambda: other.replicas()):
            with pytest.raises(StoreError, match=r"database test\d+ at 127\.0\.0\.1:"):
                call()
        assert other.news(0.0) is None
        with pytest.raises(StoreError, match="news"):
            other.news(0.0)
        postgres.start()
        other.append("one", [entry(1)], lease.epoch)
        assert log(other) == [1]
        assert other.news(0.0) is None
        store.create(SessionRecord("two", b"", {}, b"", 0.0))
        assert other.news(60.0) == News(changed=frozenset({"two"}))


@pytest.mark.parametrize("payload", ["", "z", "zone"])
def test_news_of_no_kind_that_is_known_is_no_news(database: str, store: PostgresStore, payload: str) -> None:
    """A later release tells of more, and people write NOTIFY at a prompt: a replica that stopped at it was deaf."""
    assert store.news(0.0) is None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('secagg', %s)", (payload,))
    assert store.news(60.0) == News()
    store.create(SessionRecord("two", b"", {}, b"", 0.0))
    assert store.news(60.0) == News(changed=frozenset({"two"}))


def test_a_restart_between_two_calls_is_not_noticed(postgres: Postgres, database: str, tmp_path: Path) -> None:
    with closing(PostgresStore(database, blobs_at(str(tmp_path)), seconds=SECONDS)) as store:
        store.create(RECORD)
        postgres.restart()
        assert store.sessions() == [RECORD]


def test_a_database_that_hangs_hangs_nobody(postgres: Postgres, database: str, tmp_path: Path) -> None:
    with closing(PostgresStore(database, blobs_at(str(tmp_path)), seconds=SECONDS)) as store:
        store.create(RECORD)
        postgres.pause()
        try:
            with pytest.raises(StoreError, match="database test"):
                store.append("one", [entry(1)])
        finally:
            postgres.resume()
        for number in range(TRIES):
            try:
                found = store.sessions()
                break
            except StoreError:
                assert number < TRIES - 1
        assert found == [RECORD]


def test_a_lock_that_others_hold_is_not_waited_for_for_ever(database: str, store: PostgresStore) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT 1 FROM leases FOR UPDATE")
        with pytest.raises(StoreError, match="lock timeout"):
            store.append("one", [entry(1)])
        assert store.acquire("b", LONG, 1) == []
    store.append("one", [entry(1)])
    assert log(store) == [1]


def test_a_commit_is_waited_for_where_the_database_would_not(postgres: Postgres, tmp_path: Path) -> None:
    conninfo = postgres.migrated()

    def waits() -> str:
        with (
            closing(PostgresStore(conninfo, blobs_at(str(tmp_path)))) as store,
            store._connections.use("it cannot be seen") as connection,
        ):
            return str(connection.execute("SHOW synchronous_commit").fetchall()[0]["synchronous_commit"])

    for setting, used in (("off", "on"), ("remote_apply", "remote_apply")):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
        assert waits() == used


@pytest.mark.parametrize(
    ("conninfo", "match"),
    [
        ("postgresql://secagg:hunter2@127.0.0.1:1/rounds", "database rounds at 127.0.0.1:1: .*refused"),
        ("host=127.0.0.1 port=1 dbname=rounds password=hunter2", "database rounds at 127.0.0.1:1: .*refused"),
    ],
)
def test_an_error_names_the_database_and_never_its_password(conninfo: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=match) as caught:
        PostgresStore(conninfo, blobs_at(str(tmp_path)))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("conninfo", "match"),
    [
        ("postgresql://secagg:hunter2@ten@127.0.0.1/rounds", "%40"),
        ("postgresql://secagg:hunter2@127.0.0.1/rounds?hunter2=1", "cannot be read"),
        ("secagg@127.0.0.1/secagg", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_wrong_input_and_no_database_that_is_away(
    conninfo: str, match: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=match) as caught:
        PostgresStore(conninfo, blobs_at(str(tmp_path)))
    assert "hunter2" not in str(caught.value)


def test_a_connection_is_asked_whether_it_lives_when_it_was_closed_or_idle_and_not_each_time(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    check = ConnectionPool.check_connection

    def counted(connection: psycopg.Connection[object]) -> None:
        asked.append(connection)
        check(connection)

    with closing(PostgresStore(database, blobs_at(str(tmp_path)), seconds=LONG)) as store:
        monkeypatch.setattr(ConnectionPool, "check_connection", staticmethod(counted))
        monkeypatch.setattr("secagg.store.postgres_pool._FRESH_SECONDS", LONG)
        store.create(RECORD)
        for _ in range(5):  # Each connection that the pool has by now was used.
            store.sessions()
        asked.clear()
        for _ in range(5):
            assert store.sessions() == [RECORD]
        assert not asked
        with psycopg.connect(database, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'secagg'"
            )
        assert store.sessions() == [RECORD]
        assert asked
        asked.clear()
        monkeypatch.setattr("secagg.store.postgres_pool._FRESH_SECONDS", 0.0)
        assert store.sessions() == [RECORD]
        assert len(asked) == 1


def test_a_session_that_somebody_changes_keeps_no_letter_to_another_waiting(
    store: PostgresStore, database: str
) -> None:
    store.create(replace(RECORD, name="two"))
    sent = [Addressed(name, Letter(EntryKind.MESSAGE, 7, b"x", hashlib.sha256(b"x").digest(), 1), 1) for name in NAMES]
    with psycopg.connect(database) as changing:
        changing.execute("SELECT 1 FROM sessions WHERE name = 'one' FOR UPDATE")
        busy, left = store.send(sent, wait=False)
        assert busy == BUSY
        assert left is not None
        assert letters(store, "two") == [(left.number, sent[1].letter)]
        assert letters(store, "one") == []
    assert BUSY not in store.send(sent, wait=False)
    assert [len(letters(store, name)) for name in NAMES] == [1, 1]
