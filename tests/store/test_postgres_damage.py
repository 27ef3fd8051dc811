"""One bit flips in a row of the database: what is read is what was written, or an error says that it is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from secagg.store.base import Aborted, Completed, DamagedError, Entry, EntryKind, FencedError, SessionRecord, StoreError
from secagg.store.blobs import blobs_at
from secagg.store.layout import upgrade
from secagg.store.postgres import PostgresStore
from secagg.store.shared import Lease, Letter, Standing
from tests.postgres import Postgres
from tests.store.shared import letters, receipts, send, standing

RECORD = SessionRecord("one", b"offer\x00", {7: b"k" * 32}, b"{}", 12.5)
LONG = 600.0
BYTES = "set_bit({0}, 1, 1 - get_bit({0}, 1))"
TEXT = "overlay({0} placing chr(ascii({0}) # 1) from 1 for 1)"
NUMBER = "{0} + 1"
MORE = "{0} || 'x'::bytea"

Read = Callable[[PostgresStore, Lease, int, int], object]


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[PostgresStore]:
    with closing(PostgresStore(database, blobs_at(str(tmp_path)))) as store:
        yield store


def letter(client: int) -> Letter:
    return Letter(EntryKind.MESSAGE, client, b"letter", hashlib.sha256(b"letter").digest(), 6)


def append(store: PostgresStore, lease: Lease, first: int, second: int) -> None:
    store.append("one", [Entry(EntryKind.MESSAGE, 1, b"")], lease.epoch)


PLACES: list[tuple[str, str, str, Read]] = [
    ("sessions", "name", TEXT, lambda store, lease, first, second: store.record("one")),
    ("sessions", "name", TEXT, lambda store, lease, first, second: store.create(RECORD)),
    ("sessions", "offer", BYTES, lambda store, lease, first, second: store.record("one")),
    ("sessions", "roster", TEXT, lambda store, lease, first, second: store.create(RECORD)),
    ("sessions", "tenant", "'a'", lambda store, lease, first, second: store.record("one")),
    ("sessions", "record", BYTES, lambda store, lease, first, second: store.outcome("one")),
    ("sessions", "outcome", BYTES, append),
    ("logs", "last", BYTES, lambda store, lease, first, second: list(store.entries("one"))),
    ("logs", "count", "2", lambda store, lease, first, second: list(store.entries("one"))),
    ("entries", "kind", "'drop'", lambda store, lease, first, second: list(store.entries("one"))),
    ("entries", "client", TEXT, lambda store, lease, first, second: list(store.entries("one"))),
    ("entries", "payload", BYTES, lambda store, lease, first, second: list(store.entries("one"))),
    ("entries", "digest", BYTES, lambda store, lease, first, second: list(store.entries("one"))),
    ("leases", "epoch", NUMBER, append),
    ("leases", "name", TEXT, append),
    ("leases", "ended", "true", append),
    ("states", "state", BYTES, lambda store, lease, first, second: standing(store).state),
    ("secrets", "secret", BYTES, lambda store, lease, first, second: store.secret()),
]


@pytest.mark.parametrize(("table", "column", "flip", "read"), PLACES)
def test_a_flipped_bit_is_damage(
    store: PostgresStore, database: str, table: str, column: str, flip: str, read: Read
) -> None:
    store.create(RECORD)
    (lease,) = store.acquire("a", 0.0, 1)
    store.append("one", [Entry(EntryKind.MESSAGE, client, b"x") for client in (1, 2, 3)], lease.epoch)
    first, second = send(store, "one", letter(1), 1), send(store, "one", letter(2), 1)
    assert first is not None
    assert second is not None
    store.publish("one", lease.epoch, b"state", {first: b"receipt"}, 1.5)
    with psycopg.connect(database) as connection:
        flipped = connection.execute(f"UPDATE {table} SET {column} = {flip.format(column)}")  # noqa: S608
        assert flipped.rowcount > 0
    with pytest.raises(DamagedError, match="damaged"):
        read(store, lease, first, second)


@pytest.mark.parametrize(("column", "flip"), [("epoch", NUMBER), ("open_seconds", NUMBER), ("digest", BYTES)])
def test_a_damaged_lease_is_mended_by_the_next(store: PostgresStore, database: str, column: str, flip: str) -> None:
    store.create(RECORD)
    (before,) = store.acquire("a", 0.0, 1)
    store.publish("one", before.epoch, b"state", {}, 1.5)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE leases SET {column} = {flip.format(column)}")  # noqa: S608
    (lease,) = store.acquire("b", LONG, 1)
    assert "damaged" in lease.damage
    assert (lease.epoch > before.epoch, lease.open_seconds) == (True, 0.0)
    with pytest.raises(FencedError):
        store.append("one", [Entry(EntryKind.MESSAGE, 1, b"")], before.epoch)
    store.append("one", [Entry(EntryKind.MESSAGE, 1, b"")], lease.epoch)
    store.publish("one", lease.epoch, b"state", {}, 2.5)
    store.release([replace(lease, open_seconds=2.5)])
    (again,) = store.acquire("c", LONG, 1)
    assert (again.damage, again.open_seconds) == ("", 2.5)


@pytest.mark.parametrize(("column", "flip"), [("open_seconds", NUMBER), ("digest", BYTES)])
def test_whoever_mends_a_damaged_lease_says_so(store: PostgresStore, database: str, column: str, flip: str) -> None:
    """A renewal wrote it anew, and a lease that was given back was as good as new: nobody heard of the disk."""
    store.create(RECORD)
    (lease,) = store.acquire("a", LONG, 1)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE leases SET {column} = {flip.format(column)}")  # noqa: S608
        connection.commit()
        assert "damaged on the disk; whoever has it wrote it anew" in store.renew("a", LONG, [lease])["one"]
        assert store.renew("a", LONG, [lease]) == {"one": ""}
        connection.execute(f"UPDATE leases SET {column} = {flip.format(column)}")  # noqa: S608
        connection.commit()
    with pytest.raises(DamagedError, match="the lease on session one was damaged"):
        store.append("one", [Entry(EntryKind.MESSAGE, 1, b"")], lease.epoch)
    store.release([lease])
    (again,) = store.acquire("b", LONG, 1)
    assert "damaged" in again.damage
    store.release([again])
    assert [each.damage for each in store.acquire("c", LONG, 1)] == [""]


@pytest.mark.parametrize("until", ["'infinity'", "now() + interval '1 hour'"])
@pytest.mark.parametrize("heartbeat", ["until = now()", "until = 'infinity'"])
def test_a_lease_without_an_end_passes_on(store: PostgresStore, database: str, until: str, heartbeat: str) -> None:
    """For up to a day nobody went on with its session, and nobody said why."""
    store.create(RECORD)
    (before,) = store.acquire("a", LONG, 1)
    assert not store.acquire("b", LONG, 1)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE replicas SET {heartbeat} WHERE name = 'a'")  # noqa: S608
        connection.execute(f"UPDATE leases SET until = {until}, open_seconds = open_seconds")  # noqa: S608
    (lease,) = store.acquire("b", LONG, 1)
    assert lease.epoch > before.epoch
    assert "when the lease on session one ends was damaged" in lease.damage


def test_the_lease_of_a_replica_that_lives_is_nobody_elses_however_long(store: PostgresStore) -> None:
    store.create(RECORD)
    (lease,) = store.acquire("a", LONG, 1)
    assert not store.acquire("b", 1.0, 1)
    assert store.renew("a", 2 * LONG, [lease]) == {"one": ""}
    assert not store.acquire("b", 1.0, 1)


def test_a_replica_without_an_end_is_not_counted(store: PostgresStore, database: str) -> None:
    """Its share of the sessions was nobody's."""
    for replica in ("a", "b"):
        store.acquire(replica, LONG, 0)
    assert store.replicas() == 2
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE replicas SET until = 'infinity' WHERE name = 'b'")
    assert store.replicas() == 1


