"""What a session releases (Specification §6.7): plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.parameters import ClientId


@dataclass(frozen=True, slots=True)
class SessionResult:
    """The sum of the contributors' vectors.

    Attributes:
        vectors: name to array of the specification's shape: float64 for FixedPoint, int64 for Integers.
        contributors: the clients whose inputs are in the sum, ascending.
        total_weight: sum of the contributors' weights, or None when the session has no weights. When it is 0, weighted
            means are 0.
        session_vector: uint64 (words,), the ring sum itself (Specification §4.1).
        impossible: name to how many fields of the sum hold more than inputs within their bounds add up to; only vectors
            with some. Proof that a contributor lied, where there are any; most lies leave none.
    """

    vectors: Mapping[str, NDArray[Any]]
    contributors: tuple[ClientId, ...]
    total_weight: int | None
    session_vector: NDArray[np.uint64] = field(repr=False)
    impossible: Mapping[str, int] = field(default_factory=dict)
