"""What one session is: the parameters that the server offers and every client digests (Specification §2.1).

Plain data with its checks and its canonical bytes. Knows nothing of keys, messages or layouts.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from secagg.canonical import Reader, Writer
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.cohort import (
    PERMUTATION_SEED_BYTES,
    ClientId,
    Topology,
    check_cohort,
    check_graph,
    cohort_of,
    pack_ids,
)
from secagg.parameters.graph_choice import GraphChoice, choose_graph
from secagg.parameters.graph_conditions import ThreatModel, TopologyKind, count_of, may_leave
from secagg.parameters.suite_ids import SuiteId, check_suite
from secagg.parameters.vectors import VectorSpec, check_vectors, read_vector, write_vector

_E = TypeVar("_E", ThreatModel, TopologyKind)

PROTOCOL_VERSION: Final = 1
NONCE_BYTES: Final = 32
MAX_CONTEXT_BYTES: Final = 1 << 16
MAX_VECTORS: Final = 1 << 16
MAX_WEIGHT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class SessionParameters:
    """Everything that all parties of one session must agree on (Specification §2.1).

    Build it with :meth:`choose` unless you have your own calculator. All fields but `explanation` are bound,
    through the session digest, into every key and signature of the session. One object serves one session:
    :meth:`renew` it for the next.

    Attributes:
        cohort: the clients chosen for the session, strictly ascending.
        vectors: named vector specifications, in session order.
        threat_model: semi-honest or active.
        topology: the masking graph.
        threshold: shares needed to rebuild a secret.
        minimum_contributors: the smallest sum that may be released, in clients.
        nonce: 32 fresh random bytes.
        context: application bytes (model digest, round number): binds masks to one model and round.
        max_weight: the largest weight of one client; 1 means unweighted.
        suite: cryptographic suite.
        version: protocol version.
        explanation: how the parameters were chosen, in words; not part of the session.

    Raises:
        ParameterError: any field out of its range, or fields that do not fit each other.
    """

    cohort: tuple[ClientId, ...]
    vectors: tuple[tuple[str, VectorSpec], ...]
    threat_model: ThreatModel
    topology: Topology
    threshold: int
    minimum_contributors: int
    nonce: bytes = field(repr=False)
    context: bytes = b""
    max_weight: int = 1
    suite: SuiteId = SuiteId.X25519_AES128CTR
    version: int = PROTOCOL_VERSION
    explanation: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_types(self)
        check_cohort(self.cohort)
        check_graph(self.clients, self.threat_model, self.topology, self.threshold)
        if self.topology.kind is TopologyKind.CHOSEN and self.suite.hybrid:
            raise ParameterError(
                f"topology 'chosen' (experimental) has no hybrid suites yet, such as 0x{self.suite:04x}: nobody has "
                "weighed their ciphertexts there; use 0x0001 or 0x0002, or topology 'complete'"
            )
        _check_vectors(self)
        if not 2 <= self.minimum_contributors <= self.clients:
            raise ParameterError(
                f"minimum_contributors {self.minimum_contributors} is outside 2 .. {self.clients}, the cohort's size; "
                "choose one inside"
            )
        if self.version != PROTOCOL_VERSION:
            raise ParameterError(f"protocol version {self.version} is unknown; this library speaks {PROTOCOL_VERSION}")
        if len(self.nonce) != NONCE_BYTES:
            raise ParameterError(f"the session nonce has {len(self.nonce)} bytes; draw {NONCE_BYTES} random bytes")
        if len(self.context) > MAX_CONTEXT_BYTES:
            raise ParameterError(
                f"a context of {len(self.context)} bytes is above {MAX_CONTEXT_BYTES}; pass a digest of it"
            )

    @property
    def clients(self) -> int:
        """How many clients the cohort has."""
        return len(self.cohort)

    @property
    def may_leave(self) -> int:
        """How many clients may leave, whoever they are and in whatever round, so that there is still a sum (§2.4)."""
        return may_leave(
            self.clients, self.topology.kind, self.topology.degree, self.threshold, self.minimum_contributors
        )

    def includes(self, client: ClientId) -> bool:
        """Whether a client is in the cohort.

        Args:
            client: any id.
        """
        position = bisect_left(self.cohort, client)
        return position < len(self.cohort) and self.cohort[position] == client

    @classmethod
    def choose(
        cls,
        *,
        clients: int | Iterable[ClientId],
        vectors: Mapping[str, VectorSpec],
        threat_model: ThreatModel | str = ThreatModel.SEMI_HONEST,
        max_dropout: float = 0.1,
        max_corrupt: float = 0.1,
        context: bytes = b"",
        max_weight: int = 1,
        topology: TopologyKind | str | None = None,
        degree: int | None = None,
        threshold: int | None = None,
        minimum_contributors: int | None = None,
        suite: SuiteId | int = SuiteId.X25519_AES128CTR,
        security_bits: int | None = None,
        correctness_bits: int = 20,
        nonce: bytes | None = None,
        permutation_seed: bytes | None = None,
    ) -> SessionParameters:
        """Choose graph and threshold for a cohort, and say why in `explanation` (Specification §2.4).

        Args:
            clients: the cohort's ids, or how many clients (ids 0, 1, ..., clients - 1).
            vectors: name to specification, in session order.
            threat_model: "semi-honest" or "active".
            max_dropout: fraction of the cohort that may leave.
            max_corrupt: fraction of the cohort that may collude with the server.
            context: application bytes that every party must agree on.
            max_weight: largest weight of one client; 1 for unweighted sums and means.
            topology: "complete", "sparse", or None to choose between these. "chosen" is *experimental*, an active model
                for thousands of clients which nobody outside has reviewed: it is never chosen for you, and clients
                refuse it unless their policy names it.
            degree: neighbours in a sparse graph, holders that each client draws in a chosen one, or None to compute.
            threshold: shares needed, or None to compute.
            minimum_contributors: smallest sum released, or None for half of the cohort (at least 2), or what the
                dropouts leave if that is less.
            suite: suite id.
            security_bits: statistical security of a sparse graph (None: 40) or a chosen one (None: 64).
            correctness_bits: probability (negative log2) of losing a session to unlucky dropouts.
            nonce: 32 bytes; None draws them from the operating system.
            permutation_seed: 32 bytes; None draws them from the operating system.

        Raises:
            ParameterError: no safe choice exists, or an argument is out of its range.
        """
        cohort = cohort_of(clients)
        if not isinstance(vectors, Mapping):
            raise ParameterError(
                f"vectors is a {type(vectors).__name__}; give names and specifications, such as "
                "{'update': FixedPoint(...)}"
            )
        choice = choose_graph(
            len(cohort),
            max_corrupt,
            max_dropout,
            threat_model,
            topology=topology,
            degree=degree,
            threshold=threshold,
            security_bits=security_bits,
            correctness_bits=correctness_bits,
        )
        chosen = cls(
            cohort=cohort,
            vectors=tuple(vectors.items()),
            threat_model=ThreatModel(threat_model),
            topology=_topology(choice, permutation_seed),
            threshold=choice.threshold,
            minimum_contributors=(
                default_minimum(len(cohort), max_dropout) if minimum_contributors is None else minimum_contributors
            ),
            nonce=os.urandom(NONCE_BYTES) if nonce is None else nonce,
            context=context,
            max_weight=max_weight,
            suite=check_suite(suite),
        )
        lowest = choice.threshold == choice.lowest
        return replace(chosen, explanation=f"{choice.reason} {_room(chosen, lowest)}")

    def renew(self, *, context: bytes | None = None, exclude: Iterable[ClientId] = ()) -> SessionParameters:
        """Return the same parameters for another session: a fresh nonce, a fresh ring, and perhaps another context.

        Parameters serve one session; two sessions of one digest could not tell each other's messages apart.

        Args:
            context: of the next session; None keeps it.
            exclude: clients that stay out of it, such as those whom an ended one blames (Specification §6.9); those
                who are not in the cohort are no mistake. Threshold and `minimum_contributors` stay. A ring keeps its
                degree, or has the largest below that which there is room for.

        Raises:
            ParameterError: too few clients are left for threshold and `minimum_contributors`.
        """
        out = frozenset(exclude)
        cohort = tuple(client for client in self.cohort if client not in out)
        self._require_left(len(cohort))
        topology = replace(self.topology, degree=self._degree_for(len(cohort)))
        if topology.kind is TopologyKind.SPARSE:
            topology = replace(topology, permutation_seed=os.urandom(PERMUTATION_SEED_BYTES))
        return replace(
            self,
            cohort=cohort,
            topology=topology,
            nonce=os.urandom(NONCE_BYTES),
            context=self.context if context is None else context,
        )

    def renews(self, earlier: SessionParameters) -> bool:
        """Whether these are what `earlier.renew(exclude=...)` returns for some clients, at least one.

        Args:
            earlier: parameters of the session before.
        """
        same = replace(self, cohort=earlier.cohort, topology=earlier.topology, nonce=earlier.nonce)
        graph, before = self.topology, earlier.topology
        return (
            set(self.cohort) < set(earlier.cohort)
            and self.nonce != earlier.nonce
            and graph.kind is before.kind
            and graph.degree == earlier._degree_for(self.clients)
            and same.encode() == earlier.encode()
        )

    def _degree_for(self, clients: int) -> int:
        """The degree of a renewed session of so many clients: in a sparse graph the largest up to the one before.

        With the same threshold a smaller degree is no worse for privacy: it only takes holders away, a ring of degree
        n - 1 is the complete graph, and of an odd degree the conditions on connectivity count the even one below it.
        """
        degree = self.topology.degree
        match self.topology.kind:
            case TopologyKind.COMPLETE:
                return clients - 1
            case TopologyKind.SPARSE:
                most = min(degree, clients - 1)
                return most - (clients % 2 and most % 2)
            case TopologyKind.CHOSEN:
                return degree

    def _require_left(self, left: int) -> None:
        """Demand that a smaller cohort can still release a sum, and that its graph has the threshold's holders."""
        needed, graph = max(self.threshold + 1, self.minimum_contributors), ""
        if self.topology.kind is TopologyKind.CHOSEN:
            needed = max(needed, self.topology.degree + 1)
            graph = f", in which each draws {self.topology.degree} holders,"
        elif self.topology.kind is TopologyKind.SPARSE:
            needed = max(needed, 3, left + (self.threshold > self._degree_for(left)))
        if left < needed:
            raise ParameterError(
                f"{left} of {self.clients} clients are left, and a session with threshold {self.threshold} and "
                f"minimum_contributors {self.minimum_contributors}{graph} needs at least {needed}; choose parameters "
                "anew for other clients"
            )

    def encode(self) -> bytes:
        """Return the canonical bytes that the session digest is made of (Specification §2.2)."""
        writer = Writer()
        writer.integer(self.version).integer(int(self.suite)).text(self.threat_model.value)
        writer.text(self.topology.kind.value).integer(self.topology.degree).data(self.topology.permutation_seed)
        writer.integer(self.threshold).integer(self.minimum_contributors).integer(self.max_weight)
        writer.data(self.nonce).data(self.context)
        writer.data(pack_ids(self.cohort))
        writer.sequence(len(self.vectors))
        for name, spec in self.vectors:
            write_vector(writer, name, spec)
        return writer.finish()

    @classmethod
    def decode(cls, data: bytes) -> SessionParameters:
        """Read what :meth:`encode` wrote.

        Args:
            data: canonical bytes (Specification §2.2).

        Raises:
            DecodeError: bytes that are no canonical parameters.
            ParameterError: well-formed parameters that no session may have.
        """
        require_kind("data", data, bytes, "what encode() returned")
        reader = Reader(data)
        version = reader.integer()
        if version != PROTOCOL_VERSION:
            raise ParameterError(f"protocol version {version} is unknown; this library speaks {PROTOCOL_VERSION}")
        suite = check_suite(reader.integer())
        threat_model = _member(ThreatModel, reader.text())
        kind = _member(TopologyKind, reader.text())
        topology = Topology(kind, reader.integer(), reader.data(maximum=PERMUTATION_SEED_BYTES))
        threshold = reader.integer()
        minimum_contributors = reader.integer()
        max_weight = reader.integer()
        nonce = reader.data(length=NONCE_BYTES)
        context = reader.data(maximum=MAX_CONTEXT_BYTES)
        packed = reader.data()
        if len(packed) % 8:
            raise DecodeError(f"a cohort of {len(packed)} bytes is no whole number of 8-byte client ids")
        cohort = tuple(int.from_bytes(packed[at : at + 8], "big") for at in range(0, len(packed), 8))
        vectors = tuple(read_vector(reader) for _ in range(reader.sequence(MAX_VECTORS)))
        reader.finish()
        return cls(
            cohort=cohort,
            vectors=vectors,
            threat_model=threat_model,
            topology=topology,
            threshold=threshold,
            minimum_contributors=minimum_contributors,
            nonce=nonce,
            context=context,
            max_weight=max_weight,
            suite=suite,
            version=version,
        )


