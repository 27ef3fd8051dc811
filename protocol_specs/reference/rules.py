"""The rules for session parameters (§2.1): a client refuses an offer that breaks one (C01)."""

import re

from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import (
    ACTIVE,
    CHOSEN,
    COMPLETE,
    SEMI_HONEST,
    SPARSE,
    SUITES,
    FixedPoint,
    Integers,
    Parameters,
    Specification,
)
from protocol_specs.reference.vectors import layout

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_ENTRIES = _MOST_WORDS = 2**40


def check_parameters(parameters: Parameters) -> None:
    """Raise `Breach("C01")` unless every rule of §2.1 is kept."""
    p, n = parameters, len(parameters.cohort)
    kept = (
        p.version == 1
        and p.suite in SUITES
        and p.threat_model in (SEMI_HONEST, ACTIVE)
        and n >= 2
        and list(p.cohort) == sorted(set(p.cohort))
        and _topology_is_valid(p, n)
        and 1 <= p.threshold <= p.degree
        and (p.threat_model != ACTIVE or p.chosen or 2 * p.threshold > n)
        and 2 <= p.minimum_contributors <= n
        and _weight_is_valid(p, n)
        and len(p.nonce) == 32
        and len(p.context) <= 65536
        and 1 <= len(p.vectors) <= 65536
        and len({name for name, _ in p.vectors}) == len(p.vectors)
        and all(1 <= len(name.encode()) <= 255 and not _CONTROL.search(name) for name, _ in p.vectors)
        and all(_vector_is_valid(specification, n) for _, specification in p.vectors)
        and _layout_is_valid(p)
    )
    if not kept:
        raise Breach("C01")


def _topology_is_valid(p: Parameters, n: int) -> bool:
    if p.degree > 65520:
        return False
    if p.topology_kind == COMPLETE:
        return p.degree == n - 1 and p.permutation_seed == b""
    if p.topology_kind == CHOSEN:
        within = 4 <= p.degree <= min(n - 1, 16380) and 2 * p.threshold > p.degree
        return within and p.threat_model == ACTIVE and not p.permutation_seed and not p.hybrid
    return (
        p.topology_kind == SPARSE
        and p.threat_model == SEMI_HONEST
        and 2 <= p.degree < n
        and (p.degree % 2 == 0 or n % 2 == 0)
        and len(p.permutation_seed) == 32
    )


def _weight_is_valid(p: Parameters, n: int) -> bool:
    means = any(isinstance(s, FixedPoint) and s.aggregate == "mean" for _, s in p.vectors)
    return 1 <= p.max_weight <= ((2**63 - 1) // n if means else 1)


def _vector_is_valid(specification: Specification, n: int) -> bool:
    shape = specification.shape
    if not 1 <= len(shape) <= 32 or min(shape) < 1 or specification.entries > _MOST_ENTRIES:
        return False
    if isinstance(specification, Integers):
        low, high = specification.low, specification.high
        return low < high and n * low >= -(2**63) and n * high <= 2**63 - 1
    return 2.0**-512 <= specification.clip <= 2.0**512 and 2 <= specification.bits <= 32


def _layout_is_valid(p: Parameters) -> bool:
    sections = layout(p)
    return all(s.width <= 64 for s in sections) and sum(s.words for s in sections) <= _MOST_WORDS
