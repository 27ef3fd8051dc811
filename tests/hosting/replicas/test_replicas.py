"""Whole sessions over several hosts: whichever is asked, and whoever holds the lease, the sum is exact."""

from __future__ import annotations

import pytest

from secagg import ThreatModel
from tests.harness import Harness
from tests.hosting.replicas.support import Replicas, Wandering, run

NAME = "round-1"


def harness(model: ThreatModel) -> Harness:
    return Harness(5, threshold=3, threat_model=model) if model is ThreatModel.ACTIVE else Harness(5, threshold=2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", list(ThreatModel))
def test_each_call_may_come_to_any_host(model: ThreatModel, seed: int) -> None:
    async def body() -> None:
        async with Replicas(3, seed=seed) as replicas:
            played = Wandering(harness(model))
            await replicas.create(played, seed)
            released = await played.finish(replicas.spread(NAME))
            played.assert_exact(released)
            sessions = await replicas.everywhere(NAME)
            await replicas.until(lambda: {session.status().state for session in sessions} == {"completed"})

    run(body())
