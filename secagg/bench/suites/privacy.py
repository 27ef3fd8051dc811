"""Suite `privacy`: noise for differential privacy, beside what NumPy needs for the same distribution, and its tables.

The peer of noise is the difference of two Poisson draws of NumPy's PCG64 generator: fast, but neither secret nor exact.
It is timed here and serves nothing else. That of a client's work is the stochastic encoding without privacy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rows import Better, Row, measured_row
from secagg.bench.sessions import VECTOR, fixed_point, made_up
from secagg.bench.targets import NOISE_SIGMAS, PRIVATIZE, PRIVATIZE_SIGMA, ROTATE, noise_name
from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input
from secagg.privacy import tables
from secagg.privacy.clipping import norm_bound
from secagg.privacy.mechanism import Mechanism, Neighbours, Noise
from secagg.privacy.release import privatize
from secagg.privacy.rotation import SIGN_BYTES, padded_length, rotate
from secagg.privacy.sampling import SEED_BYTES, draw, noise_stream

SUITE: Final = "privacy"
_MEGA: Final = 1e6
_TABLE_SIGMA: Final = 3500
_CLIENTS: Final = 100
_OVERHEAD: Final = 0.02


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds
    return (
        *(Benchmark(noise_name(sigma), seconds + 0.5, partial(_noise, shared, sigma)) for sigma in NOISE_SIGMAS),
        Benchmark("client", seconds + 0.5, partial(_client, shared)),
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


def _client(shared: Shared) -> list[Row]:
    entries, source = shared.plan.entries, SystemRandomSource()
    mechanism = _mechanism(entries)
    update, rotated, signs = {VECTOR: made_up(entries, 1)}, np.zeros(padded_length(entries)), bytes(SIGN_BYTES)
    plain = Layout.build(fixed_point(entries).items(), _CLIENTS, 1)
    noisy = Layout.build(mechanism.vectors.items(), _CLIENTS, 1)
    works: dict[str, Callable[[], object]] = {
        "encode": lambda: encode_input(plain, update, randomness=source),
        PRIVATIZE: lambda: encode_input(noisy, privatize(mechanism, update).arrays, randomness=source),
        ROTATE: lambda: rotate(rotated, signs),
    }
    samples = in_turns(works, shared.plan.seconds)
    rates = {name: per_second(taken, entries / _MEGA) for name, taken in samples.items()}
    theirs = sorted(rates["encode"])[len(rates["encode"]) // 2]
    return [
        measured_row(
            SUITE, name, "million/s", Better.MORE, rates[name], details={"entries": entries, "tail": mechanism.tail}
        ).beside(theirs, "stochastic FixedPoint encoding")
        for name in (PRIVATIZE, ROTATE)
    ]


def _mechanism(entries: int) -> Mechanism:
    """What a plan for so many entries has whose share of noise has the standard deviation of the target."""
    grid = math.ceil(math.sqrt(entries / (4 * _OVERHEAD)))
    bound, variance16 = norm_bound(grid, entries), tables.VARIANCE_UNIT * PRIVATIZE_SIGMA**2
    return Mechanism(
        arrays=((VECTOR, (entries,)),),
        clip=1.0,
        noise=Noise.CLIENTS,
        neighbours=Neighbours.ZERO,
        grid=grid,
        bound=bound,
        limit=math.isqrt(bound),
        variance16=variance16,
        tail=tables.skellam(variance16).tail,
    )


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
