"""Many clients and a server in one process, over real bytes, with a report of cost (Specification §6).

For experiments, tests and figures: every message is encoded and decoded as on a network. Clients take turns, so
that one session vector of a client is alive at a time. Uses the public sessions only.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.signing import IdentityKey
from secagg.encoding.layout import Layout
from secagg.encoding.quantization import QuantizationReport
from secagg.encoding.session_vector import reduce_to_ring
from secagg.errors import AbortReason, InternalError, ParameterError, RemoteProtocolError, SessionAbortedError
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.arguments import require_kind
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.events import Blame, ServerEvent, Stage
from secagg.protocol.events import Progress as StageProgress
from secagg.protocol.messages import Round, SessionOffer
from secagg.protocol.results import SessionResult
from secagg.protocol.transitions import rounds
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.reuse import InputReuse
from secagg.session.server import ServerSession

_V = TypeVar("_V")
_Given = Mapping[ClientId, _V] | Sequence[_V]
Progress = Callable[[Round, int, int], None]
Corruption = Callable[[ClientSession, Round, bytes | None], bytes | None]
"""What a corrupt client sends in the place of an answer (None where its own session refuses to give one)."""

_ONE_INPUT: Final = InputReuse(b"simulation")
SIMULATION_POLICY = ClientPolicy(
    minimum_cohort=2,
    minimum_threshold=1,
    max_corrupt=0.0,
    max_dropout=0.0,
    security_bits=1,
    topologies=frozenset(TopologyKind),
    maximum_cohort=1 << 32,
    maximum_words=1 << 40,
)
"""The lowest floor: a simulation is its own server."""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What a simulated session cost; times are CPU milliseconds, sizes are bytes.

    Attributes:
        client_cpu_ms: by round, CPU time of every client that answered.
        server_cpu_ms: by round, CPU time of the server, requests and closing included.
        upload_bytes: by round, size of every client's answer.
        download_bytes: by round, size of every client's request.
        plain_bytes: one input as plain data, at each vector's own bits per entry.
        session_vector_bytes: the session vector, 8 bytes a word.
        server_stage_ms: by stage, CPU time of the last round's end.
        server_peak_bytes: largest memory the server held at once for vectors: the accumulator, the masked input being
            added, and every allocation while inputs are added, masks removed and the sum decoded, as tracemalloc
            saw it; O(vector), independent of the number of clients. None unless measured.
        server_total_peak_bytes: largest memory the server held at once for anything, the keys and sealed shares of all
            clients included (an upper bound: what a call leaves behind counts for ever). None unless measured.
        clipping: by client, how many values of each vector were clipped.
        exact: the released ring sum equals the plain ring sum of the contributors.
    """

    client_cpu_ms: Mapping[Round, Mapping[ClientId, float]] = field(repr=False)
    server_cpu_ms: Mapping[Round, float]
    upload_bytes: Mapping[Round, Mapping[ClientId, int]] = field(repr=False)
    download_bytes: Mapping[Round, Mapping[ClientId, int]] = field(repr=False)
    plain_bytes: int
    session_vector_bytes: int
    server_stage_ms: Mapping[Stage, float]
    server_peak_bytes: int | None
    server_total_peak_bytes: int | None
    clipping: Mapping[ClientId, tuple[QuantizationReport, ...]] = field(repr=False)
    exact: bool


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The result of a simulated session, with its report.

    Attributes:
        vectors: name to sum or mean, of the specification's shape: float64 for FixedPoint, int64 for Integers.
        contributors: whose inputs are in it, ascending.
        total_weight: sum of weights, or None.
        report: costs.
        events: everything the server reported.
        impossible: fields that no inputs within their bounds add up to, as in :class:`SessionResult`.
        blame: for each session that ended with complaints before this one, who was to blame and is not in this one.
    """

    vectors: Mapping[str, NDArray[Any]]
    contributors: tuple[ClientId, ...]
    total_weight: int | None
    report: SimulationReport
    events: tuple[ServerEvent, ...] = field(repr=False)
    impossible: Mapping[str, int] = field(default_factory=dict)
    blame: tuple[tuple[Blame, ...], ...] = ()


def simulate(
    parameters: SessionParameters,
    inputs: _Given[Mapping[str, NDArray[Any]]],
    *,
    weights: _Given[int] | None = None,
    dropouts: Mapping[str | Round, Sequence[ClientId]] | None = None,
    strict: bool = False,
    measure_memory: bool = False,
    randomness: Callable[[ClientId], RandomSource] | None = None,
    on_upload: Callable[[ClientId, Round, bytes], None] | None = None,
    progress: Progress | None = None,
    executor: Executor = INLINE,
    corrupt: Mapping[ClientId, Corruption] | None = None,
    restarts: int = 0,
) -> SimulationResult:
    """Run one session with every client in this process, and again without the culprits when it ends with complaints.

    Args:
        parameters: the session.
        inputs: client id to named arrays, of any float or integer dtype and the exact shape; or a sequence of these in
            the order of the cohort. A mapping may compute its values on access: each client's arrays are asked for
            once, when its input is due.
        weights: client id to weight, or a sequence in the order of the cohort; None in a session without weights.
        dropouts: round ("advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking") to the
            clients that leave before they answer it.
        strict: refuse values and weights that would be clipped.
        measure_memory: trace the server's allocations (costs time).
        randomness: client id to its source of randomness; None takes the operating system's.
        on_upload: called with every message that a client sends (what the server sees).
        progress: called with (round, clients done, clients in the round).
        executor: who does the long computations of clients and server, with the same results.
        corrupt: what some clients send in the place of their answers.
        restarts: how many sessions may follow one that ends with complaints (Specification §6.9); each asks for the
            inputs of its clients again.

    Returns:
        The sum, with costs and events; the same sum as over a network.

    Raises:
        ParameterError: inputs, weights or dropouts that do not fit the cohort; too few clients for a restart.
        SessionAbortedError: too few clients were left, or one more session ended with complaints than may.
    """
    require_kind("parameters", parameters, SessionParameters, "SessionParameters, of SessionParameters.choose(...)")
    require_kind("dropouts", dropouts or {}, Mapping, "{round: clients that leave in it}")
    given = _by_client(parameters, inputs, "inputs")
    weighed = None if weights is None else _by_client(parameters, weights, "weights")
    leaving, blame = _leaving(parameters, dropouts or {}), list[tuple[Blame, ...]]()
    # What clients remember is part of their cost only where it can matter.
    remembers = restarts > 0 or parameters.topology.kind is TopologyKind.CHOSEN
    ledger = MemoryLedger(ends_with_process=True) if remembers else None
    while True:
        run = _Simulation(parameters, given, strict, measure_memory, randomness, executor, corrupt or {}, ledger)
        run.weights = weighed
        try:
            return replace(run.run(leaving, on_upload, progress), blame=tuple(blame))
        except SessionAbortedError as error:
            if error.reason is not AbortReason.CLIENTS_COMPLAINED or len(blame) >= restarts:
                raise
        blame.append(run.blame)
        parameters = parameters.renew(exclude=[each.client for each in run.blame])


class _Simulation:
    """One run; see :func:`simulate`."""

    def __init__(
        self,
        parameters: SessionParameters,
        inputs: Mapping[ClientId, Mapping[str, NDArray[Any]]],
        strict: bool,
        measure_memory: bool,
        randomness: Callable[[ClientId], RandomSource] | None,
        executor: Executor,
        corrupt: Mapping[ClientId, Corruption],
        ledger: MemoryLedger | None,
    ) -> None:
        self._ledger = ledger
        self.blame: tuple[Blame, ...] = ()
        self._corrupt = corrupt
        self.weights: Mapping[ClientId, int] | None = None
        self._parameters = parameters
        self._inputs = inputs
        self._strict = strict
        self._executor = executor
        self._randomness = randomness or (lambda client: SystemRandomSource())
        order = rounds(parameters.threat_model)
        self._client_ms: dict[Round, dict[ClientId, float]] = {round_: {} for round_ in order}
        self._uploads: dict[Round, dict[ClientId, int]] = {round_: {} for round_ in order}
        self._downloads: dict[Round, dict[ClientId, int]] = {round_: {} for round_ in order}
        self._clipping: dict[ClientId, tuple[QuantizationReport, ...]] = {}
        self._layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
        self._meter = _Meter(measure_memory, 8 * self._layout.words)
        self._plain_sum = np.zeros(self._layout.words, dtype=np.uint64)
        self._summed: list[ClientId] = []

    def run(
        self,
        leaving: Mapping[Round, frozenset[ClientId]],
        on_upload: Callable[[ClientId, Round, bytes], None] | None,
        progress: Progress | None,
    ) -> SimulationResult:
        clients, roster = self._enroll()
        with self._meter.measure(Round.ADVERTISE_KEYS):
            server = ServerSession(
                self._parameters, roster=roster, on_progress=self._meter.on_progress, executor=self._executor
            )
        requests = dict(server.requests)
        events: list[ServerEvent] = []
        while (round_ := server.round) is not None:
            staying = [client for client in requests if client not in leaving.get(round_, ())]
            for done, client in enumerate(staying, start=1):
                answer = self._sent(clients[client], round_, requests.pop(client))
                if answer is None:
                    continue
                if on_upload is not None:
                    on_upload(client, round_, answer)
                with self._meter.measure(round_, len(answer)):
                    events.extend(server.receive(client, answer))
                if progress is not None:
                    progress(round_, done, len(staying))
            with self._meter.measure(round_):
                requests = dict(server.close_round())
            events.extend(server.take_events())
        self.blame = server.blame
        return self._result(server.result, tuple(events))

    def _enroll(self) -> tuple[Mapping[ClientId, ClientSession], Mapping[ClientId, bytes] | None]:
        parameters, sources = self._parameters, {client: self._randomness(client) for client in self._parameters.cohort}
        identities: dict[ClientId, IdentityKey] = {}
        if parameters.threat_model is ThreatModel.ACTIVE:
            identities = {client: IdentityKey.generate(source) for client, source in sources.items()}
        keys = {client: identity.public for client, identity in identities.items()}
        roster = keys if parameters.threat_model is ThreatModel.ACTIVE else None
        # One decoded offer for all: equal objects share the graph, which each client would compute on its own.
        offer = SessionOffer(parameters)
        clients = {}
        for client, source in sources.items():
            started = time.process_time()
            clients[client] = ClientSession(
                offer,
                client,
                identity=identities.get(client),
                roster=roster,
                policy=SIMULATION_POLICY,
                randomness=source,
                ledger=self._ledger,
                reuse=None if self._ledger is None else _ONE_INPUT,
                executor=self._executor,
            )
            self._client_ms[Round.ADVERTISE_KEYS][client] = (time.process_time() - started) * 1e3
        return clients, roster

    def _sent(self, session: ClientSession, round_: Round, request: bytes) -> bytes | None:
        """What a client sends; a corrupt one may have brought its own session into a state that refuses requests."""
        corruption = self._corrupt.get(session.client_id)
        if corruption is None:
            return self._answer(session, round_, request)
        try:
            answer = self._answer(session, round_, request)
        except (RemoteProtocolError, SessionAbortedError):
            answer = None
        return corruption(session, round_, answer)

    def _answer(self, session: ClientSession, round_: Round, request: bytes) -> bytes:
        client = session.client_id
        arrays = self._inputs[client] if round_ is Round.MASKED_INPUT else None
        started = time.process_time()
        if arrays is not None:
            weight = None if self.weights is None else self.weights[client]
            encoded = session.set_input(arrays, weight, strict=self._strict)
            paused = time.process_time()
            self._clipping[client] = encoded.reports
            np.add(self._plain_sum, encoded.words, out=self._plain_sum)
            self._summed.append(client)
            started += time.process_time() - paused
        answer = session.receive(request)
        if answer is None:
            raise InternalError(f"client {client} has no answer to {round_.name}")
        spent = (time.process_time() - started) * 1e3
        took = self._client_ms.setdefault(round_, {})
        took[client] = took.get(client, 0.0) + spent
        self._uploads.setdefault(round_, {})[client] = len(answer)
        self._downloads.setdefault(round_, {})[client] = len(request)
        return answer

    def _result(self, result: SessionResult, events: tuple[ServerEvent, ...]) -> SimulationResult:
        reduce_to_ring(self._layout, self._plain_sum)
        exact = sorted(self._summed) == list(result.contributors) and np.array_equal(
            self._plain_sum, result.session_vector
        )
        report = SimulationReport(
            client_cpu_ms=self._client_ms,
            server_cpu_ms=self._meter.cpu_ms,
            upload_bytes=self._uploads,
            download_bytes=self._downloads,
            plain_bytes=sum(-(-spec.size * spec.largest.bit_length() // 8) for _, spec in self._parameters.vectors),
            session_vector_bytes=8 * self._layout.words,
            server_stage_ms=self._meter.stage_ms,
            server_peak_bytes=self._meter.vector_peak if self._meter.memory else None,
            server_total_peak_bytes=self._meter.total_peak if self._meter.memory else None,
            clipping=self._clipping,
            exact=exact,
        )
        return SimulationResult(
            result.vectors, result.contributors, result.total_weight, report, events, result.impossible
        )


class _Meter:
    """CPU time and, when asked, memory of the server's calls."""

    def __init__(self, memory: bool, accumulator_bytes: int) -> None:
        self.memory = memory
        self.vector_peak = 0
        self.total_peak = 0
        self.cpu_ms: dict[Round, float] = {}
        self.stage_ms: dict[Stage, float] = {}
        self._accumulator_bytes = accumulator_bytes
        self._held = 0
        self._base: int | None = None
        self._stage: tuple[Stage, float] | None = None

    @contextmanager
    def measure(self, round_: Round, message_bytes: int = 0) -> Iterator[None]:
        """Measure one call of the server, which was handed a message of `message_bytes`."""
        self._base = 0 if round_ is Round.MASKED_INPUT and message_bytes else None
        if self.memory:
            tracemalloc.start()
        started = time.process_time()
        try:
            yield
        finally:
            self.cpu_ms[round_] = self.cpu_ms.get(round_, 0.0) + (time.process_time() - started) * 1e3
            self._end_stage()
            if self.memory:
                left, _ = tracemalloc.get_traced_memory()
                self._note_peak(message_bytes)
                tracemalloc.stop()
                self._held += left

    def on_progress(self, progress: StageProgress) -> None:
        """Note the time of the stage before; from the removal of masks on, allocations are the vectors'."""
        if progress.done:
            return
        self._end_stage()
        self._stage = (progress.stage, time.process_time())
        if self.memory and progress.stage is Stage.REMOVING_MASKS:
            self._note_peak(0)
            self._base, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()

    def _end_stage(self) -> None:
        if self._stage is not None:
            stage, started = self._stage
            self.stage_ms[stage] = (time.process_time() - started) * 1e3
            self._stage = None

    def _note_peak(self, message_bytes: int) -> None:
        _, peak = tracemalloc.get_traced_memory()
        self.total_peak = max(self.total_peak, self._held + message_bytes + peak)
        if self._base is not None:
            vectors = self._accumulator_bytes + message_bytes + peak - self._base
            self.vector_peak = max(self.vector_peak, vectors)


