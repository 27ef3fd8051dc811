"""Drives whole sessions in tests: n honest clients and an honest server, with every message in reach.

A `Harness` builds parameters, identities, roster, `ClientSession`s and a `ServerSession` from one seed, so that
the same arguments give the same bytes. Nothing here is special about the sessions: a test may take any message,
change it with `alter`, and hand it to `harness.clients[c].receive(...)` or `harness.server.receive(c, ...)` itself.

    harness = Harness(clients=5, threat_model="active", threshold=3)
    harness.run_to(Round.UNMASKING)                       # plays every round before this one
    request = harness.requests[2]                         # bytes that the server has for client 2 now
    answer = harness.clients[2].receive(alter(request, dropped=()))

    harness = Harness(clients=6, threshold=3)
    harness.play_round()                                  # AdvertiseKeys, everybody
    harness.play_round(silent={1})                        # client 1 leaves before it answers ShareKeys
    harness.finish()                                      # the rest
    harness.assert_exact()                                # sum over result.contributors, entry for entry

Liars are hooks: `on_request(client, bytes) -> bytes | None` sits between server and client (None: not delivered),
`on_answer(client, bytes) -> bytes | None` between client and server. Every delivered message is in
`harness.transcript`. Inputs are integers, so sums are compared exactly. NO SECURITY: all keys follow from the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DecodeError,
    FixedPoint,
    IdentityKey,
    Integers,
    MemoryLedger,
    RemoteProtocolError,
    Round,
    ServerSession,
    SessionParameters,
    ThreatModel,
    TopologyKind,
)
from secagg.parameters.vectors import VectorSpec
from secagg.protocol.events import ServerEvent
from secagg.protocol.messages import ClientMessage, RevealedShares, ServerMessage
from secagg.protocol.transitions import rounds
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, decode_server_message, encode

Hook = Callable[[int, bytes], bytes | None]

ROUNDS: Final = rounds(ThreatModel.ACTIVE)
"""Those of an active session that nobody complains in."""

TEST_POLICY: Final = ClientPolicy(minimum_cohort=2, minimum_threshold=1)
CHOSEN_POLICY: Final = ClientPolicy(
    minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0, security_bits=1, topologies=frozenset({TopologyKind.CHOSEN})
)
"""The lowest floor for the experimental chosen graph, of few clients."""
LENGTH: Final = 16
LOW: Final = -50
HIGH: Final = 1000
DEFAULT_VECTORS: Final[Mapping[str, VectorSpec]] = {"v": Integers(LOW, HIGH, length=LENGTH)}


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that was delivered, as it arrived (after the hooks).

    Attributes:
        to_server: direction.
        client: the client that received or sent it.
        round: the server's open round at that moment.
        data: its bytes.
    """

    to_server: bool
    client: int
    round: Round
    data: bytes


