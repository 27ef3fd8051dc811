"""Robust rules: one vector from K rows, of which some may say anything.

A row is the mean of a cell. A rule that wants to know how many rows may lie (`b`) is told, and refuses a number that it
was not made for: beyond its condition its result is the liars'. Pure functions; a slice of the columns is the largest
copy that any of them makes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole, require_kind
from secagg.robust.sizing import most_dirty

MAX_ENTRY: Final = 2.0**400
"""Largest entry of a row: squares of such can be summed."""

SLICE_ENTRIES: Final = 2**17
"""Entries of a slice that is sorted or subtracted: it stays in the cache."""

_MAX_COLUMNS: Final = 2**15
# So few rows are multiplied in products that BLAS does in the calling thread: on a busy machine, waiting for its
# threads at every small call takes many times as long as the work. More are worth the threads, in large products.
_FEW_ROWS: Final = 32
_STEPS_ALONE: Final = 2**18
_PRODUCT_ENTRIES: Final = 2**22
_TRUSTED_SHARE: Final = 2.0**-20
_SETTLED: Final = 1e-13


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule made of K rows.

    Attributes:
        vector: float64 (d,), the aggregate.
        kept: bool (K,), whether a row has a part in it.
        scores: float64 (K,), what the rule judged a row by; each rule says what.
    """

    vector: NDArray[np.float64]
    kept: NDArray[np.bool_]
    scores: NDArray[np.float64]


def mean(rows: NDArray[np.float64]) -> RuleResult:
    """Average all rows: no protection, and what the others are compared with. Scores are distances from the result.

    Args:
        rows: float64 (K, d).

    Raises:
        ParameterError: rows that are no finite float64 (K, d).

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
    """
    return _all_of(check_rows(rows), rows.mean(axis=0))


def median(rows: NDArray[np.float64]) -> RuleResult:
    """Take the median of every coordinate; for less than half of the rows lying. Scores are distances from the result.

    Args:
        rows: float64 (K, d).

    Returns:
        The medians, in which all rows have a part.

    Raises:
        ParameterError: rows that are no finite float64 (K, d).

    Source: Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
    """
    return _all_of(check_rows(rows), _median(rows))


def trimmed_mean(rows: NDArray[np.float64], b: int) -> RuleResult:
    """Average every coordinate without its b largest and b smallest values. Scores are distances from the result.

    Args:
        rows: float64 (K, d).
        b: rows that may lie, 2b < K.

    Raises:
        ParameterError: rows that are no finite float64 (K, d), or b outside the condition.

    Source: Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
    """
    count = len(check_rows(rows))
    require_condition("trimmed_mean", count, b)
    vector = np.empty(rows.shape[1])
    for start, ordered in _transposed(rows):
        ordered.sort(axis=1)
        ordered[:, b : count - b].mean(axis=1, out=vector[start : start + len(ordered)])
    return _all_of(rows, vector)


def geometric_median(rows: NDArray[np.float64], iterations: int = 1000, nu: float = 1e-6) -> RuleResult:
    """Find the point with the least sum of distances from the rows; for less than half of them lying.

    Smoothed Weiszfeld steps from the median of every coordinate. A step knows the rows by their inner products only, so
    that its cost does not depend on d. Scores are distances from the result.

    Args:
        rows: float64 (K, d).
        iterations: steps at most; fewer when the weights have settled.
        nu: distances below this share of their median from the start count as that; above 0, at most 1.

    Raises:
        ParameterError: rows that are no finite float64 (K, d), or a setting outside its range.

    Source: Pillutla, Kakade, Harchaoui, "Robust Aggregation for Federated Learning", IEEE TSP 2022, Algorithm 2.
    """
    steps, share = as_whole(iterations), as_real(nu)
    if steps is None or steps < 1:
        raise ParameterError(f"iterations={iterations!r:.40} are no steps; give a whole number of at least 1")
    if share is None or not 0 < share <= 1:
        raise ParameterError(f"nu={nu!r:.40} is no share; give a number above 0 and at most 1")
    centre = _median(check_rows(rows))
    gram = _products(rows, centre)
    squares = np.diagonal(gram)
    distances = np.sqrt(squares)
    least = share * float(np.median(distances))
    if least == 0:
        return RuleResult(centre, np.ones(len(rows), dtype=np.bool_), distances)
    weights = np.zeros(len(rows))
    for _ in range(steps):
        before, weights = weights, 1 / np.maximum(distances, least)
        weights /= weights.sum()
        # Not with BLAS, whose threads would be waited for.
        across = np.einsum("ij,j->i", gram, weights)
        distances = np.sqrt(np.maximum(squares - 2 * across + np.einsum("i,i->", across, weights), 0))
        if np.abs(weights - before).max() <= _SETTLED:
            break
    return RuleResult(combined(rows, weights), np.ones(len(rows), dtype=np.bool_), distances)