def _by_client(parameters: SessionParameters, values: _Given[_V], name: str) -> Mapping[ClientId, _V]:
    if isinstance(values, Mapping):
        # By iterating: `in` on a mapping that computes its values may compute one.
        present = set(values)
        missing = [client for client in parameters.cohort if client not in present]
        if missing:
            raise ParameterError(f"{name} lack {len(missing)} clients of the cohort, the first is {missing[0]}")
        return values
    require_kind(name, values, (Sequence, np.ndarray), "a mapping by client id, or a list in the order of the cohort")
    if len(values) != parameters.clients:
        raise ParameterError(
            f"{len(values)} {name} for a cohort of {parameters.clients}; give one for each client, in ascending order"
        )
    return dict(zip(parameters.cohort, values, strict=True))


def _leaving(
    parameters: SessionParameters, dropouts: Mapping[str | Round, Sequence[ClientId]]
) -> dict[Round, frozenset[ClientId]]:
    """Who does not answer a round: those who leave in it (who left before is not asked)."""
    order = rounds(parameters.threat_model)
    leaving: dict[Round, frozenset[ClientId]] = dict.fromkeys(order, frozenset())
    for key, clients in dropouts.items():
        try:
            round_ = Round(key)
        except ValueError:
            raise ParameterError(f"{key!r} is no round; dropouts name one of {[r.value for r in order]}") from None
        if round_ not in leaving:
            raise ParameterError(f"a {parameters.threat_model.value} session has no {round_.value} round to drop in")
        require_kind(f"dropouts[{round_.value!r}]", clients, Iterable, "the ids of the clients that leave in it")
        strangers = [client for client in clients if not parameters.includes(client)]
        if strangers:
            raise ParameterError(
                f"client {strangers[0]} drops out in {round_.value} and is not in the cohort; name clients of it"
            )
        leaving[round_] |= frozenset(clients)
    return leaving
