"""GF(65521) array arithmetic against Python integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto import field
from secagg.crypto.field import PRIME, FloatArray
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource

FIXED = settings(derandomize=True, deadline=None, database=None, max_examples=60)
LARGEST_MULTIPLE = 2**53 // PRIME * PRIME


def elements(seed: int, shape: tuple[int, ...]) -> FloatArray:
    return np.random.default_rng(seed).integers(0, PRIME, shape).astype(np.float64)


def as_ints(values: FloatArray) -> list[list[int]]:
    return [[int(value) for value in row] for row in values]


def test_prime_is_the_largest_prime_below_2_to_16() -> None:
    primes = [n for n in range(65000, 2**16) if all(n % d for d in range(2, 256))]
    assert primes[-1] == PRIME


@pytest.mark.parametrize(
    "value",
    [0, 1, PRIME - 1, PRIME, PRIME + 1, 2 * PRIME - 1, 2 * PRIME]
    + [(PRIME - 1) ** 2, 2**20 * (PRIME - 1) ** 2, 2**53 - 1, 2**53]
    + [m + d for m in (PRIME**2, PRIME**3, LARGEST_MULTIPLE // 2, LARGEST_MULTIPLE) for d in (-1, 0, 1)],
)
def test_reduce_at_the_extremes(value: int) -> None:
    assert field.reduce(np.array([float(value)])).tolist() == [value % PRIME]


def test_the_rounding_that_the_bound_of_reduce_rests_on() -> None:
    error = (Fraction(1.0 / PRIME) * PRIME - 1) * 2**53
    assert Fraction(-73, 100) < error < Fraction(-72, 100)


def test_reduce_around_every_scale_of_multiples() -> None:
    quotients = np.unique((2.0 ** np.linspace(0, 37, 20_000)).astype(np.int64))
    around = (quotients[:, None] * PRIME + np.array([-2, -1, 0, 1, 2])).ravel()
    around = around[around <= 2**53]
    assert np.array_equal(field.reduce(around.astype(np.float64)), (around % PRIME).astype(np.float64))


@FIXED
@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=20))
def test_reduce_is_the_remainder(values: list[int]) -> None:
    given_array = np.array(values, dtype=np.float64)
    kept = given_array.copy()
    assert field.reduce(given_array).tolist() == [value % PRIME for value in values]
    assert given_array.tolist() == kept.tolist()


def test_matmul_is_exact_at_the_largest_inner_length() -> None:
    length = field.MAX_INNER_LENGTH
    left = np.full((2, length), PRIME - 1.0)
    right = np.full((length, 3), PRIME - 1.0)
    right[-1] = PRIME - 2.0
    assert field.matmul(left, right).tolist() == [[float((length + 1) % PRIME)] * 3] * 2


def test_matmul_refuses_an_inexact_inner_length() -> None:
    left = np.zeros((1, field.MAX_INNER_LENGTH + 1))
    with pytest.raises(ParameterError, match="inner length 1048577 is not exact"):
        field.matmul(left, left.T)


@pytest.mark.parametrize("shapes", [(1, 1, 1), (1, 700, 18), (900, 40, 9), (5000, 3, 1), (0, 2, 2)], ids=str)
def test_matmul_in_pieces_is_the_product(shapes: tuple[int, int, int]) -> None:
    rows, inner, columns = shapes
    left, right = elements(1, (rows, inner)), elements(2, (inner, columns))
    expected = left.astype(np.int64) @ right.astype(np.int64) % PRIME
    assert np.array_equal(field.matmul(left, right), expected)


def test_weighted_sum_is_exact_at_the_largest_length() -> None:
    weights = np.full(field.MAX_INNER_LENGTH, PRIME - 1.0)
    assert field.weighted_sum(weights, weights[:, None]).tolist() == [field.MAX_INNER_LENGTH % PRIME]
    with pytest.raises(ParameterError, match="inner length 1048577 is not exact"):
        field.weighted_sum(np.zeros(field.MAX_INNER_LENGTH + 1), np.zeros((field.MAX_INNER_LENGTH + 1, 1)))


def test_weighted_sum_over_stacked_matrices() -> None:
    weights, values = elements(1, (5,)), elements(2, (3, 5, 4))
    expected = np.einsum("i,nic->nc", weights.astype(np.int64), values.astype(np.int64)) % PRIME
    assert np.array_equal(field.weighted_sum(weights, values), expected)


def test_uniform_is_the_documented_fold_of_one_chacha20_stream() -> None:
    count = 2**11 + 5  # crosses a block
    drawn = field.uniform(DeterministicRandomSource(1), (count,))
    key = bytes(DeterministicRandomSource(1).secret(32).expose())
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(16 * count))
    expected = [int.from_bytes(stream[16 * i : 16 * i + 16], "little") % PRIME for i in range(count)]
    assert [int(value) for value in drawn] == expected


@pytest.mark.parametrize("shape", [(0,), (0, 36), (1,), (7, 5), (3, 2, 4)])
def test_uniform_has_the_shape_asked_for(shape: tuple[int, ...]) -> None:
    drawn = field.uniform(DeterministicRandomSource(2), shape)
    assert (drawn.shape, drawn.dtype) == (shape, np.dtype(np.float64))


def test_uniform_takes_a_fresh_key_every_time() -> None:
    source = DeterministicRandomSource(3)
    first, second = field.uniform(source, (50,)), field.uniform(source, (50,))
    assert int((first == second).sum()) <= 1


def test_uniform_passes_chi_square_over_the_whole_field() -> None:
    count = 8 * PRIME
    drawn = field.uniform(DeterministicRandomSource(4), (count,)).astype(np.int64)
    observed = np.bincount(drawn, minlength=PRIME)
    assert len(observed) == PRIME
    statistic = float(((observed - 8.0) ** 2 / 8.0).sum())
    degrees = PRIME - 1
    assert abs(statistic - degrees) < 5 * math.sqrt(2 * degrees)


@pytest.mark.parametrize("point", [0, -1, PRIME, PRIME + 1, 2**70])
def test_points_outside_the_field_are_refused(point: int) -> None:
    with pytest.raises(ParameterError, match=rf"share point {point} is outside 1\.\.65520"):
        field.lagrange_weights_at_zero((1, point))


def test_a_repeated_point_is_refused() -> None:
    for function in (field.lagrange_weights_at_zero, field.dual_weights):
        with pytest.raises(ParameterError, match="share point 7 is given twice"):
            function((7, 3, 7))


def test_powers_are_read_only_powers() -> None:
    table = field.powers((1, 2, 17, PRIME - 1), 130)
    expected = [[pow(x, j, PRIME) for j in range(130)] for x in (1, 2, 17, PRIME - 1)]
    assert as_ints(table) == expected
    assert not table.flags.writeable


def test_powers_and_logs_cover_the_whole_group() -> None:
    everything = field.powers(tuple(range(1, PRIME)), 2)[:, 1]
    assert np.array_equal(everything, np.arange(1, PRIME, dtype=np.float64))


@pytest.mark.parametrize("terms", [1, 2, 127, 128, 129, 256, 257, 400])
def test_evaluate_agrees_with_horner_over_integers(terms: int) -> None:
    coefficients = elements(terms, (terms, 3))
    coefficients[:, 0] = PRIME - 1
    points = (1, 2, 3, 500, PRIME - 1)
    expected = []
    for x in points:
        values = [0, 0, 0]
        for row in reversed(as_ints(coefficients)):
            values = [(value * x + c) % PRIME for value, c in zip(values, row, strict=True)]
        expected.append(values)
    kept = coefficients.copy()
    assert as_ints(field.evaluate(coefficients, points)) == expected
    assert np.array_equal(coefficients, kept)


@pytest.mark.parametrize("columns", [1, 36])
def test_evaluate_and_power_sums_at_many_points(columns: int) -> None:
    points = tuple(range(3, 1203))
    powers = np.array([[pow(x, j, PRIME) for j in range(200)] for x in points])
    coefficients, values = elements(1, (200, columns)), elements(2, (len(points), columns))
    expected = powers @ coefficients.astype(np.int64) % PRIME
    assert np.array_equal(field.evaluate(coefficients, points), expected)
    expected = powers.T @ values.astype(np.int64) % PRIME
    assert np.array_equal(field.power_sums(points, values, 200), expected)


def test_evaluate_at_no_point_is_empty() -> None:
    assert field.evaluate(elements(1, (3, 2)), ()).shape == (0, 2)


@pytest.mark.parametrize("count", [1, 128, 129, 300])
def test_power_sums_agree_with_integers(count: int) -> None:
    points, values = (1, 5, 77, PRIME - 1), elements(count, (4, 2))
    rows = as_ints(values)
    expected = [
        [sum(pow(x, j, PRIME) * row[c] for x, row in zip(points, rows, strict=True)) % PRIME for c in (0, 1)]
        for j in range(count)
    ]
    assert as_ints(field.power_sums(points, values, count)) == expected


def weights_by_integers(points: tuple[int, ...], target: int) -> list[int]:
    weights = []
    for i in points:
        above, below = 1, 1
        for j in points:
            if j != i:
                above = above * (target - j) % PRIME
                below = below * (i - j) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


@pytest.mark.parametrize(
    "points",
    [(1,), (65520,), (1, 2), (3, 1), (5, 65520, 17, 2, 40000), tuple(range(1, 40)), tuple(range(7, 5000, 7))],
    ids=len,
)
def test_lagrange_weights_at_zero_agree_with_integers(points: tuple[int, ...]) -> None:
    weights = field.lagrange_weights_at_zero(points)
    assert weights.tolist() == [float(weight) for weight in weights_by_integers(points, 0)]
    assert not weights.flags.writeable


def test_dual_weights_agree_with_integers() -> None:
    points = (4, 9, 1, 65520, 1000)
    expected = []
    for i in points:
        product = math.prod(i - j for j in points if j != i)
        expected.append(float(pow(product, -1, PRIME)))
    assert field.dual_weights(points).tolist() == expected


@FIXED
@given(st.integers(1, 40), st.lists(st.integers(1, PRIME - 1), min_size=42, max_size=60, unique=True))
def test_extrapolate_continues_the_polynomial(terms: int, points: list[int]) -> None:
    coefficients = elements(terms, (terms, 4))
    known, targets = tuple(points[:terms]), tuple(points[terms:])
    values = field.evaluate(coefficients, known)
    assert np.array_equal(field.extrapolate(known, values, targets), field.evaluate(coefficients, targets))


def test_extrapolate_in_several_blocks() -> None:
    coefficients = elements(1, (700, 2))
    known, targets = tuple(range(1, 701)), tuple(range(701, 1500))
    values = field.evaluate(coefficients, known)
    assert np.array_equal(field.extrapolate(known, values, targets), field.evaluate(coefficients, targets))


def test_extrapolate_refuses_a_target_that_is_a_point() -> None:
    with pytest.raises(ParameterError, match="share point 2 is given twice"):
        field.extrapolate((1, 2), elements(1, (2, 1)), (3, 2))


@pytest.mark.parametrize("count", [1, 2, 7, 150])
def test_values_come_back_from_their_power_sums(count: int) -> None:
    points = tuple((np.random.default_rng(count).permutation(PRIME - 1)[:count] + 1).tolist())
    values = elements(1, (count, 3))
    assert np.array_equal(field.from_power_sums(points, field.power_sums(points, values, count)), values)


def test_power_sums_at_a_repeated_point_are_refused() -> None:
    with pytest.raises(ParameterError, match="share point 5 is given twice"):
        field.from_power_sums((5, 5), np.zeros((2, 1)))


def test_inverses_agree_with_integers() -> None:
    values = [1, 2, 17, 40_000, PRIME - 1]
    expected = [pow(value, -1, PRIME) for value in values]
    assert field.inverse(np.array(values, dtype=np.float64)).astype(int).tolist() == expected


@pytest.mark.parametrize("left_out", [(), (1,), (200,), (3, 77, 199), tuple(range(1, 150)), tuple(range(2, 200))])
def test_weights_and_powers_of_most_of_the_first_points_are_those_of_any_points(left_out: tuple[int, ...]) -> None:
    """Where few of 1 .. top are missing, they come from factorials, and from a table of all."""
    points = tuple(point for point in range(1, 201) if point not in left_out)
    weights, powers = field.dual_weights(points), field.powers(points, 5)
    for place, point in enumerate(points):
        product = math.prod((point - other) % PRIME for other in points if other != point)
        assert product * int(weights[place]) % PRIME == 1
        assert powers[place].tolist() == [pow(point, exponent, PRIME) for exponent in range(5)]
