"""Hosts die, sleep, lose their way to the store or an answer of it, and stop, in any order, while clients play.

Whatever happens, the log is the only truth: no client is asked two things in one round, all are told of the same
contributors, who was acknowledged and not dropped is in the sum, and the sum is exact.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secagg import Round
from secagg.hosting import Ended, HostReason, Receipt, ReceiptKind, ReleasedSum, Request, read_result
from secagg.hosting.replicas import SharedHost
from secagg.protocol.messages import ConsistencyCheckRequest, UnmaskingRequest
from secagg.store.base import Entry, StoreError
from secagg.store.shared_memory import SharedMemoryStore
from secagg.wire.codec import decode_server_message
from tests.harness import Harness
from tests.hosting.replicas.support import LEASE, Replicas, Wandering, never
from tests.hosting.support import run

NAME: Final = "round-1"
KEPT: Final = (ReceiptKind.ACCEPTED, ReceiptKind.REPEATED)
LOST: Final = ("append", "publish", "send", "finish", "release", "acquire", "renew")
POINTS: Final = tuple(
    f"{how} at {side} {call}"
    for how in ("sleep", "nap", "part")
    for side in ("before", "after")
    for call in ("append", "publish", "finish")
)
Step = tuple[str, int, float]

steps = st.tuples(
    st.sampled_from(
        ["die", "sleep", "wake", "part", "heal", "stop", "drop", *(f"lose {call}" for call in LOST), *POINTS]
    ),
    st.integers(0, 2),
    st.floats(0.1, LEASE * 1.2),
)


class Struck(Replicas):
    """Hosts that are asked as long as they live, although they may have lost their way to the store."""

    def __init__(self, seed: int) -> None:
        self.epochs: list[int] = []
        self.dead: set[int] = set()
        super().__init__(3, seed=seed)

    def add(self) -> SharedHost:
        host, store = super().add(), self.stores[-1]

        def noted(name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
            with store._office.changed:
                SharedMemoryStore.append(store, name, entries, epoch)
                self.epochs.append(epoch)

        store.__dict__["append"] = noted
        return host

    def reachable(self) -> list[int]:
        return [number for number in range(len(self.hosts)) if number not in self.dead | self.asleep]

    async def strike(self, what: str, number: int) -> None:
        """Do something to the host that is the `number`-th of those that live."""
        living = [each for each in range(len(self.hosts)) if each not in self.dead]
        number = living[number % len(living)]
        store = self.stores[number]
        if what in ("die", "stop"):
            if what == "stop":
                await self._stop(number)
            self.dead.add(number)
            self.asleep.discard(number)
            store.cut = True
            store.gate.set()
            await self.add().start()
        elif what == "sleep":
            with self.memory._office.changed:
                if len(self.reachable()) > 1:
                    self.pause(number)
        elif what == "wake":
            self.wake()
        elif what in ("part", "heal"):
            store.cut = what == "part"
        elif what.startswith("lose "):
            self.plan(once(f"after {what.removeprefix('lose ')}"))
        elif " at " in what:
            how, _, point = what.partition(" at ")
            self.plan(*(self._at(each, how, point) for each in range(len(self.hosts))))

    async def _stop(self, number: int) -> None:
        """Stop a host, which is woken if it falls asleep over that."""
        stopping = asyncio.ensure_future(self.hosts[number].stop())
        while not stopping.done():
            self.wake()
            await asyncio.wait([stopping], timeout=0.02)
        await stopping

    def _at(self, number: int, how: str, point: str) -> Callable[[str], bool]:
        """Whoever comes to this point first falls asleep in the middle of the call, or loses its way to the store.

        A nap ends when another has written.
        """

        def reached(what: str) -> bool:
            if what != point or (how != "part" and len(self.reachable()) < 2):
                return False
            self.plan(self._overtaken if how == "nap" else never)
            if how != "part":
                self.pause(number)
            return how == "part"

        return reached

    def _overtaken(self, what: str) -> bool:
        if what == "after append":
            self.plan(never)
            self.loop.call_soon_threadsafe(self.wake)
        return False

    def wake(self) -> None:
        for number in tuple(self.asleep):
            self.resume(number)

    def calm(self) -> None:
        """Nothing more happens, planned or not: who lives goes on."""
        self.plan(never)
        self.wake()
        for number in self.reachable():
            self.stores[number].cut = False


def once(point: str) -> Callable[[str], bool]:
    """Lose the answer of the next call of a kind."""
    left = [1]

    def lose(what: str) -> bool:
        if what == point and left:
            left.clear()
            raise StoreError("the answer was lost")
        return False

    return lose


class Watched(Wandering):
    """Clients that remember what they were asked and answered."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness)
        self.asked: dict[tuple[int, Round], set[bytes]] = defaultdict(set)
        self.contributors: set[tuple[int, ...]] = set()
        self.survivors: set[int] = set()
        self.dropped: set[int] = set()
        self.counted: set[int] = set()

    def reply(self, client: int, request: Request) -> bytes:
        self.asked[client, request.round].add(request.message)
        message = decode_server_message(request.message)
        if isinstance(message, ConsistencyCheckRequest):
            self.contributors.add(message.contributors)
        elif isinstance(message, UnmaskingRequest):
            self.survivors.update(message.survivors)
            self.dropped.update(message.dropped)
        return super().reply(client, request)

    async def live(self, session: object, client: int) -> Ended:
        """Play one client to its end."""
        while True:
            found = await self.turned(session, client)  # type: ignore[arg-type]
            if isinstance(found, Ended):
                return found
            answer = self.reply(client, found)
            receipt: Receipt = await self.give(session, client, found.round.value, answer)
            if found.round is Round.MASKED_INPUT and receipt.kind in KEPT:
                self.counted.add(client)