def krum(rows: NDArray[np.float64], b: int) -> RuleResult:
    """Take the row whose K-b-2 nearest are nearest; of equal ones the first. Scores are sums of squared distances.

    Args:
        rows: float64 (K, d).
        b: rows that may lie, 2b + 3 <= K.

    Returns:
        A copy of that row; `kept` has it alone.

    Raises:
        ParameterError: rows that are no finite float64 (K, d), or b outside the condition.

    Source: Blanchard et al., "Machine Learning with Adversaries", NeurIPS 2017.
    """
    require_condition("krum", len(check_rows(rows)), b)
    scores = _krum_scores(rows, b)
    best = int(scores.argmin())
    return RuleResult(rows[best].copy(), np.arange(len(rows)) == best, scores)


def multi_krum(rows: NDArray[np.float64], b: int) -> RuleResult:
    """Average the K-b rows whose K-b-2 nearest are nearest; of equal ones the first. Scores as of :func:`krum`.

    Args:
        rows: float64 (K, d).
        b: rows that may lie, 2b + 3 <= K.

    Raises:
        ParameterError: rows that are no finite float64 (K, d), or b outside the condition.

    Source: Blanchard et al., "Machine Learning with Adversaries", NeurIPS 2017.
    """
    count = len(check_rows(rows))
    require_condition("multi_krum", count, b)
    scores = _krum_scores(rows, b)
    kept = np.zeros(count, dtype=np.bool_)
    kept[np.argsort(scores, kind="stable")[: count - b]] = True
    return RuleResult(combined(rows, kept / (count - b)), kept, scores)


def norm_clipped_mean(rows: NDArray[np.float64], bound: float | None = None) -> RuleResult:
    """Average the rows, each shortened to a norm first. Scores are norms.

    A liar moves the result by at most 2 bound / K if the bound is given, and is less than half of the rows otherwise.

    Args:
        rows: float64 (K, d).
        bound: largest norm that is left as it is; None takes the median of the rows' norms.

    Raises:
        ParameterError: rows that are no finite float64 (K, d), or a bound that is not above 0.

    Source: Sun, Kairouz, Suresh and McMahan, "Can You Really Backdoor Federated Learning?", 2019.
    """
    check_rows(rows)
    limit = None if bound is None else as_real(bound)
    if bound is not None and (limit is None or not 0 < limit < math.inf):
        raise ParameterError(f"bound={bound!r:.40} is no norm; give a finite number above 0, or None for the median")
    return clipped_mean(rows, np.ones(len(rows), dtype=np.bool_), limit)


def clipped_mean(rows: NDArray[np.float64], kept: NDArray[np.bool_], bound: float | None = None) -> RuleResult:
    """Do as :func:`norm_clipped_mean` with some of checked rows; with none, the vector is 0."""
    norms = norms_of(rows)
    if not kept.any():
        return RuleResult(np.zeros(rows.shape[1]), kept, norms)
    limit = float(np.median(norms[kept])) if bound is None else bound
    factors = np.divide(limit, norms, out=np.ones(len(norms)), where=norms > limit)
    return RuleResult(combined(rows, kept * factors / np.count_nonzero(kept)), kept, norms)


def require_condition(rule: str, rows: int, b: int) -> None:
    """Refuse a number of liars that a rule was not made for.

    Raises:
        ParameterError: b is no whole number from 0, or too large for the rule and the number of rows.
    """
    liars = as_whole(b)
    if liars is None or liars < 0:
        raise ParameterError(f"b={b!r:.40} is no number of rows that may lie; give a whole number from 0")
    most = most_dirty(rule, rows)
    if liars > most:
        able = f"b={most} at most" if most >= 0 else "more rows"
        raise ParameterError(
            f"{rule} of {rows} rows bears {able}, not b={liars}; make more and smaller cells, or judge by root_check "
            "or fltrust, which need one clean cell"
        )


def check_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Demand rows that a rule can work with; return them.

    Raises:
        ParameterError: not an array of float64, not two-dimensional, empty, or with an entry that is not finite.
    """
    require_kind("rows", rows, np.ndarray, "a float64 array of shape (cells, entries)")
    if rows.dtype != np.float64 or rows.ndim != 2 or 0 in rows.shape:
        raise ParameterError(
            f"rows have dtype {rows.dtype} and shape {rows.shape}; give float64 of shape (cells, entries)"
        )
    for piece in _pieces(rows, _columns(rows)):
        # Negated, so that a NaN is refused.
        if not (piece.min() >= -MAX_ENTRY and piece.max() <= MAX_ENTRY):
            row = int(np.argmin((np.abs(piece) <= MAX_ENTRY).all(axis=1)))
            raise ParameterError(f"row {row} has an entry that is not finite, or above 2^400; leave that row out")
    return rows


def check_vector(name: str, vector: NDArray[np.float64], entries: int | None = None) -> NDArray[np.float64]:
    """Demand one finite float64 vector, of a length if one is given; return it.

    Raises:
        ParameterError: anything else.
    """
    require_kind(name, vector, np.ndarray, "a float64 array of one dimension")
    if vector.ndim != 1 or (entries is not None and len(vector) != entries):
        wanted = "one dimension" if entries is None else f"shape ({entries},), like a row"
        raise ParameterError(f"{name} has shape {vector.shape}; give {wanted}")
    check_rows(vector[np.newaxis])
    return vector


def norms_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the L2 norm of every row, float64 (K,)."""
    norms: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return norms


