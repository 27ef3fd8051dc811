"""A histogram over clients of whom nobody shows its own, with noise: for counts that are published.

Each client counts its items in bins, `items` of them at most, and adds its share of noise; a session sums them. What is
said in advance is `plan.statement` (of Skellam noise: protocol_specs/privacy-v1.md §3), and how far off a count will be
is `margin`. By hand:

    histogram = Histogram.choose(bins=12, epsilon=1.0, delta=1e-6, clients=100)
    parameters = histogram.plan.parameters(clients, context=b"round 1")
    private = histogram.privatize(np.digitize(ages, edges))                       # a client
    client.set_input(budget.spend(histogram.plan, private, client.parameters))
    counts = histogram.decode(server.result)                                      # the server
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.privacy.counts import (
    MAX_CELLS,
    MAX_ITEMS,
    Counting,
    CountingPlan,
    SkellamCounts,
    add_noise,
    bin_counts,
    check_size,
    half_width,
    released,
)
from secagg.privacy.laplace import LaplaceCounts
from secagg.privacy.release import Private, Sum


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Noisy counts.

    Attributes:
        counts: int64, (bins,); some may be negative, and are unbiased as they are.
        margin: each is within this of the true count in 95 % of all cases.
        contributors: clients whose items were counted.
    """

    counts: NDArray[np.int64] = field(repr=False)
    margin: int
    contributors: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How items are counted in bins, and with what noise.

    Attributes:
        counting: the noise, and its plan.
        bins: how many.
        items: of one client that count at most.
        distinct: whether a client counts once in a bin.
    """

    counting: Counting
    bins: int
    items: int
    distinct: bool

    @classmethod
    def choose(
        cls, *, bins: int, items: int = 1, distinct: bool = False, pure: bool = False, **terms: Any
    ) -> Histogram:
        """Choose the least noise that keeps a promise.

        Args:
            bins: how many, up to 2^24.
            items: of one client that count at most, up to 2^20; the noise grows with it.
            distinct: whether a client counts once in a bin, which needs less noise: sqrt(items) instead of items.
            pure: discrete Laplace noise, (epsilon, 0)-DP but for the slack of tables; for few `items`, and for counts
                published once: a budget counts it by its m, which is dearer than Skellam noise of the same epsilon.
            terms: epsilon, delta, clients, and what else `Plan.choose` takes of who is protected from whom.

        Raises:
            ParameterError: as `Plan.choose`, or a size outside its range.
        """
        cells, most = check_size("bins", bins, 1, MAX_CELLS), check_size("items", items, 1, MAX_ITEMS)
        if distinct:
            most = min(most, cells)
        if pure:
            return cls(LaplaceCounts.choose(cells, most, **terms), cells, most, distinct)
        return cls(SkellamCounts.choose(cells, most if distinct else most**2, **terms), cells, most, distinct)

    @property
    def plan(self) -> CountingPlan:
        """What a session is bound to and a budget spends; `plan.statement` says what is promised."""
        return self.counting.plan

    def margin(self, contributors: int) -> int:
        """How far from the true count a count is at most, in 95 % of all cases, in a sum of so many clients.

        Args:
            contributors: clients in the sum.
        """
        return half_width(self.counting, contributors)

    def privatize(self, values: Any, *, randomness: RandomSource | None = None) -> Private:
        """Count one client's items, and add its share of noise: the input of one session.

        Args:
            values: bin numbers 0 .. bins - 1, in any shape; the first `items` count. What is no bin number does not.
            randomness: the operating system's generator when None; another is no privacy.

        Returns:
            The input; its report says `clipped` if items were left out.

        Raises:
            ParameterError: values that are no numbers. No value of any item.
        """
        counts, dropped = bin_counts(values, self.bins, self.items, distinct=self.distinct)
        return add_noise(self.counting, counts, randomness, dropped)

    def decode(self, result: Sum) -> Counts:
        """Return the counts that a session's result stands for.

        Args:
            result: of a session under the plan.

        Raises:
            ParameterError: a result of another plan or below its floor.
        """
        counts, contributors = released(self.counting, result)
        return Counts(counts, self.margin(contributors), contributors)
