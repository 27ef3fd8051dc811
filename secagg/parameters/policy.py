"""A client's own floor under what a server may offer (Specification §6.1): plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.graph_conditions import (
    MAX_BITS,
    MAX_CLIENTS,
    ThreatModel,
    TopologyKind,
    checked_integer,
    count_of,
)
from secagg.parameters.suite_ids import SuiteId, check_suite
from secagg.parameters.vectors import VectorSpec, check_vectors

DEFAULT_MAXIMUM_WORDS: Final = 1 << 27
DEFAULT_MAXIMUM_COHORT: Final = 1 << 17
DEFAULT_ACTIVE_MAX_CORRUPT: Final = 0.1
_WHOLE: Final = (
    *("minimum_cohort", "minimum_threshold", "minimum_contributors"),
    *("maximum_cohort", "maximum_words"),
)
DEFAULT_MAX_DROPOUT: Final = 0.1


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """What a client accepts; an offer under this floor is refused before a key is made.

    The server chooses the parameters of a session, and may lie: the floor is the client's protection against
    a cohort of two, a threshold of one, or another model than the one it trained.

    Attributes:
        minimum_cohort: smallest cohort.
        minimum_threshold: smallest threshold.
        minimum_contributors: smallest number of clients whose sum may be released.
        threat_model: the only model accepted. None accepts any model from a client without identity and roster, and the
            active model only from a client that was given them: a server must not talk it out of its protection.
        max_corrupt: fraction of the cohort that may collude with the server without learning an input; offers whose
            graph and threshold do not resist it are refused. None means 0.1 in the active model, where the server may
            have chosen threshold and cohort to suit its accomplices; in the semi-honest model it trusts the offer. Give
            the largest fraction of any cohort that the server could pick; it is rounded down, so that 0.1 of fewer than
            10 clients is nobody.
        max_corrupt_clients: how many clients may be corrupt in whatever cohort the server picks, or None; it counts
            where it is more than `max_corrupt` of the cohort. Who picks a cohort out of many clients can pick all
            corrupt ones, and a fraction of the cohort is no bound then.
        max_dropout: fraction of the cohort that may drop out, as far as this client believes. The neighbours that drop
            out of a sparse graph protect from nobody, so it is judged with this fraction, and not with the one that the
            server had in mind. The default is what `SessionParameters.choose` counts with unless it is told otherwise;
            give the largest share of clients that you have seen leave.
        security_bits: how surely a sparse graph must resist `max_corrupt` when `max_dropout` drop out (None: 40 bits),
            and a chosen one for each offer (None: 64 bits).
        topologies: accepted graphs; with `{TopologyKind.COMPLETE}` no assumption about who drops out is left. The
            *experimental* `TopologyKind.CHOSEN` is accepted only where it is named here; a client in such a session
            needs a durable `ledger=`, and should say `max_corrupt_clients`.
        suites: accepted suites.
        maximum_cohort: largest cohort (default 2^17), so that an offer cannot exhaust this client.
        maximum_words: largest session vector, in 64-bit words (default 2^27: 1 GiB).
        context: the application bytes that the offer must carry (model digest, round), or None for any.
        vectors: the vectors that the offer must have, exactly these names with exactly these specifications, in any
            order; None for any. Bounds that the server chooses decide what is summed: with `Integers(9, 10)` it is how
            many clients have more than 9.
        max_weight: the largest weight that the offer must have, exactly; None for any.
        sums_per_context: how many sums of one context this client's input may go into; None for any number. Needs a
            `ParticipationLedger`, as the next one does.
        minimum_cohort_change: by how many clients a cohort has to differ from that of every other session of this
            context that has this client's input; one that is the same differs by 0. None for any.

    Raises:
        ParameterError: a value of another type, or a floor that no session can meet.
    """

    minimum_cohort: int = 3
    minimum_threshold: int = 2
    minimum_contributors: int = 2
    threat_model: ThreatModel | str | None = None
    max_corrupt: float | None = None
    max_corrupt_clients: int | None = None
    max_dropout: float = DEFAULT_MAX_DROPOUT
    security_bits: int | None = None
    topologies: frozenset[TopologyKind] = frozenset({TopologyKind.COMPLETE, TopologyKind.SPARSE})
    suites: frozenset[SuiteId] = frozenset(SuiteId)
    maximum_cohort: int = DEFAULT_MAXIMUM_COHORT
    maximum_words: int = DEFAULT_MAXIMUM_WORDS
    context: bytes | None = None
    vectors: Mapping[str, VectorSpec] | None = field(default=None, hash=False)
    max_weight: int | None = None
    sums_per_context: int | None = None
    minimum_cohort_change: int | None = None

    def __post_init__(self) -> None:
        if self.threat_model is not None:
            object.__setattr__(self, "threat_model", _threat_model(self.threat_model))
        for name in _WHOLE:
            whole = as_whole(getattr(self, name))
            if whole is None:
                raise ParameterError(f"{name}={getattr(self, name)!r:.80} is no whole number; give one")
            object.__setattr__(self, name, whole)
        if self.security_bits is not None:
            bits = checked_integer("security_bits", self.security_bits, 1, MAX_BITS, "None takes what is usual")
            object.__setattr__(self, "security_bits", bits)
        if self.context is not None:
            require_kind("context", self.context, bytes, "bytes, such as a digest, or None for any")
        require_kind("suites", self.suites, Collection, "a set of SuiteId")
        object.__setattr__(self, "suites", frozenset(check_suite(suite) for suite in self.suites))
        if self.maximum_cohort < 2 or self.maximum_words < 1:
            raise ParameterError(
                f"maximum_cohort={self.maximum_cohort} or maximum_words={self.maximum_words} refuses every session; "
                "allow at least 2 clients and 1 word"
            )
        if self.minimum_cohort < 2 or self.minimum_contributors < 2 or self.minimum_threshold < 1:
            raise ParameterError(
                f"policy floors cohort={self.minimum_cohort}, contributors={self.minimum_contributors}, "
                f"threshold={self.minimum_threshold} are below 2, 2, 1, which every session meets; raise them"
            )
        if self.max_corrupt_clients is not None:
            most = checked_integer(
                "max_corrupt_clients", self.max_corrupt_clients, 0, MAX_CLIENTS, "a number of clients"
            )
            object.__setattr__(self, "max_corrupt_clients", most)
        if self.max_corrupt is not None:
            require_kind("max_corrupt", self.max_corrupt, Real, "a fraction of the cohort, such as 0.1")
        if self.max_corrupt is not None and not 0 <= self.max_corrupt < 1:
            raise ParameterError(f"max_corrupt {self.max_corrupt} is outside 0 .. 1; give a fraction of the cohort")
        if self.vectors is not None:
            require_kind("vectors", self.vectors, Mapping, "a dict of names and specifications, or None for any")
            object.__setattr__(self, "vectors", dict(check_vectors(self.vectors.items())))
        if self.max_weight is not None:
            largest = as_whole(self.max_weight)
            if largest is None or largest < 1:
                raise ParameterError(
                    f"max_weight {self.max_weight!r:.80} refuses every session; give 1 (no weights), more, or None"
                )
            object.__setattr__(self, "max_weight", largest)
        for name in ("sums_per_context", "minimum_cohort_change"):
            if getattr(self, name) is not None:
                limit = as_whole(getattr(self, name))
                if limit is None or limit < 1:
                    raise ParameterError(f"{name}={getattr(self, name)!r:.80} is no limit; give 1 or more, or None")
                object.__setattr__(self, name, limit)
        require_kind("max_dropout", self.max_dropout, Real, "a fraction of the cohort, such as 0.1")
        if not 0 <= self.max_dropout < 1:
            raise ParameterError(f"max_dropout {self.max_dropout} is outside 0 .. 1; give a fraction of the cohort")
        topologies: object = self.topologies
        if isinstance(topologies, str):
            raise ParameterError(f"topologies={topologies!r:.80} is one text; give a set, such as {{'complete'}}")
        require_kind("topologies", self.topologies, Collection, "a set of TopologyKind")
        object.__setattr__(self, "topologies", frozenset(_topology(kind) for kind in self.topologies))
        if not self.topologies:
            raise ParameterError("a policy without topologies refuses every session; list at least one")
        if not self.suites:
            raise ParameterError("a policy without suites refuses every session; list at least one")

    def corrupt_clients(self, clients: int, model: ThreatModel) -> int:
        """Return how many clients of a cohort of this size may be corrupt, as far as this client believes.

        Args:
            clients: size of the cohort.
            model: that of the session; it decides the default of `max_corrupt`.
        """
        of_fraction = count_of(clients, "max_corrupt", self.corrupt_in(model))
        return min(max(of_fraction, self.max_corrupt_clients or 0), clients - 1)

    def corrupt_in(self, model: ThreatModel) -> float:
        """Return the fraction of a cohort that may be corrupt, as far as this client believes.

        Args:
            model: that of the session; it decides the default of `max_corrupt`.
        """
        if self.max_corrupt is not None:
            return self.max_corrupt
        return DEFAULT_ACTIVE_MAX_CORRUPT if model is ThreatModel.ACTIVE else 0.0


def _threat_model(value: object) -> ThreatModel:
    try:
        return ThreatModel(value)  # type: ignore[arg-type]
    except ValueError:
        raise ParameterError(
            f"threat_model {value!r:.80} is unknown; give 'active' or 'semi-honest', or None for the default"
        ) from None


def _topology(value: object) -> TopologyKind:
    try:
        return TopologyKind(value)  # type: ignore[arg-type]
    except ValueError:
        raise ParameterError(
            f"topology {value!r:.80} is unknown; give 'complete', 'sparse' or the experimental 'chosen'"
        ) from None
