"""Rules with data of the server's own: one clean cell is enough, if the server knows what a good model is.

The server scores the model that each cell would make (`evaluate`), or compares each row with an update that it trained
itself. It learns nothing more of the clients than from the sums. Neither rule stops a backdoor: a model with one is as
good on clean data as any. The root data must be secret, and hold every class that the model is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.robust.rules import RuleResult, check_rows, check_vector, clipped_mean, combined, norms_of

Evaluate = Callable[[NDArray[np.float64]], float]
"""A flat model vector to its accuracy on the root data, from 0 to 1."""

Train = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A flat model vector to the update that training on the root data gives, both float64 (d,)."""

# What an application's own function may end in; a defect of another kind passes as it is.
_FAILURES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class RootScores:
    """What the root data say of each row.

    Attributes:
        scores: float64 (K,), the accuracy of base + row; NaN for a row that was not allowed.
        good: bool (K,), not much worse than the best.
        along: bool (K,), on the same side as the best row, or as `direction`.
        fallen: whether even the best is much worse than where it came from; then nothing is kept.
    """

    scores: NDArray[np.float64]
    good: NDArray[np.bool_]
    along: NDArray[np.bool_]
    fallen: bool

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Bool (K,)."""
        kept: NDArray[np.bool_] = self.good & self.along & (not self.fallen)
        return kept


def root_check(
    base: NDArray[np.float64],
    rows: NDArray[np.float64],
    evaluate: Evaluate,
    tolerance: float = 0.1,
    allowed: NDArray[np.bool_] | None = None,
    direction: NDArray[np.float64] | None = None,
) -> RuleResult:
    """Average the rows that make good models, each shortened to their median norm. Scores are accuracies.

    A row is kept if base + row scores at least 1 - tolerance of the best, and if its inner product with the best row is
    above 0. None is, and the vector is 0, if the best scores less than 1 - tolerance of the base. K + 1 evaluations.

    Args:
        base: float64 (d,), the model that the rows are updates of.
        rows: float64 (K, d).
        evaluate: see :data:`Evaluate`.
        tolerance: from 0, below 1.
        allowed: bool (K,), the rows that may be kept; others are not evaluated, and their score is NaN. None: all.
        direction: float64 (d,), an update that the server trained, in place of the best row in the second condition;
            None, or zeros: the best row. Then its owner chooses the direction: when training is nearly done, a liar
            whose row changes hardly anything has the best one, and can have all others left out, so that nothing moves.

    Raises:
        ParameterError: arguments that do not fit each other, or `evaluate` failed or gave no accuracy.

    Source: the server's test of Guo et al., "SIREN: Byzantine-Robust Federated Learning via Proactive Alarming", SoCC
    2021, over cells in place of clients.
    """
    check_vector("base", base, check_rows(rows).shape[1])
    score = accuracy_of(base.copy(), evaluate, "the model itself")
    scored = score_rows(base, rows, evaluate, check_tolerance(tolerance), allowed, direction, score, score)
    result = clipped_mean(rows, scored.kept)
    return RuleResult(result.vector, result.kept, scored.scores)


def score_rows(
    base: NDArray[np.float64],
    rows: NDArray[np.float64],
    evaluate: Evaluate,
    tolerance: float,
    allowed: NDArray[np.bool_] | None,
    direction: NDArray[np.float64] | None,
    base_score: float,
    peak: float,
) -> RootScores:
    """Score checked rows as :func:`root_check` does, in a run whose best model so far scored `peak`.

    A round may lose a `tolerance` of the best model so far, not of the last: otherwise a liar that is alone takes a
    tenth in every round. What is at least as good as the base is never refused for that.

    Raises:
        ParameterError: `allowed` or `direction` do not fit, or `evaluate` failed or gave no accuracy.
    """
    count, entries = rows.shape
    may = np.ones(count, dtype=np.bool_) if allowed is None else np.asarray(allowed)
    if may.dtype != np.bool_ or may.shape != (count,):
        raise ParameterError(
            f"allowed has dtype {may.dtype} and shape {may.shape}; give one truth value for each of {count} rows"
        )
    scores = np.full(count, np.nan)
    for row in np.flatnonzero(may):
        scores[row] = accuracy_of(base + rows[row], evaluate, f"the model with row {row}")
    if not may.any():
        return RootScores(scores, may, may, fallen=False)
    best = int(np.nanargmax(scores))
    reference = rows[best] if direction is None else check_vector("direction", direction, entries)
    if not reference.any():
        reference = rows[best]
    # A best row of zeros has no sides.
    along = np.einsum("ij,j->i", rows, reference) > 0 if reference.any() else np.ones(count, dtype=np.bool_)
    good = may & (scores >= (1 - tolerance) * scores[best])
    fallen = scores[best] < base_score and scores[best] < (1 - tolerance) * peak
    return RootScores(scores, good, along & may, bool(fallen))


def fltrust(rows: NDArray[np.float64], root_update: NDArray[np.float64]) -> RuleResult:
    """Average the rows by how much they point where the server's own update points. Scores are cosines.

    A row's weight is its cosine, or 0 below; each is brought to the length of `root_update`. The vector is 0 if no
    cosine is above 0.

    Args:
        rows: float64 (K, d).
        root_update: float64 (d,), what the server trained from the same model, on its root data.

    Raises:
        ParameterError: arguments that are not finite float64 or do not fit each other.

    Source: Cao et al., "FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping", NDSS 2021.
    """
    check_vector("root_update", root_update, check_rows(rows).shape[1])
    length, norms = float(norms_of(root_update[np.newaxis])[0]), norms_of(rows)
    lengths = norms * length
    inner = np.einsum("ij,j->i", rows, root_update)
    cosines = np.divide(inner, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    trust = np.maximum(cosines, 0)
    kept = trust > 0
    if not kept.any():
        return RuleResult(np.zeros(rows.shape[1]), kept, cosines)
    weights = np.divide(trust * length, norms, out=np.zeros(len(rows)), where=kept) / trust.sum()
    return RuleResult(combined(rows, weights), kept, cosines)


def accuracy_of(model: NDArray[np.float64], evaluate: Evaluate, what: str) -> float:
    """Evaluate a model.

    Raises:
        ParameterError: `evaluate` raised, or returned no number from 0 to 1.
    """
    try:
        value = evaluate(model)
    except _FAILURES as error:
        raise ParameterError(
            f"evaluate failed for {what} ({type(error).__name__}: {error}); it must score any finite float64 vector of "
            f"{len(model)} entries"
        ) from error
    accuracy = as_real(value)
    if accuracy is None or not 0 <= accuracy <= 1:
        raise ParameterError(f"evaluate gave {value!r:.40} for {what}; return an accuracy from 0 to 1, as a float")
    return accuracy


def trained(model: NDArray[np.float64], train: Train) -> NDArray[np.float64]:
    """Return the update of the server's own for a model.

    Raises:
        ParameterError: `train` raised, or returned no finite float64 (d,).
    """
    try:
        update = train(model.copy())
    except _FAILURES as error:
        raise ParameterError(
            f"train failed ({type(error).__name__}: {error}); it must train from any finite float64 vector of "
            f"{len(model)} entries"
        ) from error
    return check_vector("what train returned", update, len(model))


def check_tolerance(tolerance: float) -> float:
    """Return a tolerance; raises ParameterError outside 0 .. 1, 1 excluded."""
    share = as_real(tolerance)
    if share is None or not 0 <= share < 1:
        raise ParameterError(
            f"tolerance={tolerance!r:.40} is no share; give a number from 0 on and below 1, such as 0.1"
        )
    return share
