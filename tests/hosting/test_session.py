"""A hosted session from its first request to its fetched sum: everybody is answered, nothing counts twice."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import Any

import pytest

from secagg import DropReason, FixedPoint, Round
from secagg.errors import AbortReason, ParameterError
from secagg.hosting import (
    Ended,
    EndKind,
    HostUnavailableError,
    NotInCohortError,
    QuotaExceededError,
    ReceiptKind,
    Request,
    ResultNotReadyError,
    RoundSchedule,
    UnknownSessionError,
    UploadRefusedError,
)
from secagg.hosting.book import ENTRIES_PER_ROUND
from secagg.protocol.messages import Abort
from secagg.store.base import Completed, EntryKind, StoreConflictError, StoreError, Upload
from secagg.store.memory import MemoryStore
from tests.dealers import GARBAGE, redealt
from tests.harness import ROUNDS, Harness, alter, decode_answer, forge
from tests.hosting.support import PATIENCE, Played, Recorder, hosting, run, upload


@pytest.mark.parametrize(
    ("threat_model", "topology"), [("semi-honest", "complete"), ("semi-honest", "sparse"), ("active", "complete")]
)
def test_a_session_from_offer_to_sum(threat_model: str, topology: str) -> None:
    options: dict[str, Any] = {"degree": 8} if topology == "sparse" else {"threshold": 8}
    played = Played(Harness(12, threat_model=threat_model, topology=topology, **options))
    seen = Recorder()

    async def body() -> None:
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await played.create(host)
            assert session.offer == played.harness.server.offer
            assert session.message_limit == played.harness.server.message_limit
            played.assert_exact(await played.finish(session))
            assert session.status().state == "completed"
            assert session.status().contributors == played.cohort

    run(body())
    order = [round_ for round_ in ROUNDS if round_ is not Round.CONSISTENCY_CHECK or threat_model == "active"]
    assert seen.all("opened") == [(round_, 12, 60.0) for round_ in order]
    assert seen.all("closed") == [(round_, 12, 0.0) for round_ in order]
    assert {kind for _, kind in seen.all("answer")} == {ReceiptKind.ACCEPTED}
    assert len(seen.all("stage")) == 3
    assert len(seen.all("ended")) == 1


def test_a_session_with_a_complaint_has_one_more_round_and_all_are_told_its_end() -> None:
    """Client 2 deals garbage to client 4: the others wait while 4 shows it, and the operator reads who it was."""
    played = Played(Harness(6, threat_model="active", threshold=4))
    told: list[object] = []

    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            await played.run_to(session, Round.SHARE_KEYS)
            for client in played.cohort:
                answer = await played.answer(session, client)
                if client == 2:
                    answer = redealt(played.harness, 2, answer, {4: GARBAGE})
                await played.give(session, client, session.status().state, answer)
            await played.turned(session, 1)
            await played.play_round(session)
            asked = await played.turned(session, 4)
            assert isinstance(asked, Request)
            assert (session.status().state, session.status().pending) == (Round.DISCLOSURE.value, 1)
            assert await session.next_request(1, played.seen[1], 0) is None
            await session.submit(4, played.reply(4, asked))
            await session.wait_ended()
            assert "to blame: clients 2." in session.status().detail
            told.extend([await session.next_request(client, b"", 0) for client in played.cohort])

    run(body())
    assert told == [Ended(EndKind.ABORTED, AbortReason.CLIENTS_COMPLAINED)] * 6


def test_a_weighted_mean_is_released_with_its_weight() -> None:
    vectors = {"w": FixedPoint(length=5, clip=1.0, bits=16, aggregate="mean")}
    played = Played(Harness(4, threshold=2, vectors=vectors, max_weight=100))
    played.harness.weights.update({1: 10, 2: 20, 3: 30, 4: 40})

    async def body() -> None:
        async with hosting(MemoryStore()) as host:
            released = await played.finish(await played.create(host))
            assert released.total_weight == 100
            expected = sum(played.harness.inputs[c]["w"] * played.harness.weights[c] for c in played.cohort) / 100
            assert abs(released.vectors["w"] - expected).max() < 1e-3

    run(body())


def test_a_request_is_given_again_until_another_is_there() -> None:
    async def body() -> None:
        played, seen = Played(), Recorder()
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await played.create(host)
            first = await session.next_request(1, b"", 0)
            assert isinstance(first, Request)
            assert first.round is Round.ADVERTISE_KEYS
            assert first.digest == hashlib.sha256(first.message).digest()
            assert first.seconds_left == 60.0
            assert await session.next_request(1, b"other", 0) == first
            assert await session.next_request(1, first.digest, 0) is None
            assert seen.all("sent") == [(1, len(first.message))] * 2
            waiting = asyncio.create_task(session.next_request(1, first.digest, 1e6))
            await played.play_round(session)
            second = await waiting
            assert isinstance(second, Request)
            assert second.round is Round.SHARE_KEYS

    run(body())


def test_an_identical_repeat_is_accepted_and_not_logged() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            answer = await played.answer(session, 1)
            assert (await session.submit(1, answer)).kind is ReceiptKind.ACCEPTED
            for _ in range(5):
                assert (await session.submit(1, answer)).kind is ReceiptKind.REPEATED
            assert session.foresee(1, hashlib.sha256(answer).digest()) is not None
            assert len(list(store.entries("round-1"))) == session.status().log_entries == 1
            await played.play_round(session, [2, 3, 4])
            await played.turned(session, 1)
            # The answer to a round that is over, of a client whose receipt was lost: it counted.
            assert (await session.submit(1, answer)).kind is ReceiptKind.REPEATED
            assert len(list(store.entries("round-1"))) == 5
            played.assert_exact(await played.finish(session))

    run(body())


def test_a_different_second_answer_costs_the_client() -> None:
    async def body() -> None:
        played, seen = Played(), Recorder()
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await played.create(host)
            answer = await played.answer(session, 1)
            await session.submit(1, answer)
            other = Played(Harness(4, threshold=2))
            other.harness.clients[1] = other.harness.make_client(1, randomness=other.harness.source.fork("other"))
            forged = await other.answer(session, 1)
            refused = await session.submit(1, forged)
            assert (refused.kind, refused.reason) == (ReceiptKind.REFUSED, DropReason.SECOND_ANSWER_DIFFERS)
            late = await session.submit(1, answer)
            assert (late.kind, late.reason) == (ReceiptKind.LATE, DropReason.SECOND_ANSWER_DIFFERS)
            ended = await session.next_request(1, b"", 0)
            assert ended == Ended(EndKind.DROPPED, DropReason.SECOND_ANSWER_DIFFERS)
            assert session.status().dropped == {DropReason.SECOND_ANSWER_DIFFERS: 1}
            played.assert_exact(await played.finish(session, [2, 3, 4]), [2, 3, 4])
        assert seen.all("dropped") == [(1, Round.ADVERTISE_KEYS, DropReason.SECOND_ANSWER_DIFFERS)]

    run(body())


def test_garbage_is_refused_and_logged_once() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            assert (await session.submit(1, b"garbage")).reason is DropReason.MESSAGE_MALFORMED
            for attempt in range(20):
                assert (await session.submit(1, b"%d" % attempt)).kind is ReceiptKind.LATE
            assert len(list(store.entries("round-1"))) == 1

    run(body())


def test_messages_without_effect_cannot_fill_the_log() -> None:
    """A client that takes part may send other messages of rounds that are over; each would be an entry."""

    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            answer = await played.answer(session, 1)
            await played.run_to(session, Round.SHARE_KEYS)
            before = len(list(store.entries("round-1")))
            advertisement = decode_answer(answer).advertisement
            for attempt in range(ENTRIES_PER_ROUND):
                commitment = bytes([attempt]) * 32
                stale = alter(
                    answer,
                    advertisement=type(advertisement)(
                        advertisement.client, advertisement.channel_public, advertisement.mask_public, commitment, b""
                    ),
                )
                assert (await session.submit(1, stale)).kind is ReceiptKind.LATE
            with pytest.raises(QuotaExceededError):
                await session.submit(1, alter(answer, session=bytes(32)))
            assert len(list(store.entries("round-1"))) == before + ENTRIES_PER_ROUND
            assert session.status().stored_bytes == sum(
                len(entry.payload) for entry in store.entries("round-1") if entry.client is not None
            )
            # Its operator can still be rid of it.
            dropped = await session.drop(1, DropReason.CLIENT_ABORTED, "floods the log")
            assert dropped.reason is DropReason.CLIENT_ABORTED

    run(body())


def test_waiting_messages_are_written_together() -> None:
    class Counting(MemoryStore):
        batches: list[int] = []  # noqa: RUF012

        def append(self, name: str, entries: Any, epoch: int = 0) -> None:
            self.batches.append(len(entries))
            super().append(name, entries, epoch)

    async def body() -> None:
        played, store = Played(Harness(40, threshold=20)), Counting()
        async with hosting(store) as host:
            session = await played.create(host)
            answers = {client: await played.answer(session, client) for client in played.cohort}
            await asyncio.gather(*(session.submit(client, answers[client]) for client in played.cohort))
            assert sum(store.batches[:-1]) + store.batches[-1] in (40, 41)
            assert len(store.batches) <= 4
            played.assert_exact(await played.finish(session))

    run(body())


def test_two_messages_of_one_client_at_once_are_taken_in_order() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            answer = await played.answer(session, 1)
            receipts = await asyncio.gather(*(session.submit(1, answer) for _ in range(3)), session.submit(1, b"x"))
            assert [receipt.kind for receipt in receipts] == [
                ReceiptKind.ACCEPTED,
                ReceiptKind.REPEATED,
                ReceiptKind.REPEATED,
                ReceiptKind.REFUSED,
            ]
            assert [entry.payload for entry in store.entries("round-1")] == [answer, b"x"]

    run(body())


def test_an_abort_notice_is_accepted() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            receipt = await session.submit(1, forge(Abort(played.harness.session, AbortReason.PEER_MISBEHAVED)))
            assert (receipt.kind, receipt.reason) == (ReceiptKind.ACCEPTED, DropReason.CLIENT_ABORTED)
            ended = await session.next_request(1, b"", 0)
            assert isinstance(ended, Ended)
            assert ended.kind is EndKind.DROPPED
            played.assert_exact(await played.finish(session, [2, 3, 4]), [2, 3, 4])

    run(body())


def test_strangers_are_turned_away() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            assert (session.includes(4), session.includes(5)) == (True, False)
            for call in (
                lambda: session.next_request(5, b"", 0),
                lambda: session.submit(5, b""),
                lambda: session.begin_upload(5, 1),
                lambda: session.drop(5, DropReason.CLIENT_ABORTED, ""),
            ):
                with pytest.raises(NotInCohortError, match="client 5"):
                    await call()
            with pytest.raises(NotInCohortError):
                session.foresee(5, b"")
            with pytest.raises(UnknownSessionError):
                host.session("round-2")

    run(body())


def test_uploads_are_bounded_before_a_byte_is_stored() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            limit = session.message_limit
            for length in (limit + 1, -1):
                with pytest.raises(UploadRefusedError, match=str(limit)):
                    await session.begin_upload(1, length)
            with pytest.raises(UploadRefusedError):
                await session.submit(1, bytes(limit + 1))
            taking = await session.begin_upload(1, 10)
            await taking.write(bytes(6))
            with pytest.raises(UploadRefusedError, match="sent 6"):
                await session.submit_upload(1, taking)
            taking = await session.begin_upload(1, 10)
            with pytest.raises(UploadRefusedError, match="sends more"):
                await taking.write(bytes(11))
            with pytest.raises(HostUnavailableError, match="ended"):
                await taking.write(b"")
            with pytest.raises(UploadRefusedError, match="did not begin"):
                await session.submit_upload(2, taking)
            assert store.upload_bytes("round-1") == 0
            assert session.status().answered == 0

    run(body())


def test_a_newer_upload_of_a_client_ends_the_older() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            answer = await played.answer(session, 1)
            older = await session.begin_upload(1, len(answer))
            await older.write(answer[:5])
            assert (await upload(session, 1, answer)).kind is ReceiptKind.ACCEPTED
            with pytest.raises(HostUnavailableError, match="ended"):
                await older.write(answer[5:])
            await older.discard()
            assert (await upload(session, 1, answer)).kind is ReceiptKind.REPEATED
            played.assert_exact(await played.finish(session))

    run(body())


def test_an_upload_is_finished_though_its_caller_went_away() -> None:
    async def body() -> None:
        played, seen = Played(), Recorder()
        async with hosting(MemoryStore(), observer=seen) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            answer = await played.answer(session, 1)
            taking = await session.begin_upload(1, len(answer))
            await taking.write(answer)
            task = asyncio.create_task(session.submit_upload(1, taking))
            await asyncio.wait([task], timeout=0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await seen.until(lambda: session.status().answered == 1)
            assert (await upload(session, 1, answer)).kind is ReceiptKind.REPEATED
            played.assert_exact(await played.finish(session))

    run(body())


class SlowStore(MemoryStore):
    """Begins an upload only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()
        self.begun: list[Upload] = []

    def begin_upload(self, name: str, limit: int) -> Upload:
        self.asked.set()
        assert self.go.wait(PATIENCE)
        self.begun.append(super().begin_upload(name, limit))
        return self.begun[-1]


