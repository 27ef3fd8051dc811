"""Whole sessions under any schedule: lost, late, doubled and reordered messages, restarts, rounds closed at any time.

Everybody is honest and the network and the hosts are not reliable. Whatever happens: only SecAggErrors leave a call,
the sets are nested, what has ended stays ended, and a released sum is exactly the one of its contributors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DropReason,
    LocalProtocolError,
    Round,
    SecAggError,
    SecretBytes,
    ServerPhase,
    ServerSession,
    SessionAbortedError,
    ThreatModel,
)
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import reduce_to_ring
from secagg.protocol.events import ClientDropped, RoundClosed, ServerEvent, SessionAborted, SessionCompleted
from secagg.protocol.messages import MaskedInputCollectionResponse, UnmaskingResponse
from secagg.protocol.transitions import CLIENT_TRANSITIONS
from secagg.wire.codec import decode_client_message, decode_server_message
from tests.harness import HIGH, ROUNDS, Harness

KINDS: dict[str, dict[str, Any]] = {
    "semi-honest, 4 clients": {"clients": 4, "threshold": 2},
    "semi-honest, 5 clients": {"clients": 5, "threshold": 2, "minimum_contributors": 3},
    "sparse, 6 clients": {"clients": 6, "topology": "sparse", "degree": 4, "threshold": 2, "minimum_contributors": 3},
    "active, 4 clients": {"clients": 4, "threshold": 3, "threat_model": "active"},
    "active, 6 clients": {"clients": 6, "threshold": 4, "threat_model": "active"},
}
SERVER_ORDER = list(ServerPhase)
CLIENT_ORDER = list(ClientPhase)
ENDED = (ClientPhase.COMPLETED, ClientPhase.ABORTED)
WILD = 1000
picks = st.integers(0, 2**16)


class Sessions(RuleBasedStateMachine):
    """One session: its parties, two bags of messages on their way, and every message there ever was.

    `losses` is how often fate may still cost a client its place, a wild run apart at most once in a round, so that
    most sessions get to their end.
    """

    @initialize(
        kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 3), losses=st.sampled_from([0, 1, 1, 1, 2, 2, 3, WILD])
    )
    def start(self, kind: str, seed: int, losses: int) -> None:
        self.losses = losses
        self.round_of_last_loss: Round | None = None
        self.harness = Harness(seed=seed, with_ledgers=True, **KINDS[kind])
        self.clients = self.harness.clients
        self.server = self.harness.server
        parameters = self.harness.parameters
        self.layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
        self.to_clients = list(self.harness.requests.items())
        self.to_server: list[tuple[int, bytes]] = []
        self.ever_to_clients = list(self.to_clients)
        self.ever_to_server: list[tuple[int, bytes]] = []
        self.events: list[ServerEvent] = []
        self.plain: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}
        self.set_inputs: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}
        self.answers: dict[tuple[int, type[object]], bytes] = {}
        self.snapshots: dict[int, SecretBytes] = {}
        self.client_phases = dict.fromkeys(self.clients, ClientPhase.ADVERTISE_KEYS)
        self.server_phase = ServerPhase.COLLECTING_KEYS

    def may_lose(self) -> bool:
        return self.losses > 3 or (self.losses > 0 and self.server.round is not self.round_of_last_loss)

    def lose(self, count: int = 1) -> None:
        self.losses -= count
        self.round_of_last_loss = self.server.round

    # Calls: whatever the schedule, nothing but a SecAggError may leave one.

    def attempt(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except SecAggError:
            return None

    def hand_to_client(self, client: int, message: bytes) -> None:
        session = self.clients[client]
        before, reason = session.phase, session.abort_reason
        try:
            answer = session.receive(message)
        except LocalProtocolError:
            assert session.phase is before
            return
        except SessionAbortedError:
            resumed_twice = (ClientPhase.ABORTED, AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT)
            expected = (before, reason) if before in ENDED else resumed_twice
            assert (session.phase, session.abort_reason) == expected
            return
        except SecAggError:
            assert session.phase is ClientPhase.ABORTED
            answer = session.abort_notice()
        if answer is not None:
            self.record(client, answer)
            self.to_server.append((client, answer))
            self.ever_to_server.append((client, answer))

    def record(self, client: int, answer: bytes) -> None:
        """Keep the words that are under a masked input, and check that no answer is ever given in two versions."""
        message = decode_client_message(answer)
        first = self.answers.setdefault((client, type(message)), answer)
        if hasattr(message, "reason"):
            return
        assert first == answer, f"client {client} gave two different {type(message).__name__}s"
        if isinstance(message, MaskedInputCollectionResponse):
            self.plain.setdefault(client, self.set_inputs[client])
        if isinstance(message, UnmaskingResponse):
            seeds = {owner for owner, _ in message.seed_shares}
            assert seeds.isdisjoint(owner for owner, _ in message.mask_key_shares)

    def hand_to_server(self, client: int, message: bytes) -> None:
        phase = self.server.phase
        events = self.attempt(lambda: self.server.receive(client, message))
        assert self.server.phase is phase
        self.events.extend(events or ())

    def pick(self, items: list[tuple[int, bytes]], at: int) -> tuple[int, bytes]:
        return items[at % len(items)]

    # The network: any order, losses, copies, and messages of long ago.

    @precondition(lambda self: self.to_clients)
    @rule(at=picks)
    def deliver_a_request(self, at: int) -> None:
        self.hand_to_client(*self.to_clients.pop(at % len(self.to_clients)))

    @precondition(lambda self: self.to_server)
    @rule(at=picks)
    def deliver_an_answer(self, at: int) -> None:
        self.hand_to_server(*self.to_server.pop(at % len(self.to_server)))

    @precondition(lambda self: self.server.requests)
    @rule(at=picks)
    def repeat_an_open_request(self, at: int) -> None:
        self.hand_to_client(*self.pick(list(self.server.requests.items()), at))

    @precondition(lambda self: self.may_lose())
    @rule(at=picks)
    def repeat_a_request_of_any_time(self, at: int) -> None:
        """A client that is further on takes it for a server that is out of step, and leaves."""
        self.lose()
        self.hand_to_client(*self.pick(self.ever_to_clients, at))

    @precondition(lambda self: self.ever_to_server)
    @rule(at=picks)
    def repeat_an_answer(self, at: int) -> None:
        self.hand_to_server(*self.pick(self.ever_to_server, at))

    @precondition(lambda self: self.may_lose() and self.to_clients)
    @rule(at=picks)
    def lose_a_request(self, at: int) -> None:
        self.lose()
        self.to_clients.pop(at % len(self.to_clients))

    @precondition(lambda self: self.may_lose() and self.to_server)
    @rule(at=picks)
    def misroute_an_answer(self, at: int) -> None:
        """An answer arrives in the name of another client, or of a stranger."""
        self.lose()
        _, message = self.pick(self.to_server, at)
        others = [*self.clients, 99]
        self.hand_to_server(others[at % len(others)], message)

    @rule()
    def deliver_everything(self) -> None:
        """The common case, so that sessions get somewhere."""
        for client in self.clients:
            self.input_for(client)
        while self.to_clients:
            self.hand_to_client(*self.to_clients.pop(0))
        while self.to_server:
            self.hand_to_server(*self.to_server.pop(0))

    # The hosts: inputs, deadlines, people who leave, processes that die.

    @rule(at=picks)
    def set_an_input(self, at: int) -> None:
        self.input_for(list(self.clients)[at % len(self.clients)])

    def input_for(self, client: int, shift: int = 0) -> None:
        """Set the client's input, or another one, if the session still takes it."""
        arrays = {"v": np.minimum(self.harness.inputs[client]["v"] + shift, HIGH)}
        encoded = self.attempt(lambda: self.clients[client].set_input(arrays))
        if encoded is not None:
            self.set_inputs[client] = (encoded.words.copy(), arrays["v"])

    @precondition(lambda self: self.may_lose() and len(self.server.pending) <= self.losses)
    @rule()
    def close_the_round(self) -> None:
        self.lose(len(self.server.pending))
        self.close()

    def close(self) -> None:
        live = self.server.round is not None
        requests = self.attempt(self.server.close_round)
        assert (requests is not None) == live
        for client, request in (requests or {}).items():
            self.to_clients.append((client, request))
            self.ever_to_clients.append((client, request))
        self.events.extend(self.server.take_events())

    @precondition(lambda self: self.server.ready)
    @rule()
    def close_the_round_when_it_is_ready(self) -> None:
        self.close()

    @precondition(lambda self: self.may_lose())
    @rule(at=picks)
    def a_client_leaves(self, at: int) -> None:
        self.lose()
        client = list(self.clients)[at % len(self.clients)]
        notice = self.attempt(self.clients[client].abort)
        if notice is not None:
            self.to_server.append((client, notice))
            self.ever_to_server.append((client, notice))

    @precondition(lambda self: self.may_lose())
    @rule(at=picks)
    def the_server_drops_a_client(self, at: int) -> None:
        self.lose()
        client = list(self.clients)[at % len(self.clients)]
        self.events.extend(self.attempt(lambda: self.server.drop(client, DropReason.CLIENT_ABORTED)) or ())

    @rule(at=picks, keep=st.booleans())
    def a_clients_process_restarts(self, at: int, keep: bool) -> None:
        client = list(self.clients)[at % len(self.clients)]
        snapshot = self.attempt(self.clients[client].snapshot)
        if snapshot is not None:
            if keep:
                self.snapshots[client] = snapshot
            self.clients[client] = self.resumed(client, snapshot)

    @precondition(lambda self: self.snapshots)
    @rule(at=picks, shift=st.integers(0, 1))
    def a_client_is_restored_from_an_old_snapshot(self, at: int, shift: int) -> None:
        """The host restores a backup and plays what it has; the ledger is all that keeps it from answering anew."""
        client = sorted(self.snapshots)[at % len(self.snapshots)]
        self.clients[client] = self.resumed(client, self.snapshots[client])
        self.client_phases[client] = self.clients[client].phase
        self.input_for(client, shift)
        for request in [request for receiver, request in self.ever_to_clients if receiver == client]:
            if asked_in(self.clients[client].phase, request):
                self.hand_to_client(client, request)

    def resumed(self, client: int, snapshot: SecretBytes) -> ClientSession:
        harness = self.harness
        return ClientSession.resume(
            snapshot,
            ledger=harness.ledgers[client],
            identity=harness.identities[client] if harness.active else None,
            roster=harness.roster if harness.active else None,
            randomness=harness.source.fork(f"restart {len(self.answers)}"),
        )

    @rule()
    def the_servers_process_restarts(self) -> None:
        snapshot = self.attempt(self.server.snapshot)
        assert (snapshot is None) == (self.server.round is None)
        if snapshot is None:
            return
        before = (self.server.phase, self.server.pending, self.server.answered, dict(self.server.requests))
        self.server = ServerSession.resume(snapshot, roster=self.harness.roster if self.harness.active else None)
        after = (self.server.phase, self.server.pending, self.server.answered, dict(self.server.requests))
        assert after == before

    # What must hold at any time.

    @invariant()
    def ended_stays_ended_and_nobody_goes_back(self) -> None:
        for client, session in self.clients.items():
            before, now = self.client_phases[client], session.phase
            assert CLIENT_ORDER.index(now) >= CLIENT_ORDER.index(before)
            assert (session.abort_reason is not None) == (now is ClientPhase.ABORTED)
            self.client_phases[client] = now
        before_server, server_now = self.server_phase, self.server.phase
        if before_server in (ServerPhase.COMPLETED, ServerPhase.ABORTED):
            assert server_now is before_server
        assert SERVER_ORDER.index(server_now) >= SERVER_ORDER.index(before_server)
        self.server_phase = server_now

    @invariant()
    def pending_and_answered_are_consistent(self) -> None:
        server = self.server
        assert server.pending.isdisjoint(server.answered)
        assert server.pending | server.answered <= set(self.clients)
        assert server.ready == (server.round is not None and not server.pending)
        if server.round is None:
            assert server.pending | server.answered == set()
        else:
            assert server.pending | server.answered <= server.requests.keys()

    @invariant()
    def rounds_are_nested(self) -> None:
        closed = [event for event in self.events if isinstance(event, RoundClosed)]
        assert [event.round for event in closed] == [
            round_ for round_ in ROUNDS if round_ is not Round.CONSISTENCY_CHECK or self.harness.active
        ][: len(closed)]
        for outer, inner in zip([tuple(self.clients), *(event.answered for event in closed)], closed, strict=False):
            assert set(inner.answered) <= set(outer)
        twice = [event.client for event in self.events if isinstance(event, ClientDropped)]
        assert len(twice) == len(set(twice)), "a client is dropped once"

    @invariant()
    def the_end_is_reported_once(self) -> None:
        ends = [event for event in self.events if isinstance(event, SessionCompleted | SessionAborted)]
        assert len(ends) == (self.server.round is None)

    @invariant()
    def a_released_sum_is_exact(self) -> None:
        if self.server.phase is not ServerPhase.COMPLETED:
            return
        result, parameters = self.server.result, self.harness.parameters
        assert len(result.contributors) >= parameters.minimum_contributors
        sharers = next(e for e in self.events if isinstance(e, RoundClosed) and e.round is Round.SHARE_KEYS)
        assert set(result.contributors) <= set(sharers.answered)
        expected = np.zeros(self.layout.words, dtype=np.uint64)
        for client in result.contributors:
            expected += self.plain[client][0]
        reduce_to_ring(self.layout, expected)
        assert np.array_equal(result.session_vector, expected)
        plain = np.sum([self.plain[client][1] for client in result.contributors], axis=0)
        assert result.vectors["v"].tolist() == plain.tolist()

    def teardown(self) -> None:
        """Play on to the end, so that every schedule is also judged by its result."""
        if not hasattr(self, "server"):
            return
        for _ in ROUNDS:
            self.deliver_everything()
            self.close()
        assert self.server.phase in (ServerPhase.COMPLETED, ServerPhase.ABORTED)
        for check in (
            self.ended_stays_ended_and_nobody_goes_back,
            self.pending_and_answered_are_consistent,
            self.rounds_are_nested,
            self.the_end_is_reported_once,
            self.a_released_sum_is_exact,
        ):
            check()


def asked_in(phase: ClientPhase, request: bytes) -> bool:
    """Whether a client in this phase waits for a request of this type."""
    return type(decode_server_message(request)) in CLIENT_TRANSITIONS[ThreatModel.ACTIVE][phase]


TestSessions = pytest.mark.thorough(Sessions.TestCase)
TestSessions.settings = settings(
    max_examples=300, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
