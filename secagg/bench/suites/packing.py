"""Suite `packing`: quantizing and bit packing, against a copy of the same memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, Final

import numpy as np

from secagg.bench import primitives
from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rows import Better, Row, measured_row
from secagg.bench.sessions import VECTOR, fixed_point, made_up
from secagg.bench.targets import quantize_name
from secagg.crypto.randomness import SystemRandomSource
from secagg.encoding.layout import Layout
from secagg.encoding.packing import pack_into, packed_size, unpack
from secagg.encoding.session_vector import encode_input

SUITE: Final = "packing"
_GIGA: Final = 1e9
_CLIENTS: Final = 100
_WIDTHS: Final = (23, 46, 52, 60, 64)
_WORDS_PER_ENTRY: Final = 2
_NOISE_BYTES: Final = 4


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds + 0.5
    return (
        *(Benchmark(f"{bits} bits", seconds, partial(_pack_and_unpack, shared, bits)) for bits in _WIDTHS),
        Benchmark("quantize", seconds, partial(_quantize, shared)),
    )


def _pack_and_unpack(shared: Shared, bits: int) -> list[Row]:
    words = np.arange(max(1, shared.plan.packed // _WORDS_PER_ENTRY), dtype=np.uint64)
    packed = np.empty(packed_size(len(words), bits), dtype=np.uint8)
    unpacked = np.empty_like(words)
    works: dict[str, Callable[[], object]] = {
        "pack": lambda: pack_into(words, bits, packed),
        "unpack": lambda: unpack(packed, bits, 0, unpacked),
        "copy": primitives.copy(),
    }
    samples = in_turns(works, shared.plan.seconds)
    floor = _copy_rate(samples["copy"])
    return [
        _against_copy(
            f"{name} {bits} bits",
            samples[name],
            words.nbytes,
            floor,
            {"bits": bits, "words": len(words)},
            "each word is shifted, joined with its neighbours and stored by steps of NumPy, one by one",
        )
        for name in ("pack", "unpack")
    ]


def _quantize(shared: Shared) -> list[Row]:
    entries, source = shared.plan.packed, SystemRandomSource()
    layout = Layout.build(fixed_point(entries).items(), _CLIENTS, 1)
    inputs: dict[str, np.ndarray[Any, Any]] = {"float32": made_up(entries, 1)}
    inputs["float64"] = inputs["float32"].astype(np.float64)
    works: dict[str, Callable[[], object]] = {
        name: partial(encode_input, layout, {VECTOR: values}, randomness=source) for name, values in inputs.items()
    }
    works["copy"] = primitives.copy()
    works["noise"] = primitives.aes_ctr()
    samples = in_turns(works, shared.plan.seconds)
    floor = _copy_rate(samples["copy"])
    noise = median(samples["noise"]) * _NOISE_BYTES * entries / primitives.CIPHER_BYTES
    return [
        _against_copy(
            quantize_name(name),
            samples[name],
            values.nbytes,
            floor,
            {"entries": entries},
            f"random bits are {noise / median(samples[name]):.0%} of it, at the bare rate of AES-128-CTR; the rest are "
            "NumPy's steps, one by one over slices that stay in the cache",
        )
        for name, values in inputs.items()
    ]


def _against_copy(
    name: str, samples: tuple[float, ...], size: int, floor: float, details: dict[str, int], why: str
) -> Row:
    return measured_row(
        SUITE,
        name,
        "GB/s",
        Better.MORE,
        per_second(samples, size / _GIGA),
        floor=floor,
        floor_name="memory copy",
        details=details,
        why=why,
    )


def _copy_rate(samples: tuple[float, ...]) -> float:
    taken = sorted(per_second(samples, primitives.COPIED_BYTES / _GIGA))
    return taken[len(taken) // 2]
