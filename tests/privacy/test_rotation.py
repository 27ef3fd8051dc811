"""The rotation: orthonormal, its own inverse transposed, and flat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secagg.privacy import rotation
from secagg.privacy.choosing import packed_bytes
from secagg.privacy.plan import Plan

SIGNS = bytes(range(16))


def by_definition(entries: int) -> np.ndarray:
    """Q as it is written: (DCT-II of m) x (Hadamard of 2^k) / sqrt(2^k), after the signs."""
    length = rotation.padded_length(entries)
    bits = max(0, math.ceil(math.log2(entries)) - 4) if entries > 1 else 0
    factor = length >> bits
    row, column = np.mgrid[0:factor, 0:factor]
    cosines = math.sqrt(2 / factor) * np.cos(math.pi / factor * (column + 0.5) * row)
    cosines[0] /= math.sqrt(2)
    hadamard = np.array([[(-1) ** (i & j).bit_count() for j in range(1 << bits)] for i in range(1 << bits)])
    matrix: np.ndarray = np.kron(cosines, hadamard / math.sqrt(1 << bits))
    return matrix


@pytest.mark.parametrize("entries", [1, 2, 3, 9, 15, 16, 17, 31, 33, 100, 257, 650, 1000])
def test_it_is_the_matrix_that_it_is_said_to_be(entries: int) -> None:
    length = rotation.padded_length(entries)
    rotated = np.eye(length)
    for row in rotated:
        rotation.rotate(row, SIGNS)
    signs = np.ones(length)
    rotation._flip(signs, SIGNS)
    assert np.allclose(rotated, (by_definition(entries) * signs).T, atol=1e-12)
    assert np.allclose(rotated @ rotated.T, np.eye(length), atol=1e-12)
    assert np.abs(rotated).max() <= math.sqrt(2 / length) * (1 + 1e-12)


@pytest.mark.parametrize("entries", [650, 2**15, 2**15 + 1, 50_000, 100_001, 2**18])
def test_back_is_back(entries: int) -> None:
    length = rotation.padded_length(entries)
    vector = np.random.default_rng(1).normal(size=length)
    copy = vector.copy()
    rotation.rotate(copy, SIGNS)
    assert np.linalg.norm(copy) == pytest.approx(np.linalg.norm(vector), rel=1e-12)
    assert not np.allclose(copy, vector)
    rotation.rotate_back(copy, SIGNS)
    assert np.allclose(copy, vector, atol=1e-10)


def test_large_rotations_agree_with_butterflies() -> None:
    length = 2**18
    vector = np.random.default_rng(2).normal(size=length)
    expected = vector.copy()
    rotation._flip(expected, SIGNS)
    cosines = rotation._cosines(16)
    rows = expected.reshape(16, -1)
    half = 1
    while half < rows.shape[1]:
        pairs = rows.reshape(16, -1, 2, half)
        rows = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), axis=2).reshape(16, -1)
        half *= 2
    expected = (cosines @ rows / math.sqrt(rows.shape[1])).reshape(-1)
    rotation.rotate(vector, SIGNS)
    assert np.allclose(vector, expected, atol=1e-9)


@pytest.mark.parametrize("entries", [1, 16, 17, 33, 1000, 10**6, 2**20, 2**20 + 1])
def test_padding_is_an_eighth_at_most(entries: int) -> None:
    length = rotation.padded_length(entries)
    assert entries <= length <= max(entries * 1.125, entries + 1)
    assert rotation.padded_length(length) == length


def test_signs_are_of_their_bytes_and_even() -> None:
    first, second = np.ones(2**17), np.ones(2**17)
    rotation._flip(first, SIGNS)
    rotation._flip(second, bytes(16))
    assert set(first.tolist()) == {-1.0, 1.0}
    for signs in (first, first * second):
        assert abs(signs.sum()) < 5 * math.sqrt(2**17)


def test_spikes_are_flattened_below_the_limit() -> None:
    length = rotation.padded_length(10**5)
    limit = rotation.entry_limit(1000, length)
    for place in (0, 777, length - 1):
        spike = np.zeros(length)
        spike[place] = 1000.0
        rotation.rotate(spike, SIGNS)
        assert np.abs(spike).max() < limit
    even = np.full(length, 1000 / math.sqrt(length))
    rotation.rotate(even, SIGNS)
    assert np.abs(even).max() < limit < 1000 / 20


def test_a_plan_rotates_where_uploads_shrink_by_a_tenth() -> None:
    arguments = {"arrays": {"u": 2**20}, "clip": 1.0, "delta": 1e-7, "clients": 1000, "minimum_contributors": 800}
    large = Plan.choose(epsilon=20.0, **arguments)  # type: ignore[arg-type]
    assert large.rotation
    assert list(large.vectors) == ["update"]
    plain = Plan.choose(epsilon=20.0, rotation=False, **arguments)  # type: ignore[arg-type]
    assert packed_bytes(large, 1000) <= 0.9 * packed_bytes(plain, 1000)
    small = Plan.choose(epsilon=1.0, rounds=50, **arguments)  # type: ignore[arg-type]
    assert not small.rotation
