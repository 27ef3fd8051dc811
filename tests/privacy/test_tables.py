"""Tables of noise against 60 digits: masses, tails, sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.privacy import tables
from secagg.privacy.tables import NoiseTable
from tests.privacy.oracles import DIGITS

WHOLE = 2**128


def masses(table: NoiseTable) -> list[int]:
    return [table.mass(value) for value in range(-table.tail, table.tail + 1)]


def skellam_mass(mu: float, k: int) -> mpmath.mpf:
    return mpmath.exp(-mpmath.mpf(mu)) * mpmath.besseli(k, mpmath.mpf(mu))


def gaussian_mass(sigma: mpmath.mpf, k: int) -> mpmath.mpf:
    with mpmath.workdps(2 * DIGITS):
        half = mpmath.mpf(1) / 2
        return mpmath.ncdf(-(abs(k) - half) / sigma) - mpmath.ncdf(-(abs(k) + half) / sigma)


def test_masses_of_skellam_4() -> None:
    table = tables.skellam(64)
    assert abs(table.mass(0) - 70439103711279840778250152981945446796) <= 2**24
    assert abs(table.mass(1) - 60825758754993479312369838709922615635) <= 2**24
    assert abs(table.mass(34) - 406510680) <= 2**24
    assert table.tail == 34


@pytest.mark.parametrize(("mu", "tail"), [(64, 99), (1024, 373), (65536, 2971), (262144, 5941), (4194304, 23765)])
def test_tails_of_skellam(mu: int, tail: int) -> None:
    assert abs(tables.skellam(16 * mu).tail - tail) <= 1


@pytest.mark.parametrize("variance16", [1, 5, 64, 1000, 16384])
def test_skellam_is_exact(variance16: int) -> None:
    table = tables.skellam(variance16)
    for k in {*range(min(table.tail, 30)), table.tail // 2, table.tail}:
        assert abs(mpmath.mpf(table.mass(k)) / WHOLE - skellam_mass(variance16 / 16, k)) < mpmath.mpf(2) ** -104


@pytest.mark.parametrize("variance16", [1, 2, 16, 64, 1000, 16384, 16 * 1000**2])
def test_the_rounded_gaussian_is_exact(variance16: int) -> None:
    table = tables.rounded_gaussian(variance16)
    sigma = mpmath.sqrt(mpmath.mpf(variance16) / 16)
    for k in {*range(min(table.tail, 30)), table.tail // 3, table.tail // 2, table.tail}:
        assert abs(mpmath.mpf(table.mass(k)) / WHOLE - gaussian_mass(sigma, k)) < mpmath.mpf(2) ** -104


@pytest.mark.parametrize("variance16", [1, 64, 1600, 16384])
def test_the_tail_is_the_least_that_may_be_cut(variance16: int) -> None:
    limit = mpmath.mpf(2) ** -101
    with mpmath.workdps(DIGITS):
        sigma = mpmath.sqrt(mpmath.mpf(variance16) / 16)
        tail = tables.skellam(variance16).tail
        beyond = 2 * mpmath.fsum(skellam_mass(variance16 / 16, k) for k in range(tail + 1, tail + 120))
        assert beyond <= limit < beyond + 2 * skellam_mass(variance16 / 16, tail)
        tail = tables.rounded_gaussian(variance16).tail
        half = mpmath.mpf(1) / 2
        assert 2 * mpmath.ncdf(-(tail + half) / sigma) <= limit < 2 * mpmath.ncdf(-(tail - half) / sigma)


laplace = st.builds(
    lambda numerator, shares: tables.discrete_laplace_share(Fraction(numerator, 1000), shares),
    st.integers(1, 900),
    st.integers(1, 100),
)
some_table = st.one_of(
    st.integers(1, 20_000).map(tables.skellam), st.integers(1, 20_000).map(tables.rounded_gaussian), laplace
)


@given(table=some_table)
def test_every_table_is_whole_and_symmetric(table: NoiseTable) -> None:
    cells = masses(table)
    assert sum(cells) == WHOLE
    assert cells == cells[::-1]
    assert min(cells) >= 0
    assert cells[table.tail] == max(cells)
    assert table.threshold(2 * table.tail) == WHOLE
    assert table.mass(table.tail + 1) == table.mass(-table.tail - 1) == 0
    assert not table.high.flags.writeable
    assert not table.low.flags.writeable


@pytest.mark.parametrize(("shares", "p"), [(1, Fraction(1, 2)), (2, Fraction(9, 10)), (7, Fraction(1, 3))])
def test_shares_sum_to_discrete_laplace(shares: int, p: Fraction) -> None:
    share = tables.discrete_laplace_share(p, shares)
    # Exact convolution: the masses of a sum are the digits of a product of large numbers.
    base = 128 * shares + 64
    packed = sum(cell << base * index for index, cell in enumerate(masses(share)))
    digits = packed**shares
    centre = share.tail * shares
    with mpmath.workdps(DIGITS):
        for k in range(0, 2 * share.tail, 5):
            found = mpmath.mpf((digits >> base * (centre + k)) % 2**base) / mpmath.mpf(WHOLE) ** shares
            exact = mpmath.mpf((1 - p).numerator * p.denominator) / ((1 + p).numerator * p.denominator)
            exact *= (mpmath.mpf(p.numerator) / p.denominator) ** k
            assert abs(found - exact) < shares * mpmath.mpf(2) ** -100


def test_many_shares_of_discrete_laplace_have_their_variance() -> None:
    p = Fraction(math.ceil(math.exp(-0.25) * 2**60), 2**60)
    share = tables.discrete_laplace_share(p, 50)
    values = np.arange(-share.tail, share.tail + 1)
    weights = np.array([cell / WHOLE for cell in masses(share)])
    assert 50 * float(values**2 @ weights) == pytest.approx(float(2 * p / (1 - p) ** 2), rel=1e-9)


@pytest.mark.parametrize("variance16", [16 * 5000**2 + 3, 16 * 13_000**2])
@pytest.mark.parametrize("make", [tables.skellam, tables.rounded_gaussian])
def test_large_tables_are_whole(make: Callable[[int], NoiseTable], variance16: int) -> None:
    table = make(variance16)
    sigma = math.sqrt(variance16 / 16)
    assert 11.55 < table.tail / sigma < 11.65
    assert table.mass(0) / WHOLE == pytest.approx(1 / (sigma * math.sqrt(2 * math.pi)), rel=1e-7)
    assert table.threshold(table.tail) + table.threshold(table.tail - 1) == WHOLE
    assert table.threshold(2 * table.tail - 1) == WHOLE - table.threshold(0)


@pytest.mark.parametrize("make", [tables.skellam, tables.rounded_gaussian])
def test_a_grid_finer_than_the_noise_can_use_is_refused(make: Callable[[int], NoiseTable]) -> None:
    with pytest.raises(
        ParameterError, match=r"^noise that needs a table up to 2300000, and 2097152 is the most: the grid"
    ):
        make(16 * 200_000**2)


def test_discrete_laplace_noise_that_is_too_wide_is_refused() -> None:
    with pytest.raises(
        ParameterError, match=r"and 2097152 is the most: the grid is finer than the noise can use; raise"
    ):
        tables.discrete_laplace_share(1 - Fraction(1, 2**30), 10)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: tables.skellam(0), "variance16=0; give a whole number from 1 on"),
        (lambda: tables.rounded_gaussian(1.5), "variance16=1.5; give a whole number from 1 on"),
        (lambda: tables.discrete_laplace_share(Fraction(1, 2), 0), "shares=0; give a whole number from 1 on"),
        (
            lambda: tables.discrete_laplace_share(Fraction(1), 1),
            "p=1 of discrete Laplace noise; give a Fraction with 0 < p < 1",
        ),
    ],
)
def test_numbers_outside_their_range_are_refused(call, sentence) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError) as refused:
        call()
    assert str(refused.value) == sentence


@settings(max_examples=10)
@given(variance16=st.integers(1, 20_000))
def test_a_table_is_made_once(variance16: int) -> None:
    assert tables.skellam(variance16) is tables.skellam(variance16)
