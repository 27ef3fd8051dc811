"""One of several hosts dies while a session is followed by another: there is one that follows, whoever goes on."""

from __future__ import annotations

import pytest

from secagg import AbortReason
from secagg.hosting import Ended, EndKind, Request, RoundSchedule
from tests.dealers import GARBAGE, redealt
from tests.harness import Harness
from tests.hosting.replicas.support import Replicas, Wandering, run
from tests.hosting.replicas.test_failover import at

NAME = "round-1"
DEALER, ACCUSER = 1, 2
LONG = RoundSchedule.uniform(1e5, restarts=1)


class Corrupted(Wandering):
    """Clients of whom the dealer deals the accuser garbage."""

    def reply(self, client: int, request: Request) -> bytes:
        known, answer = self.seen.get(client) == request.digest, super().reply(client, request)
        if client == DEALER and request.round.value == "share_keys" and not known:
            answer = self.answers[client] = redealt(self.harness, client, answer, {ACCUSER: GARBAGE})
        return answer


@pytest.mark.parametrize("point", ["before create", "after create", "before finish", "after finish"])
def test_one_session_follows_wherever_the_holder_dies(point: str) -> None:
    async def body() -> None:
        async with Replicas(2) as replicas:
            played = Corrupted(Harness(5, threshold=3, threat_model="active"))
            await replicas.create(played, schedule=LONG)
            replicas.stores[0].plan = at(point, 1)
            session = replicas.spread(NAME)
            for _ in range(3):
                await played.play_round(session)
                await played.turned(session, ACCUSER)  # Until then a host may ask what has just been answered.
            await played.play_round(session, [ACCUSER])
            ended = await played.turned(session, ACCUSER)
            assert ended == Ended(EndKind.ABORTED, AbortReason.CLIENTS_COMPLAINED, f"{NAME}~1")
            await session.wait_ended()
            assert replicas.stores[0].cut
            assert list(replicas.memory.names()) == [NAME, f"{NAME}~1"]
            found = await replicas.hosts[1].find(NAME)
            status = found.status()
            assert (status.successor, [each.client for each in status.blame]) == (f"{NAME}~1", [DEALER])
            assert found.evidence(DEALER)
            following = await replicas.hosts[1].find(f"{NAME}~1")
            assert following.parameters.renews(found.parameters)
            await replicas.until(lambda: following.status().state == "advertise_keys")

    run(body())