@pytest.mark.parametrize(
    ("table", "column", "flip"),
    [
        ("sessions", "ended", "'aborted'"),
        ("sessions", "outcome", BYTES),
        ("leases", "ended", "true"),
        ("leases", "name", TEXT),
    ],
)
def test_whoever_follows_is_told_that_nobody_can_go_on(
    store: PostgresStore, database: str, table: str, column: str, flip: str
) -> None:
    store.create(RECORD)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE {table} SET {column} = {flip.format(column)}")  # noqa: S608
    found = store.look(["one"], []).sessions["one"]
    assert found.lost
    assert "damaged" in found.damage
    assert not store.acquire("a", LONG, 1) or column == "outcome"


def test_what_is_left_of_the_lease_of_an_ended_session_is_nobodys(store: PostgresStore, database: str) -> None:
    store.create(RECORD)
    store.finish("one", Aborted("A10", "an operator"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE leases SET ended = false")
    assert not store.acquire("a", LONG, 1)
    assert standing(store) == Standing(None, Aborted("A10", "an operator"))


@pytest.mark.parametrize("until", ["'infinity'", "now() + interval '20 years'"])
def test_a_result_expires_although_the_end_of_what_keeps_it_was_damaged(
    store: PostgresStore, database: str, until: str
) -> None:
    """It was fetched for ever, as it seemed, and nobody removed it."""
    store.create(RECORD)
    upload = store.begin_upload("one", 100)
    upload.write(b"sum")
    store.finish("one", Completed(upload.commit()))
    store.hold_result("one", LONG)
    assert not store.release_result("one", expired=True)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE leases SET until = {until}")  # noqa: S608
        connection.commit()
        store.hold_result("one", LONG)  # Who fetches it keeps it even so.
        assert not store.release_result("one", expired=True)
        connection.execute(f"UPDATE leases SET until = {until}")  # noqa: S608
    assert store.release_result("one", expired=True)
    assert store.upload_bytes("one") == 0


@pytest.mark.parametrize(
    ("column", "flip"), [("payload", MORE), ("client", TEXT), ("sha256", BYTES), ("size", NUMBER), ("kind", "'drop'")]
)
def test_a_damaged_letter_is_told_from_others(store: PostgresStore, database: str, column: str, flip: str) -> None:
    store.create(RECORD)
    (lease,) = store.acquire("a", 0.0, 1)
    first, second = send(store, "one", letter(1), 9), send(store, "one", letter(2), 9)
    assert first is not None
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE letters SET {column} = {flip.format(column)} WHERE number = %s", [first])  # noqa: S608
    assert letters(store, "one", 9) == [(first, None), (second, letter(2))]
    store.publish("one", lease.epoch, b"state", {first: b""}, 1.5)
    again = send(store, "one", letter(1), 9)
    assert letters(store, "one", 9) == [(second, letter(2)), (again, letter(1))]


def test_a_damaged_receipt_is_asked_for_again(store: PostgresStore, database: str) -> None:
    store.create(RECORD)
    (lease,) = store.acquire("a", 0.0, 1)
    first, second = send(store, "one", letter(1), 1), send(store, "one", letter(2), 1)
    assert first is not None
    assert second is not None
    store.publish("one", lease.epoch, b"state", {first: b"receipt", second: b"another"}, 1.5)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE letters SET receipt = {BYTES.format('receipt')} WHERE number = %s", [first])  # noqa: S608
    assert receipts(store, [first, second]) == {first: b"", second: b"another"}
    again = send(store, "one", letter(1), 1)
    assert again not in (None, first)
    assert letters(store, "one", 9) == [(again, letter(1))]


def test_a_damaged_outcome_is_told(store: PostgresStore, database: str) -> None:
    store.create(RECORD)
    store.finish("one", Aborted("A10", "2 of 5 contributed"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE sessions SET detail = '4 of 5 contributed'")
    with pytest.raises(DamagedError, match="damaged"):
        store.outcome("one")


def test_damaged_sessions_are_told_from_others(store: PostgresStore, database: str) -> None:
    store.create(RECORD)
    store.create(replace(RECORD, name="two"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE sessions SET created_at = 13.5 WHERE name = 'two'")
    assert store.sessions() == [RECORD]
    assert list(store.damaged()) == ["two"]


def test_entries_of_another_session_are_not_read(store: PostgresStore, database: str) -> None:
    for name in ("one", "two"):
        store.create(replace(RECORD, name=name))
        store.append(name, [Entry(EntryKind.MESSAGE, 1, name.encode())])
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE entries SET (payload, digest) = "
            "(SELECT payload, digest FROM entries AS other WHERE other.session = 3 - entries.session)"
        )
    with pytest.raises(DamagedError, match="behind its entry 0"):
        list(store.entries("one"))


def test_uploads_of_another_database_are_not_used(postgres: Postgres, store: PostgresStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another database"):
        PostgresStore(postgres.migrated(), blobs_at(str(tmp_path)))


def test_uploads_that_are_not_mounted_are_missed(store: PostgresStore, database: str, tmp_path: Path) -> None:
    store.create(RECORD)
    with closing(PostgresStore(database, blobs_at(str(tmp_path)))):
        pass
    with pytest.raises(StoreError, match="not mounted"):
        PostgresStore(database, blobs_at(str(tmp_path / "other")))


def test_a_text_with_a_null_is_kept_but_for_that(store: PostgresStore) -> None:
    store.create(RECORD)
    store.finish("one", Aborted("A10", "a\x00b"))
    assert store.outcome("one") == Aborted("A10", "a\ufffdb")


def test_a_database_in_another_encoding_is_refused(postgres: Postgres) -> None:
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreError, match="LATIN1"):
        upgrade(postgres.conninfo("latin"))