def test_a_caller_that_goes_away_while_its_upload_begins_leaves_nothing() -> None:
    """Otherwise every cut connection would take its bytes away from all clients until the next restart."""

    async def body() -> None:
        played, store = Played(), SlowStore()
        async with hosting(store) as host:
            session = await played.create(host)
            before = host._tools.space.used
            task = asyncio.create_task(session.begin_upload(1, 100))
            await asyncio.to_thread(store.asked.wait, PATIENCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            store.go.set()
        assert host._tools.space.used == before
        with pytest.raises(StoreError, match="ended"):
            store.begun[0].write(b"x")

    run(body())


class SlowAtFirst(SlowStore):
    """Begins all uploads but the first at once."""

    def begin_upload(self, name: str, limit: int) -> Upload:
        if self.asked.is_set():
            return MemoryStore.begin_upload(self, name, limit)
        return super().begin_upload(name, limit)


def test_an_upload_that_begins_late_does_not_end_a_newer_one() -> None:
    """Whoever lost its connection meanwhile, and went on over another, had to send everything again."""

    async def body() -> None:
        played, store = Played(), SlowAtFirst()
        async with hosting(store) as host:
            session = await played.create(host)
            before = host._tools.space.used
            late = asyncio.create_task(session.begin_upload(1, 100))
            assert await asyncio.to_thread(store.asked.wait, PATIENCE)
            late.cancel()
            await asyncio.wait([late])
            newer = await session.begin_upload(1, 50)
            await newer.write(b"x" * 20)
            store.go.set()
            await session._working.ended()
            await newer.write(b"x" * 30)
            assert (newer.received, host._tools.space.used) == (50, before + 50)

    run(body())


def test_an_operator_drops_a_client_and_aborts() -> None:
    async def body() -> None:
        played = Played()
        async with hosting(MemoryStore()) as host:
            session = await played.create(host)
            receipt = await session.drop(1, DropReason.CLIENT_ABORTED, "its owner asked")
            assert receipt.reason is DropReason.CLIENT_ABORTED
            again = await session.drop(1, DropReason.CLIENT_ABORTED, "once more")
            assert (again.kind, again.reason) == (ReceiptKind.LATE, DropReason.CLIENT_ABORTED)
            assert session.status().log_entries == 1
            answer = await played.answer(session, 2)
            aborting = asyncio.gather(session.abort("maintenance"), session.abort("again"), session.submit(2, answer))
            assert (await aborting)[2].kind in (ReceiptKind.LATE, ReceiptKind.ACCEPTED)
            await session.wait_ended()
            status = session.status()
            assert (status.state, status.abort_reason, status.detail) == (
                "aborted",
                AbortReason.ABORTED_BY_CALLER,
                "maintenance",
            )
            ended = await session.next_request(2, b"", 0)
            assert ended == Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER)
            assert (await session.submit(2, answer)).kind is ReceiptKind.LATE
            await session.abort("once more")
            with pytest.raises(ResultNotReadyError, match="maintenance"):
                await session.result()

    run(body())