def _check_types(parameters: SessionParameters) -> None:
    for name in ("threshold", "minimum_contributors", "max_weight", "version"):
        value = getattr(parameters, name)
        whole = as_whole(value)
        if whole is None:
            raise ParameterError(f"{name}={value!r:.80} is no whole number; give one")
        object.__setattr__(parameters, name, whole)
    expected: tuple[tuple[str, type], ...] = (
        ("cohort", tuple),
        ("vectors", tuple),
        ("threat_model", ThreatModel),
        ("topology", Topology),
        ("nonce", bytes),
        ("context", bytes),
        ("suite", SuiteId),
    )
    for name, kind in expected:
        value = getattr(parameters, name)
        if not isinstance(value, kind):
            what = "bytes, such as a digest" if kind is bytes else f"a {kind.__name__}"
            raise ParameterError(f"{name}={value!r:.80} is of type {type(value).__name__}; give {what}")


def _check_vectors(parameters: SessionParameters) -> None:
    vectors = parameters.vectors
    if not 1 <= len(vectors) <= MAX_VECTORS:
        raise ParameterError(f"{len(vectors)} vectors are outside 1 .. {MAX_VECTORS}; name at least one vector to sum")
    check_vectors(vectors)
    if not 1 <= parameters.max_weight <= MAX_WEIGHT // parameters.clients:
        raise ParameterError(
            f"max_weight {parameters.max_weight} is outside 1 .. {MAX_WEIGHT // parameters.clients}, "
            f"so that the weights of {parameters.clients} clients cannot wrap; scale the weights down"
        )
    if parameters.max_weight > 1 and not any(spec.weighted for _, spec in vectors):
        raise ParameterError(
            f"max_weight {parameters.max_weight} has no vector to weigh; give one FixedPoint aggregate='mean'"
        )
    for _, spec in vectors:
        spec.field_width(parameters.clients, parameters.max_weight)


