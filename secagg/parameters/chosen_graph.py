"""Parameter calculator of the *experimental* topology `chosen`: each client draws its own holders (Specification §2.4).

The graph of Bell et al. (CCS 2020, section 4) for a server that may lie: who holds a client's shares follows from no
seed that the server knows, but from the client's own draw. Plain arithmetic on numbers of clients; must not know
cohorts, sessions or messages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.cohort import LEAST_DRAWN, MOST_DRAWN
from secagg.parameters.graph_conditions import Conditions, ThreatModel, checked_integer, conditions_of
from secagg.parameters.hypergeometric import log_tail, quantile

CHOSEN_SECURITY_BITS: Final = 64
"""Default: failure is per offer that a client answers, and a server can make many."""

MOST_CLIENTS: Final = 1 << 20
"""Largest cohort that this calculator answers for: sums of logarithms are exact enough up to there."""

_TIE: Final = 1e-10  # as in graph_conditions
_NEGLIGIBLE: Final = 64 * math.log(2)  # of the whole bound; what is below it is replaced by something larger


@dataclass(frozen=True, slots=True)
class ChosenGraph:
    """How many holders each client draws, and what follows.

    Attributes:
        clients: size of the cohort.
        honest: clients less those that may be corrupt.
        degree: k, holders that each client draws; it has about as many neighbours again that drew it.
        threshold: shares, and acknowledgements, that are needed.
        most_corrupt: t1, corrupt ones among the holders of one honest client.
        most_dropped: ud, ones that drop out among the holders of one client.
        smallest_sum: S + 1, honest inputs in every sum that can be read.
    """

    clients: int
    honest: int
    degree: int
    threshold: int
    most_corrupt: int
    most_dropped: int
    smallest_sum: int


def chosen_graph(
    clients: int,
    max_corrupt: float,
    max_dropout: float,
    security_bits: int = CHOSEN_SECURITY_BITS,
    correctness_bits: int = 20,
    smallest_sum: int | None = None,
) -> ChosenGraph:
    """Return the first number of holders that serves, with the largest threshold that dropouts allow.

    Args:
        clients: size of the cohort.
        max_corrupt: largest fraction of the clients that is corrupt, in [0, 1).
        max_dropout: largest fraction of the clients that drops out, in [0, 1).
        security_bits: a server learns more than it may with probability at most 2^-security_bits, for each offer.
        correctness_bits: a session ends for want of shares with probability below 2^-correctness_bits.
        smallest_sum: honest inputs that every sum must have; None for more than half of the honest clients, so that
            one sum at most can be read, as in a complete graph.

    The search is a linear scan: the conditions are not monotone in the number of holders.

    Raises:
        ParameterError: a value is out of range, or no number of holders serves.

    Source: Bell et al., CCS 2020, section 4; Specification §2.4.
    """
    problem = conditions_of(clients, max_corrupt, max_dropout, ThreatModel.ACTIVE, security_bits, correctness_bits)
    _check_clients(clients)
    honest = clients - problem.corrupt
    if smallest_sum is None:
        smallest_sum = honest // 2 + 1
    smallest_sum = checked_integer("smallest_sum", smallest_sum, 1, honest, "there are no more honest clients")
    stuck = -correctness_bits * math.log(2) - math.log(clients) - _TIE
    for degree in range(LEAST_DRAWN, min(clients - 1, MOST_DRAWN) + 1):
        most_corrupt = corrupt_holders(clients, problem.corrupt, degree, security_bits)
        most_dropped = quantile(clients - 1, problem.dropped, degree, stuck)
        threshold = degree - most_dropped
        if 2 * threshold < degree + most_corrupt + 1:
            continue
        mutual = threshold - most_corrupt
        if _closed_sets_are_rare(clients, honest, degree, mutual, smallest_sum - 1, security_bits):
            largest = _largest_excluded(clients, honest, degree, mutual, smallest_sum - 1, security_bits)
            return ChosenGraph(clients, honest, degree, threshold, most_corrupt, most_dropped, largest + 1)
    raise ParameterError(
        f"no chosen graph of {clients} clients qualifies ({problem.figures()}): lower max_corrupt or max_dropout, ask "
        "for fewer bits, or take the complete graph."
    )


def chosen_choice(
    problem: Conditions, max_corrupt: float, max_dropout: float, degree: int | None, threshold: int | None
) -> tuple[int, int, str]:
    """Return degree, threshold and the reason for them in words: computed, or, both given, taken as they are.

    Raises:
        ParameterError: another threat model than the active one, one of the two alone, or no graph serves.
    """
    if problem.threat_model is not ThreatModel.ACTIVE:
        raise ParameterError(
            "topology 'chosen' is for the active model: take threat_model 'active', or topology 'sparse', which costs "
            "less where nobody lies."
        )
    if degree is not None:
        most = min(problem.clients - 1, MOST_DRAWN)
        degree = checked_integer("degree", degree, LEAST_DRAWN, most, "a client can draw so many holders")
    if threshold is not None:
        highest = problem.clients - 1 if degree is None else degree
        threshold = checked_integer("threshold", threshold, 1, highest, "a secret has no more holders than that")
    said = f"Chosen graph (EXPERIMENTAL: reviewed by nobody outside), {problem.figures()} for each offer:"
    if degree is not None and threshold is not None:
        resists = chosen_resists(
            problem.clients, problem.corrupt, degree, threshold, problem.security_bits, minimum_contributors=2
        )
        judged = "which withstand that" if resists else "which do NOT withstand that"
        return degree, threshold, f"{said} degree {degree} and threshold {threshold} given by the caller, {judged}."
    if degree is not None or threshold is not None:
        raise ParameterError(
            "degree and threshold of a chosen graph follow from each other: give both, or leave both to the calculator."
        )
    bits = problem.security_bits, problem.correctness_bits
    graph = chosen_graph(problem.clients, max_corrupt, max_dropout, *bits)
    return (
        graph.degree,
        graph.threshold,
        f"{said} each client draws {graph.degree} holders, of whom {graph.most_corrupt} may be corrupt and "
        f"{graph.most_dropped} may drop out; threshold {graph.threshold}. One sum at most can be read, over "
        f"{graph.smallest_sum} or more of {graph.honest} honest clients.",
    )


@lru_cache(maxsize=64)
def chosen_resists(
    clients: int, corrupt: int, degree: int, threshold: int, security_bits: int, minimum_contributors: int
) -> bool:
    """Whether an offer of a chosen graph withstands `corrupt` clients (Specification §6.1): a client's check.

    One kind of share per owner and locked mask keys, `2t >= k + t1 + 1`; and no sum can be read over so few honest
    clients that there could be two of them, or fewer than `minimum_contributors`.
    """
    if clients > MOST_CLIENTS or not 0 <= corrupt < clients:
        return False
    most_corrupt = corrupt_holders(clients, corrupt, degree, security_bits)
    if 2 * threshold < degree + most_corrupt + 1:
        return False
    honest = clients - corrupt
    excluded = max(honest // 2, minimum_contributors - 1)
    return _closed_sets_are_rare(clients, honest, degree, threshold - most_corrupt, excluded, security_bits)


def corrupt_holders(clients: int, corrupt: int, degree: int, security_bits: int) -> int:
    """t1: that some honest client draws more corrupt holders has at most half of the probability that we accept."""
    limit = -(security_bits + 1) * math.log(2) - math.log(clients) + _TIE
    return quantile(clients - 1, min(corrupt, clients - 1), degree, limit)


def _closed_sets_are_rare(
    clients: int, honest: int, degree: int, mutual: int, excluded: int, security_bits: int
) -> bool:
    """Whether a set of at most `excluded` honest clients, each with `mutual` of its holders in it, is improbable.

    A union bound over all such sets; only the honest clients' own independent draws enter it.
    """
    if mutual < 1 or excluded >= honest:
        return False
    limit = -(security_bits + 1) * math.log(2) + _TIE
    first = mutual + 1
    if excluded < first:
        return True
    total = _log_term(clients, honest, degree, mutual, excluded)
    if total > limit:
        return False
    # A term has at most C(h, s) sets, and p_s grows with s: so a whole stretch is bounded by its ends. Where that bound
    # is far below what matters it stands for the stretch; elsewhere the stretch is halved.
    stretches = [(first, excluded - 1)]
    while stretches:
        low, high = stretches.pop()
        if low > high:
            continue
        widest = min(max(honest // 2, low), high)
        bound = math.log(high - low + 1) + _log_choose(honest, widest)
        bound += low * _log_inside(clients, degree, mutual, high)
        if low < high and bound > limit - _NEGLIGIBLE:
            middle = (low + high) // 2
            stretches += [(low, middle), (middle + 1, high)]
            continue
        total = _log_add(total, bound)
        if total > limit:
            return False
    return True


def _largest_excluded(clients: int, honest: int, degree: int, mutual: int, excluded: int, security_bits: int) -> int:
    """The largest size up to which closed sets are improbable; `excluded` is one."""
    step, known = 1, excluded
    while known + step < honest and _closed_sets_are_rare(clients, honest, degree, mutual, known + step, security_bits):
        known, step = known + step, 2 * step
    while step:
        if known + step < honest and _closed_sets_are_rare(
            clients, honest, degree, mutual, known + step, security_bits
        ):
            known += step
        step //= 2
    return known


def _log_term(clients: int, honest: int, degree: int, mutual: int, size: int) -> float:
    """Log of the expected number of closed sets of one size, at most."""
    return _log_choose(honest, size) + size * _log_inside(clients, degree, mutual, size)


@lru_cache(maxsize=1 << 16)
def _log_inside(clients: int, degree: int, mutual: int, size: int) -> float:
    """Log of p_s: the probability that a client draws `mutual` of its holders from the other size - 1 members."""
    others, marked = clients - 1, size - 1
    if mutual - 1 >= degree * marked // others:
        return log_tail(others, marked, degree, mutual - 1)
    fewer = log_tail(others, others - marked, degree, degree - mutual)
    return math.log1p(-math.exp(fewer)) if fewer < 0 else 0.0


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _check_clients(clients: int) -> None:
    if clients > MOST_CLIENTS:
        raise ParameterError(
            f"clients is {clients}; chosen graphs are for at most {MOST_CLIENTS} clients: take several sessions."
        )