async def chaos(model: str, seed: int, script: list[Step]) -> None:
    async with Struck(seed) as replicas:
        played = Watched(Harness(6, threshold=4 if model == "active" else 2, threat_model=model))
        await replicas.create(played)
        spread = replicas.spread(NAME)
        clients = [asyncio.ensure_future(played.live(spread, client)) for client in played.cohort]
        dropping: list[asyncio.Future[Receipt]] = []
        for what, number, seconds in script:
            if what == "drop" and not dropping:
                dropping.append(
                    asyncio.ensure_future(spread.drop(played.cohort[0], HostReason.REMOVED_BY_OPERATOR, "drawn"))
                )
            elif what != "drop":
                await replicas.strike(what, number)
            end = replicas.time.now() + seconds
            while replicas.time.now() < end and not all(client.done() for client in clients):
                await asyncio.sleep(0.005)
            if all(client.done() for client in clients):
                break
        replicas.calm()
        await asyncio.gather(*clients, *dropping)
        await spread.wait_ended()
        released: ReleasedSum = read_result(await spread.result())
        dropped = {played.cohort[0]} if dropping else set()
        played.assert_exact(released, released.contributors)
        assert played.counted - dropped <= set(released.contributors), "an acknowledged input is not in the sum"
        assert set(released.contributors) >= set(played.cohort) - dropped
        assert all(len(requests) == 1 for requests in played.asked.values()), "a client was asked two things"
        assert replicas.epochs == sorted(replicas.epochs), "a former holder wrote behind a later one"
        assert played.survivors <= set(released.contributors)
        assert not played.survivors & played.dropped, "both kinds of shares of one client were asked for"
        assert len(played.contributors) == (model == "active"), "clients were told of different contributors"


@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@example("active", 0, [("nap at before append", 0, LEASE * 2)])
@given(st.sampled_from(["semi-honest", "active"]), st.integers(0, 1 << 16), st.lists(steps, min_size=1, max_size=4))
def test_nothing_is_lost_and_nobody_is_told_two_things(model: str, seed: int, script: list[Step]) -> None:
    run(chaos(model, seed, script))


@pytest.mark.cluster
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["semi-honest", "active"]), st.integers(0, 1 << 16), st.lists(steps, min_size=2, max_size=8))
def test_nor_in_long_stories(model: str, seed: int, script: list[Step]) -> None:
    run(chaos(model, seed, script))
