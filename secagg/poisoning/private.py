"""NO SECURITY: federations whose cells' sums carry the noise of a privacy plan, so that robustness meets what it costs.

The plan is one for a cell: its members' shares of noise make every *cell's* sum as noisy as a sum of all clients would
be, so that the mean of a cell of g is n/g times as noisy as the mean of all n, and only averaging over cells takes some
of it back. Clients take the real path, `Plan.privatize` to `Plan.decode`, with noise that is the same in every run. A
fifth of a cell counts as corrupt, which is what attackers are: they add no noise. A cell with more of them than that
holds less than its plan promises.

Nobody knows how long an honest noisy mean is, so there is no bound of norms, and with power "cell" a liar makes its
cell's mean as long as the median of the clean ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.poisoning.attacks import Reals, scaled
from secagg.poisoning.experiment import CLIP, Experiment, Federation
from secagg.privacy.plan import Plan
from secagg.testing.randomness import DeterministicRandomSource

CORRUPT: Final = 0.2
DELTA: Final = 1e-5
_UPDATE: Final = "update"


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    vectors: dict[str, NDArray[Any]]
    contributors: tuple[int, ...]


class PrivateFederation(Federation):
    """A federation under a plan.

    Raises:
        ParameterError: without epsilon, in clear, or cells that are too small for a plan.
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        if experiment.epsilon is None or experiment.setting == "clear":
            raise ParameterError(
                f"epsilon={experiment.epsilon!r} in setting {experiment.setting!r}; a plan has an epsilon, and noise "
                "is in sums of cells or of one session"
            )
        smallest = min(len(cell) for cell in self.cells)
        self.plan = Plan.choose(
            arrays={_UPDATE: (self.network.length,)},
            clip=CLIP,
            epsilon=experiment.epsilon,
            delta=DELTA,
            clients=max(len(cell) for cell in self.cells),
            rounds=experiment.rounds,
            minimum_contributors=smallest,
            max_corrupt=CORRUPT,
            rotation=False,
        )
        self._source = DeterministicRandomSource(experiment.seed)

    def mean_of(self, sent: Reals, cell: NDArray[np.int64]) -> Reals:
        """What a server decodes of a cell's sum; attackers send what they like, honest clients add noise."""
        total = np.zeros(self.network.length, dtype=np.int64)
        lies = np.zeros(self.network.length)
        for client in cell:
            if self.bad[client]:
                lies += sent[client]
            else:
                total += self.plan.privatize({_UPDATE: sent[client]}, randomness=self._source).arrays[_UPDATE]
        decoded = self.plan.decode(_Sum({_UPDATE: total}, tuple(int(client) for client in cell)))
        return decoded.mean[_UPDATE] + lies / len(cell)

    def target(self, sent: Reals, means: Reals) -> Reals:
        """The mean that liars give their cells, as long as clean ones are."""
        lie = super().target(sent, means)
        clean = means[~self.dirty]
        return scaled(lie, float(np.median(np.linalg.norm(clean, axis=1)))) if len(clean) else lie
