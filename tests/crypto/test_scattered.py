"""Secrets that have holders of their own each: what comes out is what interpolation gives, and no lie is overlooked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import ParameterError
from secagg.crypto import scattered
from secagg.crypto.field import PRIME
from secagg.crypto.scattered import agreed_apart
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, elements_in, share_secrets
from secagg.testing.randomness import DeterministicRandomSource

Case = tuple[NDArray[np.int64], NDArray[np.uint16], list[bytes]]


def dealt(seed: int, secrets: int, degree: int, threshold: int, holders: int) -> Case:
    """Points, elements and secrets, the holders of each drawn anew."""
    source, generator = DeterministicRandomSource(seed), np.random.default_rng(seed)
    points = np.array([np.sort(generator.choice(degree, holders, replace=False)) + 1 for _ in range(secrets)])
    chosen = [source.secret(32) for _ in range(secrets)]
    elements = np.empty((secrets, holders, LIMBS), dtype=np.uint16)
    for place, secret in enumerate(chosen):
        shares = share_secrets([secret], threshold, degree, source)
        joined = SecretBytes(b"".join(bytes(shares[point - 1].expose()) for point in points[place].tolist()))
        elements[place] = elements_in(joined)
    return points, elements, [bytes(secret.expose()) for secret in chosen]


def octets(found: list[SecretBytes | None]) -> list[bytes | None]:
    return [None if secret is None else bytes(secret.expose()) for secret in found]


@given(
    seed=st.integers(0, 10**6),
    secrets=st.integers(1, 9),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60)),
    block=st.sampled_from([1, 1 << 17]),
)
def test_secrets_are_those_that_were_shared(seed: int, secrets: int, sizes: tuple[int, int, int], block: int) -> None:
    threshold, holders, degree = sorted(sizes)
    points, elements, expected = dealt(seed, secrets, degree, threshold, holders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattered, "_BLOCK", block)
        assert octets(agreed_apart(points, elements, threshold)) == expected


@given(
    seed=st.integers(0, 10**6),
    lied=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(0, LIMBS - 1), st.integers(1, PRIME - 1)),
        min_size=1,
        max_size=4,
    ),
)
def test_a_secret_of_which_any_limb_of_any_share_is_wrong_is_not_rebuilt(
    seed: int, lied: list[tuple[int, int, int, int]]
) -> None:
    points, elements, expected = dealt(seed, 6, 12, 5, 9)
    before = elements.copy()
    for secret, holder, limb, by in lied:
        value = (int(before[secret, holder, limb]) + by) % PRIME
        elements[secret, holder, limb] = value
    wrong = np.any(elements != before, axis=(1, 2)).tolist()
    found = octets(agreed_apart(points, elements, 5))
    assert found == [None if lie else secret for lie, secret in zip(wrong, expected, strict=True)]


def test_an_element_beyond_the_field_is_no_share_although_it_is_the_same_number() -> None:
    points, elements = np.array([[1, 2, 3], [2, 3, 5]]), np.zeros((2, 3, LIMBS), dtype=np.uint16)
    assert octets(agreed_apart(points, elements, 1)) == [bytes(32), bytes(32)]
    elements[1, 2, 4] = PRIME
    assert octets(agreed_apart(points, elements, 1)) == [bytes(32), None]


@pytest.mark.parametrize("threshold", [0, 7])
def test_thresholds_that_do_not_fit(threshold: int) -> None:
    points, elements, _ = dealt(1, 2, 8, 3, 6)
    with pytest.raises(ParameterError, match=f"6 shares of each secret do not fit threshold {threshold}"):
        agreed_apart(points, elements, threshold)


def test_points_of_one_secret_are_distinct_and_in_the_field() -> None:
    points, elements, _ = dealt(1, 2, 8, 3, 6)
    for bad in (0, int(points[1, 1]), PRIME):
        changed = points.copy()
        changed[1, 0] = bad
        with pytest.raises(ParameterError, match="share point"):
            agreed_apart(changed, elements, 3)
