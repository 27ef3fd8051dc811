"""Runs one session of a real server with a crowd of stand-ins, and perhaps a few real clients, and times both sides.

Every message is bytes, as on a network, and the sum that comes out is compared word by word with the sum of the inputs
that went in: a figure of a wrong sum would be worth nothing. Must not know rows, suites or targets.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.bench.apart import CrowdApart
from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.encoding.session_vector import encode_input, reduce_to_ring
from secagg.errors import InternalError, ParameterError, SessionAbortedError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.vectors import FixedPoint
from secagg.protocol.events import Progress, ShareInconsistent, Stage
from secagg.protocol.messages import AdvertiseKeysResponse, Advertisement, Round, SessionOffer
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession
from secagg.session.simulation import SIMULATION_POLICY
from secagg.testing.standins import Crowd
from secagg.wire.codec import decode_client_message

VECTOR: Final = "values"
_STEP: Final = 2_654_435_761  # Knuth's multiplier: neighbouring entries get distant values

Uploads = Iterator[tuple[ClientId, bytes]]


@dataclass(slots=True)
class Spent:
    """What a session cost.

    Attributes:
        server: by round, CPU seconds of the server, requests and closing included.
        stages: by stage of the last close, CPU seconds.
        clients: by real client and round, CPU seconds.
        sent: by real client and round, bytes of the client's answer.
        received: by real client and round, bytes of the server's request.
        peak_bytes: most that the server held at once, of what it allocated or kept of messages; 0 unless asked for.
    """

    server: dict[Round, float] = field(default_factory=dict)
    stages: dict[Stage, float] = field(default_factory=dict)
    clients: dict[ClientId, dict[Round, float]] = field(default_factory=dict)
    sent: dict[ClientId, dict[Round, int]] = field(default_factory=dict)
    received: dict[ClientId, dict[Round, int]] = field(default_factory=dict)
    peak_bytes: int = 0

    @property
    def server_seconds(self) -> float:
        """Seconds of the server in all, by the clock of the session."""
        return sum(self.server.values())

    def client_seconds(self, client: ClientId) -> float:
        """CPU seconds of a real client in all."""
        return sum(self.clients[client].values())


def fixed_point(length: int, bits: int = FixedPoint.DEFAULT_BITS) -> dict[str, FixedPoint]:
    """Return the vector that benchmarks sum: `length` entries, of the default bits unless said otherwise."""
    return {VECTOR: FixedPoint(length, clip=1.0, bits=bits)}


def made_up(length: int, client: int) -> NDArray[np.float32]:
    """Return a vector that any program can make again: entry i is ((i + client) * 2654435761 mod 2^16) / 2^15 - 1."""
    places = np.arange(client, client + length, dtype=np.uint64)
    places *= np.uint64(_STEP)
    places &= np.uint64(0xFFFF)
    return places.astype(np.float32) * np.float32(2.0**-15) - np.float32(1.0)


def run_session(
    parameters: SessionParameters,
    *,
    leaving: Collection[ClientId] = (),
    real: Collection[ClientId] = (),
    lying: Collection[ClientId] = (),
    randomness: RandomSource | None = None,
    server_options: Mapping[str, Any] | None = None,
    client_options: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.process_time,
    trace_memory: bool = False,
    apart: bool = False,
) -> Spent:
    """Run a semi-honest session over one vector named VECTOR.

    Args:
        parameters: the session.
        leaving: stand-ins that share keys and then send no masked input.
        real: clients that are real sessions.
        lying: stand-ins that reveal wrong shares; all of them must be named, and nobody else.
        randomness: the source of all secrets; the operating system unless a test says otherwise.
        server_options: further arguments of the server's session.
        client_options: further arguments of the real clients' sessions.
        clock: CPU time of this process; wall time where others work for it.
        trace_memory: trace the server's allocations, which costs time.
        apart: play the stand-ins in a process of their own; without real clients and liars.

    Raises:
        InternalError: the released sum is not the sum of the inputs, or others are named than lied.
        SessionAbortedError: too many leave.
    """
    source = randomness or SystemRandomSource()
    if apart:
        if real or lying:
            raise ParameterError("a crowd in a process of its own has neither real clients nor liars")
        with CrowdApart(parameters, leaving) as far:
            return _Run(far, source, {}, clock).run(server_options or {})
    crowd = Crowd(parameters, source, leaving=leaving, real=real, lying=lying)
    run = _Run(crowd, source, client_options or {}, clock)
    return run.traced(server_options or {}) if trace_memory else run.run(server_options or {})


class _Run:
    """One session; see :func:`run_session`."""

    def __init__(
        self,
        crowd: Crowd | CrowdApart,
        randomness: RandomSource,
        client_options: Mapping[str, Any],
        clock: Callable[[], float],
    ) -> None:
        self.spent = Spent()
        self._clock = clock
        self._traced = False
        self._held = 0
        parameters = self._parameters = crowd.context.parameters
        self._randomness = randomness
        self._crowd = crowd
        self._layout = crowd.context.layout
        self._named: set[ClientId] = set()
        (_, spec), *others = parameters.vectors
        if others:
            raise ParameterError("a measured session sums one vector")
        self._length = spec.size
        self._inputs = np.zeros(self._layout.words, dtype=np.uint64)
        self._stage: tuple[Stage, float] | None = None
        self._sessions: dict[ClientId, ClientSession] = {}
        for client in sorted(crowd.real):
            self.spent.clients[client], self.spent.sent[client], self.spent.received[client] = {}, {}, {}
            with self._client_time(client, Round.ADVERTISE_KEYS):
                self._sessions[client] = ClientSession(
                    SessionOffer(parameters), client, policy=SIMULATION_POLICY, randomness=randomness, **client_options
                )

    def traced(self, server_options: Mapping[str, Any]) -> Spent:
        tracemalloc.start()
        self._traced = True
        try:
            return self.run(server_options)
        finally:
            tracemalloc.stop()

    def run(self, server_options: Mapping[str, Any]) -> Spent:
        crowd = self._crowd
        with self._server_time(Round.ADVERTISE_KEYS):
            server = ServerSession(self._parameters, on_progress=self._on_progress, **server_options)
        advertisements: list[Advertisement] = []

        def advertised(client: ClientId, answer: bytes) -> None:
            message = decode_client_message(answer)
            if isinstance(message, AdvertiseKeysResponse):
                advertisements.append(message.advertisement)

        # A crowd apart has learned from itself, and nothing of it is to be held here.
        apart = isinstance(crowd, CrowdApart)
        self._round(server, crowd.advertise(), (lambda client, answer: None) if apart else advertised)
        crowd.learn(sorted(advertisements, key=lambda ad: ad.client))
        self._round(server, crowd.share(), lambda client, answer: None, crowd.open_shares)
        words = self._words_of_crowd()
        self._round(server, crowd.masked_inputs(words), lambda client, answer: None)
        self._round(server, crowd.unmask(), lambda client, answer: None)
        self._check(server)
        return self.spent

    def _round(
        self,
        server: ServerSession,
        played: Uploads,
        seen: Callable[[ClientId, bytes], None],
        seen_of_real: Callable[[ClientId, bytes], None] | None = None,
    ) -> None:
        """Answer one round: the real clients first, then the crowd; then close it."""
        round_ = server.round
        if round_ is None:
            raise InternalError("the measured session ended before its last round")
        with self._server_time(round_):
            requests = {client: data for client, data in server.requests.items() if client in self._sessions}
        for client, session in self._sessions.items():
            answer = self._answer(session, round_, requests[client])
            seen(client, answer)
            if seen_of_real is not None:
                seen_of_real(client, answer)
            with self._server_time(round_):
                server.receive(client, self._arrived(answer))
        for client, answer in played:
            seen(client, answer)
            with self._server_time(round_):
                server.receive(client, self._arrived(answer))
        with self._server_time(round_):
            server.close_round()
        self._named |= {event.holder for event in server.take_events() if isinstance(event, ShareInconsistent)}
        reason = server.abort_reason
        if reason is not None:
            raise SessionAbortedError(f"the measured session was aborted: {reason.name}", reason)

    def _answer(self, session: ClientSession, round_: Round, request: bytes) -> bytes:
        client = session.client_id
        if round_ is Round.MASKED_INPUT:
            arrays = {VECTOR: made_up(self._length, client)}
            with self._client_time(client, round_):
                encoded = session.set_input(arrays)
            self._inputs += encoded.words
        with self._client_time(client, round_):
            answer = session.receive(request)
        if answer is None:
            raise InternalError(f"client {client} has no answer to {round_.name}")
        self.spent.sent[client][round_] = len(answer)
        self.spent.received[client][round_] = len(request)
        return answer

    def _words_of_crowd(self) -> NDArray[np.uint64]:
        """Return the input that every stand-in sends, and count it into the sum."""
        arrays = {VECTOR: made_up(self._length, -1 % (1 << 16))}
        words = encode_input(self._layout, arrays, randomness=self._randomness).words
        self._inputs += words * np.uint64(len(self._crowd.staying))
        return words

    def _check(self, server: ServerSession) -> None:
        reduce_to_ring(self._layout, self._inputs)
        expected = tuple(sorted((*self._crowd.staying, *self._sessions)))
        result = server.result
        if result.contributors != expected or not np.array_equal(result.session_vector, self._inputs):
            raise InternalError("the measured session released another sum than that of its inputs")
        if self._named != self._crowd.lying:
            raise InternalError("the measured session named others than those who revealed wrong shares")

    def _arrived(self, answer: bytes) -> bytes:
        """Return the message; a copy where memory is traced, which counts as long as the server keeps it."""
        return bytes(bytearray(answer)) if self._traced else answer

    @contextmanager
    def _server_time(self, round_: Round) -> Iterator[None]:
        before = self._traced_bytes()
        started = self._clock()
        yield
        ended = self._clock()
        self.spent.server[round_] = self.spent.server.get(round_, 0.0) + ended - started
        self._end_stage(ended)
        if self._traced:
            left, peak = tracemalloc.get_traced_memory()
            self.spent.peak_bytes = max(self.spent.peak_bytes, self._held + peak - before)
            self._held += left - before

    def _traced_bytes(self) -> int:
        if not self._traced:
            return 0
        tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[0]

    @contextmanager
    def _client_time(self, client: ClientId, round_: Round) -> Iterator[None]:
        started = self._clock()
        yield
        spent = self.spent.clients[client]
        spent[round_] = spent.get(round_, 0.0) + self._clock() - started

    def _on_progress(self, progress: Progress) -> None:
        if not progress.done:
            now = self._clock()
            self._end_stage(now)
            self._stage = (progress.stage, now)

    def _end_stage(self, now: float) -> None:
        if self._stage is not None:
            stage, started = self._stage
            self.spent.stages[stage] = now - started
            self._stage = None
