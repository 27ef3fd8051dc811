"""Suite `masking`: many masks added to one vector, against the floor of cipher and adder in the same run.

One worker is measured in CPU time, two workers in wall time beside one worker in wall time: that is what they are for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from secagg.bench import primitives
from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.machine import usable_cores
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rates import floor_rate
from secagg.bench.rows import Better, Row, measured_row, skipped_row
from secagg.bench.targets import MASK_AEGIS, MASK_AEGIS_TWO, MASK_AES, MASK_AES_TWO
from secagg.compute.processes import ProcessExecutor
from secagg.compute.threads import ThreadExecutor
from secagg.crypto.secret import SecretBytes
from secagg.crypto.suites import get_suite
from secagg.executor import INLINE, Executor
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters.suite_ids import SuiteId

SUITE: Final = "masking"
_GIGA: Final = 1e9
_UNIT: Final = "GB/s"
_WORKERS: Final = 2
_START_SECONDS: Final = 4.0  # processes import the library anew
_BARE_AES: Final = "AES-128-CTR of OpenSSL alone"
_ONE: Final = {SuiteId.X25519_AES128CTR: MASK_AES, SuiteId.X25519_AEGIS128X2: MASK_AEGIS}
_TWO: Final = {SuiteId.X25519_AES128CTR: MASK_AES_TWO, SuiteId.X25519_AEGIS128X2: MASK_AEGIS_TWO}


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    seconds = shared.plan.seconds
    return tuple(
        Benchmark(names[suite], seconds + more, partial(measure, shared, suite))
        for suite in _ONE
        for names, more, measure in ((_ONE, 0.5, _one_worker), (_TWO, _START_SECONDS, _two_workers))
    )


def _one_worker(shared: Shared, suite: SuiteId) -> list[Row]:
    plan, bare = shared.plan, _bare_cipher(suite)
    if bare is None:
        return [_without_cipher(_ONE[suite])]
    work, amount = _accumulate(suite, plan.mask_words, plan.mask_keys)
    works = {"masks": work, "prg": bare, "add": primitives.add(), "aes": primitives.aes_ctr()}
    samples = in_turns(works, plan.seconds)
    prg = per_second(samples["prg"], primitives.CIPHER_BYTES)
    addition = per_second(samples["add"], primitives.CACHED_BYTES)
    row = measured_row(
        SUITE,
        _ONE[suite],
        _UNIT,
        Better.MORE,
        per_second(samples["masks"], amount / _GIGA),
        floor=floor_rate(_middle(prg), _middle(addition)) / _GIGA,
        floor_name="1 / (1 / cipher + 1 / add)",
        details={
            "words": plan.mask_words,
            "masks": plan.mask_keys,
            "cipher": _middle(prg) / _GIGA,
            "add": _middle(addition) / _GIGA,
        },
        why="slices are short here, and each is two calls of the cipher and the adder from Python",
    )
    return [row.beside(_middle(per_second(samples["aes"], primitives.CIPHER_BYTES / _GIGA)), _BARE_AES)]


def _two_workers(shared: Shared, suite: SuiteId) -> list[Row]:
    """Two threads, two processes, and the better of them: what two processors can be made to give."""
    plan, name = shared.plan, _TWO[suite]
    if _bare_cipher(suite) is None:
        return [_without_cipher(name)]
    if usable_cores() < _WORKERS:
        return [skipped_row(SUITE, name, _UNIT, Better.MORE, "this process may use one processor only")]
    works: dict[str, Callable[[], object]] = {}
    with ThreadExecutor(_WORKERS) as threads, ProcessExecutor(_WORKERS) as processes:
        for kind, executor in (("one worker", INLINE), ("two threads", threads), ("two processes", processes)):
            works[kind], amount = _accumulate(suite, plan.mask_words, plan.mask_keys, executor)
        samples = in_turns(works, plan.seconds, clock=time.perf_counter)
    rates = {kind: per_second(taken, amount / _GIGA) for kind, taken in samples.items()}
    alone = _middle(rates.pop("one worker"))
    best = max(rates, key=lambda kind: _middle(rates[kind]))
    return [
        measured_row(
            SUITE,
            row_name,
            _UNIT,
            Better.MORE,
            rates[kind],
            floor=_WORKERS * alone,
            floor_name="twice one worker",
            details={"words": plan.mask_words, "masks": plan.mask_keys, "workers": kind},
            why="threads wait for the interpreter lock between calls, and processes copy their slices",
        ).beside(alone, "one worker, both in wall time")
        for row_name, kind in ((name, best), *((f"{_ONE[suite][: -len('one worker')]}{kind}", kind) for kind in rates))
    ]


def _accumulate(suite: SuiteId, words: int, keys: int, executor: Executor = INLINE) -> tuple[primitives.Operation, int]:
    """Return one call that adds `keys` masks to a vector, and the mask bytes that it makes."""
    prg = get_suite(suite).prg
    accumulator = np.zeros(words, dtype=np.uint64)
    terms = [MaskTerm(SecretBytes(os.urandom(prg.key_bytes)), negative=bool(index % 2)) for index in range(keys)]
    return lambda: add_masks(accumulator, terms, prg, executor=executor), 8 * words * keys


def _bare_cipher(suite: SuiteId) -> primitives.Operation | None:
    return primitives.aes_ctr() if suite is SuiteId.X25519_AES128CTR else primitives.aegis()


def _without_cipher(name: str) -> Row:
    return skipped_row(
        SUITE, name, _UNIT, Better.MORE, "AEGIS-128X2 needs the 'fast' extra: pip install 'secagg[fast]'"
    )


def _middle(values: tuple[float, ...]) -> float:
    return sorted(values)[len(values) // 2]
