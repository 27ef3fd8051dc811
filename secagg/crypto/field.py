"""Arithmetic in GF(65521), as array arithmetic (Specification §5.1).

Elements live in float64 arrays as the integers 0 .. p-1, because the matrix product of float64 arrays is
the fastest exact integer product NumPy has: a sum of at most 2^20 products of elements stays under 2^53,
so every partial sum is an integer that float64 represents, in whatever order the library adds.

Two kinds of numbers are kept apart. *Secret* values (coefficients, shares, limbs) meet only multiplication,
addition, floor and comparison of whole arrays: no branch, no integer division, no table indexed by them.
*Public* values (share points, and the weights that follow from them) use discrete-log tables and `%`.

Must not know: limbs, shares, thresholds, or what is being shared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError

PRIME: Final = 65521
"""The largest prime below 2^16."""
MAX_INNER_LENGTH: Final = 2**20
"""Largest inner length of an exact matrix product: 2^20 · (p-1)^2 < 2^52."""
BYTES_PER_DRAW: Final = 16
"""Bytes of key stream behind one uniform element."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_GENERATOR: Final = 17
_ORDER: Final = PRIME - 1
_P: Final = np.float64(PRIME)
_INVERSE: Final = np.float64(1.0) / _P
_POWER_BLOCK: Final = 128  # columns of a power table: its memory is points · 128 · 8 bytes
_TABLE_BLOCK: Final = 2**18  # entries of a table of differences handled at once
_DRAW_BLOCK: Final = 2**10  # elements drawn at once
# OpenBLAS spreads larger products over threads, which gains little here and costs 40 times the product when
# the other cores are busy (training, other clients): products are cut so that they stay in this thread.
_MATRIX_WORK: Final = 2**18  # multiplications in one matrix-matrix product
_VECTOR_WORK: Final = 2**13  # multiplications in one matrix-vector product


def reduce(values: FloatArray) -> FloatArray:
    """Return `values` mod p, elementwise (Barrett reduction in float64).

    `values` holds integers in 0 .. 2^53, of any shape; the result is a new array. Branch-free.
    """
    # Let u = 2^-53 and y = x/p < 2^37.1. The constant is 1/p rounded *down*, to (1 - 0.72u)/p, and the product
    # is rounded by a factor within 1 ± u, so the computed quotient lies in y·(1 - 1.73u) .. y·(1 + 0.28u).
    # It is too high by less than 2^-17, which is less than 1/p, the least distance from y to an integer above
    # it: its floor q is never above floor(y). It is too low by less than 2^-15: q is at least floor(y) - 1.
    # So q·p <= x is exact, x - q·p lies in 0 .. 2p-1, and one masked subtraction finishes.
    quotient = values * _INVERSE
    np.floor(quotient, out=quotient)
    quotient *= _P
    remainder: FloatArray = np.subtract(values, quotient, out=quotient)
    remainder -= (remainder >= _P) * _P
    return remainder


