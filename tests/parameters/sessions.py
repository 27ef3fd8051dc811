"""Sessions that the tests of parameters begin with."""

from __future__ import annotations

from typing import Any

from secagg.parameters import SessionParameters
from secagg.parameters.vectors import FixedPoint

VECTORS = {"weights": FixedPoint(8, clip=1.0, bits=16)}
WEIGHTED = {"weights": FixedPoint(8, clip=1.0, bits=16, aggregate="mean")}
NONCE = bytes(range(32))
SEED = bytes(range(32, 64))


def choose(**changes: Any) -> SessionParameters:
    """Ten clients, unless told otherwise."""
    arguments: dict[str, Any] = {"clients": 10, "vectors": VECTORS, "nonce": NONCE}
    return SessionParameters.choose(**(arguments | changes))


COMPLETE = choose(topology="complete", threshold=6)
SPARSE = choose(clients=11, topology="sparse", degree=4, threshold=3, permutation_seed=SEED)
ACTIVE = choose(threat_model="active")
CHOSEN = choose(threat_model="active", topology="chosen", degree=6, threshold=4)
