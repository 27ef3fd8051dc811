"""What a suite is made of: named benchmarks that give rows, and what they share in one run.

Must not know which suites there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from secagg.bench.plan import Plan
from secagg.bench.rates import Rates, measure_rates
from secagg.bench.rows import Row


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One unit of work that gives one or more rows.

    Attributes:
        name: for selection and progress, unique within its suite.
        seconds: how long it takes on a slow, busy machine at most: what bounds a quick run.
        run: measures, and returns the rows.
    """

    name: str
    seconds: float
    run: Callable[[], Iterable[Row]]


@dataclass(slots=True)
class Shared:
    """What benchmarks of one run have in common.

    Attributes:
        plan: sizes.
        rows: the rows so far, in order.
    """

    plan: Plan
    rows: list[Row] = field(default_factory=list)
    _rates: Rates | None = None

    @property
    def rates(self) -> Rates:
        """Rates of this machine, measured when first asked for."""
        if self._rates is None:
            self._rates = measure_rates(min(self.plan.seconds, 4.0))
        return self._rates

    def find(self, suite: str, name: str) -> Row | None:
        """Return a row of this run that was measured already, or None."""
        return next((row for row in self.rows if row.key == (suite, name) and row.measured is not None), None)


Suite = Callable[[Shared], tuple[Benchmark, ...]]
"""A suite lists its benchmarks for a plan; nothing is measured before they are run."""