def matmul(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the matrix product of two matrices of field elements mod p.

    Raises ParameterError when the inner length is above 2^20, where sums would no longer be exact.
    """
    inner, columns = right.shape
    _require_exact(inner)
    step = _piece(inner, columns)
    product = np.empty((left.shape[0], columns), dtype=np.float64)
    for start in range(0, left.shape[0], step):
        np.matmul(left[start : start + step], right, out=product[start : start + step])
    return reduce(product)


def weighted_sum(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return the sum of weights[i] · values[..., i, :] over i, mod p: shape (..., columns).

    Raises ParameterError when there are more than 2^20 weights.
    """
    _require_exact(len(weights))
    return reduce(np.einsum("i,...ic->...c", weights, values))


def uniform(randomness: RandomSource, shape: tuple[int, ...]) -> FloatArray:
    """Return uniform field elements as a float64 array of `shape`.

    One 32-byte key is taken from `randomness`, used once, and expanded with ChaCha20 (zero nonce and
    counter); element i is bytes 16i .. 16i+15 of the stream, read as eight little-endian 16-bit words, as a
    128-bit little-endian integer mod p. Folding 128 bits needs no rejection, hence takes the same time for
    every value, and leaves each element within p/2^130 < 2^-114 of uniform: 2^-96 for the largest sharing a
    session makes (6000 coefficients of 36 limbs). The 16 bytes cost less than the arithmetic that follows.
    """
    count = math.prod(shape)
    flat = np.empty(count, dtype=np.float64)
    # 2^16 = 15 (mod p): eight words times 15^i mod p sum to less than 2^35.
    fold = np.array([pow(1 << 16, i, PRIME) for i in range(BYTES_PER_DRAW // 2)], dtype=np.float64)
    key = randomness.secret(32)
    stream = Cipher(algorithms.ChaCha20(key.expose(), bytes(16)), mode=None).encryptor()
    zeros = bytes(BYTES_PER_DRAW * min(count, _DRAW_BLOCK))
    buffer = bytearray(len(zeros))
    for start in range(0, count, _DRAW_BLOCK):
        stop = min(start + _DRAW_BLOCK, count)
        size = BYTES_PER_DRAW * (stop - start)
        stream.update_into(memoryview(zeros)[:size], memoryview(buffer)[:size])
        words = np.frombuffer(buffer, dtype="<u2", count=size // 2).reshape(stop - start, -1)
        flat[start:stop] = reduce(words.astype(np.float64) @ fold)
    key.wipe()
    buffer[:] = zeros
    return flat.reshape(shape)


def check_points(points: Sequence[int]) -> None:
    """Raise ParameterError unless `points` are distinct and in 1 .. p-1."""
    if points and len(set(points)) == len(points) and min(points) >= 1 and max(points) <= _ORDER:
        return
    seen: set[int] = set()
    for point in points:
        if not 1 <= point <= _ORDER:
            raise ParameterError(f"share point {point} is outside 1..{_ORDER}; number the holders from 1 to degree")
        if point in seen:
            raise ParameterError(f"share point {point} is given twice; every holder has its own point")
        seen.add(point)


@lru_cache(maxsize=4)
def powers(points: tuple[int, ...], count: int) -> FloatArray:
    """Return x^j for every point x and 0 <= j < count: read-only, shape (len(points), count)."""
    check_points(points)
    at = np.array(points, dtype=np.int64)
    top = -(-int(at.max(initial=1)) // _POWER_BLOCK) * _POWER_BLOCK
    if top > 2 * len(points) + _POWER_BLOCK:
        return _frozen(exp(logs(points)[:, None] * np.arange(count)))
    return _frozen(_powers_up_to(top, count)[at - 1])


def evaluate(coefficients: FloatArray, points: tuple[int, ...]) -> FloatArray:
    """Evaluate polynomials at public points.

    `coefficients` has shape (terms, polynomials), constant terms first; the result has shape
    (len(points), polynomials). Blocks of 128 coefficients are multiplied with a table of powers and joined
    by Horner's rule in x^128, so memory is len(points) · 128 besides input and output.
    """
    terms, columns = coefficients.shape
    table = powers(points, min(terms, _POWER_BLOCK))
    step = exp(logs(points) * _POWER_BLOCK)[:, None]
    last = (terms - 1) // _POWER_BLOCK * _POWER_BLOCK
    result = np.empty((len(points), columns), dtype=np.float64)
    rows = _piece(_POWER_BLOCK, columns)
    for row in range(0, len(points), rows):
        piece, piece_step = table[row : row + rows], step[row : row + rows]
        values = reduce(piece[:, : terms - last] @ coefficients[last:])
        for start in range(last - _POWER_BLOCK, -1, -_POWER_BLOCK):
            values *= piece_step
            values += piece @ coefficients[start : start + _POWER_BLOCK]  # below 129 · p^2
            values = reduce(values)
        result[row : row + rows] = values
    return result


def power_sums(points: tuple[int, ...], values: FloatArray, count: int) -> FloatArray:
    """Return the sums of x^j · value over all points x, for 0 <= j < count (the transpose of `evaluate`).

    `values` has shape (len(points), columns); the result has shape (count, columns).
    """
    table = powers(points, min(count, _POWER_BLOCK))  # distinct points: fewer than 2^16, so sums are exact
    step = exp(logs(points) * _POWER_BLOCK)[:, None]
    sums = np.zeros((count, values.shape[1]), dtype=np.float64)
    for start in range(0, count, _POWER_BLOCK):
        if start:
            values = reduce(values * step)
        block = sums[start : start + _POWER_BLOCK]
        rows = _piece(*block.shape)
        for row in range(0, len(points), rows):
            block += table[row : row + rows, : len(block)].T @ values[row : row + rows]
    return reduce(sums)


def from_power_sums(points: tuple[int, ...], sums: FloatArray) -> FloatArray:
    """Return the values at `points` that have these first len(points) power sums (the inverse of `power_sums`).

    `sums` has shape (len(points), columns), and so has the result. Raises ParameterError for bad points.
    """
    return matmul(_basis_coefficients(points), sums)


def inverse(values: FloatArray) -> FloatArray:
    """Return 1/v for public elements v, none of which is zero."""
    return exp(-_tables()[1][values.astype(np.int64)].astype(np.int64))


@lru_cache(maxsize=16)
def lagrange_weights_at_zero(points: tuple[int, ...]) -> FloatArray:
    """Return the weights that make f(0) from the values of f at `points`: read-only, shape (len(points),).

    The weight of x_i is the product of x_j / (x_j - x_i) over j != i (Shamir 1979; Specification §5.3).
    Raises ParameterError when a point is 0, out of range or repeated.
    """
    check_points(points)
    return _frozen(_basis(points, np.zeros(1, dtype=np.int64))[0])


@lru_cache(maxsize=16)
def dual_weights(points: tuple[int, ...]) -> FloatArray:
    """Return v_i = product over j != i of 1 / (x_i - x_j): read-only, shape (len(points),).

    The values y_i lie on one polynomial of degree below t exactly when the sums of v_i · y_i · x_i^j vanish
    for 0 <= j < len(points) - t (Specification §5.4). Raises ParameterError for bad points.
    """
    check_points(points)
    return _frozen(exp(-_log_differences(points)))


def extrapolate(points: tuple[int, ...], values: FloatArray, targets: tuple[int, ...]) -> FloatArray:
    """Return the values at `targets` of the polynomials of lowest degree through (points, values).

    `values` has shape (len(points), columns); the result has shape (len(targets), columns). No target may
    be one of the points. Works in blocks of targets: memory is bounded.
    Raises ParameterError for bad points or targets.
    """
    check_points((*points, *targets))
    result = np.empty((len(targets), values.shape[1]), dtype=np.float64)
    at = np.array(targets, dtype=np.int64)
    rows = max(1, _TABLE_BLOCK // max(1, len(points)))
    for start in range(0, len(targets), rows):
        result[start : start + rows] = matmul(_basis(points, at[start : start + rows]), values)
    return result


def _require_exact(inner_length: int) -> None:
    if inner_length > MAX_INNER_LENGTH:
        raise ParameterError(
            f"a matrix product of inner length {inner_length} is not exact in float64; "
            f"the bound is {MAX_INNER_LENGTH}, so split the product"
        )


def _piece(inner: int, columns: int) -> int:
    """Return how many rows to multiply at once by a matrix of shape (inner, columns)."""
    work = _MATRIX_WORK if min(inner, columns) > 1 else _VECTOR_WORK
    return max(1, work // max(1, inner * columns))


def _frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values


@lru_cache(maxsize=1)
def _tables() -> tuple[FloatArray, NDArray[np.uint16]]:
    """Powers of the generator (length p-1) and discrete logs (length p; the log of 0 is given as 0)."""
    exp = np.ones(_ORDER, dtype=np.int64)
    filled = 1
    while filled < _ORDER:
        more = min(filled, _ORDER - filled)
        exp[filled : filled + more] = exp[:more] * pow(_GENERATOR, filled, PRIME) % PRIME
        filled += more
    log = np.zeros(PRIME, dtype=np.uint16)
    log[exp] = np.arange(_ORDER)
    log.flags.writeable = False
    return _frozen(exp.astype(np.float64)), log


def exp(logs: IntArray) -> FloatArray:
    """Return the generator to the power of `logs` (any integers), as field elements."""
    return _tables()[0][logs % _ORDER]


def logs(points: Sequence[int] | IntArray) -> IntArray:
    """Return the discrete logs of public elements of any shape, for `exp`; that of 0 is given as 0."""
    return _tables()[1][np.array(points, dtype=np.int64)].astype(np.int64)


@lru_cache(maxsize=4)
def _powers_up_to(top: int, count: int) -> FloatArray:
    """Return the powers of 1 .. top, as `powers` does: those of many sets of points are rows of it."""
    exponents = _tables()[1][1 : top + 1].astype(np.int64)[:, None] * np.arange(count)
    return _frozen(exp(exponents))


@lru_cache(maxsize=8)
def _log_differences(points: tuple[int, ...]) -> IntArray:
    """Return the log of the product of (x_i - x_j) over j != i, for every i."""
    at = np.array(points, dtype=np.int64)
    top = int(at.max(initial=0))
    missing = np.ones(top, dtype=np.bool_)
    missing[at - 1] = False
    others = np.flatnonzero(missing) + 1
    if len(others) < len(at):
        # Of all 1 .. top the product is (x_i - 1)! (-1)^(top - x_i) (top - x_i)!, and only few are divided out again.
        factorials = np.append(np.zeros(1, dtype=np.int64), np.cumsum(_tables()[1][1 : top + 1], dtype=np.int64))
        sums = factorials[at - 1] + factorials[top - at] + (top - at) % 2 * (_ORDER // 2) - _log_products(at, others)
    else:
        sums = _log_products(at, at)
    sums.flags.writeable = False
    return sums


def _log_products(at: IntArray, points: IntArray) -> IntArray:
    """Return the log of the product over j of (at_i - x_j), for every i; zero factors are left out."""
    sums = np.empty(len(at), dtype=np.int64)
    rows = max(1, _TABLE_BLOCK // max(1, len(points)))
    for start in range(0, len(at), rows):
        block = at[start : start + rows, None] - points[None, :]
        sums[start : start + rows] = log_products(block)
    return sums


def log_products(differences: IntArray) -> IntArray:
    """Return the logs of the products over the last axis of differences of public points; zero factors are left out."""
    sums: IntArray = _tables()[1][differences].sum(axis=-1, dtype=np.int64)  # index -d is log(p - d)
    return sums


@lru_cache(maxsize=8)
def _basis_coefficients(points: tuple[int, ...]) -> FloatArray:
    """Return the coefficients of the Lagrange basis of `points`: one polynomial a row, constant terms first."""
    at = np.array(points, dtype=np.int64)
    master = np.zeros(len(points) + 1, dtype=np.int64)  # the product of all (x - x_i)
    master[0] = 1
    for size, point in enumerate(points, start=1):
        master[1 : size + 1], master[0] = (master[:size] - point * master[1 : size + 1]) % PRIME, -point * master[0]
        master[0] %= PRIME
    rows = np.ones((len(points), len(points)), dtype=np.int64)
    for power in range(len(points) - 1, 0, -1):  # divided by (x - x_i), for all i at once
        rows[:, power - 1] = (master[power] + at * rows[:, power]) % PRIME
    return _frozen(reduce(rows.astype(np.float64) * dual_weights(points)[:, None]))


def _basis(points: tuple[int, ...], targets: IntArray) -> FloatArray:
    """Return the Lagrange basis of `points` at `targets` (none of which is a point), targets as rows."""
    at = np.array(points, dtype=np.int64)
    logs = _tables()[1][targets[:, None] - at[None, :]].astype(np.int64)
    logs += _log_differences(points)
    np.subtract(_log_products(targets, at)[:, None], logs, out=logs)
    return exp(logs)
