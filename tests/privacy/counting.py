"""Sums of counts: as a server gets them, with the session in between or without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import secagg
from secagg.privacy.counts import CountingPlan
from secagg.privacy.release import Private
from secagg.protocol.results import SessionResult
from secagg.testing.randomness import DeterministicRandomSource

TERMS: dict[str, Any] = {"delta": 1e-6, "clients": 8, "minimum_contributors": 6, "max_corrupt": 0.125}


def source(seed: int) -> DeterministicRandomSource:
    return DeterministicRandomSource(seed)


def plain_sum(inputs: Sequence[Private]) -> SessionResult:
    """What a session of these inputs releases; nothing is masked."""
    names = inputs[0].arrays
    vectors = {name: sum((private.arrays[name] for private in inputs[1:]), inputs[0].arrays[name]) for name in names}
    return SessionResult(vectors, tuple(range(len(inputs))), None, np.zeros(0, dtype=np.uint64))


def session_of(plan: CountingPlan, context: bytes | None = None, **options: Any) -> secagg.SessionParameters:
    """A session that fits a plan of `TERMS`."""
    given: dict[str, Any] = {
        **{"clients": 8, "vectors": plan.vectors, "minimum_contributors": 6, "max_corrupt": 0.125},
        **{"topology": "complete", "context": plan.bind() if context is None else context},
    }
    return secagg.SessionParameters.choose(**given | options)


def secure_sum(
    plan: CountingPlan,
    make: Callable[[int], Private],
    dropouts: Mapping[str | secagg.Round, Sequence[int]] | None = None,
    context: bytes | None = None,
) -> Any:
    """What a session of eight clients releases."""
    parameters = session_of(plan, context)
    plan.check(parameters)
    return secagg.simulate(parameters, {client: make(client).arrays for client in range(8)}, dropouts=dropouts)
