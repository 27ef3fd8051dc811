"""How many labels are wrong, over clients of whom nobody shows an example: the confident joint, from two secure sums.

Two models are trained, each on half of the clients, and every client is judged by the one that it did not help to train
(cross-fitting). First sum: of each class, how many examples have it as their label, and how probable the model finds
their labels; the mean of these is the class's threshold. Second sum: the confident joint, label given x most probable
class among those at or above their thresholds (Northcutt, Jiang and Chuang, "Confident learning", 2021). Examples off
its diagonal are probably mislabelled; each client finds its own with `flags`, and tells nobody.

Models, thresholds and joint are all made of the same examples, and all are released. So differential privacy is claimed
for all of them together, or not at all: without noise, or when nobody counted what training told, the statement says
so. The quality of *one client's* labels cannot be seen by design; that of a group can, by sessions of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.parameters.vectors import Integers
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss
from secagg.privacy.counts import COUNTS, MAX_ITEMS, SkellamCounts, add_noise, check_size, numbers_of, released
from secagg.privacy.limits import claimed, shown, total_of
from secagg.privacy.plan import Plan
from secagg.privacy.release import Private, Sum
from secagg.privacy.statement import word_of

LABELS: Final = "labels"
CONFIDENCE: Final = "confidence"
_UNIT: Final = 2**16
_MAX_CLASSES: Final = 2**10
_MARGINS: Final = (1e-9, 1e-6, 1e-4, 1e-2)


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """The confident joint.

    Attributes:
        counts: int64, (classes, classes), label given x confident class; with noise some may be negative.
        wrong: estimated fraction of labels that are wrong: one minus the diagonal's share; NaN if nothing was counted.
    """

    counts: NDArray[np.int64] = field(repr=False)
    wrong: float


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """The two sums, and what they promise.

    Attributes:
        classes: how many.
        examples: of one client that count at most.
        statistics: plan of the first sum, or None for exact sums.
        joint: noise and plan of the second sum, or None.
        models: what training has cost each client, or None if nobody counted.
        delta: of the claim, or None.
    """

    classes: int
    examples: int
    statistics: Plan | None = None
    joint: SkellamCounts | None = None
    models: Loss | None = None
    delta: float | None = None

    @classmethod
    def choose(
        cls, *, classes: int, examples: int, epsilon: float, delta: float, models: Loss | None, **terms: Any
    ) -> LabelQuality:
        """Choose noise so that models, statistics and joint together keep a promise.

        Args:
            classes: how many, up to 1024.
            examples: of one client that count at most.
            epsilon: of one client, over everything.
            delta: likewise.
            models: what training has cost each client, such as the sum of its plan's losses over all rounds, with the
                same neighbours; None if nobody counted: then there is noise, and no claim.
            terms: clients, and what else `Plan.choose` takes of who is protected from whom.

        Raises:
            ParameterError: as `Plan.choose`, a size outside its range, or models that cost all there is.
        """
        number, most = check_size("classes", classes, 2, _MAX_CLASSES), check_size("examples", examples, 1, MAX_ITEMS)
        spent = Loss() if models is None else models
        rest = gaussian.calibrate(epsilon, delta) ** 2 - spent.m2
        for margin in _MARGINS:
            m2 = rest * (1 - margin) / 2
            if not m2 > 0:
                break
            part = terms | {"epsilon": gaussian.epsilon(delta, math.sqrt(m2)), "delta": delta, "rounds": 1}
            shapes = {LABELS: (number,), CONFIDENCE: (number,)}
            # An example moves a count by 1 and a sum of probabilities by 1 at most.
            statistics = Plan.choose(arrays=shapes, clip=math.sqrt(2) * most, rotation=False, **part)
            joint = SkellamCounts.choose(number**2, most**2, **part)
            if total_of((spent, statistics.loss, joint.plan.loss)).epsilon(delta) <= epsilon:
                return cls(number, most, statistics, joint, models, delta)
        raise ParameterError(
            f"the models have cost epsilon={shown(spent.epsilon(delta))} at delta={delta:g}, and epsilon={epsilon:g} "
            "has nothing left for two sums; raise epsilon, or train with more noise"
        )

    @property
    def loss(self) -> Loss | None:
        """What everything together costs a client; None where nothing can be claimed."""
        if self.statistics is None or self.joint is None or self.models is None:
            return None
        return total_of((self.models, self.statistics.loss, self.joint.plan.loss))

    @property
    def statement(self) -> str:
        """What is promised to one client, for models, statistics and joint together, or that nothing is."""
        loss = self.loss
        if loss is None or self.statistics is None or self.delta is None:
            why = "the sums are exact" if self.joint is None else "nobody counted what training the models told"
            return f"No differential privacy is claimed: {why}."
        epsilon = loss.epsilon(self.delta)
        return (
            f"Of one client, for models, thresholds and joint together: epsilon = {shown(epsilon)} at delta = "
            f"{claimed(self.delta)} ({word_of(epsilon)}), against {self.statistics.statement.adversary}, as far as the "
            "plan of the training holds against them, too. Somebody who knows all other clients' examples is "
            f"right in at most {gaussian.right_guesses(loss.m, loss.eta)} of 100 cases (a coin: 50)."
        )

    @property
    def statistics_vectors(self) -> dict[str, Integers]:
        """The vectors of the first session."""
        if self.statistics is not None:
            return self.statistics.vectors
        most = self.examples
        return {LABELS: Integers(0, most, self.classes), CONFIDENCE: Integers(0, most * _UNIT, self.classes)}

    @property
    def joint_vectors(self) -> dict[str, Integers]:
        """The vectors of the second session."""
        if self.joint is not None:
            return self.joint.plan.vectors
        return {COUNTS: Integers(0, self.examples, self.classes**2)}

    def statistics_input(
        self, probabilities: NDArray[Any], given: NDArray[Any], *, randomness: RandomSource | None = None
    ) -> Private | dict[str, NDArray[np.int64]]:
        """Return one client's input of the first session: to be spent under a plan, else as it is.

        Args:
            probabilities: any real dtype, (n, classes), of the model that this client did not help to train; rows with
                a NaN, or outside 0 .. 1, do not count.
            given: integers, (n,), labels 0 .. classes - 1; others do not count. The first `examples` that count do.
            randomness: the operating system's generator when None; another is no privacy.

        Returns:
            int64 by vector name, each (classes,); under a plan inside a Private.

        Raises:
            ParameterError: arrays of other shapes or of no numbers. No value of any entry.
        """
        p, labels = self._usable(probabilities, given)
        counts = np.bincount(labels, minlength=self.classes).astype(np.int64)
        confidence = np.bincount(labels, p[np.arange(len(p)), labels], minlength=self.classes)
        if self.statistics is not None:
            return self.statistics.privatize({LABELS: counts, CONFIDENCE: confidence}, randomness=randomness)
        return {LABELS: counts, CONFIDENCE: np.rint(confidence * _UNIT).astype(np.int64)}

    def thresholds(self, result: Sum) -> NDArray[np.float64]:
        """Return the classes' thresholds, float64, (classes,), from 0 to 1; infinite for a class that nobody has.

        Under a plan a class counts as nobody's if its count may be noise alone: below two standard deviations.

        Args:
            result: of the first session.

        Raises:
            ParameterError: a result of another plan, or below its floor.
        """
        least = 1.0
        if self.statistics is None:
            counts = self._sums(result, LABELS).astype(np.float64)
            confidence = self._sums(result, CONFIDENCE) / _UNIT
        else:
            mean, contributors = self.statistics.decode(result).mean, len(result.contributors)
            counts, confidence = mean[LABELS] * contributors, mean[CONFIDENCE] * contributors
            plan = self.statistics
            least = max(1.0, 2 * math.sqrt(contributors * plan.variance16 / 16) * plan.clip / plan.grid)
        enough = counts >= least
        found = np.full(self.classes, math.inf)
        np.divide(confidence, counts, out=found, where=enough)
        found[enough] = np.clip(found[enough], 0.0, 1.0)
        return found

    def joint_input(
        self,
        probabilities: NDArray[Any],
        given: NDArray[Any],
        thresholds: NDArray[np.float64],
        *,
        randomness: RandomSource | None = None,
    ) -> Private | dict[str, NDArray[np.int64]]:
        """Return one client's input of the second session: to be spent under a plan, else as it is.

        Args:
            probabilities: any real dtype, (n, classes), as for `statistics_input`.
            given: integers, (n,), as for `statistics_input`.
            thresholds: float64 (classes,), as the server published them.
            randomness: the operating system's generator when None; another is no privacy.

        Returns:
            int64 by vector name, (classes * classes,), given label by confident class; under a plan inside a Private.

        Raises:
            ParameterError: arrays of other shapes or of no numbers. No value of any entry.
        """
        p, labels = self._usable(probabilities, given)
        classes = confident(p, thresholds)
        sure = classes >= 0
        cells = labels[sure] * self.classes + classes[sure]
        counts = np.bincount(cells, minlength=self.classes**2).astype(np.int64)
        return {COUNTS: counts} if self.joint is None else add_noise(self.joint, counts, randomness, dropped=0)

    def estimate(self, result: Sum) -> Joint:
        """Return the confident joint that a result stands for. Noise is left as it is: cutting it off would bias it.

        Args:
            result: of the second session.

        Raises:
            ParameterError: a result of another plan, or below its floor.
        """
        counts = self._sums(result, COUNTS) if self.joint is None else released(self.joint, result)[0]
        square = counts.reshape(self.classes, self.classes)
        total = int(square.sum())
        return Joint(square, 1 - int(np.trace(square)) / total if total > 0 else math.nan)

    def flags(
        self, probabilities: NDArray[Any], given: NDArray[Any], thresholds: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Say which of a client's own examples are probably mislabelled: confident of another class.

        Stays on the client.

        Args:
            probabilities: any real dtype, (n, classes), as for the sums.
            given: integers, (n,).
            thresholds: float64 (classes,), as the server published them.

        Returns:
            bool (n,); False where a probability is not one.
        """
        found = confident(np.asarray(probabilities, dtype=np.float64), thresholds)
        flagged: NDArray[np.bool_] = (found >= 0) & (found != np.asarray(given))
        return flagged

    def _sums(self, result: Sum, name: str) -> NDArray[np.int64]:
        vectors: Mapping[str, NDArray[Any]] = result.vectors
        specs = self.joint_vectors if name == COUNTS else self.statistics_vectors
        found = vectors.get(name)
        if not isinstance(found, np.ndarray) or found.dtype != np.int64 or found.shape != specs[name].shape:
            raise ParameterError(f"the result has no vector {name!r} of int64 and shape {specs[name].shape}")
        return found

    def _usable(
        self, probabilities: NDArray[Any], given: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        p, labels = numbers_of("probabilities", probabilities, "numbers"), numbers_of("labels", given, "numbers")
        if p.ndim != 2 or p.shape[1] != self.classes or labels.shape != p.shape[:1]:
            raise ParameterError(
                f"probabilities of shape {p.shape}, labels of shape {labels.shape}; give (n, {self.classes}) and (n,)"
            )
        usable = ((p >= 0) & (p <= 1)).all(axis=1) & (labels >= 0) & (labels < self.classes)
        kept = np.flatnonzero(usable)[: self.examples]
        return p[kept], labels[kept].astype(np.int64)


def confident(probabilities: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the most probable class among those at or above their thresholds, int64, (n,); -1 where there is none.

    Args:
        probabilities: (n, classes).
        thresholds: (classes,).
    """
    above = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = above.argmax(axis=1)
    return np.where(above.max(axis=1, initial=-1.0) >= 0, best, -1).astype(np.int64)
