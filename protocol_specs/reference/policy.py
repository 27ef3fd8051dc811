"""What a client demands of an offer beyond the rules of §2.1 (§6.1, and §2.4 for sparse graphs)."""

import math
from dataclasses import dataclass
from fractions import Fraction

from protocol_specs.reference import chosen
from protocol_specs.reference.errors import demand
from protocol_specs.reference.parameters import COMPLETE, SPARSE, SUITES, Parameters, Specification


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A client's policy. Model and corrupt fraction have no default: their choice is the client's safety.

    No vectors, and largest weight 0, are no demand. `corrupt_clients` counts if it is more than the fraction.
    """

    threat_model: str
    corrupt_fraction: float
    smallest_cohort: int = 3
    largest_cohort: int = 65521
    smallest_threshold: int = 2
    smallest_minimum_contributors: int = 2
    suites: tuple[int, ...] = SUITES
    context: bytes | None = None
    largest_vector: int = 2**27
    dropout_fraction: float = 0.1
    security_bits: int | None = None
    """None: 64 in a chosen graph, and 40 in the others."""
    vectors: tuple[tuple[str, Specification], ...] = ()
    max_weight: int = 0
    topologies: tuple[str, ...] = (COMPLETE, SPARSE)
    corrupt_clients: int = 0

    def check(self, parameters: Parameters, words: int) -> None:
        """Raise `Breach` for an offer that this client does not take; `words` is the session vector's length."""
        n = len(parameters.cohort)
        demand(n >= self.smallest_cohort, "C02")
        demand(n <= self.largest_cohort, "C13")
        demand(parameters.threshold >= self.smallest_threshold, "C03")
        bits = (64 if parameters.chosen else 40) if self.security_bits is None else self.security_bits
        believed = (self.corrupt_fraction, self.dropout_fraction, bits)
        withstood = withstands(parameters, *believed, self.corrupt_clients, self.smallest_minimum_contributors)
        demand(withstood, "C03")
        demand(parameters.minimum_contributors >= self.smallest_minimum_contributors, "C04")
        demand(parameters.threat_model == self.threat_model, "C05")
        demand(parameters.topology_kind in self.topologies, "C16")
        demand(parameters.suite in self.suites, "C06")
        demand(self.context is None or parameters.context == self.context, "C08")
        demand(not self.vectors or dict(parameters.vectors) == dict(self.vectors), "C14")
        demand(not self.max_weight or parameters.max_weight == self.max_weight, "C15")
        demand(words <= self.largest_vector, "C07")


def withstands(
    parameters: Parameters,
    corrupt_fraction: float,
    dropout_fraction: float,
    security_bits: int,
    corrupt_clients: int = 0,
    floor: int = 0,
) -> bool:
    """Whether the offered graph and threshold withstand this fraction of corrupt clients when that many drop out.

    `corrupt_clients` takes the fraction's place if it is more; `floor` counts honest inputs, in a chosen graph.
    """
    n, t, degree = len(parameters.cohort), parameters.threshold, parameters.degree
    corrupt, dropped = (min(math.floor((part + 1e-14) * n), n - 1) for part in (corrupt_fraction, dropout_fraction))
    corrupt = max(corrupt, min(corrupt_clients, n - 1))
    if parameters.chosen:
        return chosen.resists(n, corrupt, degree, t, security_bits, floor)
    if parameters.active:
        return 2 * t > n + corrupt
    if parameters.complete:
        return t > corrupt
    bound = Fraction(1, 2 ** (security_bits + 1))
    secret = more_than(n, corrupt, degree, t - 1) <= bound / n
    return secret and _connected(n, degree, min(corrupt + dropped, n), bound)


def more_than(population: int, marked: int, drawn: int, limit: int) -> Fraction:
    """Pr[HG(n, K, k) > limit], exactly."""
    favourable = sum(
        math.comb(marked, i) * math.comb(population - marked, drawn - i)
        for i in range(limit + 1, min(marked, drawn) + 1)
    )
    return Fraction(favourable, math.comb(population, drawn))


def _connected(n: int, degree: int, bad: int, bound: Fraction) -> bool:
    """The condition of §2.4, the even degree below taking the place of an odd one."""
    k = degree - degree % 2
    if k > bad or degree == n - 1:
        return True
    return Fraction(n * (n - k - 1), 2) * more_than(n, bad, k, k - 1) < bound
