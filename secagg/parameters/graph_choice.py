"""Parameter calculator: searches how many neighbours hold a client's shares, and how many rebuild a secret.

Finds the smallest graph that satisfies the conditions of :mod:`secagg.parameters.graph_conditions` (Specification
§2.4), and says which condition binds. It must not know cohorts, permutations, sessions or messages.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.chosen_graph import CHOSEN_SECURITY_BITS, chosen_choice
from secagg.parameters.graph_conditions import (
    MAX_SHARE_HOLDERS,
    SECURITY_BITS,
    Conditions,
    ThreatModel,
    TopologyKind,
    Window,
    checked_integer,
    complete_interval,
    complete_rule,
    conditions_of,
)
from secagg.parameters.hypergeometric import log_tail

SMALL_COHORT: Final = 32
"""Cohorts up to this get the complete graph when the expected dropouts round to none."""


@dataclass(frozen=True, slots=True)
class GraphChoice:
    """A graph and a threshold, with the argument for them in words.

    Attributes:
        topology: complete, sparse or chosen.
        degree: neighbours of a client; holders that each draws in a chosen graph.
        threshold: shares that rebuild a secret.
        reason: the argument, in sentences.
        lowest: the least threshold of this graph that keeps inputs secret; 1 where that was not asked.
    """

    topology: TopologyKind
    degree: int
    threshold: int
    reason: str
    lowest: int = 1


def graph_parameters(
    clients: int,
    max_corrupt: float,
    max_dropout: float,
    threat_model: ThreatModel | str,
    security_bits: int = 40,
    correctness_bits: int = 20,
) -> tuple[int, int]:
    """Return (degree, threshold) of the sparse graph: the first even degree that satisfies §2.4.

    The degree counts the holders of a client's shares. Where t1 = 0 and t2 = 1 the published rule answers
    threshold 2, although correctness allows only 1; :func:`choose_graph` takes a larger degree there.

    Args:
        clients: size of the cohort, 2 .. 2^40.
        max_corrupt: fraction of the cohort that may collude with the server, below 1.
        max_dropout: fraction of the cohort that may leave, below 1.
        threat_model: "semi-honest"; sessions refuse a sparse graph in the active model.
        security_bits: privacy fails with a probability below 2^-security_bits.
        correctness_bits: the sum is lost to unlucky dropouts with a probability below 2^-correctness_bits.

    Raises:
        ParameterError: a value is out of range, or no even degree below n and MAX_SHARE_HOLDERS qualifies.

    Source: Bell et al., CCS 2020, section 3; Specification §2.4.
    """
    problem = conditions_of(clients, max_corrupt, max_dropout, threat_model, security_bits, correctness_bits)
    degree = _first_degree(problem, smallest_threshold=1, may_leave=0)
    return degree, max(problem.window(degree).lowest, 2)


def complete_threshold(clients: int, max_corrupt: float, max_dropout: float, threat_model: ThreatModel | str) -> int:
    """Return the default threshold of the complete graph, clipped into what the model allows (§2.4).

    Args:
        clients: size of the cohort.
        max_corrupt: fraction of the cohort that may collude with the server, below 1.
        max_dropout: fraction of the cohort that may leave, below 1.
        threat_model: "semi-honest" or "active".

    Raises:
        ParameterError: a value is out of range, there are more than MAX_SHARE_HOLDERS holders, or no
            threshold satisfies both privacy and the expected dropouts.
    """
    problem = conditions_of(clients, max_corrupt, max_dropout, threat_model, 1, 1)
    return _default_threshold(problem, complete_interval(problem))


def choose_graph(
    clients: int,
    max_corrupt: float,
    max_dropout: float,
    threat_model: ThreatModel | str,
    topology: TopologyKind | str | None = None,
    degree: int | None = None,
    threshold: int | None = None,
    security_bits: int | None = None,
    correctness_bits: int = 20,
) -> GraphChoice:
    """Choose the graph, its degree and the threshold, or check those that the caller chose (§2.4, §2.5).

    Args:
        clients: size of the cohort.
        max_corrupt: largest fraction of the clients that pool what they see, in [0, 1).
        max_dropout: largest fraction of the clients that vanish, in [0, 1).
        threat_model: "semi-honest" or "active".
        topology: None (or "auto") takes the smaller graph of those that qualify; in a cohort of at most 32 of which
            `max_dropout` is nobody, the complete one. "chosen" is experimental, and taken only where it is asked for.
        degree: holders of a client's shares; None computes it.
        threshold: shares that rebuild a secret; None computes it.
        security_bits: sparse graphs leak with probability at most 2^-security_bits; None is 40, or 64 for a chosen one.
        correctness_bits: sparse graphs fail for want of shares with probability below 2^-correctness_bits.

    A sparse graph whose degree and threshold are both given is taken as it is, even below the wanted bits:
    the reason then says how many bits it has.

    Raises:
        ParameterError: a value is out of range, or the graph does not qualify, or no graph does.
    """
    kind = _topology(topology)
    if security_bits is None:
        security_bits = CHOSEN_SECURITY_BITS if kind is TopologyKind.CHOSEN else SECURITY_BITS
    problem = conditions_of(clients, max_corrupt, max_dropout, threat_model, security_bits, correctness_bits)
    if kind is TopologyKind.CHOSEN:
        return GraphChoice(kind, *chosen_choice(problem, max_corrupt, max_dropout, degree, threshold))
    if degree is not None:
        degree = checked_integer("degree", degree, 1, clients - 1, "a client has no more neighbours than that")
        if kind is None:
            kind = TopologyKind.COMPLETE if degree == clients - 1 else TopologyKind.SPARSE
    if threshold is not None:
        most = clients - 1 if degree is None else degree
        threshold = checked_integer("threshold", threshold, 1, most, "a secret has no more holders than that")
    if kind is TopologyKind.SPARSE:
        return _sparse(problem, degree, threshold)
    if kind is TopologyKind.COMPLETE:
        return _complete(problem, degree, threshold, "The complete graph was asked for.")
    if problem.threat_model is ThreatModel.ACTIVE:
        why = (
            "The active model takes the complete graph: sparse graphs, whose ring the server draws, are refused there, "
            "and the experimental chosen graph is taken only when it is asked for."
        )
        return _complete(problem, None, threshold, why)
    if problem.dropped == 0 and clients <= SMALL_COHORT:
        why = (
            f"max_dropout {max_dropout} of {clients} clients is nobody: in a cohort this small the complete graph "
            "costs little."
        )
        return _complete(problem, None, threshold, why)
    return _smaller(problem, threshold)


def _first_connected(problem: Conditions) -> int:
    """First even degree that is connected, or the one after the largest.

    The bound falls as the degree grows, so bisection is exact.
    """
    degrees = range(2, problem.largest_degree() + 1, 2)
    return 2 + 2 * bisect_left(degrees, True, key=problem.connected)


def _first_degree(problem: Conditions, smallest_threshold: int, may_leave: int) -> int:
    """First even degree with a threshold of at least `smallest_threshold`, all conditions holding.

    So many neighbours may leave for certain, whatever `max_dropout` is: where that is nobody, t2 is the degree.

    One more neighbour raises t1 and degree - t2 by 0 or 1 each, so t2 grows by at most 1 and the lower
    end of the window never falls. A degree that lacks m thresholds thus rules out the m - 1 after it:
    leaping by m passes no solution, although the conditions are not monotone in the degree.

    Raises:
        ParameterError: there is no such degree.
    """
    degree = _first_connected(problem)
    while degree <= problem.largest_degree():
        lowest, highest = problem.window(degree)
        lacking = max(lowest, smallest_threshold) - min(highest, degree - may_leave)
        if lacking <= 0:
            return degree
        degree += lacking + lacking % 2
    raise ParameterError(_infeasible(problem))


def _first_degree_for(problem: Conditions, threshold: int) -> int:
    """First even degree that allows this threshold when one neighbour has left; both ends of the window rise.

    Raises:
        ParameterError: there is no such degree.
    """
    degrees = range(_first_connected(problem), problem.largest_degree() + 1, 2)
    wide = bisect_left(degrees, True, key=lambda k: k - max(1, problem.most_dropped(k)) >= threshold)
    if wide == len(degrees) or problem.window(degrees[wide]).lowest > threshold:
        raise ParameterError(
            f"no sparse graph of {problem.clients} clients serves threshold {threshold} ({problem.figures()}): "
            "leave the threshold to the calculator, or lower max_corrupt or max_dropout."
        )
    return degrees[wide]


def _infeasible(problem: Conditions) -> str:
    most = problem.largest_degree()
    return (
        f"no sparse graph of even degree from 2 to {most} qualifies ({problem.figures()}): lower "
        "max_corrupt or max_dropout, ask for fewer bits, or take the complete graph (at most "
        f"{MAX_SHARE_HOLDERS + 1} clients)."
    )


def _sparse(problem: Conditions, degree: int | None, threshold: int | None) -> GraphChoice:
    """Sparse graph: computed, checked, or (both given) rated.

    A computed threshold is at least 2: one share must not be the secret. Unlike the published rule, a computed
    degree makes room for it, and for one neighbour that leaves (see :func:`graph_parameters`).
    """
    if problem.threat_model is ThreatModel.ACTIVE:
        raise ParameterError(
            "topology 'sparse' is refused in the active model, where the server would draw the ring: take topology "
            "'complete', the experimental 'chosen', or threat_model 'semi-honest'."
        )
    if degree is None:
        degree = _first_degree(problem, 2, 1) if threshold is None else _first_degree_for(problem, threshold)
        binding = _binding(problem, degree, 2 if threshold is None else threshold)
        threshold = max(problem.window(degree).lowest, 2) if threshold is None else threshold
        reason = f"Sparse graph, {_figures(problem, degree)} Threshold {threshold}. {binding}"
        return GraphChoice(TopologyKind.SPARSE, degree, threshold, reason, max(problem.window(degree).lowest, 2))
    if degree < 2 or degree > MAX_SHARE_HOLDERS or (degree % 2 and problem.clients % 2):
        raise ParameterError(
            f"degree {degree} is impossible for a sparse graph of {problem.clients} clients: it must lie in "
            f"[2, {MAX_SHARE_HOLDERS}], and be even unless the number of clients is."
        )
    if threshold is not None:
        return GraphChoice(TopologyKind.SPARSE, degree, threshold, _rating(problem, degree, threshold))
    if not problem.connected(degree):
        raise ParameterError(
            f"degree {degree} fails connectivity: it gives {_bits(problem.log_disconnected(degree))}, more "
            f"than {problem.security_bits + 1} are needed ({problem.figures()}): raise the degree, or lower "
            "max_corrupt or max_dropout."
        )
    window = problem.window(degree)
    threshold = max(window.lowest, 2)
    if threshold > window.highest:
        raise ParameterError(
            f"degree {degree} leaves no threshold: secrecy needs at least {threshold}, correctness allows at "
            f"most {window.highest} ({problem.figures()}): raise the degree, or lower max_corrupt or "
            "max_dropout."
        )
    reason = f"Sparse graph, degree given by the caller: {_figures(problem, degree)}"
    return GraphChoice(TopologyKind.SPARSE, degree, threshold, reason, threshold)


def _complete(problem: Conditions, degree: int | None, threshold: int | None, why: str) -> GraphChoice:
    n = problem.clients
    if degree not in (None, n - 1):
        raise ParameterError(
            f"degree {degree} contradicts the complete graph of {n} clients, whose degree is {n - 1}: leave "
            "the degree out, or take topology 'sparse'."
        )
    window = complete_interval(problem)
    lowest, highest = window
    if threshold is None:
        threshold = _default_threshold(problem, window)
    elif not lowest <= threshold <= highest:
        raise ParameterError(
            f"threshold {threshold} is outside [{lowest}, {highest}], which the complete graph allows "
            f"({complete_rule(problem)}): take one inside, or lower max_corrupt or max_dropout."
        )
    reason = (
        f"{why} Complete graph of {n} clients, degree {n - 1}, threshold {threshold}: any threshold in "
        f"[{lowest}, {highest}] holds with certainty ({complete_rule(problem)}). Secrecy binds from below, "
        "relaxed by a smaller max_corrupt; correctness from above, relaxed by a smaller max_dropout."
    )
    return GraphChoice(TopologyKind.COMPLETE, n - 1, threshold, reason, max(lowest, 2))


def _smaller(problem: Conditions, threshold: int | None) -> GraphChoice:
    """Take the sparse graph if it has fewer edges, else the complete one; semi-honest model."""
    n = problem.clients
    try:
        sparse = _sparse(problem, None, threshold)
    except ParameterError as no_sparse:
        try:
            return _complete(problem, None, threshold, "No sparse graph qualifies.")
        except ParameterError as no_complete:
            raise ParameterError(f"{no_complete} Nor is a sparse graph possible: {no_sparse}") from no_complete
    if sparse.degree >= n - 1:
        why = f"A sparse graph needs degree {sparse.degree}: the complete graph is no larger, and certain."
        return _complete(problem, None, threshold, why)
    saved = f"It is smaller than the complete graph (degree {sparse.degree} instead of {n - 1})."
    return replace(sparse, reason=f"{sparse.reason} {saved}")


def _default_threshold(problem: Conditions, window: Window) -> int:
    """The usual threshold, lowered where it would let nobody leave: a secret has n - 2 holders when one has left.

    It is not lowered below 2, where one share would be the secret.
    """
    n = problem.clients
    usual = 2 * n // 3 + 1 if problem.threat_model is ThreatModel.ACTIVE else n // 2 + 1
    return min(max(min(usual, max(n - 2, 2)), window.lowest), window.highest)


def _figures(problem: Conditions, degree: int) -> str:
    lowest, highest = problem.window(degree)
    return (
        f"degree {degree} ({problem.figures()}): connectivity is "
        f"{_bits(problem.log_disconnected(degree))}, secrecy needs a threshold of at least {lowest} "
        f"(t1 = {lowest - 1}), correctness allows at most {highest} (t2 = {highest})."
    )


def _binding(problem: Conditions, degree: int, wanted: int) -> str:
    """Say which condition fails two neighbours lower, and what would relax it; `wanted`: least threshold."""
    lower = degree - 2
    if lower < 2:
        return "Nothing binds: degree 2 is the smallest."
    if not problem.connected(lower):
        return (
            f"Connectivity binds: degree {lower} gives {_bits(problem.log_disconnected(lower))}, more than "
            f"{problem.security_bits + 1} are needed; a smaller max_corrupt or max_dropout, or fewer "
            "security bits, would relax it."
        )
    lowest, highest = problem.window(lower)
    if max(lowest, wanted) <= highest:
        return f"Room for one departure binds: with degree {lower} nobody might leave."
    corrupt, dropped = problem.most_corrupt(lower), problem.most_dropped(lower)
    secrecy = lowest >= wanted and corrupt >= dropped
    relax = "max_corrupt, or fewer security" if secrecy else "max_dropout, or fewer correctness"
    return (
        f"{'Secrecy (t1)' if secrecy else 'Correctness (t2)'} binds: of {lower} neighbours up to {corrupt} "
        f"may be corrupt and up to {dropped} may drop, so the threshold would have to be at least "
        f"{max(lowest, wanted)} and at most {highest}; a smaller {relax} bits, would relax it most."
    )


def _rating(problem: Conditions, degree: int, threshold: int) -> str:
    """Say how many bits a graph has that the caller fixed entirely."""
    n, log_n = problem.clients, math.log(problem.clients)
    exposed = log_n + log_tail(n, problem.corrupt, degree, threshold - 1)
    stuck = log_n + log_tail(n, problem.dropped, degree, degree - threshold)
    return (
        f"Sparse graph, degree {degree} and threshold {threshold} given by the caller: with "
        f"{problem.corrupt} corrupt and {problem.dropped} dropped of {n}, connectivity is "
        f"{_bits(problem.log_disconnected(degree))}, secrecy {_bits(exposed)} (wanted: "
        f"{problem.security_bits + 1} bits each), correctness {_bits(stuck)} (wanted: "
        f"{problem.correctness_bits} bits)."
    )


def _bits(log_probability: float) -> str:
    if log_probability == -math.inf:
        return "certain"
    return f"{max(0.0, -log_probability / math.log(2)):.1f} bits"


def _topology(value: TopologyKind | str | None) -> TopologyKind | None:
    if value is None or value == "auto":
        return None
    try:
        return TopologyKind(value)
    except ValueError:
        raise ParameterError(
            f"topology {value!r} is unknown: take 'complete', 'sparse', 'auto' (None) or the experimental 'chosen'."
        ) from None
