"""Sessions on the experimental chosen graph over the service: a state that lasts, and one answer to one offer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from secagg import AbortReason, ParameterError, PeerMisbehaved, TopologyKind, Violation
from secagg.errors import SessionAbortedError
from secagg.transport.grpc import Participation
from tests.transport.grpc.network import Network, run

CHOSEN: dict[str, Any] = {"topologies": frozenset({TopologyKind.CHOSEN}), "security_bits": 1, "max_corrupt": 0.0}


def network(**options: Any) -> Network:
    return Network(8, threat_model="active", topology="chosen", degree=5, threshold=4, **options)


def test_a_whole_session_and_no_second_one_of_the_same_offer(tmp_path: Path) -> None:
    """The offer comes again under another name, for which there is no state: nobody draws again."""

    async def play() -> None:
        async with network() as its:
            policy = its.policy(**CHOSEN)
            outcomes = await asyncio.gather(
                *(its.client(client, policy=policy, state=tmp_path / str(client)) for client in its.ids)
            )
            assert all(isinstance(outcome, Participation) for outcome in outcomes)
            its.assert_exact(await its.sum())
            await its.host.create("again", its.parameters, roster=its.enrolled, schedule=its.schedule)
            refusals = await asyncio.gather(
                *(
                    its.client(client, session="again", policy=policy, state=tmp_path / str(client))
                    for client in its.ids
                ),
                return_exceptions=True,
            )
            assert any(
                isinstance(refusal, SessionAbortedError)
                and refusal.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
                for refusal in refusals
            )
            assert not any(isinstance(refusal, Participation) for refusal in refusals)

    run(play())


def test_a_client_takes_part_only_by_name_and_with_a_state(tmp_path: Path) -> None:
    async def play() -> None:
        async with network() as its:
            with pytest.raises(PeerMisbehaved) as refusal:
                await its.client(1, policy=its.policy(max_corrupt=0.0), state=tmp_path)
            assert refusal.value.violation is Violation.OFFER_TOPOLOGY_NOT_ALLOWED
            with pytest.raises(ParameterError, match="durable ledger"):
                await its.client(2, policy=its.policy(**CHOSEN))

    run(play())
