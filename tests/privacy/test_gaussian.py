"""m-GDP: reference values, 60 digits, and every result on the worse side."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.privacy import gaussian
from tests.privacy.oracles import DIGITS, exact_delta

CLOSE = 1e-9


@pytest.mark.parametrize(
    ("epsilon", "delta", "expected"),
    [
        (1, 1e-5, 3.73063163482),
        (4, 1e-5, 1.08116184952),
        (8, 1e-6, 0.652935384358),
        (0.1, 1e-5, 30.749566132),
        (50, 0.01, 0.124601123631),
    ],
)
def test_noise_of_the_analytic_gaussian_mechanism(epsilon: float, delta: float, expected: float) -> None:
    assert gaussian.sigma(epsilon, delta, 1.0) == pytest.approx(expected, rel=CLOSE)
    assert gaussian.sigma(epsilon, delta, 250.0) == pytest.approx(250 * expected, rel=CLOSE)


@pytest.mark.parametrize(("epsilon", "delta", "printed"), [(1, 0.5, 0.50706503), (math.log(3), 1e-5, 3.42466239)])
def test_noise_that_tensorflow_federated_tests_for(epsilon: float, delta: float, printed: float) -> None:
    assert gaussian.sigma(epsilon, delta, 1.0) == pytest.approx(printed, abs=1e-8)


@pytest.mark.parametrize(
    ("m", "delta", "expected"),
    [
        (0.25, 1e-5, 0.92634150400),
        (0.5, 1e-5, 1.99309140442),
        (2.0, 1e-5, 9.99725614643),
        (1.0, 1e-6, 4.88655411746),
    ],
)
def test_epsilon_of_m(m: float, delta: float, expected: float) -> None:
    assert gaussian.epsilon(delta, m) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize(("epsilon", "expected"), [(0.1, 0.125309012), (1, 1.232035385), (2, 2.357961486)])
def test_m_of_a_pure_release(epsilon: float, expected: float) -> None:
    assert gaussian.pure(epsilon) == pytest.approx(expected, abs=5e-10)


@pytest.mark.parametrize(("epsilon", "delta", "true"), [(10, 1e-5, 2.265e-5), (20, 1e-5, 1.527e-3), (50, 0.01, 1.000)])
def test_the_classical_formula_claims_too_much(epsilon: float, delta: float, true: float) -> None:
    m = epsilon / math.sqrt(2 * math.log(1.25 / delta))
    assert gaussian.delta(epsilon, m) == pytest.approx(true, rel=5e-4)


@pytest.mark.parametrize(("delta", "crossing"), [(1e-5, 8.42), (1e-2, 6.77)])
def test_where_the_classical_formula_begins_to_fail(delta: float, crossing: float) -> None:
    def classical(epsilon: float) -> float:
        return math.sqrt(2 * math.log(1.25 / delta)) / epsilon

    assert classical(crossing - 0.01) > gaussian.sigma(crossing - 0.01, delta, 1.0)
    assert classical(crossing + 0.01) < gaussian.sigma(crossing + 0.01, delta, 1.0)


@given(epsilon=st.floats(0, 100), m=st.floats(1e-6, 100))
def test_delta_is_never_below_its_60_digits(epsilon: float, m: float) -> None:
    assert gaussian.delta(epsilon, m) >= min(exact_delta(epsilon, m), 1 - mpmath.mpf(2) ** -50)


@given(epsilon=st.floats(0.01, 100), m=st.floats(0.05, 20))
def test_delta_is_close_to_its_60_digits(epsilon: float, m: float) -> None:
    assert gaussian.delta(epsilon, m) <= exact_delta(epsilon, m) * (1 + mpmath.mpf(CLOSE)) + 2e-300


@given(m=st.floats(0.01, 20), power=st.floats(1, 14))
def test_epsilon_is_rounded_up_and_close(m: float, power: float) -> None:
    delta = 10**-power
    found = gaussian.epsilon(delta, m)
    assert exact_delta(found, m) <= delta
    assert found == 0 or exact_delta(found * (1 - CLOSE), m) > delta


@given(epsilon=st.floats(0.01, 100), power=st.floats(0.1, 14))
def test_m_for_a_wish_is_rounded_down_and_close(epsilon: float, power: float) -> None:
    delta = 10**-power
    m = gaussian.calibrate(epsilon, delta)
    assert exact_delta(epsilon, m) <= delta
    assert exact_delta(epsilon, m * (1 + CLOSE)) > delta


@given(epsilon=st.floats(0.01, 50), power=st.floats(1, 12))
def test_there_and_back_claims_no_less(epsilon: float, power: float) -> None:
    delta = 10**-power
    m = gaussian.calibrate(epsilon, delta)
    assert gaussian.sigma(epsilon, delta, 3.0) * m >= 3.0
    assert epsilon * (1 - CLOSE) <= gaussian.epsilon(delta, m) <= epsilon


@given(epsilon=st.floats(1e-6, 300))
def test_pure_is_rounded_up_and_close(epsilon: float) -> None:
    found = gaussian.pure(epsilon)
    with mpmath.workdps(4 * DIGITS):
        exact = 1 / (1 + mpmath.exp(mpmath.mpf(epsilon)))
        assert mpmath.ncdf(-mpmath.mpf(found) / 2) <= exact
        assert mpmath.ncdf(-mpmath.mpf(found) * (1 - mpmath.mpf(CLOSE)) / 2) > exact


@given(mass=st.floats(1e-9, 0.999))
def test_the_middle_of_a_distribution_is_rounded_up_and_close(mass: float) -> None:
    found = gaussian.centre(mass)
    exact = mpmath.sqrt(2) * mpmath.erfinv(mpmath.mpf(mass))
    assert exact <= found <= exact * (1 + mpmath.mpf(CLOSE))


def test_the_coin_game() -> None:
    shares = [math.ceil(1000 * gaussian.guessing(gaussian.calibrate(e, 1e-5))) / 10 for e in (0.5, 1, 2, 4, 8, 16)]
    assert shares == [52.9, 55.4, 60.0, 67.9, 79.8, 92.7]


def test_right_guesses_are_rounded_against_us() -> None:
    assert gaussian.guessing(0.83785875709) == pytest.approx(0.66237, abs=5e-6)
    assert gaussian.right_guesses(0.83785875709) == 67
    assert gaussian.right_guesses(0.0) == 50
    assert gaussian.right_guesses(1e-9) == 51
    assert gaussian.right_guesses(50.0) == 100
    assert [gaussian.right_guesses(0.83785875709, eta) for eta in (1e-9, 0.01, 0.9)] == [67, 68, 100]
    assert gaussian.right_guesses(0.0, 1e-300) == 51


@given(m=st.floats(1e-9, 40))
def test_guessing_is_rounded_up(m: float) -> None:
    assert gaussian.guessing(m) >= min(mpmath.ncdf(mpmath.mpf(m) / 2), 1)


def test_nothing_known_costs_nothing() -> None:
    assert gaussian.delta(0.0, 0.0) == 0.0
    assert gaussian.epsilon(1e-6, 0.0) == 0.0
    assert gaussian.pure(0.0) == 0.0
    assert gaussian.sigma(1.0, 1e-6, 0.0) == 0.0
    assert gaussian.centre(0.0) == 0.0


@pytest.mark.parametrize(("epsilon", "m"), [(1e300, 1e-300), (0.0, 1e300), (1e300, 1e300), (5e-324, 5e-324), (1e4, 1)])
def test_extremes_give_a_probability(epsilon: float, m: float) -> None:
    assert 0 < gaussian.delta(epsilon, m) <= 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: gaussian.delta(-1.0, 1.0), "epsilon=-1.0; give a finite number from 0 on"),
        (lambda: gaussian.delta(1.0, math.nan), "m=nan; give a finite number from 0 on"),
        (lambda: gaussian.epsilon(0.0, 1.0), "delta=0.0; give a probability with 1e-200 <= delta < 1"),
        (lambda: gaussian.sigma(1.0, 1e-310, 1.0), "delta=1e-310; give a probability with 1e-200 <= delta < 1"),
        (lambda: gaussian.epsilon(1.0, 1.0), "delta=1.0; give a probability with 1e-200 <= delta < 1"),
        (lambda: gaussian.calibrate(0.0, 1e-5), "epsilon=0.0; give a number above 0"),
        (lambda: gaussian.calibrate(math.inf, 1e-5), "epsilon=inf; give a finite number from 0 on"),
        (lambda: gaussian.sigma(1.0, 1e-5, -1.0), "sensitivity=-1.0; give a finite number from 0 on"),
        (lambda: gaussian.pure(math.nan), "epsilon=nan; give a finite number from 0 on"),
        (lambda: gaussian.centre(0.9999), "mass=0.9999 of the middle of a distribution; give a number from 0 to 0.999"),
        (lambda: gaussian.right_guesses(-0.5), "m=-0.5; give a finite number from 0 on"),
    ],
)
def test_numbers_outside_their_range_are_refused(call, sentence) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError) as refused:
        call()
    assert str(refused.value) == sentence
