"""What followers hear of a session: at once by news, in time without them, and never less than they say they looked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from secagg.hosting import Ended, HostUnavailableError, ReceiptKind, Request
from secagg.store.shared import BUSY, Addressed, Left, News, Sight
from tests.harness import Harness
from tests.hosting.replicas.support import Replicas
from tests.hosting.support import PATIENCE, Played, run

NAME = "round-1"


def silence(seconds: float) -> News:
    """News that do not come."""
    threading.Event().wait(seconds / 10)
    return News()


def test_news_that_are_lost_keep_nobody_waiting() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            replicas.stores[1].__dict__["news"] = silence
            played = Played(Harness(4, threshold=2))
            await replicas.create(played)
            holding, following = replicas.hosts[0].session(NAME), await replicas.hosts[1].find(NAME)
            while not isinstance(await played.turned(following, played.cohort[0]), Ended):
                await played.play_round(holding)
            await following.wait_ended()

    run(body())


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_a_look_that_others_did_not_finish_is_none(how: str) -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Played(Harness(4, threshold=2))
            await replicas.create(played)
            following = await replicas.hosts[1].find(NAME)
            first = await following.next_request(played.cohort[0], b"", 1e9)
            store, gate = replicas.stores[1], replicas.stores[1].gate
            # Another process knows the next round; this one has not heard of it when three callers ask for a request.
            replicas.stores[1].__dict__["news"] = silence
            gate.clear()
            one, two, three = (
                asyncio.ensure_future(following.next_request(client, b"", 1e9)) for client in played.cohort[:3]
            )
            await asyncio.sleep(0)
            holding = replicas.hosts[0].session(NAME)
            await played.play_round(holding)
            await played.turned(holding, played.cohort[0])
            if how == "cancelled":
                one.cancel()
                await asyncio.sleep(0.02)
                two.cancel()
                await asyncio.sleep(0.02)
                gate.set()
            else:
                store.plan = lambda point: point == "before look"
                gate.set()
                await asyncio.wait([one])
                store.plan = lambda _: False
            found = await asyncio.gather(one, two, three, return_exceptions=True)
            assert isinstance(first, Request)
            for each in found:
                if not isinstance(each, HostUnavailableError | asyncio.CancelledError):
                    assert isinstance(each, Request)
                    assert each.round is not first.round, "a request was handed out that is not the last one"

    run(body())


def test_letters_of_one_session_wait_for_no_other() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            held, free = Played(Harness(4, threshold=2)), Played(Harness(4, threshold=2))
            await replicas.create(held, name="held")
            await replicas.create(free, name="free")
            sessions = [await replicas.hosts[1].find(name) for name in ("held", "free")]
            send, locked, asked = replicas.stores[1].send, threading.Event(), threading.Event()

            def waits(letters: Sequence[Addressed], wait: bool = True) -> Sequence[Left | None]:
                if wait and any(each.name == "held" for each in letters):
                    asked.set()
                    locked.wait(PATIENCE)
                return [BUSY if each.name == "held" and not wait else send([each])[0] for each in letters]

            replicas.stores[1].__dict__["send"] = waits
            client = held.cohort[0]
            first = asyncio.ensure_future(sessions[0].submit(client, await held.answer(sessions[0], client)))
            assert await asyncio.to_thread(asked.wait, PATIENCE)
            assert (
                await sessions[1].submit(client, await free.answer(sessions[1], client))
            ).kind is ReceiptKind.ACCEPTED
            assert not first.done()
            locked.set()
            assert (await first).kind is ReceiptKind.ACCEPTED

    run(body())


def test_who_is_answered_finds_the_session_as_its_answer_left_it() -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Played(Harness(4, threshold=2))
            await replicas.create(played)
            store, following = replicas.stores[1], await replicas.hosts[1].find(NAME)
            store.__dict__["news"] = silence
            look, holding = store.look, replicas.hosts[0].session(NAME)

            def late(*asked: Any) -> Sight:
                found: Sight = look(*asked)
                if sent.is_set():
                    # It is read before the answer, and arrives after it.
                    published.wait(PATIENCE)
                return found

            sent, published = threading.Event(), threading.Event()
            store.__dict__["look"] = late
            send = store.send

            def told(*arguments: Any, **options: Any) -> Sequence[Left | None]:
                left: Sequence[Left | None] = send(*arguments, **options)
                sent.set()
                return left

            store.__dict__["send"] = told
            aborting = asyncio.ensure_future(following.abort("enough"))
            await replicas.until(lambda: holding.status().state == "aborted")
            published.set()
            await aborting
            assert following.status().state == "aborted"

    run(body())


def test_letters_of_one_moment_are_one_call() -> None:
    async def body() -> None:
        async with Replicas(2, gather_seconds=3.0) as replicas:
            plays = {name: Played(Harness(4, threshold=2)) for name in ("one", "two")}
            for name, played in plays.items():
                await replicas.create(played, name=name)
            sessions = {name: await replicas.hosts[1].find(name) for name in plays}
            client = plays["one"].cohort[0]
            answers = {name: await played.answer(sessions[name], client) for name, played in plays.items()}
            sent = []
            for name, answer in answers.items():
                sent.append(asyncio.ensure_future(sessions[name].submit(client, answer)))
                for _ in range(50):  # long enough for a call that does not wait for others
                    await asyncio.to_thread(int)
            assert {(await each).kind for each in sent} == {ReceiptKind.ACCEPTED}
            assert replicas.stores[1].calls.count("send") == 1

    run(body())
