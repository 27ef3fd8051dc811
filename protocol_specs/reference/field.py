"""Arithmetic in the share field GF(65521) (§5.1): polynomials are lists of coefficients, the constant first."""

from collections.abc import Sequence
from functools import lru_cache

P = 65521


def evaluate(polynomial: Sequence[int], x: int) -> int:
    """The value of a polynomial at x."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % P
    return value


def interpolate(points: Sequence[int], values: Sequence[int], at: int) -> int:
    """Lagrange: the value at `at` of the polynomial of least degree through the given values.

    Raises ValueError for a point that is given twice, or not as many values as points.
    """
    return sum(weight * value for weight, value in zip(_weights(tuple(points), at), values, strict=True)) % P


@lru_cache(maxsize=1 << 12)  # a secret has many limbs, and all have the same points
def _weights(points: tuple[int, ...], at: int) -> tuple[int, ...]:
    """What each value counts."""
    weights = []
    for i, x_i in enumerate(points):
        numerator = denominator = 1
        for j, x_j in enumerate(points):
            if j != i:
                numerator = numerator * (x_j - at) % P
                denominator = denominator * (x_j - x_i) % P
        weights.append(numerator * pow(denominator, -1, P) % P)
    return tuple(weights)


def solve(rows: Sequence[Sequence[int]], right: Sequence[int]) -> list[int] | None:
    """Some solution of linear equations, unknowns that are free being 0; None if there is no solution."""
    unknowns = len(rows[0])
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    pivots: list[int] = []
    for column in range(unknowns):
        rank = len(pivots)
        found = next((i for i in range(rank, len(table)) if table[i][column] % P), None)
        if found is None:
            continue
        table[rank], table[found] = table[found], table[rank]
        inverse = pow(table[rank][column], -1, P)
        table[rank] = [entry * inverse % P for entry in table[rank]]
        for i in range(len(table)):
            factor = table[i][column]
            if i != rank and factor:
                table[i] = [(a - factor * b) % P for a, b in zip(table[i], table[rank], strict=True)]
        pivots.append(column)
    if any(row[-1] % P for row in table[len(pivots) :]):
        return None
    solution = [0] * unknowns
    for row, column in zip(table, pivots, strict=False):
        solution[column] = row[-1]
    return solution


def divide(dividend: Sequence[int], divisor: Sequence[int]) -> list[int] | None:
    """The quotient of two polynomials, the divisor being monic; None if a remainder is left."""
    remainder = [coefficient % P for coefficient in dividend]
    quotient = [0] * max(len(dividend) - len(divisor) + 1, 1)
    for shift in range(len(dividend) - len(divisor), -1, -1):
        factor = remainder[shift + len(divisor) - 1]
        quotient[shift] = factor
        for i, coefficient in enumerate(divisor):
            remainder[shift + i] = (remainder[shift + i] - factor * coefficient) % P
    return None if any(remainder) else quotient
