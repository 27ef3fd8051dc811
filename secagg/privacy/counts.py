"""Counts with noise: plans for whole numbers, which need no grid and no rounding, and how far noise moves their sums.

Noise makes counts negative at times. They stay so: whoever cuts them off at zero makes every sum of them too large. Two
kinds of noise: Skellam shares, here, and those of :mod:`secagg.privacy.laplace`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.vectors import Integers
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss, share_variance16, skellam_loss
from secagg.privacy.choosing import times
from secagg.privacy.clipping import ClipReport
from secagg.privacy.limits import Priced
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan
from secagg.privacy.release import DRAW_BYTES, Private, Sum, contributors_of
from secagg.privacy.sampling import SEED_BYTES, draw, noise_stream
from secagg.privacy.statement import Statement
from secagg.privacy.tables import VARIANCE_UNIT, NoiseTable, skellam

COUNTS: Final = "counts"
MAX_CELLS: Final = 2**24
MAX_ITEMS: Final = 2**20
LESS_NOISE: Final = "raise epsilon, or lower items"
_FINEST: Final = 2**22


class Counting(Protocol):
    """Noise of one kind for counts, and what it promises."""

    @property
    def plan(self) -> CountingPlan:
        """What a session is bound to and checked against, and a budget spends."""
        ...

    @property
    def bound(self) -> int:
        """Largest sum of squares of one client's counts."""
        ...

    @property
    def table(self) -> NoiseTable:
        """Of one client's share of noise."""
        ...

    def deviation(self, contributors: int) -> float:
        """Standard deviation of the noise in a sum of so many clients."""
        ...

    def log_characteristic(self, angles: NDArray[np.float64], contributors: int) -> NDArray[np.float64]:
        """Logarithm of the characteristic function of that noise, which is real."""
        ...


class CountingPlan(Priced, Protocol):
    """What there is to know of a plan for counts; a :class:`Plan` is one."""

    @property
    def statement(self) -> Statement:
        """What it promises to one client."""
        ...

    @property
    def vectors(self) -> dict[str, Integers]:
        """The vectors of a session under it."""
        ...

    @property
    def minimum_contributors(self) -> int:
        """What a session is chosen with."""
        ...

    @property
    def floor(self) -> int:
        """Least number of clients in a sum."""
        ...

    def bind(self, context: bytes = b"") -> bytes:
        """Return the context of a session under it."""
        ...

    def parameters(self, clients: int | Iterable[ClientId], context: bytes = b"", **choices: Any) -> SessionParameters:
        """Choose the parameters of a session that keeps it; see `Plan.parameters`."""
        ...


@dataclass(frozen=True)
class SkellamCounts:
    """Counts with Skellam shares.

    Attributes:
        plan: a plan with the vector `counts` of whole numbers, whose squares sum to at most `plan.bound`.
    """

    plan: Plan

    @classmethod
    def choose(cls, cells: int, bound: int, **terms: Any) -> SkellamCounts:
        """Choose the least noise that keeps a promise.

        Args:
            cells: how many counts.
            bound: largest sum of squares of one client's counts.
            terms: epsilon, delta, clients, and what else `Plan.choose` takes of whom is protected from whom.

        Raises:
            ParameterError: as `Plan.choose`.
        """
        plan = Plan.choose(arrays={COUNTS: (cells,)}, clip=1.0, overhead=1.0, rotation=False, **terms)
        if plan.noise is not Noise.CLIENTS or plan.extras:
            raise ParameterError("counts have no weights, and noise shares; leave out noise=, weights= and adaptive=")
        squared = bound if plan.neighbours is Neighbours.ZERO else 4 * bound
        eta = plan.loss.eta

        def holds(variance16: int) -> bool:
            one = Loss(skellam_loss(squared, variance16, plan.honest), eta)
            return times(one, plan.rounds).epsilon(plan.delta) <= plan.epsilon

        m_round = gaussian.calibrate(plan.epsilon, plan.delta) / math.sqrt(plan.rounds)
        enough = share_variance16(squared, m_round, plan.honest)
        below = enough - 1
        while not holds(enough):
            below, enough = enough, enough + 2 * (enough - below)
        while enough - below > 1:
            middle = (below + enough) // 2
            if holds(middle):
                enough = middle
            else:
                below = middle
        largest = math.isqrt(bound)
        return cls(
            replace(
                plan,
                clip=float(largest),
                grid=largest,
                bound=bound,
                limit=largest,
                variance16=enough,
                tail=_tail(enough),
                explanation=f"counts whose squares sum to at most {bound}; shares of variance {enough}/16",
            )
        )

    @property
    def bound(self) -> int:
        """Largest sum of squares of one client's counts."""
        return self.plan.bound

    @property
    def table(self) -> NoiseTable:
        """Of one share."""
        return self.plan.table()

    def deviation(self, contributors: int) -> float:
        """Standard deviation of the noise in a sum of so many clients."""
        return math.sqrt(contributors * self.plan.variance16 / VARIANCE_UNIT)

    def log_characteristic(self, angles: NDArray[np.float64], contributors: int) -> NDArray[np.float64]:
        """Logarithm of the characteristic function of that noise: -mu (1 - cos t)."""
        log: NDArray[np.float64] = self.plan.variance16 / VARIANCE_UNIT * contributors * (np.cos(angles) - 1)
        return log


