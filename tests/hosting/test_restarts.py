"""A session that ends because of corrupt clients is followed by one without them: once, whoever dies when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg import AbortReason, Blame, DropReason, ParameterError, Round, verify_evidence
from secagg.hosting import Accused, Ended, EndKind, NoEvidenceError, Request, RoundSchedule, offer_of, parameters_of
from secagg.hosting.kept import blamed
from secagg.hosting.restarting import name_after, record_after
from secagg.store.base import (
    Aborted,
    Blamed,
    Outcome,
    SessionRecord,
    StoreConflictError,
    StoreError,
    check_session_name,
)
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from tests.dealers import GARBAGE, contradicting, off, redealt
from tests.harness import Harness
from tests.hosting.support import PATIENCE, Played, Recorder, hosting, run
from tests.hosting.test_crashes import Server, once

NAME = "round-1"
DEALER, ACCUSER = 1, 2
A15 = AbortReason.CLIENTS_COMPLAINED


def corrupted(clients: int = 5, **options: Any) -> Played:
    """Clients of whom the dealer deals the accuser garbage."""
    played = Played(Harness(clients, **{"threshold": 3, "threat_model": "active", **options}))
    honest = played.reply

    def reply(client: int, request: Request) -> bytes:
        known, answer = played.seen.get(client) == request.digest, honest(client, request)
        if client == DEALER and request.round.value == "share_keys" and not known:
            answer = played.answers[client] = redealt(played.harness, client, answer, {ACCUSER: GARBAGE})
        return answer

    played.reply = reply  # type: ignore[method-assign]
    return played


async def complain(played: Played, session: Any) -> Ended:
    """Play a session until it has ended because of the dealer; what the accuser is told."""
    for _ in range(3):
        await played.play_round(session)
        await played.turned(session, ACCUSER)
    await played.play_round(session, [ACCUSER])
    ended = await played.turned(session, ACCUSER)
    assert isinstance(ended, Ended)
    return ended


def schedule(restarts: int) -> RoundSchedule:
    return RoundSchedule.uniform(60.0, restarts=restarts)


def test_a_session_with_a_corrupt_dealer_is_followed_by_one_without_it() -> None:
    async def body() -> None:
        store, played, seen = MemoryStore(), corrupted(), Recorder()
        async with hosting(store, observer=seen) as host:
            session = await played.create(host, schedule=schedule(2))
            ended = await complain(played, session)
            assert ended == Ended(EndKind.ABORTED, A15, f"{NAME}~1")
            successor = host.session(ended.successor)  # there before anybody is told of it
            assert successor.parameters.renews(session.parameters)
            assert successor.parameters.cohort == (2, 3, 4, 5)
            assert successor.roster == {client: played.harness.roster[client] for client in (2, 3, 4, 5)}
            assert RoundSchedule.decode(successor.record.schedule) == schedule(1)
            assert await host.next_sessions(3, played.harness.roster[3], (NAME,), 0) == [successor.name]
            await session.wait_ended()
            status = session.status()
            assert status.blame == (Accused(DEALER, DropReason.DEALT_UNREADABLE_PAIR, True),)
            assert (status.state, status.successor) == ("aborted", successor.name)
            found = verify_evidence(session.evidence(DEALER), played.harness.roster)
            assert found.client == DEALER
            with pytest.raises(NoEvidenceError, match="no evidence against client 2"):
                session.evidence(ACCUSER)
            assert seen.all("created") == [(NAME, 5), (successor.name, 4)]
        async with hosting(store) as host:
            assert host.session(NAME).status() == status
            assert await host.session(NAME).next_request(3, b"", 0) == ended
            assert host.session(successor.name).parameters == successor.parameters

    run(body())


def test_a_session_ends_for_good_where_nothing_may_follow() -> None:
    async def body() -> None:
        store, played = MemoryStore(), corrupted()
        async with hosting(store) as host:
            session = await played.create(host, schedule=schedule(0))
            assert await complain(played, session) == Ended(EndKind.ABORTED, A15)
            await session.wait_ended()
            assert [each.name for each in store.sessions()] == [NAME]
            assert [each.client for each in session.status().blame] == [DEALER]

    run(body())


def test_nothing_follows_a_session_of_which_shares_were_revealed() -> None:
    """The dealer's shares contradict each other: it is named, and its session's inputs are in no other one."""
    played = Played(Harness(5, threshold=3, threat_model="active"))
    honest = played.reply

    def reply(client: int, request: Request) -> bytes:
        known, answer = played.seen.get(client) == request.digest, honest(client, request)
        if client == DEALER and request.round.value == "share_keys" and not known:
            answer = contradicting(played.harness, client, answer, lambda _, shares: off(shares), [5])
            played.answers[client] = answer
        return answer

    played.reply = reply  # type: ignore[method-assign]

    async def body() -> None:
        store = MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host, schedule=schedule(2))
            for _ in range(5):
                await played.play_round(session)
                ended = await played.turned(session, ACCUSER)
            assert ended == Ended(EndKind.ABORTED, AbortReason.SECRET_NOT_RECONSTRUCTED)
            await session.wait_ended()
            assert session.status().blame == (Accused(DEALER, DropReason.DEALT_INCONSISTENT_SHARES, True),)
            verdict = verify_evidence(session.evidence(DEALER), played.harness.roster)
            assert (verdict.client, verdict.reason) == (DEALER, DropReason.DEALT_INCONSISTENT_SHARES)
        async with hosting(store) as host:
            assert await host.session(NAME).next_request(3, b"", 0) == ended
            assert [each.name for each in store.sessions()] == [NAME]

    run(body())


def test_a_ring_without_room_for_its_degree_is_followed_by_the_largest_that_there_is() -> None:
    async def body() -> None:
        store, played = MemoryStore(), corrupted(6, threat_model="semi-honest", topology="sparse", degree=5)
        async with hosting(store) as host:
            session = await played.create(host, schedule=schedule(1))
            for _ in range(3):
                await played.play_round(session)
                told = await played.turned(session, ACCUSER)
            assert told == Ended(EndKind.ABORTED, A15, f"{NAME}~1")
            following = host.session(f"{NAME}~1").parameters
            assert following.renews(session.parameters)
            assert (following.clients, following.topology.degree, following.threshold) == (5, 4, 3)

    run(body())


def test_evidence_is_kept_as_far_as_a_store_takes_it_in_one_value() -> None:
    """Of a thousand clients each piece has 185 kB: a third of a cohort must not make an end that cannot be written."""
    blame = [Blame(client, DropReason.DEALT_INCONSISTENT_SHARES, bytes(4)) for client in (1, 2, 3)]
    hint = Blame(4, DropReason.DISCLOSURE_INVALID)
    kept, sentence = blamed([*blame, hint], most_bytes=9)
    assert [(each.client, each.reason, each.evidence) for each in kept] == [
        (1, "S23", bytes(4)),
        (2, "S23", bytes(4)),
        (3, "S23", None),
        (4, "S34", None),
    ]
    assert "1 of them" in sentence
    assert blamed([*blame, hint]) == (
        tuple(Blamed(each.client, each.reason.value, each.evidence) for each in [*blame, hint]),
        "",
    )


def test_too_few_that_are_left_is_said_and_nothing_follows() -> None:
    async def body() -> None:
        store, played = MemoryStore(), corrupted(4)
        async with hosting(store) as host:
            session = await played.create(host, schedule=schedule(3))
            assert await complain(played, session) == Ended(EndKind.ABORTED, A15)
            await session.wait_ended()
            assert [each.name for each in store.sessions()] == [NAME]
            assert "No session follows: 3 of 4 clients are left" in session.status().detail

    run(body())


class Failing(MemoryStore):
    """A store in which one call fails as long as it is said to."""

    def __init__(self, failing: str) -> None:
        super().__init__()
        self.failing = failing
        self.made: list[SessionRecord] = []

    def create(self, record: SessionRecord) -> None:
        if self.failing == "create" and "~" in record.name:
            raise StoreError("the disk is away")
        super().create(record)
        self.made.append(record)

    def finish(self, *arguments: Any, **options: Any) -> None:
        if self.failing == "finish":
            raise StoreError("the disk is away")
        super().finish(*arguments, **options)


@pytest.mark.parametrize("failing", ["create", "finish"])
def test_a_host_that_stops_in_between_leaves_one_successor(failing: str) -> None:
    async def body() -> None:
        store, played, seen = Failing(failing), corrupted(), Recorder()
        async with hosting(store, observer=seen) as host:
            session = await played.create(host, schedule=schedule(1))
            ending = asyncio.ensure_future(complain(played, session))
            await seen.heard("store_failed")
            assert ending.done() is (failing == "finish")  # nobody is told of what is not there yet
            ending.cancel()
        store.failing = ""
        async with hosting(store) as host:
            session = host.session(NAME)
            await session.wait_ended()
            assert session.status().successor == f"{NAME}~1"
            assert [each.name for each in host.sessions()] == [NAME, f"{NAME}~1"]
            assert host.session(f"{NAME}~1").record == store.made[-1]
        assert [each.name for each in store.made] == [NAME, f"{NAME}~1"]

    run(body())


class Slow(Failing):
    """A store in which it takes until a successor is open to see whether another session has ended."""

    def __init__(self, failing: str) -> None:
        super().__init__(failing)
        self.opened = threading.Event()

    def outcome(self, name: str) -> Outcome | None:
        if name == "slow" and not self.failing:
            assert self.opened.wait(PATIENCE)
        return super().outcome(name)


class Opening(Recorder):
    """Tells a slow store that a successor is open."""

    def __init__(self, store: Slow) -> None:
        super().__init__()
        self.store = store

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        if name == f"{NAME}~1":
            self.store.opened.set()


def test_a_session_that_follows_while_others_are_taken_up_is_hosted() -> None:
    async def body() -> None:
        store, played, seen = Slow("create"), corrupted(), Recorder()
        async with hosting(store, observer=seen) as host:
            await Played().create(host, "slow")
            session = await played.create(host, schedule=schedule(1))
            ending = asyncio.ensure_future(complain(played, session))
            await seen.heard("store_failed")
            ending.cancel()
        store.failing = ""
        async with hosting(store, observer=Opening(store)) as host:
            assert sorted(each.name for each in host.sessions()) == [NAME, f"{NAME}~1", "slow"]

    run(body())


def play(directory: Path, fatal: Callable[[int], int]) -> Server:
    """Play a session of a corrupt dealer with a server that dies; exactly one follows, which clients hear of."""
    played, server = corrupted(), Server(directory, fatal)
    server.call("create", played.harness.parameters.encode(), played.harness.roster, 1)
    seen = dict.fromkeys(played.cohort, b"")
    for asked in (played.cohort, played.cohort, played.cohort, (ACCUSER,)):
        answers = {}
        for client in asked:
            request = server.call("request", client, seen[client])
            assert isinstance(request, Request)
            answers[client] = played.reply(client, request)
            seen[client] = request.digest
        server.call("submit", answers)
    assert server.call("request", ACCUSER, seen[ACCUSER]) == Ended(EndKind.ABORTED, A15, f"{NAME}~1")
    server.call("ended")
    server.stop()
    store = SqliteStore(directory)
    first, second = store.sessions()
    outcome = store.outcome(NAME)
    assert isinstance(outcome, Aborted)
    assert (outcome.successor, [each.client for each in outcome.blame]) == (second.name, [DEALER])
    assert parameters_of(second.offer).renews(parameters_of(first.offer))
    assert store.outcome(second.name) is None
    store.close()
    return server


def test_a_server_may_die_anywhere_between_a_complaint_and_the_session_that_follows(tmp_path: Path) -> None:
    """From the last answer on, every point: the round's end, the successor, the outcome."""
    reached = play(tmp_path / "alive", lambda life: 0).reached
    last = len(reached) - reached[::-1].index("before create")
    points = range(last - 4, len(reached) + 1)
    kinds = {reached[point - 1] for point in points}
    assert {"before create", "after create", "before finish", "after finish", "COMMIT"} <= kinds
    died = sum(play(tmp_path / str(point), once(point)).deaths for point in points)
    assert died >= len(points) - 2


