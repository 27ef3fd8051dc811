"""Takes samples of short work: in turns, so that a machine's moods meet all of it alike.

A ratio of two figures means something only when both were measured under the same load. Works are therefore
sampled in rounds, one after the other, until the time is up. Knows no units and no rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

Work = Callable[[], object]
Clock = Callable[[], float]

SAMPLE_SECONDS: Final = 0.02
"""A sample repeats its work until it takes about this long, far above a clock's resolution, if there is time."""

_MINIMUM_SAMPLES: Final = 3


def in_turns(
    works: Mapping[str, Work],
    seconds: float,
    *,
    clock: Clock = time.process_time,
    minimum: int = _MINIMUM_SAMPLES,
) -> dict[str, tuple[float, ...]]:
    """Sample several works in turns; return the seconds of one call, for every sample.

    Args:
        works: name to what is called without arguments; called once before anything counts.
        seconds: wall time for all of them together, unless `minimum` rounds take longer.
        clock: CPU time of the process by default, which other processes disturb least; wall time for threads.
        minimum: rounds at least.
    """
    sample_seconds = min(SAMPLE_SECONDS, seconds / (minimum * len(works)))
    repeats = {name: _repeats(work, sample_seconds) for name, work in works.items()}
    samples: dict[str, list[float]] = {name: [] for name in works}
    ends, rounds = time.perf_counter() + seconds, 0
    while rounds < minimum or time.perf_counter() < ends:
        for name, work in works.items():
            count = repeats[name]
            started = clock()
            for _ in range(count):
                work()
            samples[name].append((clock() - started) / count)
        rounds += 1
    return {name: tuple(taken) for name, taken in samples.items()}


def once(work: Work, *, clock: Clock = time.process_time) -> float:
    """Return the seconds of a single call."""
    started = clock()
    work()
    return clock() - started


def rates(samples: tuple[float, ...], amount: float) -> tuple[float, ...]:
    """Return `amount` per second for samples in seconds; a sample below the clock's resolution is left out."""
    return tuple(amount / seconds for seconds in samples if seconds > 0)


def _repeats(work: Work, seconds: float) -> int:
    work()
    started = time.perf_counter()
    work()
    spent = time.perf_counter() - started
    return max(1, round(seconds / max(spent, 1e-7)))
