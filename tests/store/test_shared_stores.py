"""What every shared store promises: one holder of a session at a time, letters once, news of all that happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from secagg.store.base import Aborted, Completed, Entry, EntryKind, FencedError, SessionRecord, StoreError
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from secagg.store.shared import Addressed, Lease, Left, Letter, News, SharedStore, Standing
from secagg.store.shared_memory import SharedMemoryStore
from tests.store.shared import letters, receipts, send, spend, standing

RECORD = SessionRecord("one", b"offer\x00", {7: b"k" * 32}, b"{}", 12.5)
LONG = 600.0

Another = Callable[[], SharedStore]


def _postgres(request: pytest.FixtureRequest) -> Another:
    conninfo: str = request.getfixturevalue("database")
    directory: Path = request.getfixturevalue("tmp_path")
    return lambda: PostgresStore(conninfo, blobs_at(str(directory)))


KINDS: dict[str, Callable[[pytest.FixtureRequest], Another]] = {
    "memory": lambda request: SharedMemoryStore().another,
    "postgres": _postgres,
}


@pytest.fixture(params=KINDS)
def another(request: pytest.FixtureRequest) -> Iterator[Another]:
    """Makes one more store over the same sessions."""
    make = KINDS[request.param](request)
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(make()))


@pytest.fixture
def store(another: Another) -> SharedStore:
    return another()


def letter(client: int | None, payload: bytes = b"x", kind: EntryKind = EntryKind.MESSAGE) -> Letter:
    return Letter(kind, client, payload, hashlib.sha256(payload).digest(), len(payload))


def entry(client: int) -> Entry:
    return Entry(EntryKind.MESSAGE, client, b"x")


def held(store: SharedStore, replica: str = "a", seconds: float = LONG, name: str = "one") -> Lease:
    (lease,) = store.acquire(replica, seconds, 1, name)
    return lease


def test_a_session_has_one_holder_at_a_time(store: SharedStore, another: Another) -> None:
    other = another()
    for name in ("one", "two", "three"):
        store.create(replace(RECORD, name=name))
    assert [lease.name for lease in store.acquire("a", LONG, 2)] == ["one", "two"]
    assert store.acquire("a", LONG, 5, "one") == []
    assert [lease.name for lease in other.acquire("b", LONG, 5)] == ["three"]
    assert other.acquire("b", LONG, 5) == []
    assert other.acquire("b", LONG, 5, "none") == []


def test_a_lease_that_ended_or_was_given_back_passes_on_with_a_higher_epoch(
    store: SharedStore, another: Another
) -> None:
    other = another()
    store.create(RECORD)
    first = held(store, "a", 0.0)
    second = held(other, "b")
    assert second.epoch > first.epoch > 0
    store.release([first])
    assert store.acquire("a", LONG, 1) == []
    other.release([replace(second, open_seconds=2.5)])
    third = held(store, "a")
    assert third.epoch > second.epoch
    assert third.open_seconds == 2.5


def test_the_longest_free_comes_first(store: SharedStore) -> None:
    for name in ("one", "two"):
        store.create(replace(RECORD, name=name))
    store.release(store.acquire("a", LONG, 1))
    assert [lease.name for lease in store.acquire("a", LONG, 2)] == ["two", "one"]


def test_a_lease_is_renewed_until_it_passes_on(store: SharedStore, another: Another) -> None:
    other = another()
    for name in ("one", "two"):
        store.create(replace(RECORD, name=name))
    one, two = held(store, "a", 0.0, "one"), held(store, "a", 0.0, "two")
    assert store.renew("a", LONG, [replace(one, open_seconds=1.5)]) == {"one": ""}
    taken = held(other, "b", 0.0, "two")
    assert store.renew("a", LONG, [one, two]) == {"one": ""}
    assert store.renew("b", LONG, [one]) == {}
    assert other.renew("b", LONG, [taken]) == {"two": ""}
    assert other.acquire("b", LONG, 5) == []
    store.release([replace(one, open_seconds=1.5)])
    assert store.renew("a", LONG, [one]) == {}
    assert held(other, "b").open_seconds == 1.5


def test_who_lost_the_lease_changes_nothing(store: SharedStore, another: Another) -> None:
    other = another()
    store.create(RECORD)
    old = held(store, "a", 0.0)
    store.append("one", [entry(1)], old.epoch)
    new = held(other, "b")
    assert [each.client for each in other.entries("one")] == [1]
    calls: list[Callable[[int], object]] = [
        lambda epoch: store.append("one", [entry(2)], epoch),
        lambda epoch: store.finish("one", Aborted("A10", ""), epoch),
        lambda epoch: store.publish("one", epoch, b"stale", {}, 9.0),
    ]
    for call in calls:
        for epoch in (old.epoch, 0):
            with pytest.raises(FencedError, match="one"):
                call(epoch)
    other.append("one", [entry(3)], new.epoch)
    assert [each.client for each in other.entries("one")] == [1, 3]
    assert other.outcome("one") is None
    assert standing(other).state is None
    other.release([new])
    with pytest.raises(FencedError, match="one"):
        other.append("one", [entry(4)], new.epoch)
    assert held(store).open_seconds == 0.0


def test_a_session_of_an_earlier_name_does_not_let_its_holder_in(store: SharedStore, another: Another) -> None:
    other = another()
    store.create(RECORD)
    old = held(store)
    other.discard("one")
    other.create(RECORD)
    with pytest.raises(StoreError):
        store.append("one", [entry(1)], old.epoch)
    held(other, "b")
    with pytest.raises(StoreError):
        store.append("one", [entry(1)], old.epoch)
    assert list(other.entries("one")) == []


def test_each_session_goes_to_one_of_those_who_ask_at_once(another: Another) -> None:
    stores = [another() for _ in range(4)]
    names = [f"session-{number}" for number in range(24)]
    for name in names:
        stores[0].create(replace(RECORD, name=name))
    with ThreadPoolExecutor(len(stores)) as threads:
        taken = list(
            threads.map(
                lambda number: [
                    lease.name for _ in range(12) for lease in stores[number].acquire(f"replica {number}", LONG, 2)
                ],
                range(len(stores)),
            )
        )
    assert sorted(name for each in taken for name in each) == sorted(names)


def test_nothing_is_appended_behind_the_back_of_a_new_holder(store: SharedStore, another: Another) -> None:
    other = another()
    store.create(RECORD)
    lease = held(store, "a", 0.0)

    def keep_appending() -> int:
        for number in range(1_000_000):
            try:
                store.append("one", [entry(number)], lease.epoch)
            except FencedError:
                return number
        return -1

    with ThreadPoolExecutor(1) as threads:
        appended = threads.submit(keep_appending)
        while len(list(other.entries("one"))) < 5:
            assert not appended.done()
        while not other.acquire("b", LONG, 1):
            assert not appended.done()
        seen = len(list(other.entries("one")))
        assert appended.result() == seen


def test_a_letter_is_left_once_and_read_until_it_is_answered(store: SharedStore, another: Another) -> None:
    other = another()
    store.create(RECORD)
    store.create(replace(RECORD, name="two"))
    lease = held(other, "b")
    drop = letter(5, b"{}", EntryKind.DROP)
    sent = [letter(2**64 - 1, b"\x00\xff"), drop, letter(None, b"{}", EntryKind.ABORT)]
    numbers = [send(store, "one", each, 2) for each in sent]
    assert [send(store, "one", each, 2) for each in sent] == numbers
    assert send(store, "two", drop, 2) not in numbers
    known = [number for number in numbers if number is not None]
    assert known == sorted(known)
    assert list(letters(other, "one", 10)) == list(zip(known, sent, strict=True))
    assert [number for number, _ in letters(other, "one", 1)] == known[:1]
    other.publish("one", lease.epoch, b"state", {known[1]: b"receipt", known[0]: b""}, 1.0)
    assert [number for number, _ in letters(other, "one", 10)] == known[2:]
    assert receipts(store, known) == {known[1]: b"receipt", known[0]: b""}
    assert send(store, "one", drop, 2) == known[1]
    assert receipts(store, []) == {}


def test_a_letter_that_could_not_be_read_is_left_again(store: SharedStore) -> None:
    store.create(RECORD)
    lease = held(store)
    first = send(store, "one", letter(1), 1)
    assert first is not None
    store.publish("one", lease.epoch, b"", {first: b""}, 0.0)
    again = send(store, "one", letter(1), 1)
    assert again not in (None, first)
    assert send(store, "one", letter(1), 1) == again
    assert letters(store, "one", 10) == [(again, letter(1))]


def test_a_client_has_room_for_so_many_letters(store: SharedStore) -> None:
    store.create(RECORD)
    lease = held(store)
    first, second = (send(store, "one", letter(1, payload), 2) for payload in (b"1", b"2"))
    assert first is not None
    store.publish("one", lease.epoch, b"", {first: b"r"}, 0.0)
    assert send(store, "one", letter(1, b"3"), 2) is None
    assert send(store, "one", letter(1, b"2"), 2) == second
    assert send(store, "one", letter(2, b"3"), 2) is not None


def test_an_ended_session_takes_no_letters_and_keeps_its_receipts(store: SharedStore) -> None:
    store.create(RECORD)
    lease = held(store)
    first, second = (send(store, "one", letter(1, payload), 5) for payload in (b"1", b"2"))
    assert first is not None
    assert second is not None
    store.publish("one", lease.epoch, b"before", {first: b"first"}, 0.0)
    store.finish("one", Completed(None), lease.epoch)
    assert letters(store, "one", 10) == []
    store.publish("one", lease.epoch, b"after", {second: b"second"}, 0.0)
    assert send(store, "one", letter(1, b"3"), 5) is None
    assert send(store, "one", letter(1, b"1"), 5) == first
    assert receipts(store, [first, second]) == {first: b"first", second: b"second"}
    assert standing(store).state == b"after"
    store.release([lease])
    assert store.acquire("a", LONG, 5) == []
    store.discard("one")
    assert receipts(store, [first, second]) == {}


def test_what_was_published_last_is_read(store: SharedStore, another: Another) -> None:
    other = another()
    store.create(RECORD)
    lease = held(store, "a", 0.0)
    assert standing(other).state is None
    store.publish("one", lease.epoch, b"first", {}, 1.0)
    store.publish("one", lease.epoch, b"\x00" * 100_000, {}, 3.0)
    assert standing(other).state == b"\x00" * 100_000
    assert held(other, "b").open_seconds == 3.0
    assert store.look(["none", "one"], []).sessions.keys() == {"one"}
    assert send(store, "none", letter(1), 1) is None
    assert letters(store, "none") == []


def test_a_result_that_is_fetched_does_not_expire(store: SharedStore, another: Another) -> None:
    store.create(RECORD)
    store.hold_result("one", LONG)
    (lease,) = store.acquire("a", LONG, 1)
    upload = store.begin_upload("one", 3)
    upload.write(b"sum")
    result = upload.commit()
    store.finish("one", Completed(result), lease.epoch)
    other = another()
    other.hold_result("one", LONG)
    other.hold_result("one", 0.0)
    other.hold_result("none", LONG)
    assert not store.release_result("one", expired=True)
    assert store.outcome("one") == Completed(result)
    assert store.read_range("one", result, 0, 3) == b"sum"
    assert store.release_result("one")
    assert store.outcome("one") == Completed(None)


def test_a_result_expires_when_nobody_fetches_it(store: SharedStore) -> None:
    store.create(RECORD)
    (lease,) = store.acquire("a", LONG, 1)
    upload = store.begin_upload("one", 3)
    upload.write(b"sum")
    store.finish("one", Completed(upload.commit()), lease.epoch)
    store.hold_result("one", 0.0)
    assert store.release_result("one", expired=True)
    assert store.outcome("one") == Completed(None, expired=True)


def test_many_letters_are_left_at_once_and_each_for_itself(store: SharedStore, another: Another) -> None:
    other = another()
    for name in ("one", "two", "ended"):
        store.create(replace(RECORD, name=name))
    lease = held(store)
    store.finish("ended", Aborted("A10", ""), held(store, name="ended").epoch)
    before = send(store, "one", letter(1), 9)
    assert before is not None
    store.publish("one", lease.epoch, b"state", {before: b"receipt"}, 0.0)
    sent = [
        Addressed("two", letter(1), 1),
        Addressed("one", letter(2), 1),
        Addressed("two", letter(1), 1),
        Addressed("two", letter(1, b"another"), 1),
        Addressed("ended", letter(1), 1),
        Addressed("none", letter(1), 1),
        Addressed("one", letter(1), 1),
    ]
    left = other.send(sent)
    assert [each and each.answered for each in left] == [False, False, False, None, None, None, True]
    assert left[0] == left[2]
    assert left[6] == Left(before, answered=True)
    first, second = (each.number for each in left[:2] if each is not None)
    assert store.letters(["one", "two", "ended", "none"], 9) == {
        "one": [(second, letter(2))],
        "two": [(first, letter(1))],
    }
    assert other.send([]) == []


def test_one_look_sees_many_sessions(store: SharedStore) -> None:
    aborted = Aborted("A10", "")
    for name in ("one", "two"):
        store.create(replace(RECORD, name=name))
    lease = held(store)
    store.publish("one", lease.epoch, b"state", {}, 0.0)
    store.finish("two", aborted, held(store, name="two").epoch)
    assert store.look(["one", "two"], []).sessions == {"one": Standing(b"state", None), "two": Standing(None, aborted)}
    assert not store.look([], []).sessions


def test_news_comes_of_all_that_others_do(store: SharedStore, another: Another) -> None:
    other = another()
    other.news(0.0)
    lease: list[Lease] = []
    steps: list[tuple[str, Callable[[], object]]] = [
        ("changed", lambda: store.create(RECORD)),
        ("sent", lambda: lease.append(held(store)) or send(store, "one", letter(1), 1)),  # type: ignore[func-returns-value]
        ("changed", lambda: store.publish("one", lease[0].epoch, b"", {}, 0.0)),
        ("answered", lambda: store.publish("one", lease[0].epoch, b"", {1: b"r"}, 0.0, wake=False)),
        ("freed", lambda: store.release(lease)),
        ("changed", lambda: store.finish("one", Aborted("A10", ""), held(store).epoch)),
        ("changed", lambda: store.discard("one")),
    ]
    for kind, step in steps:
        step()
        assert other.news(60.0) == News(**{kind: frozenset({"one"})})
        assert other.news(0.0) == News()


def test_all_have_the_same_secret(store: SharedStore, another: Another) -> None:
    assert len(store.secret()) == 32
    assert store.secret() == another().secret()


def test_a_nonce_is_spent_once(store: SharedStore, another: Another) -> None:
    other = another()
    assert spend(store, b"nonce", LONG)
    assert not spend(other, b"nonce", LONG)
    assert not spend(store, b"nonce", LONG)
    assert spend(store, b"other", LONG)
    with ThreadPoolExecutor(4) as threads:
        spent = list(threads.map(lambda number: spend((store, other)[number % 2], b"at once", LONG), range(8)))
    assert sum(spent) == 1
    assert set(store.spend([b"one", b"two", b"nonce"], LONG)) == {b"one", b"two"}


def test_replicas_are_alive_for_as_long_as_their_leases_last(store: SharedStore, another: Another) -> None:
    other = another()
    assert store.replicas() == 0
    store.acquire("a", LONG, 0)
    other.renew("b", LONG, [])
    other.renew("b", LONG, [])
    other.acquire("c", 0.0, 0)
    assert store.replicas() == other.replicas() == 2


def test_sessions_are_looked_up_by_name(store: SharedStore) -> None:
    store.create(RECORD)
    store.create(replace(RECORD, name="a", tenant="clinic"))
    store.finish("one", Aborted("A10", ""), held(store).epoch)
    assert list(store.names().items()) == [("one", True), ("a", False)]
    assert store.record("one") == RECORD
    assert store.record("a") == replace(RECORD, name="a", tenant="clinic")
    assert store.record("none") is None