def test_names_of_restarts_are_the_servers_own() -> None:
    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            played = corrupted()
            with pytest.raises(ParameterError, match="is the name of a restart"):
                await played.create(host, f"{NAME}~1")
            session = await played.create(host, schedule=schedule(1))
            await complain(played, session)
            await session.wait_ended()
            await host.discard(NAME)
            with pytest.raises(StoreConflictError, match=f"session {NAME}~1 follows an earlier session {NAME}"):
                await corrupted().create(host, schedule=schedule(1))

    run(body())


def test_a_name_is_not_given_again_as_long_as_anything_follows_an_earlier_session_of_it() -> None:
    """Whatever of a chain was let go of: one that is begun anew would run into what is left of it."""

    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            session = await corrupted(7, threshold=4).create(host, schedule=schedule(2))
            record = record_after(session.record, [DEALER], 1.0)
            following = None if record is None else record_after(record, [ACCUSER], 1.0)
            assert following is not None
            await host._follow_up(following, new=True)
            await session.abort("enough")
            await session.wait_ended()
            await host.discard(NAME)
            with pytest.raises(StoreConflictError, match=f"session {NAME}~2 follows an earlier session {NAME}"):
                await corrupted().create(host, schedule=schedule(1))

    run(body())


def test_names_of_restarts_count_and_end() -> None:
    assert [name_after("a"), name_after("a~1"), name_after("a~98")] == ["a~1", "a~2", "a~99"]
    longest = "a" * 128
    assert check_session_name(f"{longest}~99") == f"{longest}~99"
    for wrong in (f"{longest}a~1", "a~0", "a~01", "a~100", "a~", "~1", "a~1~1", "a~b"):
        with pytest.raises(ParameterError, match="is no session name"):
            check_session_name(wrong)


@pytest.mark.parametrize("restarts", [-1, 100, 1.0, True, "1"])
def test_a_number_of_restarts_is_a_small_whole_number(restarts: Any) -> None:
    with pytest.raises(ParameterError, match=r"^restarts is "):
        RoundSchedule.uniform(1.0, restarts=restarts)


def test_what_follows_is_the_same_but_for_cohort_nonce_and_one_restart_less() -> None:
    harness = Harness(5, threshold=3, threat_model="active")
    record = SessionRecord("a~4", offer_of(harness.parameters), harness.roster, schedule(1).encode(), 1.0, "acme")
    after = record_after(record, [3], 2.0)
    assert after is not None
    assert (after.name, after.tenant, after.created_at) == ("a~5", "acme", 2.0)
    assert sorted(after.roster) == [1, 2, 4, 5]
    assert record_after(after, [1], 3.0) is None


def test_a_session_that_follows_is_told_from_another() -> None:
    earlier = Harness(6, threshold=3).parameters
    assert earlier.renew(exclude=[2]).renews(earlier)
    assert not earlier.renew().renews(earlier)
    assert not earlier.renew(exclude=[2], context=b"other").renews(earlier)
    assert not earlier.renews(earlier.renew(exclude=[2]))
