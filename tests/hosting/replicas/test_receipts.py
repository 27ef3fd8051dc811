"""What a client is answered is the same wherever it asks again, also when another host goes on with the session."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import pytest

from secagg.hosting import QuotaExceededError, ReceiptKind, ResultNotReadyError
from secagg.hosting.replicas.letters import LETTERS_OF_CLIENT
from secagg.store.shared import BUSY, Addressed, Left
from tests.harness import Harness
from tests.hosting.replicas.support import Replicas, Wandering, run

NAME = "round-1"
TAKEN = {ReceiptKind.ACCEPTED, ReceiptKind.REPEATED}


def test_receipts_outlive_the_host_that_gave_them() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            played = Wandering(Harness(5, threshold=2))
            await replicas.create(played)
            session = await replicas.hosts[1].find(NAME)
            good, bad, *others = played.cohort
            answer = await played.answer(session, good)
            assert (await session.submit(good, answer)).kind is ReceiptKind.ACCEPTED
            refused = await session.submit(bad, b"no message of any round")
            assert refused.kind is ReceiptKind.REFUSED
            replicas.stores[0].cut = True
            await replicas.held(NAME, not_by=0)
            spread = replicas.spread(NAME)
            for _ in range(4):
                assert (await spread.submit(good, answer)).kind in TAKEN
                again = await spread.submit(bad, b"no message of any round")
                assert again.kind in (ReceiptKind.REFUSED, ReceiptKind.LATE)
                assert again.reason is refused.reason
            await played.play_round(spread, others)
            await played.turned(spread, others[0])
            assert (await spread.submit(good, answer)).kind in TAKEN
            left = (good, *others)
            played.assert_exact(await played.finish(spread, left), left)

    run(body())


def test_an_answer_that_was_taken_here_is_not_uploaded_again() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session, client = await replicas.hosts[1].find(NAME), played.cohort[0]
            answer = await played.answer(session, client)
            digest = hashlib.sha256(answer).digest()
            assert session.foresee(client, digest) is None
            await session.submit(client, answer)
            receipt = session.foresee(client, digest)
            assert receipt is not None
            assert receipt.kind is ReceiptKind.REPEATED
            assert session.foresee(played.cohort[1], digest) is None

    run(body())


def test_a_client_leaves_so_many_letters_and_not_more() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session, post = await replicas.hosts[1].find(NAME), replicas.memory._office.post(NAME)
            greedy, *others = played.cohort
            replicas.pause(0)
            left = [asyncio.ensure_future(session.submit(greedy, bytes([n]))) for n in range(LETTERS_OF_CLIENT)]
            await replicas.until(lambda: len(post.numbers) == LETTERS_OF_CLIENT)
            with pytest.raises(QuotaExceededError, match="messages of one client"):
                await session.submit(greedy, b"one more")
            answer = asyncio.ensure_future(session.submit(others[0], await played.answer(session, others[0])))
            replicas.resume(0)
            assert (await answer).kind in TAKEN
            await asyncio.wait(left)
            await played.play_round(replicas.spread(NAME), others)
            played.assert_exact(await played.finish(replicas.spread(NAME), others), others)

    run(body())


def test_a_result_is_acknowledged_anywhere_and_gone_everywhere() -> None:
    async def body() -> None:
        async with Replicas(3) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            await played.finish(replicas.spread(NAME))
            sessions = await replicas.everywhere(NAME)
            for session in sessions:
                await session.wait_ended()
            for session in reversed(sessions):
                await session.acknowledge_result()
            for session in sessions:
                with pytest.raises(ResultNotReadyError, match="released"):
                    await session.result()
                assert not session.status().result_ready

    run(body())


def test_a_letter_to_a_session_that_is_being_changed_is_left_behind_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Wandering(Harness(4, threshold=2))
            await replicas.create(played)
            session, client = await replicas.hosts[1].find(NAME), played.cohort[0]
            store, tried = replicas.stores[1], list[bool]()
            leave = store.send

            def busy(letters: Sequence[Addressed], wait: bool = True) -> Sequence[Left | None]:
                tried.append(wait)
                return leave(letters) if wait else [BUSY] * len(letters)

            monkeypatch.setattr(store, "send", busy)
            receipt = await session.submit(client, await played.answer(session, client))
            assert receipt.kind is ReceiptKind.ACCEPTED
            assert tried == [False, True]

    run(body())
