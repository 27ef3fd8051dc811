"""Places of uploads: each session has some, and the rest is shared out, whoever is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from secagg.hosting import Receipt, ReceiptKind, UploadRefusedError
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import ServiceLimits
from secagg.transport.refusals import CallRefusedError
from secagg.transport.turns import Turns
from secagg.transport.uploads import UploadDesk
from tests.transport.grpc.network import run, until
from tests.transport.grpc.test_answers import Bare, chunks, header, play_bare, take


class Crowd:
    """Uploads that hold their places until they are told to end."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.held: list[str] = []
        self.early: set[str] = set()
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[tuple[str, asyncio.Event]] = []

    async def come(self, session: str, count: int, *, shares: bool = True) -> None:
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self._hold(session, shares)))
        for _ in range(3):
            await asyncio.sleep(0)

    async def end(self, session: str) -> None:
        found = next(each for each in self.ends if each[0] == session)
        self.ends.remove(found)
        found[1].set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def _hold(self, session: str, shares: bool) -> None:
        async with self.turns.turn(session, shares=lambda: shares and session not in self.early):
            end = asyncio.Event()
            self.ends.append((session, end))
            self.held.append(session)
            await end.wait()
            self.held.remove(session)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def test_a_session_alone_has_all_places_and_another_its_own_at_once_and_its_part_soon() -> None:
    async def play() -> None:
        crowd = Crowd(Turns(4, 1))
        await crowd.come("a", 20)
        assert crowd.held == ["a"] * 5
        await crowd.come("b", 9)
        assert crowd.held.count("b") == 1
        for _ in range(6):
            await crowd.end("a")
        assert (crowd.held.count("a"), crowd.held.count("b")) == (3, 3), "two of the shared for each"
        await crowd.leave()
        fresh = Crowd(crowd.turns)
        await fresh.come("c", 9)
        assert fresh.held == ["c"] * 5, "who was cancelled has left, waiting or not"
        await fresh.leave()

    run(play())


def test_a_session_that_collects_no_inputs_has_its_own_places_only() -> None:
    async def play() -> None:
        crowd = Crowd(Turns(4, 2))
        await crowd.come("a", 9, shares=False)
        assert crowd.held == ["a"] * 2
        await crowd.leave()

    run(play())


def test_who_came_before_the_round_keeps_nobody_behind_from_the_shared_places() -> None:
    async def play() -> None:
        crowd = Crowd(Turns(4, 2))
        crowd.early.add("a")
        await crowd.come("a", 3)
        assert crowd.held == ["a"] * 2
        crowd.early.clear()
        await crowd.come("a", 1)
        assert crowd.held == ["a"] * 4
        await crowd.leave()

    run(play())


async def _hangs(parts: list[pb.UploadPart]) -> AsyncIterator[pb.UploadPart]:
    for part in parts:
        yield part
    await asyncio.Event().wait()


async def _given(parts: list[pb.UploadPart]) -> AsyncIterator[pb.UploadPart]:
    for part in parts:
        yield part


def test_slow_members_of_one_session_keep_no_other_from_uploading() -> None:
    async def test(bare: Bare) -> None:
        network = bare.network
        other = await network.host.create("other", network.parameters, roster=network.roster, schedule=network.schedule)
        desk = UploadDesk(ServiceLimits(uploads=2))
        slow = [
            asyncio.create_task(take(desk, network.session, client, _hangs([header(bytes(100))])))
            for client in network.ids
        ]
        await until(lambda: len(network.session._uploads) == 2)
        data = b"no message"
        receipt: Receipt = await take(desk, other, 1, _given([header(data), *chunks(data)]))
        assert receipt.kind is ReceiptKind.REFUSED
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    play_bare(test, clients=5, threshold=3)


@pytest.mark.parametrize(("size", "in_time"), [(9_000, True), (7_000, False)])
def test_an_upload_that_would_miss_its_round_gives_its_place_back(size: int, in_time: bool) -> None:
    """Of 4 MB with 10,000 seconds left, 400 bytes a second are asked for."""

    async def test(bare: Bare) -> None:
        time = [50.0]
        desk = UploadDesk(ServiceLimits(stall_seconds=19.0, upload_bytes_per_second=1.0), lambda: time[0])

        async def crawls() -> AsyncIterator[pb.UploadPart]:
            yield header(b"", 4_000_000, bytes(32))
            time[0] += 20
            yield pb.UploadPart(chunk=bytes(size))

        refusal = (UploadRefusedError, "announced") if in_time else (CallRefusedError, "slower than 400 bytes")
        with pytest.raises(refusal[0], match=refusal[1]):
            await take(desk, bare.network.session, 1, crawls())

    play_bare(test, length=3_000_000, seconds=10_000)
