"""Suite `primitives`: the bare operations, without the library between; the floors are made of these.

Besides, what the library makes of them: the mask key of a pair, whose floor is its agreement and its derivations.
"""

from __future__ import annotations

from typing import Final

from secagg.bench import primitives, rates
from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rows import Better, Row, measured_row
from secagg.crypto import key_schedule
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.randomness import SystemRandomSource

SUITE: Final = rates.SUITE
PAIR_KEY: Final = "mask key of a pair"
_GIGA: Final = 1e9
_MICRO: Final = 1e-6


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds
    return (
        Benchmark("throughput", seconds + 0.5, lambda: _throughput(seconds)),
        Benchmark("public keys", seconds + 0.5, lambda: _public_keys(seconds)),
    )


def _throughput(seconds: float) -> list[Row]:
    amounts = {name: (call, amount) for name, (call, amount) in rates.operations().items() if amount}
    samples = in_turns({name: call for name, (call, _) in amounts.items()}, seconds)
    return [
        measured_row(
            SUITE,
            name,
            "G multiply-adds/s" if name == rates.FIELD else "GB/s",
            Better.MORE,
            per_second(samples[name], amount / _GIGA),
        )
        for name, (_, amount) in amounts.items()
    ]


def _public_keys(seconds: float) -> list[Row]:
    source = SystemRandomSource()
    key, peer = AgreementKey.generate(source), AgreementKey.generate(source)
    calls = {name: call for name, (call, amount) in rates.operations().items() if not amount}
    calls["X25519 public key"] = primitives.x25519_public()
    calls["Ed25519 signature"] = primitives.ed25519_sign()
    calls["Ed25519 verification"] = primitives.ed25519_verify()
    calls[PAIR_KEY] = lambda: key_schedule.pairwise_mask_key(key, peer.public, bytes(32), bytes(32), 1, 2)
    samples = {name: per_call(taken) for name, taken in in_turns(calls, seconds).items()}
    rows = [measured_row(SUITE, name, "µs", Better.LESS, taken) for name, taken in samples.items() if name != PAIR_KEY]
    by_name = {row.name: row.measured or 0.0 for row in rows}
    rows.append(
        measured_row(
            SUITE,
            PAIR_KEY,
            "µs",
            Better.LESS,
            samples[PAIR_KEY],
            floor=by_name[rates.X25519] + 1.5 * by_name[rates.HKDF],
            floor_name="X25519, one HKDF and one expansion, bare",
            why="the objects of keys and the canonical bytes that bind them are made in Python",
        )
    )
    return rows


def per_call(samples: tuple[float, ...]) -> tuple[float, ...]:
    """Return seconds as microseconds."""
    return tuple(seconds / _MICRO for seconds in samples)
