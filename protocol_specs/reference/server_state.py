"""What the server knows and keeps of one session (§6, §7.2), and how a round is opened and the session ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from protocol_specs.reference import chosen, digests, keys, parameters, sealing, unmasking, vectors, wire
from protocol_specs.reference.blame import Blame, Dealt
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.rules import check_parameters
from protocol_specs.reference.topology import Graph


class Phase(Enum):
    """What the server collects."""

    COLLECTING_KEYS = 1
    COLLECTING_SHARES = 2
    COLLECTING_MASKED_INPUTS = 3
    COLLECTING_DISCLOSURES = 4
    COLLECTING_CONFIRMATIONS = 5
    COLLECTING_UNMASKING_SHARES = 6
    COMPLETED = 7
    ABORTED = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What a session releases: sums row by row, and the total weight if there are weights."""

    vectors: dict[str, list[float]]
    contributors: tuple[int, ...]
    total_weight: int | None


class State:
    """One session. A roster is needed in the active model."""

    def __init__(self, session_parameters: Parameters, roster: Mapping[int, bytes] | None = None) -> None:
        check_parameters(session_parameters)
        self.parameters = p = session_parameters
        self._roster = {client: (roster or {})[client] for client in p.cohort} if p.active else {}
        self.session = digests.session_digest(p)
        self.offer = wire.encode_offer(wire.SessionOffer(parameters.encode(p)))
        self.phase: Phase
        self.requests: dict[int, bytes] = {}
        self.dropped: dict[int, str] = {}
        self.late: list[int] = []
        self.inconsistent: list[tuple[int, int]] = []
        self.result: Result | None = None
        self.abort_reason: str | None = None
        self.aborts: dict[int, bytes] = {}
        self._take_graph(Graph(p))
        self._inclusions: dict[int, bytes] = {}
        self._asked: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.blame: list[Blame] = []
        self._first_answers: dict[int, bytes] = {}
        self._accepted: dict[int, wire.Response] = {}
        self._public_keys: set[bytes] = set()
        self._advertisements: dict[int, wire.Advertisement] = {}
        self._dealings: dict[int, wire.ShareKeysResponse] = {}
        self._sharers: frozenset[int] = frozenset()
        self._waiting: list[int] = []
        self._contributors: list[int] = []
        self._encapsulated: dict[tuple[int, int], keys.Encapsulated] = {}
        self._sum = [0] * sum(section.words for section in vectors.layout(p))
        self._bodies: dict[int, wire.Request] = {}
        self._ask(Phase.COLLECTING_KEYS, {client: wire.AdvertiseKeysRequest() for client in p.cohort})

    def _take_graph(self, graph: Graph) -> None:
        """Take a graph: at the start, and in a chosen graph again when clients have drawn."""
        self._graph = graph
        self._neighbours, self._holders, self._owners = (
            {client: of(client) for client in self.parameters.cohort}
            for of in (graph.neighbours, graph.holders, graph.owners)
        )

    @property
    def _binding(self) -> bytes:
        return digests.binding(self.parameters, self.session, self._advertisements.values())

    @property
    def _dealt(self) -> Dealt:
        return Dealt(self.session, self._binding, self._advertisements, self._dealings)

    @property
    def _view(self) -> unmasking.Session:
        return unmasking.Session(
            self.parameters,
            self._graph,
            self.session,
            self._advertisements,
            self._sharers,
            frozenset(self._contributors),
            self._encapsulated,
            self._dealt,
        )

    def _with_enough_neighbours(self, clients: set[int]) -> set[int]:
        """S14: drop clients until each has t neighbours, in a chosen graph t holders, among those that remain."""
        if self.parameters.complete:
            return clients
        remaining = set(clients)
        while lonely := {u for u in remaining if len(self._holders[u] & remaining) < self.parameters.threshold}:
            for client in lonely:
                self._drop(client, "S14")
            remaining -= lonely
        return remaining

    def _ask(self, phase: Phase, bodies: Mapping[int, wire.Request]) -> None:
        self.phase, self._bodies = phase, dict(bodies)
        self.requests = {client: wire.encode_envelope(self.session, body) for client, body in bodies.items()}
        self._first_answers, self._accepted = {}, {}

    def _drop(self, client: int, reason: str) -> str:
        self.dropped[client] = reason
        self._accepted.pop(client, None)
        return reason

    def _end(self, reason: str, present: list[int]) -> None:
        # Whether the sum can be decoded depends on the inputs: nobody is told (§7.2).
        told = [] if reason == "A13" else sorted({*present, *self._waiting})
        self.aborts = dict.fromkeys(told, wire.encode_envelope(self.session, wire.Abort(reason)))
        self.phase, self.requests, self.abort_reason = Phase.ABORTED, {}, reason

    def _split(self, sender: int, sealed: wire.SealedShares) -> sealing.Parcel:
        return sealing.split(self.parameters, sender, sealed.client, sealed.ciphertext, to_server=True)

    @property
    def _sharer_set(self) -> bytes:
        return chosen.as_bytes(self.parameters, self._sharers)

    @property
    def _contributor_set(self) -> bytes:
        return chosen.as_bytes(self.parameters, self._contributors)

    def _asked_to_disclose(self, client: int) -> tuple[wire.Dealing, ...]:
        request = self._bodies[client]
        return request.dealings if isinstance(request, wire.DisclosureRequest) else ()