def test_a_result_is_kept_until_it_is_acknowledged() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            waits = "^session round-1 has no result yet, its state is 'advertise keys'; wait for its end$"
            early = "^session round-1 has not ended; abort it first$"
            for call, said in (
                (session.result, waits),
                (session.acknowledge_result, waits),
                (lambda: host.discard("round-1"), early),
            ):
                with pytest.raises(ResultNotReadyError, match=said):
                    await call()
            await played.finish(session)
            pieces = [piece async for piece in session.result_chunks(100)]
            assert len(pieces) > 3
            assert b"".join(pieces) == await session.result() == await session.result()
            assert list(store.entries("round-1")) == []
            assert store.upload_bytes("round-1") == session.status().stored_bytes == len(await session.result())
            await session.acknowledge_result()
            await session.acknowledge_result()
            with pytest.raises(ResultNotReadyError, match="released"):
                await session.result()
            assert store.outcome("round-1") == Completed(None)
            assert (store.upload_bytes("round-1"), session.status().stored_bytes) == (0, 0)
            assert await played.create(host) is session
            await host.discard("round-1")
            assert not host.has("round-1")
            assert store.sessions() == []

    run(body())


def test_a_session_is_created_once() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            sessions = await asyncio.gather(*(played.create(host) for _ in range(3)))
            assert len(set(map(id, sessions))) == len(host.sessions()) == len(store.sessions()) == 1
            with pytest.raises(StoreConflictError):
                await Played(Harness(4, threshold=2, seed=1)).create(host)
            with pytest.raises(StoreConflictError):
                await played.create(host, schedule=RoundSchedule.uniform(61))
            with pytest.raises(ParameterError, match="no session name"):
                await played.create(host, "../x")
            partial = RoundSchedule({Round.ADVERTISE_KEYS: 1.0})
            with pytest.raises(ParameterError, match="share_keys"):
                await played.create(host, "other", partial)
            active = Harness(4, threshold=3, threat_model="active")
            with pytest.raises(ParameterError, match="roster"):
                await host.create("active", active.parameters, schedule=RoundSchedule.uniform(1))
            assert [session.name for session in host.sessions()] == ["round-1"]

    run(body())


def test_a_session_keeps_the_keys_of_its_cohort_only() -> None:
    async def body() -> None:
        played = Played()
        roster = {client: bytes([client]) * 32 for client in range(1, 9)}
        async with hosting(MemoryStore()) as host:
            session = await host.create(
                "named", played.harness.parameters, roster=roster, schedule=RoundSchedule.uniform(1)
            )
            assert session.roster == {client: roster[client] for client in played.cohort}

    run(body())


def test_the_log_says_what_happened_in_order() -> None:
    async def body() -> None:
        played, store = Played(), MemoryStore()
        async with hosting(store) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            await session.drop(1, DropReason.CLIENT_ABORTED, "gone")
            await played.send(session, 2)
            kinds = [entry.kind for entry in store.entries("round-1")]
            assert kinds == [
                *([EntryKind.MESSAGE] * 4 + [EntryKind.CLOSE_ROUND]) * 2,
                EntryKind.DROP,
                EntryKind.UPLOAD,
            ]

    run(body())
