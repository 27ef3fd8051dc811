"""Suite `privacy`: noise for differential privacy, beside what NumPy needs for the same distribution, and its tables.

The peer is the difference of two Poisson draws of NumPy's PCG64 generator: fast, but neither secret nor exact. It is
timed here and serves nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rows import Better, Row, measured_row
from secagg.bench.targets import NOISE_SIGMAS, noise_name
from secagg.crypto.secret import SecretBytes
from secagg.privacy import tables
from secagg.privacy.sampling import SEED_BYTES, draw, noise_stream

SUITE: Final = "privacy"
_MEGA: Final = 1e6
_TABLE_SIGMA: Final = 3500


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds
    return (
        *(Benchmark(noise_name(sigma), seconds + 0.5, partial(_noise, shared, sigma)) for sigma in NOISE_SIGMAS),
        Benchmark("tables", seconds + 1, partial(_tables, shared)),
    )


def _noise(shared: Shared, sigma: int) -> list[Row]:
    entries = shared.plan.entries
    table, peer = tables.skellam(tables.VARIANCE_UNIT * sigma**2), np.random.default_rng()
    half = sigma**2 / 2
    works: dict[str, Callable[[], object]] = {
        "noise": lambda: draw(table, entries, noise_stream(SecretBytes(os.urandom(SEED_BYTES)))),
        "peer": lambda: peer.poisson(half, entries) - peer.poisson(half, entries),
    }
    samples = in_turns(works, shared.plan.seconds)
    ours, theirs = (per_second(samples[name], entries / _MEGA) for name in works)
    row = measured_row(
        SUITE, noise_name(sigma), "million/s", Better.MORE, ours, details={"entries": entries, "tail": table.tail}
    )
    return [row.beside(sorted(theirs)[len(theirs) // 2], "two NumPy Poisson draws, neither secret nor exact")]


def _tables(shared: Shared) -> list[Row]:
    variance16 = tables.VARIANCE_UNIT * _TABLE_SIGMA**2
    makers = {"Skellam": tables.skellam, "rounded Gaussian": tables.rounded_gaussian}
    works: dict[str, Callable[[], object]] = {
        name: partial(make.__wrapped__, variance16) for name, make in makers.items()
    }
    samples = in_turns(works, shared.plan.seconds, minimum=1)
    return [
        measured_row(
            SUITE,
            f"table, {name}, sigma {_TABLE_SIGMA}",
            "ms",
            Better.LESS,
            tuple(1e3 * taken for taken in samples[name]),
        )
        for name in works
    ]
