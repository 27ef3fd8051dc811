"""The published conditions on a masking graph: who may learn an input, and who keeps a sum from being rebuilt.

Implements the conditions of Specification §2.4 over the two graphs of §2.5: the complete graph, whose conditions are
certain, and the sparse Harary graph of Bell et al. (CCS 2020), whose conditions hold up to a probability
2^-security_bits (privacy) and 2^-correctness_bits (result). :mod:`secagg.parameters.graph_choice` searches for a graph
that satisfies them.

It is plain arithmetic on six numbers. It must not know cohorts, permutations, sessions or messages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.hypergeometric import log_probability, quantile

MAX_SHARE_HOLDERS: Final = 65_520
"""Most holders of one secret: the share field has no more points (Specification §5.1)."""

MAX_CLIENTS: Final = 2**40
"""Largest cohort that the calculator answers for: the rounding rule of fractions ends there."""

SECURITY_BITS: Final = 40
"""Default security bits of a sparse graph."""

MAX_BITS: Final = 4096
"""Most security and correctness bits."""

_ROUNDING: Final = 1e-14  # added to a fraction, so that 0.29 of 100 clients is 29, not 28
_TIE: Final = 1e-10  # logarithms this close are equal: beyond rounding, far below any meaning


class ThreatModel(StrEnum):
    """What the server and the corrupt clients may do (Specification §1)."""

    SEMI_HONEST = "semi-honest"
    """Everybody follows the protocol; the server and corrupt clients put together what they see."""
    ACTIVE = "active"
    """The server and corrupt clients may do anything; keys are signed against a roster."""


class TopologyKind(StrEnum):
    """Who are neighbours (Specification §2.5); `CHOSEN` is experimental and taken only where it is named."""

    COMPLETE = "complete"
    """Every two clients."""
    SPARSE = "sparse"
    """A regular Harary graph over a random ring, which the server draws; in the semi-honest model only."""
    CHOSEN = "chosen"
    """Each client draws its holders; in the active model only."""


def threshold_resists(
    clients: int,
    topology: TopologyKind,
    degree: int,
    threshold: int,
    max_corrupt: float,
    max_dropout: float,
    threat_model: ThreatModel | str,
    security_bits: int = 40,
) -> bool:
    """Whether a fraction `max_corrupt` of colluding clients learns no input (Specification §2.4): a client's check.

    Complete graph: `c < threshold` semi-honest, `2 * threshold > clients + c` active, whoever drops out. Sparse graph:
    secrecy and connectivity at `security_bits`, as the calculator demands them, when `max_dropout` of them drop out. Of
    a chosen graph :func:`secagg.parameters.chosen_graph.chosen_resists` judges.

    Raises:
        ParameterError: a fraction or bits outside their range, or a chosen graph.
    """
    if topology is TopologyKind.CHOSEN:
        raise ParameterError("a chosen graph has conditions of its own: ask chosen_resists")
    problem = conditions_of(clients, max_corrupt, max_dropout, threat_model, security_bits, 1)
    if topology is TopologyKind.COMPLETE:
        if problem.threat_model is ThreatModel.SEMI_HONEST:
            return problem.corrupt < threshold
        return 2 * threshold > clients + problem.corrupt
    return problem.connected(degree) and threshold >= problem.lowest_threshold(degree, problem.most_corrupt(degree))


def may_leave(clients: int, topology: TopologyKind, degree: int, threshold: int, minimum_contributors: int) -> int:
    """How many clients may leave, whoever they are and in whatever round, so that there is still a sum.

    After x have left, t + 1 clients and `minimum_contributors` must remain (A01 to A03), and t holders of every secret
    (A03 to A05): of its n - 1 holders in a complete graph n - 1 - x do, of k in the others at least k - x. Fewer than
    k cannot cut a sparse graph either (A14). More may leave a sparse session with the probability that its degree was
    chosen for.
    """
    room = clients - max(threshold + 1, minimum_contributors)
    return room if topology is TopologyKind.COMPLETE else min(room, degree - threshold)


class Window(NamedTuple):
    """Thresholds that a degree allows: privacy bounds them from below, correctness from above."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions for one cohort: `corrupt` and `dropped` are numbers of clients."""

    clients: int
    corrupt: int
    dropped: int
    threat_model: ThreatModel
    security_bits: int
    correctness_bits: int

    def log_disconnected(self, degree: int) -> float:
        """Bound the log probability that the honest survivors are not connected.

        An odd degree adds chords to the ring of degree - 1, whose bound therefore holds for it too.
        """
        n, k, bad = self.clients, degree - degree % 2, self.corrupt + self.dropped
        if k > bad or degree == n - 1:
            return -math.inf
        return math.log(n) + math.log((n - k - 1) / 2) + log_probability(n, min(bad, n), k, k)

    def connected(self, degree: int) -> bool:
        """Whether the honest survivors are connected, up to half of the probability that privacy may fail."""
        return self.log_disconnected(degree) < -(self.security_bits + 1) * math.log(2) - _TIE

    def most_corrupt(self, degree: int) -> int:
        """t1: more corrupt neighbours than this have at most the probability that we accept."""
        limit = -(self.security_bits + 1) * math.log(2) - math.log(self.clients) + _TIE
        return quantile(self.clients, self.corrupt, degree, limit)

    def most_dropped(self, degree: int) -> int:
        """degree - t2: more dropped neighbours than this have less than the probability that we accept."""
        limit = -self.correctness_bits * math.log(2) - math.log(self.clients) - _TIE
        return quantile(self.clients, self.dropped, degree, limit)

    def lowest_threshold(self, degree: int, most_corrupt: int) -> int:
        """Least threshold that keeps `most_corrupt` of a secret's holders from rebuilding it."""
        if self.threat_model is ThreatModel.SEMI_HONEST:
            return most_corrupt + 1
        return math.ceil((most_corrupt + degree - 1.25) / 2) + 1

    def window(self, degree: int) -> Window:
        """Thresholds of a sparse graph of this degree; empty where the lowest is above the highest."""
        lowest = self.lowest_threshold(degree, self.most_corrupt(degree))
        return Window(lowest, degree - self.most_dropped(degree))

    def largest_degree(self) -> int:
        """Largest even degree that the cohort and the share field have room for."""
        most = min(self.clients - 1, MAX_SHARE_HOLDERS)
        return most - most % 2

    def figures(self) -> str:
        """The numbers that the conditions are about, in words."""
        return (
            f"{self.corrupt} corrupt and {self.dropped} dropped of {self.clients}, "
            f"{self.threat_model.value}, {self.security_bits} security bits, "
            f"{self.correctness_bits} correctness bits"
        )


