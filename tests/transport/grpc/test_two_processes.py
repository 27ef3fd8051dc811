"""Two processes of one client over one state directory: whoever was overtaken stops, and harms the other in nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from secagg import AbortReason, InputReuse, MemoryLedger, PeerMisbehaved, ServerSession, SessionAbortedError
from secagg.executor import INLINE
from secagg.transport.grpc import ParticipantState, Participation
from secagg.transport.participant import Participant
from secagg.transport.participant_calls import ParticipantCalls
from tests.transport.grpc.network import SESSION, Network, Watch, run, until

NETWORK = Network()


def participant(directory: Path, server: ServerSession, client: int = 1) -> Participant:
    """A process of a client that has just read its state."""
    return Participant(
        server.offer,
        client,
        inputs={"v": NETWORK.inputs[client]},
        weight=None,
        strict=False,
        identity=None,
        roster=None,
        policy=NETWORK.policy(),
        state=ParticipantState(directory, SESSION, client),
        answers=MemoryLedger(),
        reuse=InputReuse(SESSION.encode()),
        participations=None,
        executor=INLINE,
    )


def test_who_was_overtaken_leaves_the_state_to_the_other(tmp_path: Path) -> None:
    server = ServerSession(NETWORK.parameters)
    first, second = participant(tmp_path, server), participant(tmp_path, server)
    found = first.answer(server.requests[1])
    with pytest.raises(SessionAbortedError) as caught:
        second.answer(server.requests[1])
    assert caught.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    assert second.notice is None
    second.erase()
    # The first is killed now; a third goes on where it was.
    third = participant(tmp_path, server)
    assert third.resumed is not None
    assert third.answer(server.requests[1]) == found


@pytest.mark.parametrize("resumed", [False, True])
def test_who_missed_a_round_that_the_other_answered_does_not_take_the_server_for_a_liar(
    tmp_path: Path, resumed: bool
) -> None:
    server = ServerSession(NETWORK.parameters)
    processes = {client: participant(tmp_path, server, client) for client in NETWORK.ids}
    second = None if resumed else participant(tmp_path, server)
    rounds = 2 if resumed else 1
    for at in range(rounds):
        for client, request in sorted(server.requests.items()):
            answer = processes[client].answer(request)
            assert answer is not None
            server.receive(client, answer[1])
            if client == 1 and at == 0 and resumed:
                second = participant(tmp_path, server)
        server.close_round()
    assert second is not None
    with pytest.raises(SessionAbortedError) as caught:
        second.answer(server.requests[1])
    assert caught.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    # A notice would have the server drop the client, and with it the process that goes on.
    assert second.notice is None
    second.erase()
    assert participant(tmp_path, server).resumed is processes[1].phase


def test_a_round_that_nobody_answered_is_not_left_out(tmp_path: Path) -> None:
    """Without another process, the same request is the server's fault."""
    server = ServerSession(NETWORK.parameters)
    processes = {client: participant(tmp_path, server, client) for client in NETWORK.ids}
    for client, request in sorted(server.requests.items()):
        answer = processes[client].answer(request)
        assert answer is not None
        server.receive(client, answer[1])
    server.close_round()
    alone = participant(tmp_path / "alone", server)
    with pytest.raises(PeerMisbehaved):
        alone.answer(server.requests[1])
    assert alone.notice is not None


def test_a_request_that_came_with_the_login_may_be_older_than_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is read after the login, and another process may have gone on by two rounds meanwhile."""

    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            watch, read = Watch(), asyncio.Event()
            first = asyncio.create_task(network.client(4, state=tmp_path, observer=watch))
            await until(lambda: network.session.status().answered == 1)
            offer = ParticipantCalls.offer

            async def late(self: ParticipantCalls) -> bytes:
                offered = await offer(self)
                if not read.is_set():
                    read.set()
                    await until(lambda: len(watch.outcomes) > 1)
                return offered

            monkeypatch.setattr(ParticipantCalls, "offer", late)
            second = asyncio.create_task(network.client(4, state=tmp_path))
            await read.wait()
            others = await network.everybody((1, 2, 3))
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            assert any(isinstance(outcome, Participation) for outcome in outcomes), outcomes
            for outcome in outcomes:
                if not isinstance(outcome, Participation):
                    assert isinstance(outcome, SessionAbortedError), outcome
                    assert outcome.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
            assert all(isinstance(outcome, Participation) for outcome in others.values()), others
            network.assert_exact(await network.sum())

    run(play())