def combined(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the rows, each times its weight: float64 (d,)."""
    total: NDArray[np.float64] = np.einsum("i,ij->j", weights, rows)
    return total


def _all_of(rows: NDArray[np.float64], vector: NDArray[np.float64]) -> RuleResult:
    """The result of a rule that judges no row: all have a part, and scores are distances."""
    squares = np.zeros(len(rows))
    for piece in _centred(rows, vector, _columns(rows)):
        squares += np.einsum("ij,ij->i", piece, piece)
    return RuleResult(vector, np.ones(len(rows), dtype=np.bool_), np.sqrt(squares))


def _median(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of every column. One place of a partition is three times as fast as the two that NumPy asks for."""
    upper, even = len(rows) // 2, len(rows) % 2 == 0
    vector = np.empty(rows.shape[1])
    for start, values in _transposed(rows):
        values.partition(upper, axis=1)
        middle = values[:, upper]
        if even:
            middle = (middle + values[:, :upper].max(axis=1)) / 2
        vector[start : start + len(values)] = middle
    return vector


def _krum_scores(rows: NDArray[np.float64], b: int) -> NDArray[np.float64]:
    """Sums of squared distances to the K-b-2 nearest others."""
    distances = _squared_distances(rows)
    np.fill_diagonal(distances, np.inf)
    distances.sort(axis=1)
    scores: NDArray[np.float64] = distances[:, : len(rows) - b - 2].sum(axis=1)
    return scores


def _squared_distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """All (K, K) of them, from inner products: exact enough where rows are about as far from each other as from 0.

    If some are not, the median of every coordinate is taken off first: it lies among the honest rows, however large
    what they have in common is, and however far away a liar's is.
    """
    distances, lengths = _from_products(_products(rows, None))
    if np.any(distances + np.diag(lengths.diagonal()) < _TRUSTED_SHARE * lengths):
        distances, _ = _from_products(_products(rows, _median(rows)))
    return distances


def _from_products(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared distances, and what they are a difference from."""
    squares = np.diagonal(gram)
    lengths = squares[:, np.newaxis] + squares
    return np.maximum(lengths - gram - gram.T, 0), lengths


def _products(rows: NDArray[np.float64], centre: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Inner products of the rows, less a centre if there is one, (K, K)."""
    count = len(rows)
    columns = _STEPS_ALONE // count**2 if count <= _FEW_ROWS else max(1, _PRODUCT_ENTRIES // count)
    columns = min(_MAX_COLUMNS, columns)
    gram = np.zeros((count, count))
    for piece in _pieces(rows, columns) if centre is None else _centred(rows, centre, columns):
        gram += piece @ piece.T
    return gram


def _columns(rows: NDArray[np.float64]) -> int:
    return min(_MAX_COLUMNS, max(1, SLICE_ENTRIES // len(rows)))


def _pieces(rows: NDArray[np.float64], columns: int) -> Iterator[NDArray[np.float64]]:
    """Slices of the columns, as views."""
    for start in range(0, rows.shape[1], columns):
        yield rows[:, start : start + columns]


def _centred(rows: NDArray[np.float64], centre: NDArray[np.float64], columns: int) -> Iterator[NDArray[np.float64]]:
    """Slices of the columns less a centre, in a buffer that the next one overwrites."""
    buffer = np.empty((len(rows), min(columns, rows.shape[1])))
    for piece, middle in zip(_pieces(rows, columns), _pieces(centre[np.newaxis], columns), strict=True):
        yield np.subtract(piece, middle, out=buffer[:, : piece.shape[1]])


def _transposed(rows: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Slices of the columns as rows, in a buffer that may be overwritten.

    Copied row by row first: rows whose length is a power of two are all in the same lines of the cache, and to read
    them across took longer than all the rest.
    """
    columns, start = min(_columns(rows), rows.shape[1]), 0
    copied, buffer = np.empty((len(rows), columns)), np.empty((columns, len(rows)))
    for piece in _pieces(rows, columns):
        near, values = copied[:, : piece.shape[1]], buffer[: piece.shape[1]]
        near[:] = piece
        values[:] = near.T
        yield start, values
        start += len(values)