def _tail(variance16: int) -> int:
    try:
        return skellam(variance16).tail
    except ParameterError as error:
        raise ParameterError(f"noise of variance {variance16}/16 is more than a table holds; {LESS_NOISE}") from error


def add_noise(counting: Counting, counts: NDArray[np.int64], randomness: RandomSource | None, dropped: int) -> Private:
    """Add one share of noise to one client's counts.

    Args:
        counting: of which plan.
        counts: int64, (cells,), within the plan's bound; by construction, and zeros go out if they are not.
        randomness: the operating system's generator when None; another is no privacy.
        dropped: how many items were left out; for the client's own report.
    """
    source = SystemRandomSource() if randomness is None else randomness
    squares = int(np.dot(counts, counts))
    within = squares <= counting.bound
    seed = source.secret(SEED_BYTES)
    stream = noise_stream(seed)
    seed.wipe()
    noisy = draw(counting.table, len(counts), stream)
    np.add(noisy, counts * int(within), out=noisy)
    report = ClipReport(math.sqrt(squares), dropped > 0, not within, truncated=False)
    return Private({COUNTS: noisy}, report, bytes(source.secret(DRAW_BYTES).expose()), counting.plan.digest)


def released(counting: Counting, result: Sum) -> tuple[NDArray[np.int64], int]:
    """Return the noisy counts of a result, int64, and how many clients are in it.

    Raises:
        ParameterError: a result of another plan, or below its floor.
    """
    contributors = contributors_of(result, counting.plan.floor)
    counts = result.vectors.get(COUNTS)
    shape = counting.plan.vectors[COUNTS].shape
    if not isinstance(counts, np.ndarray) or counts.dtype != np.int64 or counts.shape != shape:
        raise ParameterError(f"the result has no vector {COUNTS!r} of int64 and shape {shape}; decode this plan's")
    return counts, contributors


def half_width(counting: Counting, contributors: int, level: float = 0.95) -> int:
    """Return the least w with this much of the noise in a sum within -w .. w; from the exact distribution, by an FFT.

    Beyond a standard deviation of some 60,000, where that would be large, from the normal distribution.

    Args:
        counting: the noise.
        contributors: clients in the sum.
        level: 0 < level < 1 - 10^-9.
    """
    sigma = counting.deviation(contributors)
    points = 2 ** math.ceil(math.log2(64 * sigma + 64))
    if points > _FINEST:
        return math.ceil(NormalDist().inv_cdf((1 + level) / 2) * sigma)
    angles = 2 * np.pi * np.arange(points // 2 + 1) / points
    masses = np.fft.irfft(np.exp(counting.log_characteristic(angles, contributors)), points)
    within = np.cumsum(masses[: points // 2]) * 2 - masses[0]
    return int(np.searchsorted(within, level))


def bin_counts(values: Any, cells: int, items: int, *, distinct: bool) -> tuple[NDArray[np.int64], int]:
    """Count one client's items in bins: the first `items` of those that are whole numbers within 0 .. cells - 1.

    No value of any item raises.

    Args:
        values: bins, of any shape; see `numbers_of`.
        cells: how many bins.
        items: how many count at most.
        distinct: whether a bin counts once.

    Returns:
        int64, (cells,), and how many items were left out.

    Raises:
        ParameterError: values of another dtype.
    """
    bins = np.ravel(numbers_of("values", values, "bin numbers, as np.digitize makes them"))
    kept = bins[(bins >= 0) & (bins < cells)]
    numbers = kept.astype(np.int64)
    numbers = numbers[numbers == kept]
    if distinct:
        _, first = np.unique(numbers, return_index=True)
        numbers = numbers[np.sort(first)]
    return np.bincount(numbers[:items], minlength=cells).astype(np.int64), int(bins.size - min(len(numbers), items))


def numbers_of(name: str, values: Any, wanted: str) -> NDArray[np.float64]:
    """Return one client's numbers as float64, in the shape that they have; nothing of their values raises.

    NumPy has no dtype for whole numbers from 2^64 on, nor for a number beside None: of such an array, what float64
    lacks is an infinity, and what is no number is NaN.

    Args:
        name: of the argument.
        values: an array, or what NumPy makes one of.
        wanted: what to give, for the error.

    Raises:
        ParameterError: a masked array, whose mask would be lost, or another dtype.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{name} is a masked array; give what counts of it (array.compressed()): {wanted}")
    given = np.asarray(values)
    if given.dtype.kind == "O":
        flat = [math.nan if (number := as_real(value)) is None else number for value in given.ravel()]
        return np.array(flat, dtype=np.float64).reshape(given.shape)
    if given.size and given.dtype.kind not in "biuf":
        raise ParameterError(f"{name} of dtype {given.dtype}; give {wanted}")
    with np.errstate(all="ignore"):
        return np.asarray(given, dtype=np.float64) if given.size else np.zeros(given.shape)


def check_size(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number within bounds; raises ParameterError for another."""
    number = as_whole(value)
    if number is None or not least <= number <= most:
        raise ParameterError(f"{name}={value!r:.40} is no whole number from {least} to {most}")
    return number