def complete_rule(problem: Conditions) -> str:
    """The condition of the complete graph with its numbers, in words."""
    n, c, d = problem.clients, problem.corrupt, problem.dropped
    secrecy = "2t > n + c" if problem.threat_model is ThreatModel.ACTIVE else "t > c"
    return f"{secrecy} and t <= n - d - 1, with n = {n}, c = {c} corrupt, d = {d} dropped"


def complete_interval(problem: Conditions) -> Window:
    """Return the thresholds that the complete graph allows (§2.4).

    Raises:
        ParameterError: too many holders, or no threshold serves.
    """
    n, c, d = problem.clients, problem.corrupt, problem.dropped
    if n - 1 > MAX_SHARE_HOLDERS:
        raise ParameterError(
            f"a complete graph of {n} clients is impossible: each secret would have {n - 1} holders and the "
            f"share field has {MAX_SHARE_HOLDERS} points: take a sparse graph (semi-honest model) or a "
            "smaller cohort."
        )
    active = problem.threat_model is ThreatModel.ACTIVE
    window = Window((n + c) // 2 + 1 if active else c + 1, n - d - 1)
    if window.lowest > window.highest:
        raise ParameterError(
            f"no threshold serves the complete graph: [{window.lowest}, {window.highest}] is empty "
            f"({complete_rule(problem)}): lower max_corrupt or max_dropout, or take more clients."
        )
    return window


def conditions_of(
    clients: int,
    max_corrupt: float,
    max_dropout: float,
    threat_model: ThreatModel | str,
    security_bits: int,
    correctness_bits: int,
) -> Conditions:
    """Check the six numbers, and turn fractions into numbers of clients.

    Raises:
        ParameterError: a value is of a wrong type or out of range.
    """
    clients = checked_integer("clients", clients, 2, MAX_CLIENTS, "the sum of one client hides nothing")
    try:
        model = ThreatModel(threat_model)
    except ValueError:
        raise ParameterError(f"threat_model {threat_model!r} is unknown: take 'semi-honest' or 'active'.") from None
    return Conditions(
        clients=clients,
        corrupt=count_of(clients, "max_corrupt", max_corrupt),
        dropped=count_of(clients, "max_dropout", max_dropout),
        threat_model=model,
        security_bits=checked_integer("security_bits", security_bits, 1, MAX_BITS, "40 is usual"),
        correctness_bits=checked_integer("correctness_bits", correctness_bits, 1, MAX_BITS, "20 is usual"),
    )


def checked_integer(name: str, value: object, least: int, most: int, hint: str) -> int:
    """Return a whole number from `least` to `most` as an int.

    Raises:
        ParameterError: it is none; the sentence ends with the hint.
    """
    whole = as_whole(value)
    if whole is None:
        raise ParameterError(f"{name} is {value!r}, not an integer: give one in [{least}, {most}].")
    if not least <= whole <= most:
        raise ParameterError(f"{name} is {whole}, outside [{least}, {most}]: give one inside ({hint}).")
    return whole


def count_of(clients: int, name: str, fraction: object) -> int:
    """Return floor(fraction * clients), a product just below an integer counting as that integer.

    The rounding goes onto the fraction, for it grows with the number of clients. Survivors are
    n - dropped: the ceiling rule of Specification §2.4 is this floor rule in other words.
    """
    share = as_real(fraction)
    if share is None:
        raise ParameterError(f"{name} is {fraction!r}, not a number: give a fraction in [0, 1), like 0.1.")
    if not 0 <= share < 1:
        raise ParameterError(f"{name} is {fraction}, outside [0, 1): give a fraction of the clients, like 0.1.")
    return min(math.floor((share + _ROUNDING) * clients), clients - 1)