class Harness:
    """An honest cohort and an honest server.

    Args:
        clients: how many (ids 1..n), or their ids.
        threat_model: "semi-honest" or "active".
        vectors: specifications; the default is one Integers vector "v" of 16 entries.
        seed: of all keys, identities, inputs and the session nonce.
        identities: long-lived signing keys by client, to play a second session with the same ones.
        policy: of all clients; the default is the lowest floor.
        with_ledgers: give every client a MemoryLedger (`self.ledgers`), for snapshots; in a chosen graph all have one.
        options: further arguments of `SessionParameters.choose` (threshold, degree, context, max_weight,
            minimum_contributors, nonce, suite, ...). The topology defaults to "complete", max_dropout and
            max_corrupt to 0.

    Attributes:
        parameters, identities, roster, clients, server, ledgers: what the session is made of.
        session: the session digest, which every message carries.
        inputs: client to named arrays, used when its input is due; replace entries freely before that.
        weights: client to weight (1 unless the test changes it).
        events: everything the server reported, in order.
        transcript: every message that was delivered.
        errors: client to the RemoteProtocolError it ended with, in rounds played with `tolerant=True`.
    """

    def __init__(
        self,
        clients: int | Iterable[int] = 5,
        *,
        threat_model: str = "semi-honest",
        vectors: Mapping[str, VectorSpec] | None = None,
        seed: int = 0,
        identities: Mapping[int, IdentityKey] | None = None,
        policy: ClientPolicy | None = None,
        with_ledgers: bool = False,
        **options: Any,
    ) -> None:
        ids = range(1, clients + 1) if isinstance(clients, int) else clients
        self.seed = seed
        self.active = threat_model == "active"
        self.source = DeterministicRandomSource(seed)
        arguments: dict[str, Any] = {
            "max_dropout": 0.0,
            "max_corrupt": 0.0,
            "nonce": hashlib.sha256(b"harness nonce %d" % seed).digest(),
            "topology": "complete",
            **options,
        }
        if arguments["topology"] == "sparse":
            arguments.setdefault("permutation_seed", hashlib.sha256(b"harness permutation %d" % seed).digest())
        self.parameters = SessionParameters.choose(
            clients=ids, vectors=dict(vectors or DEFAULT_VECTORS), threat_model=threat_model, **arguments
        )
        self.cohort = self.parameters.cohort
        if identities is None:
            identities = {c: IdentityKey.generate(self.source.fork(f"identity {c}")) for c in self.cohort}
        self.identities = dict(identities)
        self.roster = {client: key.public for client, key in self.identities.items()}
        chosen = arguments["topology"] == "chosen"
        self.policy = policy or (CHOSEN_POLICY if chosen else TEST_POLICY)
        ledgers = {client: MemoryLedger(ends_with_process=chosen) for client in self.cohort}
        self.ledgers = ledgers if with_ledgers or chosen else {}
        self.server = ServerSession(self.parameters, roster=self.roster if self.active else None)
        self.session = decode_server_message(self.server.requests[self.cohort[0]]).session
        self.clients = {client: self.make_client(client) for client in self.cohort}
        self.inputs: dict[int, dict[str, NDArray[Any]]] = {c: self._random_input(c) for c in self.cohort}
        self.weights: dict[int, int] = dict.fromkeys(self.cohort, 1)
        self.events: list[ServerEvent] = []
        self.transcript: list[Sent] = []
        self.errors: dict[int, RemoteProtocolError] = {}

    def make_client(self, client: int, offer: bytes | None = None, **changes: Any) -> ClientSession:
        """Return a fresh session of this client, as the harness makes its own; `changes` replace its arguments."""
        arguments: dict[str, Any] = {
            "identity": self.identities.get(client) if self.active else None,
            "roster": self.roster if self.active else None,
            "policy": self.policy,
            "randomness": self.source.fork(client),
            "ledger": self.ledgers.get(client),
            **changes,
        }
        return ClientSession(self.server.offer if offer is None else offer, client, **arguments)

    def weight(self, client: int) -> int | None:
        """The client's weight, None in a session without weights."""
        return self.weights[client] if self.parameters.max_weight > 1 else None

    @property
    def requests(self) -> Mapping[int, bytes]:
        """The open round's requests, as the server made them."""
        return self.server.requests

    @property
    def round(self) -> Round | None:
        """The server's open round."""
        return self.server.round

    def ask(self, client: int, request: bytes | None = None) -> bytes | None:
        """Deliver a request to a client (by default the server's) and return its answer; sets a due input."""
        session = self.clients[client]
        data = self.requests[client] if request is None else request
        if session.phase is ClientPhase.MASKED_INPUT:
            session.set_input(self.inputs[client], self.weight(client))
        if self.round is not None:
            self.transcript.append(Sent(False, client, self.round, data))
        return session.receive(data)

    def deliver(self, client: int, answer: bytes) -> tuple[ServerEvent, ...]:
        """Deliver an answer to the server; returns (and records) what it reported."""
        if self.round is not None:
            self.transcript.append(Sent(True, client, self.round, answer))
        events = self.server.receive(client, answer)
        self.events.extend(events)
        return events

    def close(self) -> Mapping[int, bytes]:
        """Close the server's round; its events are recorded."""
        requests = self.server.close_round()
        self.events.extend(self.server.take_events())
        return requests

    def play_round(
        self,
        *,
        silent: Collection[int] = (),
        on_request: Hook | None = None,
        on_answer: Hook | None = None,
        tolerant: bool = False,
        close: bool = True,
    ) -> dict[int, bytes]:
        """Play the open round: ask every client, deliver every answer, close it.

        Args:
            silent: clients that are not asked (they dropped out).
            on_request: changes a request on its way, or returns None to lose it.
            on_answer: changes an answer on its way, or returns None to lose it.
            tolerant: when a client refuses what it is shown, keep the error in `self.errors`, tell the server with
                the client's abort notice, and go on; otherwise the error is raised.
            close: close the round at the end.

        Returns:
            The answers as the clients gave them, by client.
        """
        answers: dict[int, bytes] = {}
        for client, original in dict(self.requests).items():
            request = original if on_request is None or client in silent else on_request(client, original)
            if client in silent or request is None:
                continue
            try:
                answer = self.ask(client, request)
            except RemoteProtocolError as error:
                if not tolerant:
                    raise
                self.errors[client] = error
                answer = self.clients[client].abort_notice()
            if answer is None:
                continue
            answers[client] = answer
            sent = answer if on_answer is None else on_answer(client, answer)
            if sent is not None:
                self.deliver(client, sent)
        if close:
            self.close()
        return answers

    def run_to(self, round_: Round, *, silent: Mapping[Round, Collection[int]] | None = None) -> Harness:
        """Play rounds until the server has `round_` open; `silent` maps rounds to clients that leave in them."""
        while self.round is not round_:
            if self.round is None:
                raise AssertionError(f"the session ended in {self.server.phase.name} before {round_.name}")
            self.play_round(silent=(silent or {}).get(self.round, ()))
        return self

    def finish(
        self,
        *,
        silent: Mapping[Round, Collection[int]] | None = None,
        tolerant: bool = False,
        on_answer: Hook | None = None,
    ) -> Harness:
        """Play all rounds that are left."""
        while self.round is not None:
            self.play_round(silent=(silent or {}).get(self.round, ()), tolerant=tolerant, on_answer=on_answer)
        return self

    def expected(self, contributors: Iterable[int], name: str = "v") -> NDArray[np.int64]:
        """The plain sum of these clients' inputs of one Integers vector."""
        total = np.zeros(self.inputs[self.cohort[0]][name].shape, dtype=np.int64)
        for client in contributors:
            total = total + self.inputs[client][name].astype(np.int64)
        return total

    def assert_exact(self, contributors: Collection[int] | None = None) -> None:
        """The server released exactly the sum of its contributors' inputs (of `contributors`, when given)."""
        result = self.server.result
        if contributors is not None:
            assert result.contributors == tuple(sorted(contributors))
        for name, spec in self.parameters.vectors:
            if isinstance(spec, Integers):
                assert result.vectors[name].tolist() == self.expected(result.contributors, name).tolist()

    def _random_input(self, client: int) -> dict[str, NDArray[Any]]:
        seed = int.from_bytes(hashlib.sha256(b"input %d %d" % (self.seed, client)).digest()[:8], "big")
        generator = np.random.default_rng(seed)
        arrays: dict[str, NDArray[Any]] = {}
        for name, spec in self.parameters.vectors:
            if isinstance(spec, FixedPoint):
                arrays[name] = generator.uniform(-spec.clip, spec.clip, spec.shape)
            else:
                arrays[name] = generator.integers(spec.low, spec.high, spec.shape, dtype=np.int64, endpoint=True)
        return arrays


def decode_request(data: bytes) -> Any:
    """Decode a server's message (typed Any, so that tests read its fields without casts)."""
    return decode_server_message(data)


def decode_answer(data: bytes) -> Any:
    """Decode a client's message (typed Any, so that tests read its fields without casts)."""
    return decode_client_message(data)


def alter(data: bytes, **changes: Any) -> bytes:
    """Return a message with some fields replaced: what a liar on the way can do without any key.

    `data` is a request or an answer; `changes` are fields of its class in secagg.protocol.messages.
    """
    for name in changes.keys() & {"seed_shares", "mask_key_shares"}:
        changes[name] = RevealedShares.of(changes[name])
    return encode(replace(_either(data), **changes))


def _either(data: bytes) -> Any:
    try:
        return decode_server_message(data)
    except DecodeError:
        return decode_client_message(data)


def forge(message: ServerMessage | ClientMessage) -> bytes:
    """Encode a message that a liar made from nothing."""
    return encode(message)