def _topology(choice: GraphChoice, permutation_seed: bytes | None) -> Topology:
    if choice.topology is not TopologyKind.SPARSE:
        return Topology(choice.topology, choice.degree, permutation_seed or b"")
    seed = os.urandom(PERMUTATION_SEED_BYTES) if permutation_seed is None else permutation_seed
    return Topology(choice.topology, choice.degree, seed)


def _room(parameters: SessionParameters, lowest: bool) -> str:
    """How many may leave, and what would let more; `lowest`: whether a smaller threshold would give inputs away."""
    n, t, floor = parameters.clients, parameters.threshold, parameters.minimum_contributors
    setting = "minimum_contributors" if floor > t + 1 else "threshold"
    said = f"{parameters.may_leave} of {n} clients may leave, whoever they are"
    if parameters.topology.kind is not TopologyKind.COMPLETE:
        said += ", and the dropouts that were counted with unless they are unlucky"
    if lowest and setting == "threshold":
        return f"{said}; more clients would let more, and a smaller threshold would give inputs away."
    return f"{said}; more clients or a smaller {setting} would let more."


def default_minimum(clients: int, max_dropout: float) -> int:
    """Return the `minimum_contributors` of a session whose application says nothing (Specification §2.4)."""
    return max(2, min((clients + 1) // 2, clients - count_of(clients, "max_dropout", max_dropout)))


def _member(kind: type[_E], value: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise ParameterError(f"{value!r} is no {kind.__name__}; it is one of {[m.value for m in kind]}") from None
