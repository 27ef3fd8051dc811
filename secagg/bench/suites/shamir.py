"""Suite `shamir`: sharing and rebuilding secrets, against the arithmetic alone."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.rows import Better, Row, measured_row
from secagg.crypto import shamir
from secagg.crypto.batch_decoding import NOBODY, recover_together
from secagg.crypto.randomness import SystemRandomSource

SUITE: Final = "shamir"
_MICRO: Final = 1e-6
_BATCH: Final = 64
_SIZES: Final = ((19, 11), (50, 28), (499, 267), (999, 534))


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds / 2
    return tuple(
        Benchmark(f"k={degree} t={threshold}", seconds + 1, partial(_sharing, shared, degree, threshold, seconds))
        for degree, threshold in _SIZES
    )


def _sharing(shared: Shared, degree: int, threshold: int, seconds: float) -> list[Row]:
    source = SystemRandomSource()
    secrets = [source.secret(shamir.SECRET_BYTES) for _ in range(2)]
    held = shamir.share_secrets(secrets[:1], threshold, degree, source)
    points = tuple(range(1, threshold + 1))
    chosen = dict(zip(points, held, strict=False))
    row = np.stack([shamir.elements_in(chosen[point])[0] for point in points])
    batch = np.broadcast_to(row, (_BATCH, *row.shape))
    samples = in_turns(
        {
            "share two secrets": lambda: shamir.share_secrets(secrets, threshold, degree, source),
            "rebuild one secret": lambda: shamir.reconstruct(chosen, threshold),
            f"rebuild {_BATCH} secrets": lambda: recover_together(points, batch, threshold, NOBODY, source),
        },
        seconds,
    )
    # Rebuilding is one sum of products for each secret: no matrix product, so it has no such floor.
    floors = {"share two secrets": 2 * shamir.LIMBS * degree * threshold / shared.rates.field / _MICRO}
    return [
        measured_row(
            SUITE,
            f"{name}, k={degree} t={threshold}",
            "µs",
            Better.LESS,
            tuple(taken_in / _MICRO for taken_in in taken),
            floor=floors.get(name),
            floor_name="the multiply-adds as one matrix product" if name in floors else "",
            details={"degree": degree, "threshold": threshold},
            why="coefficients are drawn, and limbs cut from secrets and joined to shares, besides the product",
        )
        for name, taken in samples.items()
    ]
