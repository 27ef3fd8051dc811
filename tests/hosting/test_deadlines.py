"""Deadlines by a clock that a test moves: rounds close in time, early when they can, and a restart gives time again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import DropReason, Round
from secagg.errors import AbortReason, DecodeError, ParameterError
from secagg.hosting import Ended, EndKind, ReceiptKind, Request, RoundSchedule
from secagg.hosting.clock import LoopClock
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from tests.harness import ROUNDS, Harness
from tests.hosting.support import FakeClock, Played, Recorder, hosting, run

UNEQUAL = RoundSchedule({Round.ADVERTISE_KEYS: 10, Round.SHARE_KEYS: 20, Round.MASKED_INPUT: 300, Round.UNMASKING: 40})


def test_a_round_closes_at_its_deadline_without_those_who_did_not_answer() -> None:
    async def body() -> None:
        played, clock, seen = Played(), FakeClock(), Recorder()
        async with hosting(MemoryStore(), clock, seen) as host:
            session = await played.create(host, schedule=UNEQUAL)
            await played.play_round(session, [2, 3, 4])
            assert session.status().seconds_left == 10
            clock.advance(9.9)
            request = await session.next_request(1, b"", 0)
            assert isinstance(request, Request)
            assert request.seconds_left == pytest.approx(0.1)
            assert session.status().state == "advertise_keys"
            clock.advance(0.1)
            await seen.heard("opened", Round.SHARE_KEYS)
            assert seen.all("dropped") == [(1, Round.ADVERTISE_KEYS, DropReason.DID_NOT_ANSWER_IN_TIME)]
            assert seen.all("closed") == [(Round.ADVERTISE_KEYS, 3, 10.0)]
            ended = await session.next_request(1, b"", 0)
            assert isinstance(ended, Ended)
            assert ended.reason is DropReason.DID_NOT_ANSWER_IN_TIME
            late = await session.submit(1, await _answer_of_a_late_client(played))
            assert (late.kind, late.reason) == (ReceiptKind.LATE, DropReason.DID_NOT_ANSWER_IN_TIME)
            assert session.status().seconds_left == 20
            played.assert_exact(await played.finish(session, [2, 3, 4]), [2, 3, 4])

    run(body())


def test_a_deadline_that_ends_the_session_is_an_abort_for_everybody_whom_it_drops() -> None:
    async def body() -> None:
        played, clock, seen = Played(), FakeClock(), Recorder()
        async with hosting(MemoryStore(), clock, seen) as host:
            session = await played.create(host, schedule=UNEQUAL)
            clock.advance(10)
            await session.wait_ended()
            for client in played.cohort:
                ended = await session.next_request(client, b"", 0)
                assert isinstance(ended, Ended)
                assert (ended.kind, ended.reason) == (EndKind.ABORTED, AbortReason.TOO_FEW_ADVERTISED)

    run(body())


async def _answer_of_a_late_client(played: Played) -> bytes:
    return played.client(1).receive(played.harness.server.requests[1]) or b""


def test_every_round_has_its_own_time() -> None:
    async def body() -> None:
        played, clock, seen = Played(Harness(5, threshold=2)), FakeClock(), Recorder()
        async with hosting(MemoryStore(), clock, seen) as host:
            session = await played.create(host, schedule=UNEQUAL)
            await played.run_to(session, Round.MASKED_INPUT)
            for round_, leaving in ((Round.MASKED_INPUT, 1), (Round.UNMASKING, 2)):
                staying = [client for client in played.cohort if client > leaving]
                await played.play_round(session, staying)
                clock.advance(UNEQUAL.seconds[round_] - 1)
                assert session.status().state == round_.value
                clock.advance(1)
                await played.turned(session, 4)
            await session.wait_ended()
            assert session.status().contributors == (2, 3, 4, 5)
            assert seen.all("closed")[2:] == [(Round.MASKED_INPUT, 4, 300.0), (Round.UNMASKING, 3, 40.0)]

    run(body())


def test_too_few_at_the_deadline_abort_the_session() -> None:
    async def body() -> None:
        played, clock = Played(), FakeClock()
        async with hosting(MemoryStore(), clock) as host:
            session = await played.create(host)
            await played.play_round(session, [1, 2])
            clock.advance(60)
            await session.wait_ended()
            status = session.status()
            assert (status.state, status.abort_reason) == ("aborted", AbortReason.TOO_FEW_ADVERTISED)
            assert status.detail.startswith("closed at its deadline: 2 of 4 clients")
            assert status.dropped == {DropReason.DID_NOT_ANSWER_IN_TIME: 2}

    run(body())


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
@pytest.mark.parametrize("round_", ROUNDS)
def test_a_session_is_aborted_as_soon_as_too_few_are_left(round_: Round, threat_model: str) -> None:
    if round_ is Round.CONSISTENCY_CHECK and threat_model == "semi-honest":
        return

    async def body() -> None:
        played, clock = Played(Harness(5, threshold=3, threat_model=threat_model)), FakeClock()
        async with hosting(MemoryStore(), clock) as host:
            session = await played.create(host)
            await played.run_to(session, round_)
            await session.drop(1, DropReason.CLIENT_ABORTED, "left")
            request = await session.next_request(5, b"", 0)
            assert isinstance(request, Request)
            waiting = asyncio.create_task(session.next_request(5, request.digest, 1e9))
            assert session.status().state == round_.value
            await session.drop(2, DropReason.CLIENT_ABORTED, "left")
            await session.wait_ended()
            status = session.status()
            assert status.state == "aborted"
            assert status.abort_reason is not None
            assert status.abort_reason.name.startswith("TOO_FEW")
            assert "before its deadline" in status.detail
            assert status.dropped == {DropReason.CLIENT_ABORTED: 2}
            assert await waiting == Ended(EndKind.ABORTED, status.abort_reason)

    run(body())


def test_inputs_of_clients_who_left_later_count_for_the_floor() -> None:
    """minimum_contributors is about inputs: two clients whose inputs are in the sum may leave."""

    async def body() -> None:
        played = Played(Harness(5, threshold=2, minimum_contributors=5))
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            await played.play_round(session, [1, 2, 3, 4])
            await session.drop(1, DropReason.CLIENT_ABORTED, "left")
            await session.drop(2, DropReason.CLIENT_ABORTED, "left")
            assert session.status().state == "masked_input"
            await played.play_round(session, [5])
            await played.turned(session, 5)
            played.assert_exact(await played.finish(session, [3, 4, 5]), played.cohort)

    run(body())


@given(
    leaving=st.lists(st.tuples(st.sampled_from(ROUNDS), st.integers(1, 6)), max_size=6),
    threshold=st.integers(2, 5),
    minimum=st.integers(2, 6),
)
@settings(max_examples=20)
def test_an_early_abort_takes_no_sum_away(leaving: list[tuple[Round, int]], threshold: int, minimum: int) -> None:
    """A server that waits for everybody else to answer ends as the host does, which may give up before that."""

    async def body() -> None:
        options: dict[str, Any] = {"threshold": threshold, "minimum_contributors": minimum}
        played, waiting, seen = Played(Harness(6, **options)), Harness(6, **options), Recorder()
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await played.create(host)
            while waiting.round is not None:
                round_ = waiting.round
                gone = {client for of, client in leaving if of is round_}
                for client in sorted(gone):
                    waiting.server.drop(client, DropReason.CLIENT_ABORTED)
                    await session.drop(client, DropReason.CLIENT_ABORTED, "left")
                waiting.play_round(silent=gone)
                for client in played.cohort:
                    request = await session.next_request(client, b"", 0)
                    if isinstance(request, Request) and request.round is round_:
                        await session.submit(client, played.reply(client, request))
                await seen.heard("closed", round_)
            await session.wait_ended()
            assert (session.status().state == "completed") == (waiting.server.abort_reason is None)

    run(body())


def test_a_budget_ends_the_session_in_running_time() -> None:
    async def body() -> None:
        played, clock = Played(), FakeClock()
        async with hosting(MemoryStore(), clock) as host:
            session = await played.create(host, schedule=RoundSchedule.uniform(60, session_seconds=100))
            clock.advance(50)
            await played.play_round(session)
            await played.turned(session, 1)
            assert session.status().seconds_left == 50
            clock.advance(49)
            assert session.status().state == "share_keys"
            clock.advance(1)
            await session.wait_ended()
            assert session.status().detail == "the session's 100 s passed in round share_keys"
            assert session.status().abort_reason is AbortReason.ABORTED_BY_CALLER

    run(body())


def test_the_last_round_is_closed_when_the_budget_is_spent() -> None:
    async def body() -> None:
        played, clock = Played(), FakeClock()
        async with hosting(MemoryStore(), clock) as host:
            session = await played.create(host, schedule=RoundSchedule.uniform(60, session_seconds=70))
            await played.run_to(session, Round.UNMASKING)
            await played.play_round(session, [1, 2, 3])
            clock.advance(60)
            await session.wait_ended()
            assert session.status().state == "completed"

    run(body())


def test_a_restart_gives_the_open_round_its_time_again(tmp_path: Path) -> None:
    async def body() -> None:
        played, clock, store = Played(), FakeClock(), SqliteStore(tmp_path)
        schedule = RoundSchedule.uniform(60, session_seconds=150)
        async with hosting(store, clock) as host:
            session = await played.create(host, schedule=schedule)
            clock.advance(40)
            await played.play_round(session)
            await played.turned(session, 1)
            await played.play_round(session, [1, 2, 3])
            clock.advance(50)
            assert session.status().seconds_left == 10
        store.close()
        store, clock, seen = SqliteStore(tmp_path), FakeClock(), Recorder()
        clock.advance(1e6)
        async with hosting(store, clock, seen) as host:
            session = host.session("round-1")
            assert seen.told[:2] == [("resumed", "round-1", 8), ("opened", Round.SHARE_KEYS, 4, 60.0)]
            assert session.status().seconds_left == 60
            clock.advance(59)
            assert session.status().state == "share_keys"
            clock.advance(1)
            assert isinstance(await played.turned(session, 1), Request)
            # 40 s until the first round closed, and 60 s of this process.
            assert session.status().seconds_left == 50
            played.assert_exact(await played.finish(session, [1, 2, 3]), [1, 2, 3])
        store.close()

    run(body())


def test_the_clock_of_the_loop_does_not_follow_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        clock, event = LoopClock(), asyncio.Event()
        before = clock.now()
        monkeypatch.setattr("time.time", lambda: 0.0)
        assert 0 <= clock.now() - before < 5
        assert not await clock.wait(event, before)
        assert not await clock.wait(event, clock.now() + 0.01)
        event.set()
        assert await clock.wait(event, None)
        assert await clock.wait(event, before)

    run(body())


@pytest.mark.parametrize(
    "seconds", [0, -1, float("nan"), float("inf"), 1e12, True, "60"], ids=lambda value: repr(value)
)
def test_durations_are_bounded(seconds: float) -> None:
    with pytest.raises(ParameterError, match="seconds"):
        RoundSchedule({Round.SHARE_KEYS: seconds})
    with pytest.raises(ParameterError, match="session_seconds"):
        RoundSchedule({}, session_seconds=seconds)


def test_a_schedule_survives_as_bytes() -> None:
    for schedule in (UNEQUAL, RoundSchedule.uniform(1.5, session_seconds=3)):
        assert RoundSchedule.decode(schedule.encode()) == schedule
    for wrong in (b"", b"[]", b'{"seconds": {"x": 1}, "session_seconds": null}', b'{"seconds": {}}', b"\xff"):
        with pytest.raises(DecodeError, match="no schedule"):
            RoundSchedule.decode(wrong)
